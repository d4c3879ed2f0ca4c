"""Which runs compare the estimators on other alphabets and with other networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.alphabets import record
from gsbook.experiments.alphabets.config import CELLS, Config
from gsbook.experiments.alphabets.evaluate import evaluate
from gsbook.experiments.alphabets.train import TOGETHER, Deeper, load_data
from gsbook.experiments.table1.config import ANNEAL_RATES, LEARNING_RATES
from gsbook.experiments.table1.plan import READINGS, reading
from gsbook.records import Records
from gslib.estimators import ESTIMATORS

MEMBERS = {"cpu": 5, "cuda": 16}  # the seeds of one cell share what is compiled
RISEN = 1.0  # nats, by which a validation curve ends above its lowest point where it has risen
APART = 20.0  # nats, by which a seed ends behind the best where it was thrown off


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the comparison may cost.

    >>> BUDGETS["laptop"].steps, BUDGETS["laptop"].seeds
    (8000, 5)
    """

    rates: tuple[float, ...] = LEARNING_RATES  # learning rates tried
    anneal: tuple[float, ...] = ANNEAL_RATES  # r of the temperature, tried
    eval_every: int = 1000
    # Of convolutions, a step of which costs seven, and which 3e-3 can kill; None: as the others.
    conv_steps: int | None = None
    conv_rates: tuple[float, ...] | None = None


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=20,
        seeds=1,
        size=EvaluationSize(images=50, samples=5, valid_samples=2),
        rates=(1e-3,),
        anneal=(1e-4,),
        eval_every=10,
    ),
    # All ten rows take somewhat more than an hour of two cores that do nothing else. tau reaches
    # its floor before the end with the larger r alone.
    "laptop": Budget(
        rungs=((2000, 1),),
        steps=8000,
        seeds=5,
        size=EvaluationSize(images=500, samples=100),
        rates=(1e-3, 3e-3),
        anneal=(1e-4,),
        conv_steps=3000,
        conv_rates=(3e-4, 1e-3),
    ),
    "paper": Budget(rungs=((20_000, 3), (50_000, 1)), steps=100_000, seeds=5, eval_every=2000),
}


def candidates(cell: str, budget: Budget) -> list[Config]:
    """The configs among which a cell's best is chosen, at seed 0.

    >>> len(candidates("drawers-two-adam-gumbel_softmax", BUDGETS["paper"]))
    12
    """
    data, network, optimiser, estimator = cell.split("-")
    steps, rates = budget.steps, budget.rates
    if network == "conv":
        steps, rates = budget.conv_steps or steps, budget.conv_rates or rates
    fixed = {
        "data": data,
        "network": network,
        "optimiser": optimiser,
        "steps": steps,
        "eval_every": budget.eval_every,
    } | (reading("vae", estimator) if estimator in READINGS else {})
    tempered = ESTIMATORS[estimator].schedule == "tau"
    anneal = budget.anneal if tempered else (0.0,)
    return [
        Config("vae", "categorical", estimator, lr=lr, anneal_rate=r, **fixed)
        for lr, r in product(rates, anneal)
    ]


def score(run: dict) -> float | None:
    """What a config is chosen by: its bound on the validation set in nats, lower is better."""
    return run["valid_bound"]


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a cell: yields (configs, whether to test) and is sent their records. Successive
    halving on one seed, then the best over seeds. Where a run got worse before its end, or was
    thrown off by steps that the searched seed survived, its rate was too large, and the next
    smaller one runs to the end as well.

    >>> configs, test = next(plan("digits-conv-sgd-st", BUDGETS["laptop"]))
    >>> [config.lr for config in configs], test
    ([0.0003, 0.001], False)
    """
    tried = candidates(cell, budget)
    # `halving` gives its winners the steps of the budget that it is handed.
    own = replace(budget, steps=tried[0].steps)
    best = yield from search.halving(tried, own, score)
    runs = yield search.over_seeds(best, budget.seeds), True
    slower = [c for c in tried if replace(c, lr=best[0].lr) == best[0] and c.lr < best[0].lr]
    if slower and (any(map(risen, runs)) or any(thrown(runs))):
        next_rate = max(slower, key=lambda config: config.lr)
        yield search.over_seeds([next_rate], budget.seeds), True


def risen(run: dict) -> bool:
    """Whether a run's validation loss ended more than `RISEN` above its lowest, or diverged.

    >>> risen({"diverged": None, "curve": {"valid": [130.0, 120.0, 121.5]}})
    True
    """
    valid = run["curve"]["valid"]
    return run["diverged"] is not None or valid[-1] - min(valid) > RISEN


def thrown(runs: list[dict]) -> list[bool]:
    """Which seeds of one config ended more than `APART` behind the best of them on validation
    images.

    >>> thrown([{"curve": {"valid": [200.0, end]}} for end in (120.0, 139.0, 187.0)])
    [False, False, True]
    """
    ends = [run["curve"]["valid"][-1] for run in runs]
    best = min((end for end in ends if end is not None), default=0.0)
    return [end is not None and end - best > APART for end in ends]


ALPHABETS = Experiment(
    name="alphabets",
    cells=CELLS,
    config=Config,
    load_data=load_data,
    trainer=Deeper,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members=MEMBERS,
    together=TOGETHER,
)
