"""Which runs compare the estimators after 2017: at equal steps, and at equal cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.later import record
from gsbook.experiments.later.config import BOUNDED, CELLS, Config
from gsbook.experiments.later.train import Later, evaluations
from gsbook.experiments.table1.config import ANNEAL_RATES, LEARNING_RATES, parse_cell
from gsbook.experiments.table1.evaluate import final_figures, valid_bound
from gsbook.experiments.table1.train import TOGETHER, load_data
from gsbook.records import Records
from gslib.estimators import ESTIMATORS

# Alone on a core: where samples have an axis, the products of several members round otherwise.
MEMBERS = {"cpu": 1, "cuda": 256}
# Settings among which the search chooses; budgets that cannot afford it take the first.
VARIANTS: dict[str, tuple[dict, ...]] = {
    "gumbel_rao": ({"temperature": 0.5}, {"temperature": 0.1}),
    "gapped_st": ({"temperature": 1.0}, {"temperature": 0.5}),
    "rloo": ({"samples": 4},),
    "rebar": ({"temperature": 0.1}, {"temperature": 0.5}),
    "vimco": ({"samples": 2, "kl": "sampled"},),
}
SAMPLES = (2, 4)  # k of the bounds


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the comparison may cost.

    >>> BUDGETS["paper"].steps, BUDGETS["laptop"].rates
    (200000, (0.001, 0.003))
    """

    rates: tuple[float, ...] = LEARNING_RATES  # learning rates tried
    eval_every: int = 2000
    variants: bool = True  # whether further settings and both schedules of tau are tried


BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=200,
        seeds=1,
        size=EvaluationSize(images=200, samples=20, valid_samples=5),
        rates=(1e-3,),
        eval_every=20,
        variants=False,
    ),
    "laptop": Budget(
        rungs=((10_000, 1),),
        steps=20_000,
        seeds=3,
        rates=(1e-3, 3e-3),
        eval_every=1000,
        variants=False,
    ),
    "paper": Budget(rungs=((20_000, 3), (80_000, 1)), steps=200_000, seeds=3),
}


def candidates(cell: str, budget: Budget) -> list[Config]:
    """The configs among which a cell's best is chosen, at seed 0.

    >>> len(candidates("vae-categorical-rebar", BUDGETS["laptop"]))
    2
    """
    model, node, estimator = parse_cell(cell)
    settings = VARIANTS.get(estimator, ({},))
    if model == "vae" and ESTIMATORS[estimator].schedule == "tau":
        settings = tuple({"anneal_rate": rate} for rate in reversed(ANNEAL_RATES))
    if model == "sbn":
        settings = tuple({k: v for k, v in one.items() if k != "kl"} for one in settings)
    options = dict(steps=budget.steps, eval_every=budget.eval_every)
    return [
        Config(model, node, estimator, lr=lr, **options, **one)
        for lr, one in product(budget.rates, settings if budget.variants else settings[:1])
    ]


def bounds(config: Config) -> list[Config]:
    """A VAE's config on the bound of several samples: k = 2 and 4.

    >>> [c.bound for c in bounds(Config("vae", "bernoulli", "reinmax", lr=1e-3))]
    [2, 4]
    """
    if config.model != "vae" or config.estimator not in BOUNDED:
        return []
    if config.estimator == "vimco":
        return [replace(config, samples=k) for k in SAMPLES if k != config.samples]
    return [replace(config, bound=k, kl="sampled") for k in SAMPLES]


def at_equal_cost(config: Config) -> Config:
    """The same run, stopped when it has cost as many evaluations of the program as one of equal
    steps with one evaluation a step: at the last point of its curve before that.

    >>> config = Config("vae", "bernoulli", "rloo", lr=1e-3, samples=4, steps=20_000)
    >>> at_equal_cost(config).steps
    4000
    """
    steps = config.steps // evaluations(config)
    return replace(config, steps=max(config.eval_every, steps - steps % config.eval_every))


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """The runs of a cell: yields (configs, whether to test) and is sent their records.

    Successive halving on one seed, then the best over seeds; a run that costs several evaluations
    a step is tested on its way, too, where it has cost as much as the others. Then the same rate
    and settings on the bounds of several samples.
    """
    found = yield from search.halving(candidates(cell, budget), budget, score)
    best = found[0]
    if len(found) > 1:  # no rungs: the final runs are the search
        records = yield found, True
        best = search.ranked(found, records, score)[0]
    for stage in ([best], bounds(best)):
        early = [c for c in map(at_equal_cost, stage) if c.steps < budget.steps]
        if early:
            yield search.over_seeds(early, budget.seeds), True
        if stage:
            yield search.over_seeds(stage, budget.seeds), True


def score(run: dict) -> float | None:
    """What a config is chosen by: its bound on the validation set in nats, lower is better."""
    return run["valid_bound"]


def evaluate(trainer: Later, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, per member: on validation always, on test where asked for; and
    what a step costs."""
    found = valid_bound(trainer, size.valid_samples)
    figures = final_figures(trainer, size.samples) if test else [None] * len(found)
    return [
        {"valid_bound": float(b), "test": f, "evaluations": evaluations(trainer.first)}
        for b, f in zip(found, figures, strict=True)
    ]


LATER = Experiment(
    name="later",
    cells=CELLS,
    config=Config,
    load_data=load_data,
    trainer=Later,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members=MEMBERS,
    together=TOGETHER,
)
