"""Time a training step of every cell of Table 1, the engine against the first edition's, and
without each of its kernels: python benchmarks/cells.py --first FOLDER

FOLDER is a checkout of the first edition (`git worktree add FOLDER be84b98`). In each cell both
engines train E = 3 members on one core, in processes that take turns; a ratio is the median of the
ratios of CPU time within a turn, as in training.py. With straight-through, whose samples are
one-hot where the nodes are categorical, the engine also runs without each of its kernels: dense
products, or torch's own operations, stand in for it. With --json the results of this machine take
their place in a file beside those of others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from training import gslib, keep, machine, measure

MEMBERS = 3
ROWS = tuple(product(("sbn", "vae"), ("bernoulli", "categorical")))
PATHWISE = ("st", "annealed_st", "gumbel_softmax", "st_gumbel_softmax")
ESTIMATORS = ("sf", "darn", "muprop", *PATHWISE)
ABLATED = "st"
KERNELS = {"rows": "baddbmm", "columns": "bmm", "one_hot_max": "argmax"}  # in whose place each is


def first_edition(folder: str, *cell):
    """The first edition's engine; yields as ours does."""
    sys.path.insert(0, folder)
    return gslib(*cell)


class Hidden:
    """torch.ops.aten, but for one operator."""

    def __init__(self, known: Any, name: str):
        self.known, self.name = known, name

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(default=None) if name == self.name else getattr(self.known, name)


def without(kernel: str, *cell):
    """The engine without one kernel: its pass over the graph cannot see what that one replaces."""
    from gsbook.engine import kernels

    kernels.op = Hidden(kernels.op, KERNELS[kernel])
    return gslib(*cell)


def ratios(costs: dict[str, list[float]], over: str) -> dict[str, float]:
    """How many times the engine's CPU time a way takes: the median of the turns, and the range."""
    found = sorted(a / b for a, b in zip(costs[over], costs["engine"], strict=True))
    return {"times": statistics.median(found), "low": found[0], "high": found[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first", type=Path, required=True, help="checkout of the first edition")
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--repeats", type=int, default=9, help="turns")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one way in one turn")
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    if not (args.first / "gslib" / "experiment" / "train.py").is_file():
        parser.error(f"{args.first} is no checkout of the first edition: git worktree add it")
    if args.json and set(args.estimators) != set(ESTIMATORS):
        parser.error("--json keeps all cells of one day: leave --estimators out, or --json")
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # settings stay in that process
        about = pool.apply(machine)
    cells = []
    for (model, node), estimator in product(ROWS, args.estimators):
        cell = (node, MEMBERS, model, estimator)
        ways = {"engine": [(gslib, cell)], "first": [(first_edition, (str(args.first), *cell))]}
        if estimator == ABLATED:
            ways |= {kernel: [(without, (kernel, *cell))] for kernel in KERNELS}
        _, costs = measure(ways, args.repeats, args.seconds)
        result = {
            "cell": f"{model}-{node}-{estimator}",
            "cpu_ms_per_step": 1000 * statistics.median(costs["engine"]),
            **{way: ratios(costs, way) for way in ways if way != "engine"},
        }
        cells.append(result)
        said = ", ".join(f"{way} {result[way]['times']:.2f}" for way in ways if way != "engine")
        print(f"{result['cell']:<32}{result['cpu_ms_per_step']:>7.2f} ms; times it: {said}")
    times = [cell["first"]["times"] for cell in cells]
    print(f"first edition, mean of {len(cells)} cells: {statistics.fmean(times):.2f}")
    if args.json:
        keep(args.json, about, "cells", {"members": MEMBERS, "cells": cells})


if __name__ == "__main__":
    main()
