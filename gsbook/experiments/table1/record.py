"""What a record of Table 1 must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.table1 import evaluate, train
from gsbook.experiments.table1.config import MODELS, Config
from gsbook.records import check_bound, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "single")  # of a test; the others are drawn where they are


def modules(config: Config) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, evaluation, its model's and its
    estimator's own."""
    own = MODELS[config.model], ESTIMATORS[config.estimator].function
    return train.__name__, evaluate.__name__, *(thing.__module__ for thing in own)


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config("vae", "bernoulli", "st", lr=1e-3)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"lr": 1e-4}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, vae-bernoulli-st_lr=0.0001_seed=0_steps=100000
    """
    config = read_config(Config, run["config"])
    check_run(run, config, FIGURES)
    check_bound(run)
    if lacking := [name for name in ("train", "valid", "test") if not run["curve"].get(name)]:
        raise ValueError(f"its curve lacks {', '.join(lacking)}")


records = opener(Config, check, modules)
