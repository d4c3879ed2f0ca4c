"""What a run of codes is: a method, what it aims at, and how many choices a row gets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from gslib.estimators import ESTIMATORS

# What needs no estimator: the table as it is, product quantisation and residual k-means, and the
# codes of the latter whose vectors go on to learn. Every other method is an estimator of gslib.
FITTED = ("table", "product", "residual")
OWN = (*FITTED, "tuned")
AIMS = ("row", "task")  # rebuild the rows, or do what they are used for


@dataclass(frozen=True)
class Codes:
    """One run. Equal configs give equal numbers on one machine and version of the code.

    >>> Codes("row", "st", lr=3e-3, steps=100).key
    'row-st_lr=0.003_seed=0_steps=100'
    """

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
        for name, known in (("aim", AIMS), ("method", (*OWN, *ESTIMATORS))):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {given!r}")
        for name in ("lr", "steps", "horizon", "choices", "batch", "tau_min", "eval_every"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.options < 2:
            raise ValueError(f"options must be 2 or more, got {self.options}")
        if self.steps > self.horizon:
            raise ValueError(
                f"steps = {self.steps} go beyond the horizon of {self.horizon}, where the learning "
                "rate is 0; raise the horizon"
            )

    @property
    def cell(self) -> str:
        """The file of records that the run belongs to: aim and method."""
        return f"{self.aim}-{self.method}"

    @property
    def trajectory(self) -> str:
        """A name for everything but the number of steps: runs of one trajectory share their first
        steps exactly."""
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if f.name not in ("aim", "method", "steps")
            and (f.name in ("lr", "seed") or getattr(self, f.name) != f.default)
        ]
        return "_".join([self.cell, *changed])

    @property
    def key(self) -> str:
        """A name for the run, unique among configs."""
        return f"{self.trajectory}_steps={self.steps}"

    @property
    def bits(self) -> float:
        """Of a row's code, M log2 K.

        >>> Codes("row", "st", lr=3e-3).bits
        32.0
        """
        return self.choices * math.log2(self.options)

    @property
    def anneal_rate(self) -> float:
        """r of tau = exp(-r t), as Jang et al. (2017) write their schedule."""
        return -math.log(self.tau_min) / self.horizon

    def tau(self, step: int) -> float:
        """Temperature at a step.

        >>> Codes("row", "gumbel_softmax", lr=3e-3).tau(1_000)
        0.5
        """
        return self.tau_min ** min(1.0, step / self.horizon)

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step.

        >>> Codes("row", "st", lr=3e-3).rate(250)
        0.75
        """
        return 1 - step / self.horizon

    def to_dict(self) -> dict:
        return asdict(self)
