"""Which runs make the experiment: for each aim and method the learning rate is chosen on one seed,
then the best is repeated over seeds; some methods do so for several numbers of choices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.codes import record
from gsbook.experiments.codes.config import AIMS, FITTED, OWN, Codes
from gsbook.experiments.codes.train import TOGETHER, CodesRun, load_films, load_words
from gsbook.records import Records
from gslib._checks import unchecked

RELAXED = ("gumbel_softmax", "st_gumbel_softmax")
SAMPLERS = (*RELAXED, "st", "reinmax", "sf", "rloo")
METHODS = (*OWN, *SAMPLERS)
CELLS = tuple(f"{aim}-{method}" for aim in AIMS for method in METHODS)
SHAPE = (8, 16)  # M choices among K: 32 bits
SHAPES = (SHAPE, (4, 16), (16, 16), (32, 2))  # 16, 32 and 64 bits; 32 bits in two ways
SHAPED = ("product", "residual", "tuned", "gumbel_softmax")  # the methods that try them all
RATES = (3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the experiment may cost.

    >>> BUDGETS["laptop"].steps, BUDGETS["laptop"].seeds
    (1000, 5)
    """

    rates: tuple[float, ...] = RATES
    shapes: tuple[tuple[int, int], ...] = SHAPES
    eval_every: int = 250


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=20,
        seeds=1,
        size=EvaluationSize(images=100),
        rates=(1e-2,),
        shapes=(SHAPE, (4, 4)),
        eval_every=10,
    ),
    "laptop": Budget(rungs=((1_000, 1),), steps=1_000, seeds=5, size=EvaluationSize(images=4_000)),
    "paper": Budget(
        rungs=((20_000, 1),),
        steps=20_000,
        seeds=20,
        rates=(1e-3, *RATES),
        shapes=(*SHAPES, (16, 4), (4, 256), (64, 16)),
        eval_every=2_000,
    ),
}


def score(run: dict) -> float | None:
    """What a learning rate is chosen by: what is lost of the rows, or the task's NDCG on the
    validation places, with its sign turned."""
    if run.get("config", {}).get("aim") == "task":
        return None if run["valid"]["ndcg"] is None else -run["valid"]["ndcg"]
    return run["valid"].get("error")


def plan(cell: str, budget: Budget, _: Records | None = None, *, shaped=SHAPED) -> Stages:
    """The runs of an aim and a method: yields (configs, whether to test) and is sent their records.

    >>> configs, test = next(plan("task-tuned", BUDGETS["laptop"]))
    >>> [(config.lr, config.choices, config.options) for config in configs], test
    ([(0.003, 8, 16), (0.01, 8, 16), (0.03, 8, 16)], False)
    """
    aim, method = cell.split("-")
    seeds = 1 if method == "table" else budget.seeds  # no chance in it
    for choices, options in budget.shapes if method in shaped else (SHAPE,):
        shape = dict(choices=choices, options=options)
        if method in FITTED:  # at once, and without a rate
            once = Codes(aim, method, 1e-2, steps=1, horizon=1, eval_every=1, **shape)
            yield search.over_seeds([once], seeds), True
            continue
        settings = dict(steps=budget.steps, horizon=budget.steps, eval_every=budget.eval_every)
        candidates = [Codes(aim, method, lr=lr, **settings, **shape) for lr in budget.rates]
        tried = yield from search.halving(candidates, budget, score)
        yield search.over_seeds(tried, seeds), True


def evaluate(run: CodesRun, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, on test where asked for; NaN if it diverged."""
    with unchecked():
        found = run.evaluate("valid", *(["test"] if test else []))
    for figures, diverged in zip(found, run.diverged, strict=True):
        for split in figures if diverged is not None else ():
            figures[split] = dict.fromkeys(figures[split], math.nan)
    return [{"test": None} | figures for figures in found]


CODES = Experiment(
    name="codes",
    cells=CELLS,
    config=Codes,
    load_data=load_words,
    trainer=CodesRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 5, "cuda": 20},
    together=TOGETHER,
)
# The same for films, where the reader has them, with one number of choices.
FILMS = Experiment(
    name="films",
    cells=CELLS,
    config=Codes,
    load_data=load_films,
    trainer=CodesRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=partial(plan, shaped=()),
    budgets=BUDGETS,
    members={"cpu": 5, "cuda": 20},
    together=TOGETHER,
)
