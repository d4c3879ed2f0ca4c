"""What a run of reading aloud is: letters to sounds with one look at a letter for each sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Falling
from gslib.estimators import ESTIMATORS

# Methods that need no estimator: the likelihood itself, and the mean letter in place of a letter.
# Every other method is an estimator of gslib.
OWN = ("marginal", "soft")


@dataclass(frozen=True)
class Reading(Falling):
    """One run. Equal configs give equal numbers on one machine and version of the code.

    >>> Reading("st", lr=2e-3, steps=100).key
    'st_lr=0.002_seed=0_steps=100'
    """

    NAME: ClassVar = ("method",)

    method: str  # one of `OWN`, or the name of an estimator
    lr: float  # of Adam at the start; it falls to 0 in a straight line over `horizon` steps
    seed: int = 0  # of weights, batches and noise
    steps: int = 1_500  # parameter updates
    horizon: int = 1_500  # steps of the whole schedule; a run of fewer is its beginning
    batch: int = 64  # words of a step
    tau_min: float = 0.5  # where the temperature, which starts at 1, ends after `horizon` steps
    embedding: int = 32  # numbers for a letter, or a sound
    width: int = 96  # of the states of both networks that read
    hidden: int = 64  # units of the layer that speaks
    eval_every: int = 50  # steps between two points of the curve

    def __post_init__(self):
        self.check_known(method=(*OWN, *ESTIMATORS))
        self.check_positive("lr", "steps", "horizon", "batch", "tau_min", "embedding", "hidden")
        self.check_positive("eval_every")
        self.check_horizon()
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be even, half for each direction, got {self.width}")

    def rate(self, step: int) -> float:
        """Learning rate at a step.

        >>> Reading("soft", lr=2e-3).rate(750)
        0.001
        """
        return self.lr * (1 - step / self.horizon)
