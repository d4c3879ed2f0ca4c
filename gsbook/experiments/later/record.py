"""What a record of an estimator after 2017 must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.later import train
from gsbook.experiments.later.config import Config
from gsbook.experiments.table1 import evaluate
from gsbook.experiments.table1.config import MODELS
from gsbook.records import check_bound, check_run, is_count, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "single", "nll_10", "nll_100")


def modules(config: Config) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, evaluation, its model's and its
    estimator's own."""
    own = MODELS[config.model], ESTIMATORS[config.estimator].function
    return train.__name__, evaluate.__name__, *(thing.__module__ for thing in own)


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says.

    >>> config = Config("vae", "bernoulli", "disarm", lr=1e-3)
    >>> check({"key": config.key, "cell": config.cell, "config": config.to_dict() | {"lr": 1e-4}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, vae-bernoulli-disarm_lr=0.0001_seed=0_steps...
    """
    config = read_config(Config, run["config"])
    fewer = run.get("evaluation", {}).get("samples", 0) <= 100  # then m = 100 is no further figure
    check_run(run, config, FIGURES[:2] if fewer else FIGURES)
    check_bound(run)
    if not is_count(run["evaluations"]):
        raise ValueError(f"evaluations is {run['evaluations']!r:.60}, which is no count")


records = opener(Config, check, modules)
