"""What a record of the quantised autoencoder must be, and which modules its numbers stand on."""

from __future__ import annotations

import math

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
        known = {name: value for name, value in figures.items() if value is not None}
        if known.get("perplexity", 1) < 0.999:
            raise ValueError(f"perplexity on {split} is {known['perplexity']}, below 1")
        used = known.get("used", config.codes)
        if not known.get("perplexity", used) - 0.001 <= used <= config.codes:
            raise ValueError(
                f"{used} codes in use on {split} do not fit a perplexity of "
                f"{known.get('perplexity')} and {config.codes} codes"
            )
        for name in ("rate", "kl"):
            if known.get(name, 0) > most(config) + 0.001:
                raise ValueError(
                    f"{name} on {split} is {known[name]}, above 49 log K = {most(config):.3f}"
                )
        if known.get("bound", math.inf) < known.get("kl", 0) - 0.001:
            raise ValueError(f"bound on {split} is {known['bound']}, below kl, {known['kl']}")


def most(config: Quantised) -> float:
    """The most that a picture's code can cost, in nats.

    >>> round(most(Quantised("vq", lr=1e-3)), 1)
    203.8
    """
    return POSITIONS * config.nats


records = opener(Quantised, check, modules)
