"""How long the whole grid of Table 1 takes on 1, 10 and 100 workers, and what it costs.

    python benchmarks/cluster.py [--milliseconds 4.0] [--out results/benchmarks/cluster.json]

Nothing is trained to the end: a step of every cell is timed here, on one core, as a worker takes
it (an ensemble of three members), and the evaluation of a few images. --milliseconds takes one
number for all cells instead, in milliseconds of a member and step, and prices training alone. The
jobs are then given to workers as a scheduler does: whoever is free takes the next, the longest
first ("list scheduling", Graham 1969).
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from gsbook import files, timing
from gsbook.engine.machine import prepare_process, processor
from gsbook.experiments import TABLE1
from gsbook.experiments.table1.config import CELLS, LEARNING_RATES
from gsbook.experiments.table1.plan import BUDGETS, candidates

WORKERS = (1, 10, 100)
RATES, SEEDS, MEMBERS = len(LEARNING_RATES), 5, TABLE1.members["cpu"]
STEPS = BUDGETS["paper"].steps
IMAGES = 10  # evaluated, to price all of the test set


def makespan(jobs: Iterable[float], workers: int) -> float:
    """Time until the last job ends, when whoever is free takes the longest that is left.

    >>> makespan([3, 3, 2, 2, 2], 2)  # 5 and 7: the best there is would be 6 and 6
    7
    """
    free = [0] * workers
    for job in sorted(jobs, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def measured(cell: str, data: dict, seconds: float) -> tuple[float, float]:
    """(milliseconds of a member's step, seconds of a member's test figures) of a cell."""
    tried = candidates(cell, BUDGETS["paper"])[:MEMBERS]
    trainer = TABLE1.trainer(tried, data, device="cpu")
    step = 1000 * timing.seconds_per_step(trainer, seconds) / MEMBERS
    started = time.perf_counter()
    TABLE1.evaluate(trainer, BUDGETS["paper"].size, True)
    whole = len(data["train"]) / 5  # as many test images as a fifth of the training images
    return step, (time.perf_counter() - started) / MEMBERS * whole / IMAGES


def priced(cells: dict[str, tuple[float, float]]) -> list[dict]:
    """A row per number of workers: hours until the end, core-hours, and the part of the workers'
    time that is work.

    cells: name -> (milliseconds of a member's step, seconds of a member's evaluation).
    """
    jobs = [
        MEMBERS * (milliseconds / 1000 * STEPS + evaluation) / 3600
        for milliseconds, evaluation in cells.values()
        for _ in range(RATES * SEEDS // MEMBERS)
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
    options.add_argument("--milliseconds", type=float, help="of a member and step, for all cells")
    options.add_argument("--seconds", type=float, default=2.0, help="of timed steps per cell")
    options.add_argument("--out", type=Path, default=Path("results/benchmarks/cluster.json"))
    options = options.parse_args()
    if options.milliseconds:
        cells = dict.fromkeys(CELLS, (options.milliseconds, 0.0))
    else:
        prepare_process()
        data, _ = TABLE1.load_data(images=IMAGES)
        cells = {cell: measured(cell, data, options.seconds) for cell in CELLS}
    about = {
        "machine": None
        if options.milliseconds
        else {"cpu": processor(), "torch": torch.__version__, "load": os.getloadavg()[0]},
        "runs": len(CELLS) * RATES * SEEDS,
        "steps": STEPS,
        "members": MEMBERS,
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
