"""What a record of a mistake must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.mistakes import evaluate, train
from gsbook.experiments.mistakes.config import Mistaken
from gsbook.records import check_numbers, check_run, opener, read_config

FIGURES = ("nll", "single")  # of a test
SYMPTOMS = ("printed", "single", "as_trained", "kl", "entropy", "classes", "units")


def modules(config: Mistaken) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on."""
    return train.__name__, evaluate.__name__


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    config = read_config(Mistaken, run["config"])
    check_run(run, config, FIGURES)
    check_numbers(run["valid"])
    check_numbers(run["test"] or {}, lowest=0.0)
    if lacking := [name for name in SYMPTOMS if name not in run["valid"]]:
        raise ValueError(f"valid lacks {', '.join(lacking)}")
    missing = [n for n, v in {**run["valid"], **(run["test"] or {})}.items() if v is None]
    if missing and run["diverged"] is None:
        raise ValueError(f"{', '.join(missing)} is null, and yet it did not diverge")


records = opener(Mistaken, check, modules)
