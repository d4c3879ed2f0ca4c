"""Which runs make a table or a figure: search the learning rate, then repeat the best over seeds; and which runs price
the choices where the paper is silent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product

import torch

from gslib._checks import unchecked
from gslib.experiment import few_labels, summary, table2
from gslib.estimators import ESTIMATORS
from gslib.experiment.config import ANNEAL_RATES, LEARNING_RATES, TRAINED, Config
from gslib.experiment.evaluate import RELAXED_IMAGES
from gslib.experiment.few_labels import METHODS, FewLabelsRun
from gslib.experiment.records import Records
from gslib.experiment.run import CPU_MEMBERS, Scale, Stages, load_data, prepare_process
from gslib.experiment.train import Ensemble
from gslib.models import NODES

BEYOND = 1e-2  # tried where the largest learning rate of the paper's list wins, and reported apart


@dataclass(frozen=True)
class Budget:
    """rungs: (steps, how many candidates stay) of the successive halving, on one seed; none: every candidate is final.
    steps: of the final runs. seeds: how many. rates: learning rates tried. scale: of the evaluation.

    >>> BUDGETS["paper"].steps, BUDGETS["paper"].seeds
    (500000, 5)
    """

    rungs: tuple[tuple[int, int], ...]
    steps: int
    seeds: int
    rates: tuple[float, ...] = LEARNING_RATES
    scale: Scale = field(default_factory=Scale)
    eval_every: int = 2000


BUDGETS = {
    "smoke": Budget(
        (), 200, 1, (1e-3, 3e-3), Scale(images=200, samples=20, valid_samples=5), eval_every=100
    ),
    "laptop": Budget(((20_000, 3), (40_000, 1)), 100_000, 3),
    "paper": Budget((), 500_000, 5),
}
ROWS = tuple(f"{model}-{node}" for model, node in product(("sbn", "vae"), NODES))
CELLS = tuple(f"{row}-{name}" for row in ROWS for name in TRAINED)


@dataclass(frozen=True)
class Part:
    """What a plan does for one cell: `stages` for the runner, the rest to print and to predict.

    counts: of the runs, stage by stage. steps: of all of them together. tested: how many are evaluated on test images.
    sample: the configs of one ensemble, to be timed. beyond: (runs, steps) that come on top if the edge of the list wins.

    >>> table1_part("sbn-bernoulli-st", BUDGETS["paper"], Records("none")).counts
    [30]
    """

    cell: str
    stages: Stages
    counts: list[int]
    steps: int
    tested: int
    sample: list[Config]
    beyond: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Target:
    """What a word on the command line stands for: cells, their plan by budget, and the folder of results they go to.

    part: what makes the plan of a cell, from the cell, a budget and the records of Table 1; None where nothing is trained.

    >>> len(TARGETS["table1"].cells)
    28
    """

    cells: tuple[str, ...]
    part: Callable[[str, Budget, Records], Part] | None
    budgets: dict
    folder: str = "table1"


def cells(target: str, estimators: list[str] | None = None) -> list[str]:
    """The cells that a target names: a table or figure, a row ("vae-categorical") or a cell ("vae-categorical-sf").

    >>> cells("vae-bernoulli", ["sf", "st"])
    ['vae-bernoulli-sf', 'vae-bernoulli-st']
    """
    named = TARGETS[target].cells if target in TARGETS else ()
    chosen = list(named) or [c for c in CELLS if c == target or c.startswith(target + "-")]
    known = METHODS if target == "table2" else TRAINED
    unknown = sorted(set(estimators or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown estimator {', '.join(unknown)}; choose from {', '.join(known)}")
    if chosen and estimators:
        chosen = [c for c in chosen if c.rsplit("-", 1)[-1] in estimators]
        if not chosen:
            raise ValueError(
                f"{target} has no estimator {', '.join(estimators)}; name the cell or its row alone"
            )
    if not chosen:
        raise ValueError(
            f"unknown target {target!r}; choose {', '.join(TARGETS)}, a row such as {ROWS[-1]}, or a cell "
            f"such as {CELLS[-1]}"
        )
    return chosen


def candidates(cell: str, budget: Budget, rates: tuple[float, ...] | None = None) -> list[Config]:
    """The configs among which a cell's best is chosen, at seed 0.

    >>> [len(candidates(f"vae-bernoulli-{name}", BUDGETS["paper"])) for name in ("st", "gumbel_softmax")]
    [6, 12]
    """
    model, node, estimator = cell.split("-")
    # The SBN keeps tau = 1 (section 4.1); the VAE anneals it (section 4.2).
    anneal = ANNEAL_RATES if model == "vae" and ESTIMATORS[estimator].schedule == "tau" else (0.0,)
    return [
        Config(
            model,
            node,
            estimator,
            lr=lr,
            steps=budget.steps,
            anneal_rate=r,
            eval_every=budget.eval_every,
        )
        for lr, r in product(rates or budget.rates, anneal)
    ]


def stages(cell: str, budget: Budget) -> Stages:
    """The plan of a cell: yields (configs, whether to test) and is sent their records.

    Where the edge of the paper's list wins, `BEYOND` is tried at every stage, too; the final runs come after those of
    the table.

    >>> configs, test = next(stages("sbn-bernoulli-st", BUDGETS["laptop"]))
    >>> len(configs), configs[0].steps, test
    (6, 20000, False)
    """
    contenders = candidates(cell, budget)
    beyond = candidates(cell, budget, (BEYOND,))
    for steps, keep in budget.rungs:
        records = yield [c.longer(steps) for c in contenders], False
        contenders = best(contenders, records)[:keep]
        if contenders[0].lr == max(budget.rates):
            records = yield [c.longer(steps) for c in beyond], False
            beyond = best(beyond, records)[:keep]
    records = yield (
        [replace(c, seed=seed) for c in contenders for seed in range(budget.seeds)],
        True,
    )
    # Without rungs the final runs are the search, and each seed has a winner of its own.
    winners = [best(contenders, records[seed :: budget.seeds])[0] for seed in range(budget.seeds)]
    if budget.rates == LEARNING_RATES and max(budget.rates) in [c.lr for c in winners]:
        yield [replace(c, seed=seed) for c in beyond for seed in range(budget.seeds)], True


def best(configs: list[Config], records: list[dict]) -> list[Config]:
    """Configs by their bound on the validation set, best first; diverged ones last.

    >>> configs = candidates("sbn-bernoulli-st", BUDGETS["smoke"])
    >>> [c.lr for c in best(configs, [{"valid_bound": None, "diverged": 40}, {"valid_bound": 61.5, "diverged": None}])]
    [0.003, 0.001]
    """
    scores = [
        math.inf if r["diverged"] or r["valid_bound"] is None else r["valid_bound"] for r in records
    ]
    return [c for _, c in sorted(zip(scores, configs, strict=True), key=lambda pair: pair[0])]


def table1_part(cell: str, budget: Budget, table1: Records) -> Part:
    """The plan of a cell of Table 1. Steps shared by two stages count twice.

    >>> table1_part("vae-bernoulli-st", BUDGETS["laptop"], Records("none")).counts  # two rungs and the final runs
    [6, 3, 3]
    """
    tried = candidates(cell, budget)
    counts, steps = _counts(len(tried), budget)
    more, further = (
        _counts(len(candidates(cell, budget, (BEYOND,))), budget)
        if budget.rates == LEARNING_RATES
        else ([], 0)
    )
    return Part(
        cell,
        stages(cell, budget),
        counts,
        steps,
        counts[-1],
        tried[:CPU_MEMBERS],
        (sum(more), further),
    )


def _counts(candidates: int, budget: Budget | table2.Budget) -> tuple[list[int], int]:
    """How many runs each stage of a search has, the final one included, and the steps of all of them together."""
    counts, steps = [], 0
    for length, keep in budget.rungs:
        counts.append(candidates)
        steps += candidates * length
        candidates = min(candidates, keep)
    counts.append(candidates * budget.seeds)
    return counts, steps + counts[-1] * budget.steps


# --- the choices where the paper is silent -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Price:
    """A choice that is priced: in these cells, runs with `change`, each paired with one of the same seed without it.

    start: what the other run has instead, where that is a matter of the search and no default of `Config`.

    >>> PRICES[0].change
    {'kl': 'sampled'}
    """

    cells: tuple[str, ...]
    change: dict
    start: dict = field(default_factory=dict)


def _cells(estimator: str, *rows: str) -> tuple[str, ...]:
    return tuple(f"{row}-{estimator}" for row in rows)


PRICES = (
    Price(_cells("gumbel_softmax", "vae-bernoulli", "vae-categorical"), {"kl": "sampled"}),
    Price(_cells("gumbel_softmax", "vae-bernoulli", "vae-categorical"), {"learned_prior": False}),
    Price(
        _cells("gumbel_softmax", "vae-bernoulli", "vae-categorical"),
        {"anneal_rate": 1e-4},
        {"anneal_rate": 1e-5},
    ),
    Price(_cells("gumbel_softmax", "vae-bernoulli"), {"data_bias": True}),
    Price(_cells("darn", "vae-bernoulli", "sbn-bernoulli"), {"darn_form": "printed"}),
    Price(_cells("annealed_st", "vae-bernoulli", "sbn-bernoulli"), {"slope_max": 1.0}),
    Price(_cells("sf", "sbn-bernoulli"), {"baseline_lr": 1e-2}),
)
# A part of the test images is enough for a difference between two runs that see the same ones.
PRICE_BUDGETS = {
    "smoke": BUDGETS["smoke"],
    "laptop": Budget((), 20_000, 3, scale=Scale(images=500)),
    "paper": Budget((), 100_000, 5, scale=Scale(images=2000)),
}


def leader(cell: str, budget: Budget, table1: Records) -> Config:
    """The config that led the search of a cell in the records of Table 1; where none is recorded, the largest rate.

    >>> leader("vae-bernoulli-darn", BUDGETS["smoke"], Records("none")).lr  # nothing is recorded: the largest rate
    0.003
    """
    bounds = {key: run["valid_bound"] for key, run in summary.search(table1, cell).items()}
    tried = candidates(cell, budget, LEARNING_RATES)
    found = [c for c in tried if bounds.get((c.lr, c.anneal_rate)) is not None]
    if found:
        return min(found, key=lambda c: bounds[c.lr, c.anneal_rate])
    return max(tried, key=lambda c: c.lr)


def priced(cell: str, budget: Budget, table1: Records) -> list[Config]:
    """The runs that price the choices in a cell: for each seed the leader, and the leader with each change.

    >>> len(priced(PRICES[0].cells[0], BUDGETS["smoke"], Records("none"))) > 1
    True
    """
    first = leader(cell, budget, table1)
    changes = [first]
    for price in PRICES:
        if cell in price.cells:
            changes += [replace(first, **price.start), replace(first, **price.change)]
    return [replace(c, seed=seed) for c in dict.fromkeys(changes) for seed in range(budget.seeds)]


def price_part(cell: str, budget: Budget, table1: Records) -> Part:
    """The plan of a cell in which choices are priced: all its runs at once.

    >>> price_part(PRICES[0].cells[0], BUDGETS["smoke"], Records("none")).cell == PRICES[0].cells[0]
    True
    """
    configs = priced(cell, budget, table1)

    def plan():
        yield configs, True

    return Part(
        cell,
        plan(),
        [len(configs)],
        sum(c.steps for c in configs),
        len(configs),
        configs[: budget.seeds],
    )


# --- learning with few labels ------------------------------------------------------------------------------------------


def few_labels_part(method: str, budget: table2.Budget, table1: Records) -> Part:
    """The plan of a method of Table 2. Steps shared by two stages count twice; every run is evaluated on test images.

    >>> few_labels_part("supervised", table2.BUDGETS["laptop"], Records("none")).counts
    [3]
    """
    tried = table2.candidates(method, budget)
    counts, steps = _counts(len(tried), budget if len(tried) > 1 else replace(budget, rungs=()))
    return Part(method, table2.stages(method, budget), counts, steps, sum(counts), tried[:1])


TARGETS = {
    "table1": Target(CELLS, table1_part, BUDGETS),
    "figure3": Target(tuple(c for c in CELLS if c.startswith("sbn")), table1_part, BUDGETS),
    "figure4": Target(tuple(c for c in CELLS if c.startswith("vae")), table1_part, BUDGETS),
    "choices": Target(
        tuple(c for c in CELLS if any(c in p.cells for p in PRICES)),
        price_part,
        PRICE_BUDGETS,
        "choices",
    ),
    "table2": Target(tuple(METHODS), few_labels_part, table2.BUDGETS, "table2"),
    "figure5a": Target(tuple(map(table2.cell, table2.CLASSES)), None, table2.BUDGETS, "speed"),
}


# --- how long it takes -------------------------------------------------------------------------------------------------


def predicted_seconds(
    parts: list[Part], scale: Scale, jobs: int, *, calibration: float = 5.0
) -> float:
    """Wall time of a plan on this machine's CPU, training and test figures, from a few seconds of measured steps, evenly
    over the parts, and from the bound of a few images.

    >>> parts = [table1_part("sbn-bernoulli-st", BUDGETS["smoke"], Records("none"))]
    >>> predicted_seconds(parts, Scale(images=10, samples=5), jobs=1, calibration=0.01) > 0
    True
    """
    prepare_process()
    seconds = 0.0
    for part in parts:
        timed = _timed_few_labels if part.cell in METHODS else _timed_table1
        per_step, per_run = timed(part, scale, calibration / len(parts))
        seconds += per_step * part.steps + per_run * part.tested
    return seconds / jobs


def _timed_table1(part: Part, scale: Scale, calibration: float) -> tuple[float, float]:
    """Seconds of a step of one run, and of its test figures."""
    data, _ = load_data(images=100)
    images = scale.images or 10_000
    bounds = images + 3 * min(
        images, RELAXED_IMAGES
    )  # of one run; relaxed samples cost twice as much
    ensemble = Ensemble([replace(c, eval_every=10**9) for c in part.sample], data)
    with unchecked(), torch.no_grad():
        x = data["test"][:5].float().expand(len(part.sample), -1, -1)
        started = time.perf_counter()
        ensemble.model.bound(x, scale.samples)
        per_run = (time.perf_counter() - started) / x[..., 0].numel() * bounds
    return _per_step(ensemble, calibration) / len(part.sample), per_run


def _timed_few_labels(part: Part, scale: Scale, calibration: float) -> tuple[float, float]:
    """The same for a run of Table 2."""
    data, _ = few_labels.load_data(images=100)
    run = FewLabelsRun([replace(part.sample[0], eval_every=10**9)], data)
    started = time.perf_counter()
    run.evaluate(data["test"], "test")
    per_image = (time.perf_counter() - started) / len(data["test"].images)
    return _per_step(run, calibration), 2 * per_image * (
        scale.images or 10_000
    )  # on validation, too


def _per_step(ensemble: Ensemble, calibration: float) -> float:
    with unchecked():  # as in training
        ensemble._train_to(1)
        started, first = time.perf_counter(), ensemble.step
        while time.perf_counter() - started < calibration:
            ensemble._train_to(ensemble.step + 5)
    return (time.perf_counter() - started) / (ensemble.step - first)
