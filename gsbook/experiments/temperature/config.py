"""What a run of the study of temperature is: a run of Table 1's categorical VAE, and what became of
its temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gsbook.experiments.table1 import config as table1

CELL = "vae-categorical"
LEARNED = ("", "one", "unit")
ESTIMATORS = ("gumbel_softmax", "st_gumbel_softmax")


@dataclass(frozen=True)
class Config(table1.Config):
    """One training run. The temperature starts at `start` and falls, or rises, as told.

    >>> config = Config(start=2.0, anneal_steps=20_000, steps=20_000)
    >>> config.tau(0), config.tau(10_000), config.tau(20_000)
    (2.0, 1.25, 0.5)
    >>> config.key
    'vae-categorical-gumbel_softmax_lr=0.003_seed=0_start=2.0_anneal_steps=20000_steps=20000'
    """

    model: str = "vae"
    node: str = "categorical"
    estimator: str = "gumbel_softmax"  # relaxed samples forward; or "st_gumbel_softmax", discrete
    lr: float = 3e-3  # the largest of the paper's list, which wins in Table 1
    start: float = 1.0  # temperature at step 0, and without a schedule at every step
    # Schedules, to `tau_min`: start * exp(-anneal_rate * t), or a straight line of so many steps.
    anneal_steps: int = 0
    backward: float = 0.0  # another temperature for the gradient; 0: the forward pass's own
    draws: int = 0  # Gumbel-Rao: relaxed samples for each discrete one, averaged; 0: none
    learned: str = ""  # the temperature is a weight: "one" for all units, or one per "unit"
    relaxed_kl: bool = False  # the relaxed densities' divergence for the discrete, analytic one

    def __post_init__(self):
        super().__post_init__()
        self.check_known(learned=LEARNED, estimator=ESTIMATORS)
        if not (self.start > 0 and math.isfinite(self.start)):
            raise ValueError(f"start must be positive, got {self.start}")
        if min(self.backward, self.draws, self.anneal_steps) < 0:
            raise ValueError("backward, draws and anneal_steps must not be negative")
        if self.anneal_rate and self.anneal_steps:
            raise ValueError("a schedule is exponential or a line: set one of the two")
        if self.learned and (self.anneal_rate or self.anneal_steps or self.backward):
            raise ValueError("a learned temperature has no schedule, and backward the same one")
        if self.relaxed_kl and self.backward:
            raise ValueError("relaxed_kl has one temperature: leave backward")
        if self.draws and self.estimator != "st_gumbel_softmax":
            raise ValueError("Gumbel-Rao (draws) has discrete samples: take st_gumbel_softmax")
        if (self.learned or self.relaxed_kl or self.backward) and (
            self.estimator != "gumbel_softmax"
        ):
            raise ValueError(
                "learned, relaxed_kl and backward belong to relaxed samples: take gumbel_softmax"
            )

    @property
    def cell(self) -> str:
        """The one file of records."""
        return CELL

    def tau(self, step: int) -> float:
        """The temperature of the schedule at a step, constant between multiples of anneal_every; of
        a learned one the start."""
        t = step // self.anneal_every * self.anneal_every
        if self.anneal_steps:
            done = min(1.0, t / self.anneal_steps)
            return (1 - done) * self.start + done * self.tau_min
        if self.anneal_rate:
            return max(self.tau_min, self.start * math.exp(-self.anneal_rate * t))
        return self.start
