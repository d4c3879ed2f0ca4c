"""gslib: the estimators and models of the open book on Gumbel-Softmax, short enough to read in one sitting."""

from gslib import functional, models
from gslib.baselines import Baseline
from gslib.check import check
from gslib.distributions import Bernoulli, Categorical
from gslib.divergences import kl, relaxed_kl
from gslib.estimators import ESTIMATORS

__all__ = [
    "ESTIMATORS",
    "Baseline",
    "Bernoulli",
    "Categorical",
    "check",
    "functional",
    "kl",
    "models",
    "relaxed_kl",
]
