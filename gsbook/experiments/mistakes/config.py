"""What a run with a mistake is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.experiments.mistakes.lines import MISTAKES
from gsbook.experiments.table1.config import Config


@dataclass(frozen=True)
class Mistaken(Config):
    """A run of Table 1's harness with one line changed. Equal configs give equal numbers on one
    machine and version of the code.

    >>> Mistaken("vae", "categorical", "gumbel_softmax", lr=3e-3, mistake="no_kl", steps=100).key
    'no_kl_lr=0.003_seed=0_steps=100'
    """

    NAME: ClassVar = ("mistake",)
    IMPLIED: ClassVar = ("model", "node", "estimator")

    mistake: str = "right"  # a name of `MISTAKES`

    def __post_init__(self):
        super().__post_init__()
        self.check_known(mistake=MISTAKES)
        if (self.model, self.node, self.estimator) != ("vae", "categorical", "gumbel_softmax"):
            raise ValueError(
                f"mistakes are made with vae, categorical, gumbel_softmax, got {self.model}, "
                f"{self.node}, {self.estimator}"
            )
        for name, value in MISTAKES[self.mistake].settings.items():
            if getattr(self, name) != value:
                given = f"{name}={getattr(self, name)!r}"
                raise ValueError(f"{self.mistake} is made by {name}={value!r}, got {given}")
