"""What a record of reading aloud must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.reading import train
from gsbook.experiments.reading.config import OWN, Reading
from gsbook.records import check_judged, check_run, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "expected", "mean", "entropy", "word_errors")


def modules(config: Reading) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, which names the model, its
    estimator's and that of the exact expectation, which is a figure of every run."""
    names = {"exact"} | {config.method} - set(OWN)
    return train.__name__, *(ESTIMATORS[name].function.__module__ for name in sorted(names))


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    config = read_config(Reading, run["config"])
    check_run(run, config, FIGURES)
    for split, figures in check_judged(run, FIGURES):
        if figures["word_errors"] is not None and figures["word_errors"] > 100:
            raise ValueError(
                f"word_errors on {split} of {figures['word_errors']} are no percentage"
            )
        if None not in (figures["expected"], figures["nll"]):
            if figures["expected"] < figures["nll"] - 0.001:  # Jensen's inequality
                raise ValueError(f"expected on {split} is below nll, {figures['nll']}")
