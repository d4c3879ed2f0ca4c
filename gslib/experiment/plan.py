"""Which runs make a table or a figure: search the learning rate, then repeat the best over seeds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from itertools import product

from gslib._checks import unchecked
from gslib.experiment.config import ANNEAL_RATES, LEARNING_RATES, TEMPERED, TRAINED, Config
from gslib.experiment.run import CPU_MEMBERS, Scale, Stages, load_data, prepare_process
from gslib.experiment.train import Ensemble
from gslib.models import NODES

BEYOND = 1e-2  # tried where the largest learning rate of the paper's list wins, and reported apart


@dataclass(frozen=True)
class Budget:
    """rungs: (steps, how many candidates stay) of the successive halving, on one seed; none: every candidate is final.
    steps: of the final runs. seeds: how many. rates: learning rates tried. scale: of the evaluation."""

    rungs: tuple[tuple[int, int], ...]
    steps: int
    seeds: int
    rates: tuple[float, ...] = LEARNING_RATES
    scale: Scale = field(default_factory=Scale)
    eval_every: int = 2000


BUDGETS = {
    "smoke": Budget((), 200, 1, (1e-3, 3e-3), Scale(images=200, samples=20, valid_samples=5), eval_every=100),
    "laptop": Budget(((20_000, 3), (40_000, 1)), 100_000, 3),
    "paper": Budget((), 500_000, 5),
}
ROWS = tuple(f"{model}-{node}" for model, node in product(("sbn", "vae"), NODES))
TARGETS = {"table1": ROWS, "figure3": ROWS[:2], "figure4": ROWS[2:]}


def cells(target: str, estimators: list[str] | None = None) -> list[str]:
    """The cells that a target names: a table or figure, a row ("vae-categorical") or a cell ("vae-categorical-sf")."""
    everything = [f"{row}-{name}" for row in ROWS for name in TRAINED]
    if target in TARGETS:
        chosen = [c for c in everything if c.startswith(TARGETS[target])]
    else:
        chosen = [c for c in everything if c == target or c.startswith(target + "-")]
    unknown = sorted(set(estimators or ()) - set(TRAINED))
    if unknown:
        raise ValueError(f"unknown estimator {', '.join(unknown)}; choose from {', '.join(TRAINED)}")
    if chosen and estimators:
        chosen = [c for c in chosen if c.rsplit("-", 1)[1] in estimators]
        if not chosen:
            raise ValueError(f"{target} has no estimator {', '.join(estimators)}; name the cell or its row alone")
    if not chosen:
        raise ValueError(f"unknown target {target!r}; choose {', '.join(TARGETS)}, a row such as {ROWS[-1]}, or a cell "
                         f"such as {everything[-1]}")
    return chosen


def candidates(cell: str, budget: Budget, rates: tuple[float, ...] | None = None) -> list[Config]:
    """The configs among which a cell's best is chosen, at seed 0."""
    model, node, estimator = cell.split("-")
    # The SBN keeps tau = 1 (section 4.1); the VAE anneals it (section 4.2).
    anneal = ANNEAL_RATES if model == "vae" and estimator in TEMPERED else (0.0,)
    return [Config(model, node, estimator, lr=lr, steps=budget.steps, anneal_rate=r, eval_every=budget.eval_every)
            for lr, r in product(rates or budget.rates, anneal)]


def stages(cell: str, budget: Budget) -> Stages:
    """The plan of a cell: yields (configs, whether to test) and is sent their records."""
    contenders = candidates(cell, budget)
    beyond = candidates(cell, budget, (BEYOND,))
    for steps, keep in budget.rungs:
        records = yield [c.longer(steps) for c in contenders], False
        contenders = best(contenders, records)[:keep]
        if contenders[0].lr == max(budget.rates):
            yield [c.longer(steps) for c in beyond], False
    records = yield [replace(c, seed=seed) for c in contenders for seed in range(budget.seeds)], True
    if not budget.rungs and budget.rates == LEARNING_RATES:  # the final runs were the search
        winners = [best(contenders, records[seed :: budget.seeds])[0] for seed in range(budget.seeds)]
        if max(budget.rates) in [c.lr for c in winners]:
            yield [replace(c, seed=seed) for c in beyond for seed in range(budget.seeds)], True


def best(configs: list[Config], records: list[dict]) -> list[Config]:
    """Configs by their bound on the validation set, best first; diverged ones last."""
    scores = [math.inf if r["diverged"] or r["valid_bound"] is None else r["valid_bound"] for r in records]
    return [c for _, c in sorted(zip(scores, configs, strict=True), key=lambda pair: pair[0])]


def planned_steps(cell: str, budget: Budget) -> int:
    """Member-steps of a cell's plan, without those beyond the edge; steps shared by two stages count twice."""
    count, total = len(candidates(cell, budget)), 0
    for steps, keep in budget.rungs:
        total += count * steps
        count = min(count, keep)
    return total + count * budget.seeds * budget.steps


def predicted_seconds(names: list[str], budget: Budget, jobs: int, *, calibration: float = 5.0) -> float:
    """Wall time of the cells' training on this machine's CPU, from a few seconds of measured steps, evenly over cells."""
    prepare_process()
    data, _ = load_data(images=100)
    seconds = 0.0
    for name in names:
        ensemble = Ensemble([replace(c, eval_every=10**9) for c in candidates(name, budget)][:CPU_MEMBERS], data)
        with unchecked():  # as in training
            ensemble._train_to(1)
            started, first = time.perf_counter(), ensemble.step
            while time.perf_counter() - started < calibration / len(names):
                ensemble._train_to(ensemble.step + 5)
        per_step = (time.perf_counter() - started) / (ensemble.step - first) / len(ensemble.configs)
        seconds += per_step * planned_steps(name, budget)
    return seconds / jobs
