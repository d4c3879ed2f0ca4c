"""What a run of Table 2 is: semi-supervised learning with 100 labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Annealed

# Method of Table 2 -> the estimator of its unlabelled term. The last one trains q(y|x) alone, on
# the labelled images.
METHODS = {
    "marginalisation": "exact",
    "gumbel_softmax": "gumbel_softmax",
    "st_gumbel_softmax": "st_gumbel_softmax",
    "supervised": None,
}
DECAYS = ("none", "linear")


@dataclass(frozen=True)
class FewLabels(Annealed):
    """One run of the semi-supervised experiment. Equal configs give equal numbers on one machine
    and version of the code.

    >>> FewLabels("gumbel_softmax", alpha=1.0, steps=100).key
    'gumbel_softmax_alpha=1.0_seed=0_steps=100'
    """

    NAME: ClassVar = ("method",)
    ALWAYS: ClassVar = ("alpha", "seed")

    method: str  # a name of `METHODS`
    alpha: float  # weight of log q(y|x), per labelled image
    seed: int = 0  # of weights, batches, noise and the choice of labelled images
    steps: int = 5_000  # parameter updates
    labels: int = 10  # labelled images of each class
    batch: int = 100  # images of a step without labels
    labelled_batch: int = 50  # and with labels
    lr: float = 3e-3  # of Adam
    anneal_rate: float = 6e-4  # r of tau = max(tau_min, exp(-r t))
    anneal_every: int = 100  # t is rounded down to a multiple of this
    tau_min: float = 0.5
    classes: int = 10
    style: int = 16
    channels: tuple[int, int, int] = (16, 32, 32)
    eval_every: int = 250  # steps between two points of the curve
    decay: str = "none"  # of the rate: "linear" lets it fall to 0 at the last step
    average: float = 0.0  # each step keeps this much of the averaged weights, which are judged

    def __post_init__(self):
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be from 0 to below 1, got {self.average}")
        self.check_known(method=METHODS, decay=DECAYS)
        self.check_positive("alpha", "steps", "labels", "batch", "labelled_batch", "lr")
        self.check_positive("anneal_every", "tau_min", "eval_every")
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON has lists

    @property
    def trajectory(self) -> str:
        """The name of all runs, and, where the rate falls to 0 at the last step, the number of
        steps, which is part of it then."""
        over = f"_over={self.steps}" if self.decay != "none" else ""
        return super().trajectory.replace(" ", "") + over

    def rate(self, step: int) -> float:
        """Adam's learning rate at a step.

        >>> FewLabels("supervised", 1.0, steps=100, decay="linear").rate(75)
        0.00075
        """
        return self.lr * (1 - step / self.steps) if self.decay == "linear" else self.lr

    def to_dict(self) -> dict:
        return {**super().to_dict(), "channels": list(self.channels)}
