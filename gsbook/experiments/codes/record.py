"""What a record of codes must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.codes import train
from gsbook.experiments.codes.config import OWN, Codes
from gsbook.records import check_judged, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("error", "hit", "ndcg", "neighbours", "used", "alone", "entropy")
SHARES = ("hit", "ndcg", "neighbours", "used", "alone")  # between 0 and 100


def modules(config: Codes) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, which names the model and the
    table, and its estimator's."""
    own = () if config.method in OWN else (ESTIMATORS[config.method].function.__module__,)
    return train.__name__, *own


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    config = read_config(Codes, run["config"])
    check_run(run, config, FIGURES)
    for split, figures in check_judged(run, FIGURES):
        for name in SHARES:
            if figures[name] is not None and figures[name] > 100.001:
                raise ValueError(f"{name} on {split} of {figures[name]} is no percentage")
        if None not in (figures["ndcg"], figures["hit"]) and figures["ndcg"] > figures["hit"]:
            raise ValueError(f"ndcg on {split} is above hit, {figures['hit']}")
        entropy = figures["entropy"]
        if config.method != "table" and entropy is not None and entropy > config.bits + 0.001:
            raise ValueError(f"entropy on {split} is {entropy}, and a code has {config.bits} bits")


records = opener(Codes, check, modules)
