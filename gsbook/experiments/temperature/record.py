"""What a record of the study of temperature must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.temperature import evaluate, train
from gsbook.experiments.temperature.config import Config
from gsbook.records import check_bound, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "single", "loss", "loss_trained", "bias", "noise", "entropy", "live", "tau")
SIGNED = {"loss", "loss_trained"}  # with a divergence of relaxed densities


def modules(config: Config) -> tuple[str, ...]:
    """The modules that a run's numbers stand on: training, evaluation, and Gumbel-Rao's own."""
    own = (ESTIMATORS["gumbel_rao"].function.__module__,) if config.draws else ()
    return train.__name__, evaluate.__name__, *own


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config(start=0.5)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"start": 1.0}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, vae-categorical-gumbel_softmax_lr=0.003_...
    """
    config = read_config(Config, run["config"])
    check_run(run, config, FIGURES)
    check_bound(run, at_least_0=("valid_bound", *set(FIGURES) - SIGNED))


records = opener(Config, check, modules)
