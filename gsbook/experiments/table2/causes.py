"""Which runs ask why ST Gumbel-Softmax has the worse classifier: one thing changed at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Stages
from gsbook.experiments.table2 import plan as table2
from gsbook.experiments.table2.config import FewLabels
from gsbook.experiments.table2.plan import CHANGES, SCALE, TABLE2
from gsbook.records import Records

# What may be the cause -> the settings that would take it away.
CAUSES: dict[str, dict] = {
    "nothing changed": CHANGES["nothing"],
    "the rate never falls": CHANGES["rate falls to 0"],
    "the last weights are noisy": CHANGES["averaged weights"],
    "tau falls in fewer steps than the paper's": CHANGES["the paper's cooling"],
    "rate and tau": CHANGES["rate and cooling"],
}
ALPHAS = (0.8, round(0.3 * SCALE, 1))  # the best of each scale in the first search


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the search for a cause may cost.

    >>> BUDGETS["laptop"].steps
    5000
    """

    alphas: tuple[float, ...] = ALPHAS


BUDGETS = {
    "smoke": Budget((), 40, 1, EvaluationSize(images=200), alphas=ALPHAS[:1]),
    "laptop": Budget((), 5_000, 3),
    "paper": Budget((), 20_000, 5),
}


def candidates(method: str, budget: Budget) -> list[FewLabels]:
    """Every alpha with every change, at seed 0.

    >>> len(candidates("st_gumbel_softmax", BUDGETS["laptop"]))
    10
    """
    first = table2.first(method, budget)
    return [
        replace(first, alpha=alpha, **change)
        for alpha in budget.alphas
        for change in CAUSES.values()
    ]


def plan(method: str, budget: Budget, _: Records | None = None) -> Stages:
    """All runs at once."""
    yield search.over_seeds(candidates(method, budget), budget.seeds), True


CELLS = ("st_gumbel_softmax", "gumbel_softmax")
CAUSES_OF_TABLE2 = replace(TABLE2, name="causes", cells=CELLS, plan=plan, budgets=BUDGETS)
