"""Which runs make the experiment: for each world, method and size of team the learning rate is
chosen on one seed, then the best is repeated over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.poles import record
from gsbook.experiments.poles.config import METHODS, WORLDS, Team
from gsbook.experiments.poles.score import episodes
from gsbook.experiments.poles.train import TOGETHER, TeamRun, load_data
from gsbook.records import Records

# In a learned world, what the true one has shown to matter.
LEARNED = ("to_go", "own", "st", "reinmax", "gumbel_softmax", "st_gumbel_softmax")
CELLS = tuple(
    f"{world}-{method}"
    for world in WORLDS
    for method in (METHODS if world == "equations" else LEARNED)
)
RATES = (0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the experiment may cost.

    >>> BUDGETS["laptop"].poles
    (1, 4, 16, 64)
    """

    poles: tuple[int, ...] = (1, 4, 16, 64)
    rates: tuple[float, ...] = RATES
    eval_every: int = 5


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=4,
        seeds=1,
        size=EvaluationSize(images=2),
        poles=(1, 4),
        rates=(0.3,),
        eval_every=2,
    ),
    "laptop": Budget(rungs=((40, 1),), steps=40, seeds=5, size=EvaluationSize(images=50)),
    "paper": Budget(
        rungs=((200, 1),),
        steps=200,
        seeds=20,
        size=EvaluationSize(images=200),
        poles=(1, 4, 16, 64, 256),
        rates=(0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    ),
}


def score(run: dict) -> float | None:
    """What a learning rate is chosen by: the mean cost over the whole curve, in the world that the
    run trains in."""
    return run["valid"].get("mean_cost")


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a world and a method: yields (configs, whether to test) and is sent their
    records.

    >>> configs, test = next(plan("equations-st", BUDGETS["laptop"]))
    >>> [config.lr for config in configs]
    [0.1, 0.3, 1.0]
    """
    world, method = cell.split("-")
    fixed = dict(steps=budget.steps, eval_every=budget.eval_every)
    for poles in budget.poles:
        candidates = [Team(world, method, poles, lr, **fixed) for lr in budget.rates]
        tried = yield from search.halving(candidates, budget, score)
        yield search.over_seeds(tried, budget.seeds), True


def evaluate(run: TeamRun, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record. valid: the mean over the curve of the cost in the world of training.
    test: how many steps a pole stands in gymnasium's, see `score.episodes`."""
    found = episodes(run, size.images) if test else [None] * len(run.configs)
    return [
        {"valid": {"mean_cost": mean(curve.valid)}, "test": figures}
        for curve, figures in zip(run.curves, found, strict=True)
    ]


def mean(values: list[float | None]) -> float:
    """The mean, NaN where a value is missing."""
    return float(torch.tensor([float("nan") if v is None else v for v in values]).mean())


POLES = Experiment(
    name="poles",
    cells=CELLS,
    config=Team,
    load_data=load_data,
    trainer=TeamRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 5, "cuda": 20},
    together=TOGETHER,
)
