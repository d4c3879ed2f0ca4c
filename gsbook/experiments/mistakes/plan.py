"""Which runs price the mistakes: each with every seed, and the right code beside them."""

from __future__ import annotations

from dataclasses import dataclass

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.mistakes import record
from gsbook.experiments.mistakes.config import Mistaken
from gsbook.experiments.mistakes.evaluate import evaluate
from gsbook.experiments.mistakes.lines import MISTAKES
from gsbook.experiments.mistakes.train import MistakenEnsemble, load_data
from gsbook.experiments.table1.train import TOGETHER
from gsbook.records import Records

RATE = 3e-3  # the largest of the paper's list, which leads in this cell of Table 1


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the mistakes may cost.

    >>> BUDGETS["laptop"].steps, BUDGETS["laptop"].seeds
    (10000, 3)
    """

    eval_every: int = 500


# A part of the images is enough for differences between runs that see the same ones.
BUDGETS = {
    "smoke": Budget((), 100, 1, EvaluationSize(images=200, samples=20), eval_every=50),
    "laptop": Budget((), 10_000, 3, EvaluationSize(images=2000)),
    "paper": Budget((), 100_000, 3, EvaluationSize(images=2000), eval_every=2000),
}


def config(mistake: str, budget: Budget) -> Mistaken:
    """The run of a mistake, at seed 0. tau falls from 1 to its floor of 1/2 over 69 % of
    the steps: the paper's r = 1e-4 and 1e-5 at the two larger budgets.

    >>> config("right", BUDGETS["laptop"]).tau(10_000)
    0.5
    """
    settings = {"anneal_rate": 1 / budget.steps, "anneal_every": budget.eval_every}
    settings |= MISTAKES[mistake].settings
    return Mistaken(
        "vae",
        "categorical",
        "gumbel_softmax",
        lr=RATE,
        steps=budget.steps,
        eval_every=budget.eval_every,
        mistake=mistake,
        **settings,
    )


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """All seeds of a mistake at once."""
    yield search.over_seeds([config(cell, budget)], budget.seeds), True


MISTAKEN = Experiment(
    name="mistakes",
    cells=tuple(MISTAKES),
    config=Mistaken,
    load_data=load_data,
    trainer=MistakenEnsemble,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 3, "cuda": 64},
    together=TOGETHER,
)
