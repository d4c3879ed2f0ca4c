"""The command line: `python -m gslib run table1 --budget laptop` trains what a table or figure needs and records it."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from gslib.experiment import plan, weights
from gslib.experiment.records import Records
from gslib.experiment.run import budget_name, run_stages


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gslib", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    keep = commands.add_parser("keep", help="keep the small trained weights of a cell beside the records")
    keep.add_argument("cell", help="such as vae-categorical-gumbel_softmax")
    keep.add_argument("--results", type=Path, default=Path("results/table1"), help="folder of the records")
    keep.add_argument("--checkpoints", type=Path, help="folder of saved states (default: in the user's cache folder)")
    run = commands.add_parser("run", help="train, evaluate and record")
    run.add_argument("target", help="table1, figure3, figure4, a row (vae-categorical) or a cell (vae-categorical-sf)")
    run.add_argument("--budget", choices=plan.BUDGETS, default=os.environ.get("GSLIB_BUDGET", "smoke"))
    run.add_argument("--estimator", action="append", help="only this one; may be given several times")
    run.add_argument("--steps", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument("--seeds", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one per core)")
    run.add_argument("--device", choices=("cpu", "cuda"), help="default: CUDA where there is one")
    run.add_argument("--results", type=Path, help="folder for the records (default: results/TABLE, for smoke _build/smoke)")
    run.add_argument("--checkpoints", type=Path, help="folder for saved states (default: in the user's cache folder)")
    run.add_argument("--dry-run", action="store_true", help="print the plan and its predicted time, train nothing")
    options = parser.parse_args(arguments)
    if options.command == "keep":
        print(weights.keep(options.cell, Records(options.results), checkpoints=options.checkpoints))
        return 0

    changes = {k: v for k, v in (("steps", options.steps), ("seeds", options.seeds)) if v is not None}
    try:
        if options.budget not in plan.BUDGETS:  # argparse takes a default as it is
            budget_name()
        names = plan.cells(options.target, options.estimator)
    except ValueError as error:
        parser.error(str(error))
    budget = replace(plan.BUDGETS[options.budget], **changes)
    steps = sum(plan.planned_steps(name, budget) for name in names)
    if options.dry_run:
        return print_plan(names, budget, steps, options)
    folder = options.results or Path("_build/smoke" if options.budget == "smoke" else "results/table1")
    run_stages([plan.stages(name, budget) for name in names], Records(folder), budget.scale, jobs=options.jobs,
               device=options.device, checkpoints=options.checkpoints, total=steps)
    print(f"records are in {folder}")
    return 0


def positive(text: str) -> int:
    """A count from the command line."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def print_plan(names: list[str], budget: plan.Budget, steps: int, options) -> int:
    search = " -> ".join(f"{s:,} steps, keep {k}" for s, k in budget.rungs) or "none, every candidate is trained to the end"
    print(f"{len(names)} cells, budget {options.budget}\nsearch of rate and schedule: {search}")
    print(f"final: {budget.seeds} seed(s) at {budget.steps:,} steps")
    runs = 0
    for name in names:
        count, per_cell = len(plan.candidates(name, budget)), []
        for _, keep in budget.rungs:
            per_cell.append(count)
            count = min(count, keep)
        per_cell.append(count * budget.seeds)
        runs += sum(per_cell)
        print(f"  {name}: {' + '.join(map(str, per_cell))} runs, {plan.planned_steps(name, budget):,} steps")
    hours = plan.predicted_seconds(names, budget, options.jobs) / 3600
    print(f"{runs} runs, {steps:,} steps; about {hours:.1f} hours of training with {options.jobs} processes here,"
          " and the evaluation beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
