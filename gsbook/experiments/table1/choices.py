"""Which runs price the choices where the paper is silent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from gsbook.engine.experiment import EvaluationSize, Stages
from gsbook.experiments.table1 import plan as table1
from gsbook.experiments.table1 import record, results
from gsbook.experiments.table1.config import CELLS, COLUMNS, LEARNING_RATES, Config
from gsbook.experiments.table1.plan import Budget, candidates
from gsbook.records import Records


@dataclass(frozen=True)
class PricedChoice:
    """A choice that is priced: in these cells, runs with `change`, each paired with one of the same
    seed without it.

    start: what the other run has instead, where that is a matter of the search and no default of
    `Config`.

    >>> PRICED[0].change
    {'kl': 'sampled'}
    """

    cells: tuple[str, ...]
    change: dict
    start: dict = field(default_factory=dict)


def _cells(estimator: str, *rows: str) -> tuple[str, ...]:
    return tuple(f"{row}-{estimator}" for row in rows)


# What decides how many units live at the start is asked of every estimator with categories.
STARTED = ("vae-bernoulli-gumbel_softmax", *(f"vae-categorical-{name}" for name in COLUMNS))
PRICED = (
    PricedChoice(_cells("gumbel_softmax", "vae-bernoulli", "vae-categorical"), {"kl": "sampled"}),
    PricedChoice(STARTED, {"learned_prior": False}),
    PricedChoice(
        _cells("gumbel_softmax", "vae-bernoulli", "vae-categorical"),
        {"anneal_rate": 1e-4},
        {"anneal_rate": 1e-5},
    ),
    PricedChoice(STARTED, {"data_bias": True}),
    PricedChoice(_cells("darn", "vae-bernoulli", "sbn-bernoulli"), {"darn_form": "printed"}),
    PricedChoice(
        _cells("annealed_st", "vae-bernoulli", "sbn-bernoulli"),
        {"slope_max": 1.0},
        {"slope_max": 5.0},
    ),
    PricedChoice(_cells("sf", "sbn-bernoulli"), {"baseline_lr": 1e-2}),
)
# A part of the test images is enough for a difference between two runs that see the same ones.
BUDGETS = {
    "smoke": table1.BUDGETS["smoke"],
    "laptop": Budget((), 20_000, 3, EvaluationSize(images=500)),
    "paper": Budget((), 100_000, 5, EvaluationSize(images=2000)),
}


def leader(cell: str, budget: Budget, records: Records) -> Config:
    """The config that led the search of a cell in the records of Table 1; where none is recorded,
    the largest rate.

    # nothing is recorded: the largest rate
    >>> leader("vae-bernoulli-darn", BUDGETS["smoke"], Records("none")).lr
    0.003
    """
    bounds = {key: run["valid_bound"] for key, run in results.search(records, cell).items()}
    tried = candidates(cell, budget, LEARNING_RATES)
    found = [c for c in tried if bounds.get((c.lr, c.anneal_rate)) is not None]
    if found:
        return min(found, key=lambda c: bounds[c.lr, c.anneal_rate])
    return max(tried, key=lambda c: c.lr)


def priced(cell: str, budget: Budget, records: Records) -> list[Config]:
    """The runs that price the choices in a cell: for each seed the leader, and the leader with each
    change.

    >>> len(priced(PRICED[0].cells[0], BUDGETS["smoke"], Records("none"))) > 1
    True
    """
    first = leader(cell, budget, records)
    changes = []
    for price in PRICED:
        if cell in price.cells:
            changes += [replace(first, **price.start), replace(first, **price.change)]
    return [replace(c, seed=seed) for c in dict.fromkeys(changes) for seed in range(budget.seeds)]


def differences(records: Records, cell: str, price: PricedChoice) -> tuple[int, list[float]]:
    """(steps, what the change costs on the test images in nats, a number for each seed), of the
    longest pairs of runs that there are; (0, []) without one.

    >>> differences(Records("none"), "vae-bernoulli-darn", PRICED[0])
    (0, [])
    """
    start = {name: price.start.get(name, getattr(Config, name)) for name in price.change}
    tested = [run for run in records.runs_of(cell).values() if run["test"]]
    runs = {Config(**run["config"]): run["test"]["nll"] for run in tested}
    found = defaultdict(list)
    for config, nll in runs.items():
        if all(getattr(config, name) == value for name, value in price.change.items()):
            other = runs.get(replace(config, **start))
            if None not in (nll, other):
                found[config.steps].append(nll - other)
    return max(found.items(), default=(0, []))


def plan(cell: str, budget: Budget, records: Records) -> Stages:
    """All runs of a cell in which choices are priced, at once.

    records: of the choices; the search of Table 1 is in the folder beside them.
    """
    found = record.records(Path(records.folder).parent / table1.TABLE1.name)
    yield priced(cell, budget, found), True


CHOICES = replace(
    table1.TABLE1,
    name="choices",
    cells=tuple(c for c in CELLS if any(c in choice.cells for choice in PRICED)),
    plan=plan,
    budgets=BUDGETS,
)
