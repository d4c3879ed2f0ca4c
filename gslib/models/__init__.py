"""The paper's models: two for Table 1, one for Table 2, and the layer that carries the ensemble
axis E.
"""

from gslib.models.layers import NODES, Linear
from gslib.models.sbn import StochasticBinaryNetwork
from gslib.models.semisupervised import SemiSupervisedVAE
from gslib.models.vae import DiscreteVAE

__all__ = ["NODES", "DiscreteVAE", "Linear", "SemiSupervisedVAE", "StochasticBinaryNetwork"]
