"""What a run of reading aloud is: letters to sounds with one look at a letter for each sound."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from gslib.estimators import ESTIMATORS

# Methods that need no estimator: the likelihood itself, and the mean letter in place of a letter.
# Every other method is an estimator of gslib.
OWN = ("marginal", "soft")


@dataclass(frozen=True)
class Reading:
    """One run. Equal configs give equal numbers on one machine and version of the code.

    >>> Reading("st", lr=2e-3, steps=100).key
    'st_lr=0.002_seed=0_steps=100'
    """

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
        if self.method not in (*OWN, *ESTIMATORS):
            known = ", ".join((*OWN, *ESTIMATORS))
            raise ValueError(f"method must be one of {known}, got {self.method!r}")
        for name in ("lr", "steps", "horizon", "batch", "tau_min", "embedding", "hidden"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.steps > self.horizon:
            raise ValueError(
                f"steps = {self.steps} go beyond the horizon of {self.horizon}, where the learning "
                "rate is 0; raise the horizon"
            )
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be even, half for each direction, got {self.width}")
        if self.eval_every < 1:
            raise ValueError(f"eval_every must be positive, got {self.eval_every}")

    @property
    def cell(self) -> str:
        """The file of records that the run belongs to: its method."""
        return self.method

    @property
    def trajectory(self) -> str:
        """A name for everything but the number of steps: runs of one trajectory share their first
        steps exactly."""
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if f.name not in ("method", "steps")
            and (f.name in ("lr", "seed") or getattr(self, f.name) != f.default)
        ]
        return "_".join([self.method, *changed])

    @property
    def key(self) -> str:
        """A name for the run, unique among configs."""
        return f"{self.trajectory}_steps={self.steps}"

    @property
    def anneal_rate(self) -> float:
        """r of tau = exp(-r t), as Jang et al. (2017) write their schedule."""
        return -math.log(self.tau_min) / self.horizon

    def tau(self, step: int) -> float:
        """Temperature at a step.

        >>> Reading("gumbel_softmax", lr=2e-3).tau(1_500)
        0.5
        """
        return self.tau_min ** min(1.0, step / self.horizon)

    def rate(self, step: int) -> float:
        """Learning rate at a step.

        >>> Reading("soft", lr=2e-3).rate(750)
        0.001
        """
        return self.lr * (1 - step / self.horizon)

    def to_dict(self) -> dict:
        return asdict(self)
