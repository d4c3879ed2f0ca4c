"""What a record of Table 1 must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.table1 import evaluate, train
from gsbook.experiments.table1.config import MODELS, Config
from gsbook.records import Records, check_numbers
from gslib.estimators import ESTIMATORS


def modules(config: Config) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, evaluation, its model's and its
    estimator's own."""
    own = MODELS[config.model], ESTIMATORS[config.estimator].function
    return train.__name__, evaluate.__name__, *(thing.__module__ for thing in own)


def records(folder) -> Records:
    """The records of a folder, each checked when it is read."""
    return Records(folder, check, lambda run: modules(Config(**run["config"])))


def check(run: dict) -> None:
    """Raise ValueError unless a record can be what it says.

    >>> config = Config("vae", "bernoulli", "st", lr=1e-3)
    >>> check({"key": config.key, "config": config.to_dict() | {"lr": 1e-4}})
    Traceback (most recent call last):
    ValueError: its key is not the one of its config, vae-bernoulli-st_lr=0.0001_seed=0_steps=100000
    """
    config = Config(**run["config"])
    if config.key != run["key"] or config.cell != run.get("cell", config.cell):
        raise ValueError(f"its key is not the one of its config, {config.key}")
    if run["test"] is not None and not {"nll", "single"} <= run["test"].keys():
        raise ValueError("test is neither null nor has the figures nll and single")
    # Losses are sums of -log p(x) and a KL term; sampled ones may be slightly negative for toys.
    check_numbers({"valid_bound": run["valid_bound"], **(run["test"] or {})}, lowest=0.0)
    if run["curve"]["step"] != sorted(set(run["curve"]["step"])):
        raise ValueError("the steps of its curve do not rise")
    lengths = {name: len(values) for name, values in run["curve"].items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the parts of its curve differ in length: {lengths}")
