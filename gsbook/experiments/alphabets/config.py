"""What a run on other alphabets is: a run of Table 1 on other images, with other networks, by
another optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.experiments.alphabets.model import NETWORKS
from gsbook.experiments.table1 import config as table1

# What is new to a trained model: who drew, or what was drawn; and the digits of Table 1.
DATA = ("drawers", "alphabets", "digits")
OPTIMISERS = ("sgd", "adam")
COLUMNS = (*table1.COLUMNS, "reinmax")
ROWS = (
    *("drawers-linear-sgd", "alphabets-linear-sgd", "digits-linear-sgd"),
    *("drawers-one-sgd", "drawers-two-sgd", "digits-one-sgd", "digits-two-sgd"),
    *("drawers-two-adam", "drawers-conv-sgd", "digits-conv-sgd"),
)
CELLS = tuple(f"{row}-{name}" for row in ROWS for name in COLUMNS)


@dataclass(frozen=True)
class Config(table1.Config):
    """One training run of the categorical autoencoder. Equal configs give equal numbers on one
    machine and version of the code.

    >>> Config("vae", "categorical", "st", lr=1e-3, data="digits", network="two").key
    'digits-two-sgd-st_lr=0.001_seed=0_steps=100000'
    """

    NAME: ClassVar = ("data", "network", "optimiser", "estimator")
    IMPLIED: ClassVar = ("model", "node")

    data: str = "drawers"  # one of `DATA`
    network: str = "linear"  # one of `NETWORKS`
    optimiser: str = "sgd"  # with momentum; or "adam", whose other numbers are its authors'

    def __post_init__(self):
        super().__post_init__()
        self.check_known(data=DATA, network=NETWORKS, optimiser=OPTIMISERS)
        if (self.model, self.node) != ("vae", "categorical"):
            raise ValueError(
                f"the networks stand around the categorical VAE, got {self.model}-{self.node}; "
                "leave model and node at vae and categorical"
            )
        if self.data_bias:
            raise ValueError("data_bias belongs to the linear decoder of Table 1; leave it out")

    @property
    def row(self) -> str:
        """Data, network and optimiser, such as "drawers-two-adam"."""
        return f"{self.data}-{self.network}-{self.optimiser}"
