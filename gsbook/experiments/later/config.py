"""What a run of an estimator after 2017 is: a run of Table 1 with a few settings more."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from gsbook.experiments.table1 import config as table1
from gsbook.experiments.table1.config import ROWS
from gslib.estimators import ESTIMATORS

NEWER = ("reinmax", "gumbel_rao", "gapped_st", "rloo", "double_cv", "disarm", "rebar")
# Trained beside them, so that there is something to compare with at every number of steps.
REFERENCES = ("gumbel_softmax", "st_gumbel_softmax")
BOUNDED = ("reinmax", "st_gumbel_softmax", "vimco")  # also trained on the k-sample bound
COLUMNS = (*REFERENCES, *NEWER)
CELLS = tuple(f"{row}-{name}" for row in ROWS for name in COLUMNS) + tuple(
    f"{row}-vimco" for row in ROWS if row.startswith("vae")
)
# A hyperparameter of the estimator -> the field that holds it here.
FIELDS = {"tau": "temperature", "k": "samples", "gap": "gap", "eta": "eta", "alpha": "alpha"}


@dataclass(frozen=True)
class Config(table1.Config):
    """One training run. Hyperparameters are fixed numbers: the papers that learn some of them
    (REBAR's tau and eta, the double control variate's alpha) do so while they train.

    >>> config = Config("vae", "categorical", "rloo", lr=1e-3, samples=4, steps=20_000)
    >>> config.key
    'vae-categorical-rloo_lr=0.001_seed=0_samples=4_steps=20000'
    >>> config.settings
    {'k': 4}
    """

    # Of the estimator; None: its own default.
    temperature: float | None = None  # its fixed tau
    samples: int | None = None  # its k
    gap: float | None = None
    eta: float | None = None
    alpha: float | None = None
    bound: int = 1  # trained on the bound of so many samples, by an estimator of one loss

    def __post_init__(self):
        super().__post_init__()
        known = inspect.signature(ESTIMATORS[self.estimator]).parameters
        for name, field in FIELDS.items():
            value = getattr(self, field)
            if value is None:
                continue
            if name not in known or ESTIMATORS[self.estimator].schedule == name:
                raise ValueError(f"{self.estimator} has no {field} to set, got {value}; leave it")
            if value < 0 and name == "gap":
                raise ValueError(f"gap must not be negative, got {value}")
            if value <= 0 and name in ("tau", "k"):
                raise ValueError(f"{field} must be positive, got {value}")
        row = ESTIMATORS[self.estimator]
        if self.bound < 1 or (self.bound > 1 and row.target is not None):
            raise ValueError(
                f"bound must be 1 or more, and for {self.estimator} 1 if that estimates another "
                f"loss of its own, as vimco and annealed_st do; got {self.bound}"
            )
        if self.several and self.model == "vae" and self.kl != "sampled":
            raise ValueError(
                "the bound of several samples needs the log-ratio of each, got "
                f"kl={self.kl!r}; give kl='sampled'"
            )

    @property
    def several(self) -> bool:
        """Whether the loss is the bound of several samples."""
        return self.bound > 1 or self.estimator == "vimco"

    @property
    def settings(self) -> dict[str, float]:
        """The estimator's hyperparameters, by its own names."""
        held = {name: getattr(self, field) for name, field in FIELDS.items()}
        return {name: value for name, value in held.items() if value is not None}
