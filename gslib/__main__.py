"""The command line: `python -m gslib run table1 --budget laptop` trains what a table or figure needs and records it."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from gslib.experiment import plan, table2, weights
from gslib.experiment.records import Records
from gslib.experiment.run import budget_name, run_stages


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gslib", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    keep = commands.add_parser(
        "keep", help="keep the small trained weights of a cell beside the records"
    )
    keep.add_argument("cell", help="such as vae-categorical-gumbel_softmax")
    keep.add_argument(
        "--results", type=Path, default=Path("results/table1"), help="folder of the records"
    )
    keep.add_argument(
        "--checkpoints",
        type=Path,
        help="folder of saved states (default: in the user's cache folder)",
    )
    run = commands.add_parser("run", help="train, evaluate and record")
    run.add_argument(
        "target",
        help=f"{', '.join(plan.TARGETS)}, a row (vae-categorical) or a cell (vae-categorical-sf)",
    )
    run.add_argument(
        "--budget", choices=plan.BUDGETS, default=os.environ.get("GSLIB_BUDGET", "smoke")
    )
    run.add_argument(
        "--estimator", action="append", help="only this one; may be given several times"
    )
    run.add_argument("--steps", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument("--seeds", type=positive, help="of the final runs, instead of the budget's")
    run.add_argument(
        "--jobs",
        type=positive,
        default=os.cpu_count() or 1,
        help="processes (default: one per core)",
    )
    run.add_argument("--device", choices=("cpu", "cuda"), help="default: CUDA where there is one")
    run.add_argument(
        "--results",
        type=Path,
        help="folder for the records (default: results/TABLE, for smoke _build/smoke)",
    )
    run.add_argument(
        "--checkpoints",
        type=Path,
        help="folder for saved states (default: in the user's cache folder)",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan and its predicted time, train nothing",
    )
    options = parser.parse_args(arguments)
    if options.command == "keep":
        try:
            print(
                weights.keep(
                    options.cell, Records(options.results), checkpoints=options.checkpoints
                )
            )
        except (ValueError, FileNotFoundError) as error:
            parser.error(str(error))
        return 0

    changes = {
        k: v for k, v in (("steps", options.steps), ("seeds", options.seeds)) if v is not None
    }
    try:
        if options.budget not in plan.BUDGETS:  # argparse takes a default as it is
            budget_name()
        names = plan.cells(options.target, options.estimator)
    except ValueError as error:
        parser.error(str(error))
    target = plan.TARGETS.get(options.target, plan.TARGETS["table1"])
    budget = replace(target.budgets[options.budget], **changes)
    folder = options.results or Path(
        "_build/smoke" if options.budget == "smoke" else f"results/{target.folder}"
    )
    if target.part is None:
        return measure(names, budget, folder, options)
    parts = [target.part(name, budget, Records(folder.parent / "table1")) for name in names]
    if options.dry_run:
        return print_plan(parts, budget, options)
    run_stages(
        [part.stages for part in parts],
        Records(folder),
        budget.scale,
        jobs=options.jobs,
        device=options.device,
        checkpoints=options.checkpoints,
        total=sum(part.steps for part in parts),
    )
    print(f"records are in {folder}")
    return 0


def measure(names: list[str], budget: table2.Budget, folder: Path, options) -> int:
    """Figure 5a: nothing is trained to the end, steps are timed."""
    if options.steps or options.seeds:
        print("figure5a has neither --steps nor --seeds; leave them out", file=sys.stderr)
        return 2
    if options.dry_run:
        seconds = len(names) * budget.repeats * 2 * budget.seconds
        print(
            f"{len(names)} numbers of classes, {budget.repeats} repeats, two methods: at least {seconds / 60:.0f} minutes"
            " on an otherwise idle machine"
        )
        return 0
    table2.measure_speed(Records(folder), budget, device=options.device)
    print(f"records are in {folder}")
    return 0


def positive(text: str) -> int:
    """A count from the command line."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def print_plan(parts: list[plan.Part], budget: plan.Budget, options) -> int:
    search = (
        " -> ".join(f"{s:,} steps, keep {k}" for s, k in budget.rungs)
        or "none, every run is trained to the end"
    )
    print(f"{len(parts)} cells, budget {options.budget}\nsearch of rate and schedule: {search}")
    print(f"final: {budget.seeds} seed(s) at {budget.steps:,} steps")
    for part in parts:
        print(f"  {part.cell}: {' + '.join(map(str, part.counts))} runs, {part.steps:,} steps")
    minutes = plan.predicted_seconds(parts, budget.scale, options.jobs) / 60
    time = f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
    runs, steps = sum(sum(part.counts) for part in parts), sum(part.steps for part in parts)
    print(f"{runs} runs, {steps:,} steps; about {time} with {options.jobs} processes here")
    runs, steps = (sum(part.beyond[i] for part in parts) for i in (0, 1))
    if runs:
        print(
            f"where the largest rate wins, {plan.BEYOND:g} is tried, too: at most {runs} runs and {steps:,} steps more"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
