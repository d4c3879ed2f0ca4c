"""What a run is: one frozen, printable set of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Annealed
from gslib.estimators import ESTIMATORS
from gslib.models import NODES, DiscreteVAE, StochasticBinaryNetwork

MODELS = {"vae": DiscreteVAE, "sbn": StochasticBinaryNetwork}
# The paper's seven, in the order of its table; others train through the same harness.
COLUMNS = ("sf", "darn", "muprop", "st", "annealed_st", "gumbel_softmax", "st_gumbel_softmax")
ROWS = tuple(f"{model}-{node}" for model in ("sbn", "vae") for node in NODES)
CELLS = tuple(f"{row}-{name}" for row in ROWS for name in COLUMNS)
LEARNING_RATES = (3e-5, 1e-5, 3e-4, 1e-4, 3e-3, 1e-3)  # the paper's list, in its order
ANNEAL_RATES = (1e-5, 1e-4)


@dataclass(frozen=True)
class Config(Annealed):
    """One training run of Table 1. Equal configs give equal numbers on one machine and version of
    the code.

    >>> config = Config("vae", "categorical", "gumbel_softmax", lr=1e-3, anneal_rate=1e-5)
    >>> config.key
    'vae-categorical-gumbel_softmax_lr=0.001_seed=0_anneal_rate=1e-05_steps=100000'
    >>> round(config.tau(50_000), 3)
    0.607
    """

    NAME: ClassVar = ("model", "node", "estimator")

    model: str  # "vae" or "sbn"
    node: str  # "bernoulli" or "categorical"
    estimator: str  # a name of `gslib.ESTIMATORS`
    lr: float  # learning rate of SGD with momentum
    seed: int = 0  # of weights, batches and noise
    steps: int = 100_000  # parameter updates
    batch: int = 100
    eval_every: int = 2000  # steps between two points of the curve
    momentum: float = 0.9
    anneal_rate: float = 0.0  # r of tau = max(tau_min, exp(-r t)) (section 4.2); 0 keeps tau = 1
    anneal_every: int = 500  # t is rounded down to a multiple of this
    tau_min: float = 0.5
    slope_rate: float = 0.04  # annealed ST: slope min(slope_max, 1 + slope_rate * epoch)
    slope_max: float = 5.0  # (Chung et al. 2016)
    baseline_lr: float = 1e-3  # learning rate of SF's input-dependent baseline
    # Choices where the paper is silent, to price them:
    learned_prior: bool = True
    kl: str = "analytic"  # or "sampled"
    data_bias: bool = False  # the output bias starts at the pixels' log-odds
    darn_form: str = "sample"  # or "printed"
    # What variance normalisation divides: "all" that reaches the nodes, the learning "signal"
    # alone (as NVIL's formula reads), or "none".
    normalise: str = "all"
    centre: bool = False  # MuProp and DARN subtract the signal's moving average (Gu et al. 2016)
    slope_form: str = "hard"  # annealed ST: sigmoid of slope * logit, "hard" (clipped) or "soft"

    def __post_init__(self):
        self.check_known(
            model=MODELS,
            node=NODES,
            estimator=ESTIMATORS,
            kl=("analytic", "sampled"),
            darn_form=("sample", "printed"),
            normalise=("all", "signal", "none"),
            slope_form=("hard", "soft"),
        )
        self.check_positive("lr", "steps", "batch", "eval_every", "anneal_every", "tau_min")
        self.check_positive("slope_max", "baseline_lr")
        if min(self.anneal_rate, self.slope_rate) < 0:
            raise ValueError(
                "anneal_rate and slope_rate must not be negative, got "
                f"{self.anneal_rate} and {self.slope_rate}"
            )
        if self.model == "sbn" and (self.kl != "analytic" or not self.learned_prior):
            raise ValueError(
                "kl and learned_prior belong to the VAE; the SBN has neither, leave them at "
                "their defaults"
            )

    @property
    def row(self) -> str:
        """The row of Table 1, such as "vae-categorical"."""
        return f"{self.model}-{self.node}"

    def slope(self, step: int, steps_per_epoch: int) -> float:
        """Slope of annealed ST at a step; 1 for the others."""
        if ESTIMATORS[self.estimator].schedule != "slope":
            return 1.0
        return min(self.slope_max, 1 + self.slope_rate * (step // steps_per_epoch))


def parse_cell(name: str) -> tuple[str, str, str]:
    """(model, node, estimator) of a cell's name.

    >>> parse_cell("vae-bernoulli-st")
    ('vae', 'bernoulli', 'st')
    """
    parts = name.split("-")
    if len(parts) != 3 or parts[0] not in MODELS or parts[1] not in NODES:
        raise ValueError(f"{name!r} is no cell; a cell is called as {CELLS[-1]!r} is")
    return parts[0], parts[1], parts[2]
