"""How long is long enough: a power law through validation bounds, and what it says of longer runs.

    python -m gsbook.experiments.table1.forecast 500000     predict Table 1:
    results/predictions.json

A prediction is made once, before the runs that it is about: the file is not written over.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import date
from math import log
from pathlib import Path
from statistics import fmean

from gsbook import files
from gsbook.claims import paper, titles
from gsbook.experiments.table1.config import COLUMNS
from gsbook.experiments.table1.results import Cell, by_steps, reading, results, standard
from gsbook.places import results_folder
from gsbook.records import Records

FITTED = (
    20_000,
    40_000,
    100_000,
)  # steps at which the search and the final runs of a cell have been evaluated
STEEPEST = 10.0  # a law with a larger exponent is a level line


@dataclass(frozen=True)
class Law:
    """y = limit + scale t^-rate, in nats over training steps.

    >>> Law(limit=100.0, scale=200.0, rate=0.5)(10_000)
    102.0
    """

    limit: float
    scale: float
    rate: float

    def __call__(self, step: float) -> float:
        return self.limit + self.scale * step**-self.rate


def power_law(steps, bounds) -> Law | None:
    """The one law through three points; None if they are no falling curve that flattens.

    steps: three increasing numbers, else ValueError. bounds: nats at each. A curve that falls as a
    straight line over log t, or faster, has no limit, and none is made up.

    >>> law = power_law((1, 2, 4), (3.0, 2.0, 1.5))
    >>> round(law.limit, 6), round(law.scale, 6), round(law.rate, 6)
    (1.0, 2.0, 1.0)
    >>> power_law((1, 2, 4), (3.0, 2.0, 2.5)) is None  # it rises again
    True
    """
    from scipy.optimize import brentq

    (a, b, c), (x, y, z) = steps, bounds
    if not (0 < a < b < c):
        raise ValueError(f"a law needs three increasing numbers of steps, got {tuple(steps)}")
    if None in bounds or not x > y > z:
        return None

    def excess(rate):  # of the ratio of the two falls, over that of the points
        return (1 - (b / a) ** -rate) / ((b / a) ** -rate - (c / a) ** -rate) - (x - y) / (y - z)

    if log(b / a) / log(c / b) >= (x - y) / (y - z) or excess(STEEPEST) <= 0:
        return None
    rate = brentq(excess, 1e-9, STEEPEST)
    scale = (x - y) / (a**-rate - b**-rate)
    return Law(x - scale * a**-rate, scale, rate)


def points(records: Records, cell: str) -> tuple[Cell | None, dict[int, float | None]]:
    """The longest final runs of a cell, and the validation bounds of its seed 0 by steps, in nats.

    Both at the rate and schedule that validation chose at 100,000 steps, and with the same reading
    of what the paper leaves to its citations. Of two runs of one length, the older counts.

    >>> cell, bounds = points(results(), "sbn-bernoulli-st")
    >>> cell.steps >= FITTED[-1], bounds.keys() >= set(FITTED)
    (True, True)
    """
    found = by_steps(records, cell)
    if FITTED[-1] not in found:
        return None, {}

    def method(config):
        return config["lr"], config["anneal_rate"], reading(config)

    def same(config):
        return standard(config) and method(config) == method(found[FITTED[-1]].config)

    runs = [run for run in records.runs_of(cell).values() if same(run["config"])]
    runs.sort(key=lambda run: run.get("date", ""), reverse=True)
    bounds = {r["config"]["steps"]: r["valid_bound"] for r in runs if r["config"]["seed"] == 0}
    longest = max(steps for steps, final in found.items() if same(final.config) and final.values)
    return found[longest], dict(sorted(bounds.items()))


def predict(records: Records, cell: str, steps: int) -> dict | None:
    """What the law of a cell says of its test figure at so many steps; None with nothing to fit.

    The law is that of the validation bound of seed 0. The fall that it predicts, from the longest
    final runs on, is taken from the mean of their test figure over seeds. Keys: lr, anneal_rate,
    bounds (steps -> nats), law (limit, scale, rate, or None where no law fits), start (steps of the
    longest final runs), test (their mean), predicted (None without a law), paper.

    >>> found = predict(results(), "sbn-bernoulli-st", 10**6)
    >>> found["predicted"] < found["test"]
    True
    """
    final, bounds = points(records, cell)
    if final is None or not bounds.keys() >= set(FITTED):
        return None
    law = power_law(FITTED, [bounds[step] for step in FITTED])
    row, _, estimator = cell.rpartition("-")
    test = fmean(final.values.values())
    return {
        "lr": final.config["lr"],
        "anneal_rate": final.config["anneal_rate"],
        "bounds": {str(step): bounds[step] for step in FITTED},
        "law": law and [law.limit, law.scale, law.rate],
        "start": final.steps,
        "test": test,
        "predicted": law and test + law(steps) - law(final.steps),
        "paper": paper(row)[estimator],
    }


def predictions() -> dict:
    """What was written down: made (date), steps, method, and for each cell what `predict` gave.

    >>> sorted(predictions())
    ['cells', 'made', 'method', 'steps']
    """
    return json.loads((results_folder() / "predictions.json").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> int:
    """Write the predictions, unless they are there.

    >>> main(["500000", "--file", "predictions.json"])
    predictions.json: 28 cells at 500,000 steps
    0
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", type=int, help="the number of steps to predict")
    parser.add_argument("--file", type=Path, help="by default results/predictions.json")
    options = parser.parse_args(arguments)
    path = options.file or results_folder() / "predictions.json"
    if path.exists():
        print(f"{path} is there: a prediction is made once. Take another --file.", file=sys.stderr)
        return 1
    if options.steps <= FITTED[-1]:
        parser.error(f"steps must exceed the {FITTED[-1]:,} fitted ones, got {options.steps:,}")
    records = results("table1")
    cells = [f"{row}-{estimator}" for row in titles() for estimator in COLUMNS]
    found = {
        "made": date.today().isoformat(),
        "steps": options.steps,
        "method": f"a + b t^-c through the validation bounds of seed 0 at {FITTED} steps; its fall "
        "from the longest final runs on is taken from the mean of their test figure over seeds",
        "cells": {cell: predict(records, cell, options.steps) for cell in cells},
    }
    files.write(path, (json.dumps(found, indent=1) + "\n").encode())
    print(f"{path}: {len(cells)} cells at {options.steps:,} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
