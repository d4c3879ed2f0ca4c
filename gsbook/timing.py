"""How long a plan takes on this machine: what it would run, and a few measured steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from gsbook.engine import search
from gsbook.engine.experiment import Budget, Experiment
from gsbook.engine.machine import prepare_process
from gsbook.engine.workers import common
from gsbook.records import Records
from gslib._checks import unchecked

CALIBRATION = 5.0  # seconds of measured steps, over all cells
TIMED = 5  # cells at most that are timed; to compile the step of one takes half a minute


@dataclass(frozen=True)
class Cost:
    """What the plan of a cell comes to. Steps that two stages share count twice."""

    cell: str
    counts: list[int]  # of the runs, stage by stage
    steps: int  # of all runs together
    tested: int  # runs that are evaluated on test images
    sample: list  # the configs of one ensemble, to be timed


def cost(experiment: Experiment, cell: str, budget: Budget, records: Records) -> Cost:
    """A plan that is run dry, on made-up records. What a plan adds where settings are close, or
    where the edge of a list wins, comes on top."""
    stages = list(search.dry(experiment.plan(cell, budget, records), made_up))
    shared = common(experiment, stages[0][0][0])
    sample = [config for config in stages[0][0] if common(experiment, config) == shared]
    return Cost(
        cell,
        [len(configs) for configs, _ in stages],
        sum(config.steps for configs, _ in stages for config in configs),
        sum(len(configs) for configs, test in stages if test),
        sample[: experiment.members["cpu"]],
    )


def made_up(config) -> dict:
    """A record in which a rate inside the list wins by far, and the slower schedule."""
    bound = 100 + 10 * abs(math.log10(config.lr / 1e-4)) + 2e4 * getattr(config, "anneal_rate", 0.0)
    valid = {"accuracy": 50.0, "nll": bound}
    return {"diverged": None, "valid_bound": bound, "valid": valid, "curve": {"valid": [bound]}}


def predicted_seconds(
    experiment: Experiment, costs: list[Cost], budget: Budget, jobs: int, calibration=CALIBRATION
) -> float:
    """Wall time on this machine's CPU of training and test figures, from measured steps, evenly
    over the cells, and from the evaluation of a few images. Of many cells a part is timed, evenly
    spread over their order."""
    prepare_process()
    data, _ = experiment.load_data(images=10)
    images = budget.size.images or 10_000
    timed = costs[:: math.ceil(len(costs) / TIMED)]
    seconds = 0.0
    for one in timed:
        trainer = experiment.trainer(
            [replace(c, eval_every=10**9) for c in one.sample], data, device="cpu"
        )
        per_step = seconds_per_step(trainer, calibration / len(timed)) / len(one.sample)
        started = time.perf_counter()
        experiment.evaluate(trainer, budget.size, True)
        per_run = (time.perf_counter() - started) / len(one.sample) * images / 10
        seconds += per_step * one.steps + per_run * one.tested
    return seconds / jobs * sum(c.steps for c in costs) / sum(c.steps for c in timed)


def seconds_per_step(trainer, calibration: float) -> float:
    with unchecked():  # as in training
        trainer.train_to(1)
        started, first = time.perf_counter(), trainer.step
        while time.perf_counter() - started < calibration:
            trainer.train_to(trainer.step + 5)
    return (time.perf_counter() - started) / (trainer.step - first)


def plan_in_words(costs: list[Cost], budget: Budget, name: str) -> str:
    """A line for each cell, and what all come to."""
    rungs = " -> ".join(f"{steps:,} steps, keep {keep}" for steps, keep in budget.rungs)
    lines = [
        f"{len(costs)} cells, budget {name}",
        f"search: {rungs or 'none, every run is trained to the end'}",
        f"final: {budget.seeds} seed(s) at {budget.steps:,} steps",
    ]
    for one in costs:
        lines.append(f"  {one.cell}: {' + '.join(map(str, one.counts))} runs, {one.steps:,} steps")
    runs, steps = sum(sum(c.counts) for c in costs), sum(c.steps for c in costs)
    return "\n".join([*lines, f"{runs} runs, {steps:,} steps"])


def time_in_words(experiment: Experiment, costs: list[Cost], budget: Budget, jobs: int) -> str:
    minutes = predicted_seconds(experiment, costs, budget, jobs) / 60
    duration = f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
    return f"about {duration} with {jobs} processes here"
