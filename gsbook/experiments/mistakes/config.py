"""What a run with a mistake is."""

from __future__ import annotations

from dataclasses import dataclass

from gsbook.experiments.mistakes.lines import MISTAKES
from gsbook.experiments.table1.config import Config


@dataclass(frozen=True)
class Mistaken(Config):
    """A run of Table 1's harness with one line changed. Equal configs give equal numbers on one
    machine and version of the code.

    >>> Mistaken("vae", "categorical", "gumbel_softmax", lr=3e-3, mistake="no_kl", steps=100).key
    'no_kl_lr=0.003_seed=0_steps=100'
    """

    mistake: str = "right"  # a name of `MISTAKES`

    def __post_init__(self):
        super().__post_init__()
        if self.mistake not in MISTAKES:
            raise ValueError(f"mistake must be one of {', '.join(MISTAKES)}, got {self.mistake!r}")
        if (self.model, self.node, self.estimator) != ("vae", "categorical", "gumbel_softmax"):
            raise ValueError(
                f"mistakes are made with vae, categorical, gumbel_softmax, got {self.model}, "
                f"{self.node}, {self.estimator}"
            )

    @property
    def cell(self) -> str:
        """The file of records that the run belongs to: its mistake."""
        return self.mistake

    @property
    def trajectory(self) -> str:
        """A name for everything but the number of steps."""
        return super().trajectory.removesuffix(f"_mistake={self.mistake}")
