"""Which runs tell what a temperature does: families of settings, the most important first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gsbook.engine import search
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages
from gsbook.experiments.temperature import record
from gsbook.experiments.temperature.config import CELL, Config
from gsbook.experiments.temperature.evaluate import bound, figures, score
from gsbook.experiments.temperature.train import TOGETHER, Ensemble, load_data
from gsbook.records import Records

TAUS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
STEPS = 20_000  # of the grid, and of a line that is to end with it
HARD = {"estimator": "st_gumbel_softmax"}
QUICK = 1e-2  # a rate beyond the paper's list: as many steps, and further on
FAMILIES: dict[str, list[dict]] = {
    "constant": [{"start": tau} for tau in TAUS[:-1]],
    "line": [{"tau_min": end, "anneal_steps": STEPS} for end in (0.1, 0.5)],
    "learned": [{"learned": "one", "relaxed_kl": relaxed} for relaxed in (False, True)],
    "straight-through": [{"start": tau, **HARD} for tau in (0.5, 1.0)],
    "exponential": [{"anneal_rate": rate} for rate in (1e-4, 1e-5)],
    "learned per unit": [{"learned": "unit", "relaxed_kl": relaxed} for relaxed in (False, True)],
    "two temperatures": [
        {"start": forward, "backward": backward} for forward, backward in ((0.1, 1.0), (0.5, 1.0))
    ],
    "quick": [{"start": tau, "lr": QUICK} for tau in (0.5, 1.0, 2.0)],
    "relaxed KL": [{"start": tau, "relaxed_kl": True} for tau in (0.5, 1.0)],
    "Gumbel-Rao": [{"start": tau, "draws": 10, **HARD} for tau in (0.1, 0.5)],
    "hottest": [{"start": TAUS[-1]}],
    "straight-through, more": [{"start": tau, **HARD} for tau in (0.1, 0.25, 2.0, 5.0)],
    "schedules, more": [
        *(
            {"start": start, "tau_min": end, "anneal_steps": STEPS}
            for start, end in ((2.0, 0.5), (5.0, 0.5), (2.0, 0.1), (5.0, 0.1))
        ),
        *({"start": start, "anneal_rate": rate} for start in (2.0, 5.0) for rate in (1e-4, 1e-5)),
    ],
    "directions, more": [
        *({"tau_min": end, "anneal_steps": STEPS, **HARD} for end in (0.5, 0.1)),
        {"start": 0.1, "backward": 0.5},
        {"start": 1.0, "backward": 0.5},
        {"start": 1.0, "draws": 10, **HARD},
    ],
    "quick, more": [{"start": tau, "lr": QUICK} for tau in (0.1, 0.25, 5.0)],
}


@dataclass(frozen=True)
class Budget(search.Budget):
    """What the study may cost: all settings at `steps`, the `best` of them at `longer`.

    >>> BUDGETS["paper"].best, BUDGETS["paper"].longer
    (5, 200000)
    """

    families: tuple[str, ...] = tuple(FAMILIES)
    best: int = 0
    longer: int = 0


SIZE = EvaluationSize(images=1000)  # the first of validation and of test
BUDGETS = {
    "smoke": Budget(
        rungs=(),
        steps=200,
        seeds=1,
        size=EvaluationSize(images=200, samples=20, valid_samples=5),
        families=("constant", "learned"),
    ),
    "laptop": Budget(rungs=(), steps=STEPS, seeds=3, size=SIZE),
    "paper": Budget(rungs=(), steps=STEPS, seeds=3, size=SIZE, best=5, longer=10 * STEPS),
}


def settings(family: str, steps: int = STEPS) -> list[Config]:
    """The configs of a family at seed 0; lines last as long as the runs.

    >>> len(settings("constant"))
    5
    """
    return [stretched(Config(**options), steps) for options in FAMILIES[family]]


def stretched(config: Config, steps: int) -> Config:
    """A setting for runs of another length; a line ends where they do.

    >>> stretched(Config(anneal_steps=20_000, steps=20_000), 200_000).anneal_steps
    200000
    """
    every = min(config.eval_every, steps)
    options = dict(steps=steps, eval_every=every)
    return replace(config, anneal_steps=steps if config.anneal_steps else 0, **options)


def plan(cell: str, budget: Budget, _: Records | None = None) -> Stages:
    """Family after family with one seed, then with the next, so that a plan that is cut short has
    seen all of them; then the best on validation for longer.

    >>> configs, test = next(plan(CELL, BUDGETS["laptop"]))
    >>> len(configs), configs[0].start, test
    (5, 0.1, True)
    """
    scores: dict[Config, float] = {}
    for seed in range(budget.seeds):
        for family in budget.families:
            configs = [replace(c, seed=seed) for c in settings(family, budget.steps)]
            records = yield configs, True
            for config, run in zip(configs, records, strict=True):
                setting = replace(config, seed=0)
                mean = search.worst_last(run, score) / budget.seeds
                scores[setting] = scores.get(setting, 0.0) + mean
    if budget.best:
        paper = [c for c in scores if c.lr <= 3e-3]  # of the paper's list
        best = sorted(paper, key=scores.__getitem__)[: budget.best]
        longer = [stretched(config, budget.longer) for config in best]
        yield search.over_seeds(longer, budget.seeds), True


def evaluate(ensemble: Ensemble, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, per member: on validation always, on test where asked for."""
    bounds = bound(ensemble, "valid", size.valid_samples)
    found = figures(ensemble, size.samples) if test else [None] * len(bounds)
    return [{"valid_bound": float(b), "test": f} for b, f in zip(bounds, found, strict=True)]


TEMPERATURE = Experiment(
    name="temperature",
    cells=(CELL,),
    config=Config,
    load_data=load_data,
    trainer=Ensemble,
    evaluate=evaluate,
    modules=record.modules,
    check=record.check,
    plan=plan,
    budgets=BUDGETS,
    members={"cpu": 3, "cuda": 256},
    together=TOGETHER,
)
