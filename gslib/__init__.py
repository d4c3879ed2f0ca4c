"""gslib: the estimators and models of the open book on Gumbel-Softmax, short enough to read in one
sitting.
"""

from gslib import functional as functional, models as models
from gslib.baselines import Baseline as Baseline
from gslib.check import check as check
from gslib.distributions import Bernoulli as Bernoulli, Categorical as Categorical
from gslib.divergences import kl as kl, relaxed_kl as relaxed_kl
from gslib.estimators import ESTIMATORS as ESTIMATORS
