"""Which runs challenge the lowest cell of each row of Table 1, at its own length and cost."""

from __future__ import annotations

from dataclasses import replace

from gsbook.engine import search
from gsbook.engine.experiment import Stages
from gsbook.experiments.later.plan import BUDGETS as SHORTER
from gsbook.experiments.later.plan import LATER, Budget, at_equal_cost, candidates, score
from gsbook.experiments.later.results import challengers, results
from gsbook.experiments.table1.config import ROWS
from gsbook.records import Records

BUDGETS = {
    "smoke": SHORTER["smoke"],
    "laptop": replace(SHORTER["laptop"], rungs=((20_000, 1),), steps=100_000, eval_every=2000),
    "paper": Budget(rungs=((20_000, 3), (80_000, 1)), steps=500_000, seeds=3),
}


def plan(row: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a row: for each challenger the search over rates and settings, on one seed; then
    both over seeds, with as many evaluations of the program as the cells of Table 1 have.

    >>> configs, test = next(plan("vae-categorical", BUDGETS["paper"]))
    >>> len({c.lr for c in configs}), configs[0].steps, test
    (6, 20000, False)
    """
    finals = []
    for one in challengers(results(), row):
        # Of a bound, the rate and the settings are those of its estimator's own loss.
        tried = candidates(f"{row}-{one.estimator}", budget)
        best = (yield from search.halving(tried, budget, score))[0]
        finals.append(at_equal_cost(replace(best, bound=one.bound, samples=one.samples, kl=one.kl)))
    yield search.over_seeds(finals, budget.seeds), True


CHALLENGE = replace(LATER, name="challenge", cells=ROWS, plan=plan, budgets=BUDGETS)
