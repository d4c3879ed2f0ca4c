"""What a run of the quantised autoencoder is: a method, its rate, and the size of its codebook."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Falling


@dataclass(frozen=True)
class Method:
    """How codes are chosen and learned.

    >>> METHODS["vq_restart"].restart, METHODS["gumbel_softmax"].estimator
    (True, 'gumbel_softmax')
    """

    label: str  # in figures and tables
    estimator: str | None = None  # of `gslib.ESTIMATORS`; None: the nearest vector is the code
    average: bool = False  # the codebook is a moving average of what chose it, and has no gradient
    restart: bool = False  # dead codes begin anew
    pays: str = ""  # what a posterior pays for: "kl" to the uniform prior, "use", or nothing


METHODS = {
    "vq": Method("VQ"),
    "vq_average": Method("VQ, moving averages", average=True),
    "vq_restart": Method("VQ, restarts", restart=True),
    "vq_both": Method("VQ, averages and restarts", average=True, restart=True),
    "gumbel_softmax": Method("Gumbel-Softmax", "gumbel_softmax", pays="kl"),
    "st_gumbel_softmax": Method("ST Gumbel-Softmax", "st_gumbel_softmax", pays="kl"),
    "reinmax": Method("ReinMax", "reinmax", pays="kl"),
    "gumbel_use": Method("Gumbel-Softmax, even use", "gumbel_softmax", pays="use"),
    "gumbel_free": Method("Gumbel-Softmax, no KL", "gumbel_softmax"),
}
POSITIONS = 7 * 7  # of a picture's code
PIXELS = 28 * 28


@dataclass(frozen=True)
class Quantised(Falling):
    """One run. Equal configs give equal numbers on one machine and version of the code.

    >>> Quantised("vq", lr=1e-3).key
    'vq_lr=0.001_seed=0_steps=1000'
    """

    NAME: ClassVar = ("method",)

    method: str  # a name of `METHODS`
    lr: float  # of Adam
    seed: int = 0  # of weights, batches and noise
    steps: int = 1_000  # parameter updates
    horizon: int = 1_000  # steps in which the temperature falls; a run of fewer is its beginning
    codes: int = 64  # K, of the codebook
    size: int = 16  # D, of a code's vector
    batch: int = 50
    tau_min: float = 0.5  # where the temperature, which starts at 1, ends after `horizon` steps
    eval_every: int = 50  # steps between two points of the curve

    def __post_init__(self):
        self.check_known(method=METHODS)
        self.check_positive("lr", "steps", "horizon", "size", "batch", "tau_min", "eval_every")
        if self.codes < 2:
            raise ValueError(f"codes must be 2 or more, got {self.codes}")

    @property
    def nats(self) -> float:
        """What one position costs a reader to whom all codes are alike, log K."""
        return math.log(self.codes)
