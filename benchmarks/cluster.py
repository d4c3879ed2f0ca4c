"""How long the whole grid of Table 1 takes on 1, 10 and 100 workers, and what it costs.

    python benchmarks/cluster.py [--mode eager] [--milliseconds CELL=MS] [--out FILE]

Nothing is trained to the end: a step of every cell is timed here, in CPU time of one core, as a
worker takes it (a lone run), and the evaluation of a few images. --milliseconds gives a cell's step
instead. The jobs are then given to workers as a scheduler does:
whoever is free takes the next, the longest first ("list scheduling", Graham 1969).
"""

from __future__ import annotations

import argparse
import heapq
import json
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from gsbook import files
from gsbook.engine.machine import environment, prepare_process
from gsbook.engine.step import best_mode
from gsbook.experiments import TABLE1
from gsbook.experiments.table1.config import CELLS, LEARNING_RATES
from gsbook.experiments.table1.plan import BUDGETS, candidates

WORKERS = (1, 10, 100)
RATES, SEEDS = len(LEARNING_RATES), 5
STEPS = BUDGETS["paper"].steps
IMAGES = 100  # evaluated, to price all of the test set


def makespan(jobs: Iterable[float], workers: int) -> float:
    """Time until the last job ends, when whoever is free takes the longest that is left.

    >>> makespan([3, 3, 2, 2, 2], 2)  # 5 and 7: the best there is would be 6 and 6
    7
    """
    free = [0] * workers
    for job in sorted(jobs, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def measured(cell: str, data: dict, steps: int, mode: str | None) -> tuple[float, float]:
    """(milliseconds of a step, seconds of a run's test figures) of a cell."""
    tried = candidates(cell, BUDGETS["paper"])[:1]
    trainer = TABLE1.trainer(tried, data, device="cpu", mode=mode)
    trainer.train_to(5)
    started = time.process_time()
    trainer.train_to(5 + steps)
    step = 1000 * (time.process_time() - started) / steps
    size = BUDGETS["paper"].size
    TABLE1.evaluate(trainer, size, True)  # the first time it is compiled
    started = time.process_time()
    TABLE1.evaluate(trainer, size, True)
    whole = len(data["train"]) / 5  # as many test images as a fifth of the training images
    return step, (time.process_time() - started) * whole / IMAGES


def priced(cells: dict[str, tuple[float, float]]) -> list[dict]:
    """A row per number of workers: hours until the end, core-hours, and the part of the workers'
    time that is work.

    cells: name -> (milliseconds of a step, seconds of a run's evaluation).
    """
    jobs = [
        (milliseconds / 1000 * STEPS + evaluation) / 3600
        for milliseconds, evaluation in cells.values()
        for _ in range(RATES * SEEDS)
    ]
    rows = []
    for workers in WORKERS:
        hours = makespan(jobs, workers)
        rows.append(
            {
                "workers": workers,
                "hours": hours,
                "efficiency": sum(jobs) / (hours * workers),
                "core_hours": sum(jobs),
                "held_core_hours": hours * workers,
            }
        )
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--milliseconds", action="append", default=[], metavar="CELL=MS")
    options.add_argument("--steps", type=int, default=50, help="that are timed, of every cell")
    options.add_argument("--mode", help="of a step (default: what long runs have here)")
    options.add_argument("--out", type=Path, default=Path("results/benchmarks/cluster.json"))
    options = options.parse_args()
    given = {cell: float(ms) for cell, ms in (text.split("=") for text in options.milliseconds)}
    if unknown := given.keys() - set(CELLS):
        raise SystemExit(f"no cell of Table 1: {', '.join(unknown)}; one is {CELLS[-1]}")
    prepare_process()
    data, _ = TABLE1.load_data(images=IMAGES)
    mode = options.mode or best_mode(STEPS)
    cells = {}
    for cell in CELLS:
        step, evaluation = measured(cell, data, options.steps, mode)
        cells[cell] = given.get(cell, step), evaluation
        print(f"{cell}: {cells[cell][0]:.2f} ms, {evaluation:.0f} s", flush=True)
    about = {
        "machine": environment(torch.device("cpu")),
        "mode": mode,
        "given": sorted(given),
        "runs": len(CELLS) * RATES * SEEDS,
        "steps": STEPS,
        "cells": {cell: {"ms": ms, "evaluation": s} for cell, (ms, s) in cells.items()},
        "rows": priced(cells),
    }
    for row in about["rows"]:
        print(
            f"{row['workers']:>4} workers {row['hours']:>9.1f} h  efficiency "
            f"{row['efficiency']:.0%}  {row['held_core_hours']:.0f} core-hours"
        )
    files.write(options.out, (json.dumps(about, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
