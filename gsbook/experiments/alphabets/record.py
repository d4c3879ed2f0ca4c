"""What a record on other alphabets must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.alphabets import evaluate, train
from gsbook.experiments.alphabets.config import Config
from gsbook.records import Records, check_numbers, check_run, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "nll_10", "single")


def modules(config: Config) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, evaluation and the estimator."""
    own = ESTIMATORS[config.estimator].function.__module__
    return train.__name__, evaluate.__name__, own


def modules_of(run: dict) -> tuple[str, ...]:
    """The modules that the numbers of a record stand on."""
    return modules(Config(**run["config"]))


def records(folder) -> Records:
    """The records of a folder, each checked when it is read."""
    return Records(folder, check, modules_of)


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config("vae", "categorical", "st", lr=1e-3)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"lr": 1e-4}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, drawers-linear-sgd-st_lr=0.0001_seed=0...
    """
    config = read_config(Config, run["config"])
    check_run(run, config, FIGURES)
    figures = {"valid_bound": run["valid_bound"], **(run["test"] or {})}
    check_numbers(figures, lowest=0.0)
    missing = [name for name, value in figures.items() if value is None]
    if missing and run["diverged"] is None:
        raise ValueError(f"{', '.join(missing)} is null, and yet it did not diverge")
