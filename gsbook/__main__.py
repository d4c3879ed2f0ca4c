"""The command line: `python -m gsbook run table1 --budget laptop` trains what a table needs."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gsbook import timing, weights
from gsbook.engine import cluster, search, workers
from gsbook.engine.machine import cores
from gsbook.experiments import EXPERIMENTS, SPEED, TABLE1, TABLE2, target
from gsbook.experiments.table2 import speed
from gsbook.gpu.back import take
from gsbook.gpu.command import run as on_one_gpu

BUDGETS = ("smoke", "laptop", "paper")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.act(options)
    except workers.Stopped as stop:
        message, status = stop, stop.status
    except (ValueError, OSError) as error:
        message, status = error, 2
    except KeyboardInterrupt:
        message, status = "interrupted", workers.Interrupted.status
    print(f"python -m gsbook: {message}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m gsbook", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    keep = commands.add_parser("keep", help="keep the small trained weights of a cell")
    keep.set_defaults(act=keep_weights)
    keep.add_argument("cell", help="such as vae-categorical-gumbel_softmax or reading-st")
    folders(keep, "folder of the records (default: results/EXPERIMENT)")

    run = commands.add_parser("run", help="train, evaluate and record")
    run.set_defaults(act=run_target)
    names = f"{', '.join(EXPERIMENTS)}, figure3, figure4, {SPEED}"
    run.add_argument(
        "target", help=f"{names}, a row (vae-categorical) or a cell (vae-categorical-sf)"
    )
    run.add_argument("--budget", choices=BUDGETS, help="default: GSLIB_BUDGET, else smoke")
    run.add_argument("--estimator", action="append", help="only this one; may stand several times")
    run.add_argument("--steps", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument("--seeds", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument("--jobs", type=positive, help="processes (default: a core each)")
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on this Dask cluster, such as tcp://host:8786"
    )
    run.add_argument("--device", choices=("cpu", "cuda"), help="default: CUDA where there is one")
    folders(run, "folder for the records (default: results/TABLE, for smoke _build/smoke/TABLE)")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan and its predicted time, train nothing",
    )

    device = commands.add_parser("gpu", help="train rows of Table 1 on one GPU, within minutes")
    device.set_defaults(act=on_gpu)
    device.add_argument("--minutes", type=minutes, default=9.0, help="all in all (default: 9)")
    device.add_argument("--out", type=folder, required=True, help="folder of what is to come back")
    device.add_argument("--tf32", action="store_true", help="train (never evaluate) with TF32")
    device.add_argument("--fused", action="store_true", help="time a step by Triton, too: a minute")

    back = commands.add_parser("take", help="add what came back from a GPU to the records")
    back.set_defaults(act=take_back)
    back.add_argument("folder", type=folder, help="the folder that was --out")
    folders(back, "folder of the records (default: results/table1)")
    return top


def folders(command: argparse.ArgumentParser, results: str) -> None:
    command.add_argument("--results", type=folder, help=results)
    command.add_argument(
        "--checkpoints", type=folder, help="folder of saved states (default: in the user's cache)"
    )


def folder(text: str) -> Path:
    """A folder from the command line; an empty name, as of an unset variable, would be this one."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must name a folder, got {text!r}")
    return Path(text)


def positive(text: str) -> int:
    """A count from the command line."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def minutes(text: str) -> float:
    """A time from the command line."""
    value = float(text)  # argparse says what is no number
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more and finite, got {text!r}")
    return value


def keep_weights(options) -> int:
    experiment, prefix = weights.of(options.cell)
    if options.cell.removeprefix(prefix) not in experiment.cells:
        known = ", ".join(prefix + cell for cell in experiment.cells)
        raise ValueError(f"{options.cell!r} is no cell whose weights are kept; choose {known}")
    records = experiment.records(options.results or Path("results") / experiment.name)
    print(weights.keep(options.cell, records, checkpoints=options.checkpoints))
    return 0


def run_target(options) -> int:
    name = options.budget or search.budget_name()
    changes = {"steps": options.steps, "seeds": options.seeds}
    changes = {k: v for k, v in changes.items() if v is not None}
    if options.target == SPEED:
        return measure_speed(name, changes, options)
    experiment, cells = target(options.target, options.estimator)
    budget = replace(experiment.budgets[name], **changes)
    records = experiment.records(results_of(experiment.name, name, options))
    plans = [experiment.plan(cell, budget, records) for cell in cells]
    costs = [timing.cost(experiment, cell, budget, records) for cell in cells]
    if options.dry_run:
        print(timing.plan_in_words(costs, budget, name), flush=True)  # to time it takes longer
        print(timing.time_in_words(experiment, costs, budget, options.jobs or cores()))
        return 0
    with where(options) as (executor, device):
        workers.run_stages(
            experiment,
            plans,
            records,
            budget.size,
            jobs=options.jobs,
            device=device,
            checkpoints=options.checkpoints,
            total=sum(cost.steps for cost in costs),
            executor=executor,
        )
    print(f"records are in {records.folder}")
    return 0


def on_gpu(options) -> int:
    report = on_one_gpu(options.out, options.minutes, tf32=options.tf32, fused=options.fused)
    return 1 if any(str(v).startswith("failed") for v in report["cells"].values()) else 0


def take_back(options) -> int:
    folder = options.results or Path("results") / TABLE1.name
    print(take(options.folder, folder, options.checkpoints))
    return 0


@contextmanager
def where(options) -> Iterator[tuple[Executor | None, str | None]]:
    """(the executor, the device) of the jobs: None for this machine's own."""
    if options.scheduler is None:
        yield None, options.device
        return
    folder, device = options.checkpoints, options.device
    with cluster.connect(options.scheduler, checkpoints=folder, device=device) as executor:
        if options.jobs:
            print("--jobs is not used: the cluster has as many as its workers have threads")
        if folder is None:
            print("no --checkpoints that all workers share: a job that is cut off begins anew")
        print(f"{executor.slots} jobs at a time on {options.scheduler}, on {executor.device}")
        yield executor, executor.device


def results_of(folder: str, budget: str, options) -> Path:
    """Where records go; those of a smoke run are no results of the book."""
    return options.results or Path("_build/smoke" if budget == "smoke" else "results", folder)


def measure_speed(name: str, changes: dict, options) -> int:
    """Figure 5a: nothing is trained to the end, steps are timed."""
    if changes:
        raise ValueError(f"{SPEED} has neither --steps nor --seeds; leave them out")
    for option in ("scheduler", "estimator", "jobs", "checkpoints"):
        if getattr(options, option) is not None:
            raise ValueError(
                f"{SPEED} times this machine, one process at a time; leave out --{option}"
            )
    budget, folder = TABLE2.budgets[name], results_of("speed", name, options)
    if options.dry_run:
        seconds = len(budget.classes) * budget.repeats * 2 * budget.seconds
        print(
            f"{len(budget.classes)} numbers of classes, {budget.repeats} repeats, two methods: at "
            f"least {seconds / 60:.0f} minutes on an otherwise idle machine"
        )
        return 0
    speed.measure_speed(speed.records(folder), budget, device=options.device)
    print(f"records are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
