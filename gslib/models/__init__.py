"""The paper's models: two for Table 1, one for Table 2, and the layer that carries the ensemble
axis E.
"""

from gslib.models.layers import NODES as NODES, Linear as Linear
from gslib.models.sbn import StochasticBinaryNetwork as StochasticBinaryNetwork
from gslib.models.semisupervised import SemiSupervisedVAE as SemiSupervisedVAE
from gslib.models.vae import DiscreteVAE as DiscreteVAE
