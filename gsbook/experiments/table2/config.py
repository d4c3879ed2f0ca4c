"""What a run of Table 2 is: semi-supervised learning with 100 labels."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

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
class FewLabels:
    """One run of the semi-supervised experiment. Equal configs give equal numbers on one machine
    and version of the code.

    >>> FewLabels("gumbel_softmax", alpha=1.0, steps=100).key
    'gumbel_softmax_alpha=1.0_seed=0_steps=100'
    """

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
        if self.decay not in DECAYS:
            raise ValueError(f"decay must be one of {', '.join(DECAYS)}, got {self.decay!r}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be from 0 to below 1, got {self.average}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        for name in (
            "alpha",
            "steps",
            "labels",
            "batch",
            "labelled_batch",
            "lr",
            "anneal_every",
            "tau_min",
            "eval_every",
        ):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON has lists

    @property
    def cell(self) -> str:
        """The row of Table 2 that the run belongs to: its method."""
        return self.method

    @property
    def trajectory(self) -> str:
        """A name for everything but the number of steps: runs of one trajectory share their first
        steps exactly. Where the rate falls to 0 at the last step, the number is part of it."""
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if f.name not in ("method", "steps")
            and (f.name in ("alpha", "seed") or getattr(self, f.name) != f.default)
        ]
        if self.decay != "none":
            changed.append(f"over={self.steps}")
        return "_".join([self.method, *changed]).replace(" ", "")

    @property
    def key(self) -> str:
        """A name for the run, unique among configs."""
        return f"{self.trajectory}_steps={self.steps}"

    def tau(self, step: int) -> float:
        """Temperature at a step (section 4.3: r = 3e-5, every 2000 steps, which runs of fewer steps
        scale)."""
        return max(
            self.tau_min,
            math.exp(-self.anneal_rate * (step // self.anneal_every * self.anneal_every)),
        )

    def rate(self, step: int) -> float:
        """Adam's learning rate at a step.

        >>> FewLabels("supervised", 1.0, steps=100, decay="linear").rate(75)
        0.00075
        """
        return self.lr * (1 - step / self.steps) if self.decay == "linear" else self.lr

    def to_dict(self) -> dict:
        return {**asdict(self), "channels": list(self.channels)}
