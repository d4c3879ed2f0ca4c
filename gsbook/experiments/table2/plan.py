"""Which runs make Table 2: alpha is chosen on one seed, then one more setting at full length, and
the best is repeated over seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.table2 import record
from gsbook.experiments.table2.config import METHODS, FewLabels
from gsbook.experiments.table2.speed import CLASSES
from gsbook.experiments.table2.train import FewLabelsRun, load_data
from gsbook.records import Records

ALPHAS = (0.1, 0.2, 0.3, 0.8, 1.0)  # the paper's list
# Images per labelled image: what alpha of Kingma et al. is beside the bound of the label's own
# image. Beside the mean bound of the images without labels the factor is 1.
SCALE = (50_000 + 100) / 100
COOLING = 3.0  # r times the number of steps: the paper's r = 3e-5 over 100,000 steps

# What is changed, one or two at a time, where alpha is chosen -> its settings.
CHANGES: dict[str, dict] = {
    "nothing": {},
    "rate falls to 0": {"decay": "linear"},
    "averaged weights": {"average": 0.999},
    "the paper's cooling": {"anneal_rate": 3e-5, "anneal_every": 2000},
}
CHANGES["rate and cooling"] = CHANGES["rate falls to 0"] | CHANGES["the paper's cooling"]


@dataclass(frozen=True)
class Budget(search.Budget):
    """What Table 2 and Figure 5a may cost.

    >>> BUDGETS["paper"].steps, BUDGETS["paper"].seeds
    (100000, 5)
    """

    alphas: tuple[float, ...] = (*ALPHAS, *(round(a * SCALE, 1) for a in ALPHAS))
    changes: tuple[str, ...] = tuple(CHANGES)  # tried at full length with the alpha that is best
    # Of Figure 5a: seconds and repeats of each measurement, and which numbers of classes.
    seconds: float = 3.0
    repeats: int = 5
    classes: tuple[int, ...] = CLASSES


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=40,
        seeds=1,
        size=EvaluationSize(images=200),
        alphas=(1.0,),
        changes=(),
        seconds=0.3,
        repeats=2,
        classes=CLASSES[:2],
    ),
    "laptop": Budget(rungs=((1_000, 3), (2_000, 1)), steps=5_000, seeds=5),
    "paper": Budget(rungs=((5_000, 3), (10_000, 1)), steps=100_000, seeds=5),
}


def first(method: str, budget: search.Budget) -> FewLabels:
    """The config from which the search starts: tau falls over the same part of a run as in the
    paper.

    >>> first("gumbel_softmax", BUDGETS["laptop"]).anneal_rate
    0.0006
    """
    return FewLabels(
        method,
        1.0,
        steps=budget.steps,
        anneal_rate=COOLING / budget.steps,
        anneal_every=max(1, budget.steps // 50),
        eval_every=max(20, budget.steps // 20),
    )


def candidates(method: str, budget: Budget) -> list[FewLabels]:
    """The configs among which alpha is chosen, at seed 0; without the generative half alpha changes
    nothing.

    >>> [len(candidates(method, BUDGETS["paper"])) for method in ("gumbel_softmax", "supervised")]
    [10, 1]
    """
    start = first(method, budget)
    return [
        start if METHODS[method] is None else replace(start, alpha=a)
        for a in (budget.alphas if METHODS[method] else (1.0,))
    ]


def changed(config: FewLabels, budget: Budget) -> list[FewLabels]:
    """A config with each change that the budget tries and that can change its method.

    >>> [len(changed(first(method, BUDGETS["laptop"]), BUDGETS["laptop"])) for method in METHODS]
    [3, 5, 5, 3]
    """
    cools = METHODS[config.method] in ("gumbel_softmax", "st_gumbel_softmax")
    settings = [CHANGES[name] for name in budget.changes] or [{}]
    found = [replace(config, **s) for s in settings if cools or "anneal_rate" not in s]
    return list(dict.fromkeys(found))


def score(record: dict) -> float:
    """What alpha is chosen by: accuracy on the validation set in per cent, negated."""
    return -record["valid"]["accuracy"]


def plan(method: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a method: yields (configs, whether to test) and is sent their records.

    Everything is tested, so that the paper's choice of alpha on the test set can be shown beside
    ours on the validation set.

    >>> configs, test = next(plan("supervised", BUDGETS["laptop"]))
    >>> [(config.decay, config.average) for config in configs]
    [('none', 0.0), ('linear', 0.0), ('none', 0.999)]
    """
    tried = yield from search.halving(candidates(method, budget), budget, score, test=True)
    tried = [one for config in tried for one in changed(config, budget)]
    if len(tried) > 1:
        records = yield tried, True
        tried = search.ranked(tried, records, score)[:1]
    yield search.over_seeds(tried, budget.seeds), True


def evaluate(run: FewLabelsRun, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record: on validation always, on test where asked for."""
    on_test = run.evaluate(run.data["test"], "test") if test else None
    return [{"valid": run.evaluate(run.data["valid"], "valid"), "test": on_test}]


TABLE2 = Experiment(
    name="table2",
    cells=tuple(METHODS),
    config=FewLabels,
    load_data=load_data,
    trainer=FewLabelsRun,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 1, "cuda": 1},
)
