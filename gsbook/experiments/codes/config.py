"""What a run of codes is: a method, what it aims at, and how many choices a row gets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Falling
from gslib.estimators import ESTIMATORS

# What needs no estimator: the table as it is, product quantisation and residual k-means, and the
# codes of the latter whose vectors go on to learn. Every other method is an estimator of gslib.
FITTED = ("table", "product", "residual")
OWN = (*FITTED, "tuned")
AIMS = ("row", "task")  # rebuild the rows, or do what they are used for


@dataclass(frozen=True)
class Codes(Falling):
    """One run. Equal configs give equal numbers on one machine and version of the code.

    >>> Codes("row", "st", lr=3e-3, steps=100).key
    'row-st_lr=0.003_seed=0_steps=100'
    """

    NAME: ClassVar = ("aim", "method")

    aim: str  # one of `AIMS`
    method: str  # one of `OWN`, or the name of an estimator
    lr: float  # of Adam at the start; it falls to 0 in a straight line over `horizon` steps
    seed: int = 0  # of weights, batches and noise
    steps: int = 1_000  # parameter updates
    horizon: int = 1_000  # steps of the whole schedule; a run of fewer is its beginning
    choices: int = 8  # M, of a row
    options: int = 16  # K, of a choice
    batch: int = 128  # rows of a step, or places with a missing row
    tau_min: float = 0.5  # where the temperature, which starts at 1, ends after `horizon` steps
    eval_every: int = 250  # steps between two points of the curve

    def __post_init__(self):
        self.check_known(aim=AIMS, method=(*OWN, *ESTIMATORS))
        self.check_positive("lr", "steps", "horizon", "choices", "batch", "tau_min", "eval_every")
        if self.options < 2:
            raise ValueError(f"options must be 2 or more, got {self.options}")
        self.check_horizon()

    @property
    def bits(self) -> float:
        """Of a row's code, M log2 K.

        >>> Codes("row", "st", lr=3e-3).bits
        32.0
        """
        return self.choices * math.log2(self.options)

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step.

        >>> Codes("row", "st", lr=3e-3).rate(250)
        0.75
        """
        return 1 - step / self.horizon
