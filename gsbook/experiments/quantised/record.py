"""What a record of the quantised autoencoder must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.quantised import train
from gsbook.experiments.quantised.config import METHODS, POSITIONS, Quantised
from gsbook.records import check_judged, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("nll", "rate", "used", "perplexity", "kl", "bound")


def modules(config: Quantised) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, which names the model, and the
    estimator's."""
    estimator = METHODS[config.method].estimator
    own = (ESTIMATORS[estimator].function.__module__,) if estimator else ()
    return train.__name__, *own


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    config = read_config(Quantised, run["config"])
    check_run(run, config, FIGURES)
    for split, figures in check_judged(run, FIGURES):
        if figures["used"] is None:
            continue
        if not figures["perplexity"] - 0.001 <= figures["used"] <= config.codes:
            raise ValueError(
                f"{figures['used']} codes in use on {split} do not fit a perplexity of "
                f"{figures['perplexity']} and {config.codes} codes"
            )
        for name in ("rate", "kl"):
            if figures[name] > most(config) + 0.001:
                raise ValueError(
                    f"{name} on {split} is {figures[name]}, above 49 log K = {most(config):.3f}"
                )


def most(config: Quantised) -> float:
    """The most that a picture's code can cost, in nats.

    >>> round(most(Quantised("vq", lr=1e-3)), 1)
    203.8
    """
    return POSITIONS * config.nats


records = opener(Quantised, check, modules)
