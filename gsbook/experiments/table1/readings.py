"""Which runs price the readings of what the paper leaves to its citations: what variance
normalisation divides, and which sigmoid slope annealing sharpens."""

from __future__ import annotations

from dataclasses import replace

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Stages
from gsbook.experiments.table1.config import ROWS, Config
from gsbook.experiments.table1.plan import TABLE1, Budget
from gsbook.records import Records

NEVER = 100.0  # a slope that 500,000 steps do not reach: it grows to the end
# Estimator -> the settings that are compared, the first edition's first.
COMPARED: dict[str, tuple[dict, ...]] = {
    "sf": ({}, {"normalise": "signal"}, {"normalise": "none"}),
    "darn": ({}, {"normalise": "signal"}, {"normalise": "none"}),
    "muprop": (
        {},
        {"centre": True},
        {"normalise": "signal", "centre": True},
        {"normalise": "none", "centre": True},
    ),
    "annealed_st": tuple(
        {"slope_form": form, "slope_max": end}
        for form in ("hard", "soft")
        for end in (5.0, 2.0, NEVER)
    ),
}
CELLS = tuple(f"{row}-{name}" for row in ROWS for name in COMPARED)
RATES = (3e-3, 1e-3)  # annealed ST was chosen between them before its schedule ended
BUDGETS = {
    "smoke": TABLE1.budgets["smoke"],
    "laptop": Budget((), 20_000, 3, EvaluationSize(images=2000)),
    "paper": Budget((), 100_000, 3, EvaluationSize(images=2000)),
}


def compared(cell: str, budget: Budget) -> list[Config]:
    """The configs of a cell, at seed 0.

    >>> [len(compared(f"vae-{name}", BUDGETS["paper"])) for name in ("bernoulli-sf",
    ...     "bernoulli-annealed_st", "categorical-annealed_st")]
    [3, 12, 6]
    """
    model, node, estimator = cell.split("-")
    rates = RATES if estimator == "annealed_st" else RATES[:1]
    # Categories keep their softmax: the form of the sigmoid changes nothing there.
    softmax = node == "categorical"
    return [
        Config(model, node, estimator, lr=lr, steps=budget.steps, **setting)
        for setting in COMPARED[estimator]
        if not (softmax and setting.get("slope_form") == "soft")
        for lr in rates
    ]


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """All runs of a cell at once, every setting with every seed."""
    yield search.over_seeds(compared(cell, budget), budget.seeds), True


READINGS = replace(TABLE1, name="readings", cells=CELLS, plan=plan, budgets=BUDGETS)
