"""What a record on other alphabets must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.alphabets import evaluate, train
from gsbook.experiments.alphabets.config import Config
from gsbook.records import check_bound, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "nll_10", "single")


def modules(config: Config) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, evaluation and the estimator."""
    own = ESTIMATORS[config.estimator].function.__module__
    return train.__name__, evaluate.__name__, own


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config("vae", "categorical", "st", lr=1e-3)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"lr": 1e-4}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, drawers-linear-sgd-st_lr=0.0001_seed=0...
    """
    config = read_config(Config, run["config"])
    check_run(run, config, FIGURES)
    check_bound(run)


records = opener(Config, check, modules)
