"""Which runs make the experiment: each method chooses its learning rate on one seed, early, and is
then repeated over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.quantised import record
from gsbook.experiments.quantised.config import METHODS, Quantised
from gsbook.experiments.quantised.train import QuantisedRun, load_data
from gsbook.records import Records
from gslib._checks import unchecked

CELLS = tuple(METHODS)
RATES = (1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the experiment may cost.

    >>> BUDGETS["laptop"].steps, BUDGETS["laptop"].seeds
    (1000, 3)
    """

    rates: tuple[float, ...] = RATES
    eval_every: int = 50
    batch: int = 50


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=6,
        seeds=1,
        size=EvaluationSize(images=50),
        rates=(3e-3,),
        eval_every=3,
        batch=10,
    ),
    "laptop": Budget(rungs=((250, 1),), steps=1_000, seeds=3),
    "paper": Budget(
        rungs=((20_000, 1),),
        steps=100_000,
        seeds=10,
        rates=(3e-4, *RATES),
        eval_every=1_000,
        batch=100,
    ),
}


def score(run: dict) -> float | None:
    """What a learning rate is chosen by, on validation images: the bound where the method pays for
    one, and else what its codes leave open.

    >>> score({"cell": "vq", "valid": {"nll": 50.0, "bound": 250.0}})
    50.0
    """
    paid = METHODS[run["cell"]].pays == "kl" if "cell" in run else False
    return run["valid"].get("bound" if paid else "nll")


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a method: yields (configs, whether to test) and is sent their records.

    >>> configs, test = next(plan("vq", BUDGETS["laptop"]))
    >>> [config.lr for config in configs], test
    ([0.001, 0.003, 0.01], False)
    """
    steps = dict(steps=budget.steps, horizon=budget.steps)
    settings = dict(eval_every=budget.eval_every, batch=budget.batch, **steps)
    candidates = [Quantised(cell, lr=lr, **settings) for lr in budget.rates]
    tried = yield from search.halving(candidates, budget, score)
    yield search.over_seeds(tried, budget.seeds), True


def evaluate(run: QuantisedRun, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, on test where asked for; NaN if it diverged."""
    found: dict = {"test": None}
    with unchecked():
        for split in ("valid", *(["test"] if test else [])):
            found[split] = run.figures(run.data[split])
            if run.diverged[0] is not None:
                found[split] = dict.fromkeys(found[split], math.nan)
    return [found]


QUANTISED = Experiment(
    name="quantised",
    cells=CELLS,
    config=Quantised,
    load_data=load_data,
    trainer=QuantisedRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 1, "cuda": 1},
)
