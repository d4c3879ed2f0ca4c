"""Which runs compare the methods of reading aloud: each chooses its learning rate on one seed, then
all seeds run."""

from __future__ import annotations

from dataclasses import dataclass

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.reading import record
from gsbook.experiments.reading.config import OWN, Reading
from gsbook.experiments.reading.train import ReadingRun, load_data
from gsbook.records import Records

RATES = (2e-3, 4e-3, 8e-3)
# One of each kind: relaxed, straight-through, score function with a learned baseline, with that of
# a second look, and for the bound of two looks.
SAMPLERS = ("gumbel_softmax", "st_gumbel_softmax", "st", "reinmax", "sf", "rloo", "vimco")
METHODS = (OWN[0], "exact", OWN[1], *SAMPLERS)


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the comparison may cost.

    >>> BUDGETS["laptop"].steps, BUDGETS["laptop"].seeds
    (1500, 5)
    """

    rates: tuple[float, ...] = RATES


BUDGETS = {
    "smoke": Budget(rungs=(), steps=20, seeds=1, size=EvaluationSize(images=100), rates=(2e-3,)),
    "laptop": Budget(rungs=((300, 1),), steps=1_500, seeds=5),
    "paper": Budget(rungs=((5_000, 1),), steps=20_000, seeds=5),
}


def candidates(method: str, budget: Budget) -> list[Reading]:
    """The configs among which the learning rate is chosen, at seed 0.

    >>> [config.lr for config in candidates("st", BUDGETS["laptop"])]
    [0.002, 0.004, 0.008]
    """
    every = max(10, budget.steps // 30)
    every -= every % 500 if every > 500 else 0  # a rung shall end where a state is saved
    settings = dict(steps=budget.steps, horizon=budget.steps, eval_every=every)
    return [Reading(method, lr=lr, **settings) for lr in budget.rates]


def score(record: dict) -> float | None:
    """What a rate is chosen by: nats per sound on the validation words."""
    return record["valid"]["nll"]


def plan(method: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a method: yields (configs, whether to test) and is sent their records. The rungs
    of the search are the first steps of whole runs, so that the best goes on from there.

    >>> configs, test = next(plan("soft", BUDGETS["laptop"]))
    >>> [config.steps for config in configs], test
    ([300, 300, 300], False)
    """
    tried = yield from search.halving(candidates(method, budget), budget, score)
    yield search.over_seeds(tried, budget.seeds), True


def evaluate(run: ReadingRun, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record: on validation always, on test where asked for."""
    on_test = run.evaluate(run.data["test"]) if test else None
    return [{"valid": run.evaluate(run.data["valid"]), "test": on_test}]


READING = Experiment(
    name="reading",
    cells=METHODS,
    config=Reading,
    load_data=load_data,
    trainer=ReadingRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 1, "cuda": 1},
)
