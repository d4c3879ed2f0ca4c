"""What a record of the study of temperature must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.temperature import evaluate, train
from gsbook.experiments.temperature.config import Config
from gsbook.records import Records, check_numbers, check_run, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "single", "loss", "loss_trained", "bias", "noise", "entropy", "live", "tau")


def modules(config: Config) -> tuple[str, ...]:
    """The modules that a run's numbers stand on: training, evaluation, and Gumbel-Rao's own."""
    own = (ESTIMATORS["gumbel_rao"].function.__module__,) if config.draws else ()
    return train.__name__, evaluate.__name__, *own


def records(folder) -> Records:
    """The records of a folder, each checked when it is read."""
    return Records(folder, check, lambda run: modules(Config(**run["config"])))


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config(start=0.5)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"start": 1.0}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, vae-categorical-gumbel_softmax_lr=0.003_...
    """
    config = read_config(Config, run["config"])
    check_run(run, config, FIGURES)
    figures = {"valid_bound": run["valid_bound"], **(run["test"] or {})}
    check_numbers(figures)
    check_numbers({k: figures.get(k) for k in ("valid_bound", "nll", "single")}, lowest=0.0)
    missing = [name for name, value in figures.items() if value is None]
    if missing and run["diverged"] is None:
        raise ValueError(f"{', '.join(missing)} is null, and yet it did not diverge")
