"""Which recorded runs stand for a cell of Table 1, and at which number of steps rows are shown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from statistics import fmean

from gsbook.claims import paper
from gsbook.experiments.table1 import record
from gsbook.experiments.table1.config import COLUMNS, LEARNING_RATES, Config
from gsbook.experiments.table1.evaluate import SAMPLES
from gsbook.experiments.table1.plan import again
from gsbook.places import command, results_folder
from gsbook.records import Records
from gsbook.seeds import BySeed
from gsbook.verdicts import Assessment, assess, order_verdict

# What the search, the seeds and the protocol of an edition may change: results/table1 holds what
# its plans asked for. A run that differs elsewhere prices a choice and is no run of the table.
SEARCHED = (
    "model",
    "node",
    "estimator",
    "lr",
    "seed",
    "steps",
    "eval_every",
    "anneal_rate",
    "normalise",
    "centre",
    "slope_form",
    "slope_max",
)
# Of these, what reads a formula that the paper leaves to its citations.
READING = ("normalise", "centre", "slope_form", "slope_max")
STANDARD = {f.name: f.default for f in fields(Config) if f.name not in SEARCHED}
SOURCE = "larochelle-murray"
# Rows that were made longer after their verdicts had been seen: row -> the later number of steps.
# It is said wherever that length is shown (the protocol promises it).
EXTENDED = {"vae-categorical": 200_000}


@dataclass(frozen=True)
class Cell(BySeed):
    """What stands for a cell at one scale: its final runs by seed, at the learning rate and
    schedule that validation chose.

    runs: seed -> record; runs that diverged are counted but left out of `values`.

    >>> runs = {0: {"test": {"nll": 110.5}}, 1: {"test": {"nll": None}}}
    >>> cell = Cell("vae-bernoulli-st", 100_000, runs)
    >>> cell.values, cell.diverged
    ({0: 110.5}, 1)
    """

    name: str
    steps: int
    runs: dict[int, dict]

    @property
    def values(self) -> dict[int, float]:
        """The test figure of the cell in nats, by seed."""
        return self.figure("nll")

    @property
    def diverged(self) -> int:
        return len(self.runs) - len(self.values)


def results(folder: str = "table1") -> Records:
    """The book's records of Table 1, or with "choices" those that price choices.

    >>> results().folder.name
    'table1'
    """
    return record.records(results_folder() / folder)


def final(run: dict, rates: tuple[float, ...] = LEARNING_RATES) -> bool:
    """Whether a record is a finished run of the paper's protocol, evaluated on all test images.

    rates: the learning rates that count, by default the paper's list.

    >>> run = next(iter(results().runs_of("sbn-bernoulli-st").values()))
    >>> final(run | {"test": None})
    False
    """
    evaluation = run["evaluation"]
    return (
        run["test"] is not None
        and run["data"]["source"] == SOURCE
        and evaluation["images"] is None
        and evaluation["samples"] == SAMPLES
        and run["config"]["lr"] in rates
        and standard(run["config"])
    )


def standard(config: dict) -> bool:
    """Whether a run made the book's choice wherever the paper is silent.

    >>> config = Config("vae", "categorical", "gumbel_softmax", lr=1e-3).to_dict()
    >>> standard(config), standard(config | {"kl": "sampled"})
    (True, False)
    """
    return all(config.get(name, default) == default for name, default in STANDARD.items())


def reading(config: dict) -> tuple:
    """How a run reads what the paper leaves to its citations. Categories keep their softmax in both
    forms of the slope, so there is one of them.

    >>> reading(Config("vae", "bernoulli", "muprop", lr=1e-3, centre=True).to_dict())
    ('all', True, 'hard', 5.0)
    >>> reading(Config("vae", "categorical", "annealed_st", lr=1e-3, slope_form="soft").to_dict())
    ('all', False, 'hard', 5.0)
    """
    whole = Config(**config)
    if whole.node == "categorical":
        whole = replace(whole, slope_form="hard")
    return tuple(getattr(whole, name) for name in READING)


def by_steps(
    records: Records, name: str, rates: tuple[float, ...] = LEARNING_RATES
) -> dict[int, Cell]:
    """The cell at every number of steps that has final runs.

    rates: as in `final`; others than the paper's stay out of its table and are shown apart.

    >>> 100_000 in by_steps(results(), "sbn-bernoulli-st")
    True
    """
    groups = defaultdict(lambda: defaultdict(dict))
    for run in records.runs_of(name).values():
        if final(run, rates):
            config = Config(**run["config"])  # fields that are younger than the run: their defaults
            settings = replace(config, seed=0, steps=1, eval_every=1)
            groups[config.steps][settings][config.seed] = run
    return {
        steps: Cell(name, steps, _chosen(list(found.values()))) for steps, found in groups.items()
    }


def _chosen(groups: list[dict[int, dict]]) -> dict[int, dict]:
    """Of several learning rates and schedules that ran to the end, the best on validation among
    those with most seeds."""

    def score(group):
        bounds = [run["valid_bound"] for run in group.values()]
        return float("inf") if None in bounds else fmean(bounds)

    most = max(map(len, groups))
    return min((g for g in groups if len(g) == most), key=score)


def scale_of(records: Records, rows: Iterable[str]) -> int | None:
    """The number of steps at which some rows are shown and compared, all at the same one.

    The one at which most of their cells have final runs; of several, one at which each of these
    cells has two seeds or more, if there is one, and then the largest. None without a final run.

    >>> scale_of(results(), ["sbn-bernoulli", "vae-categorical"]) >= 100_000
    True
    """
    return largest_scale(
        by_steps(records, f"{name}-{estimator}") for name in rows for estimator in COLUMNS
    )


def largest_scale(cells: Iterable[dict[int, Cell]]) -> int | None:
    """`scale_of`, from what `by_steps` has found for each of the cells.

    >>> largest_scale([]) is None
    True
    """
    found = defaultdict(list)
    for by_number in cells:
        for steps, cell in by_number.items():
            found[steps].append(len(cell.runs))

    def rank(steps):
        return len(found[steps]), min(found[steps]) > 1, steps

    return max(found, key=rank, default=None)


def row(
    records: Records, name: str, steps: int | None = None
) -> tuple[int | None, dict[str, Cell]]:
    """(steps, estimator -> cell) of a row such as "vae-categorical", all at one number of steps.

    steps: by default `scale_of` this row alone. No cells where none is finished.

    >>> steps, cells = row(results(), "sbn-bernoulli")
    >>> steps == cells["st"].steps
    True
    """
    steps = steps or scale_of(records, [name])
    found = {estimator: by_steps(records, f"{name}-{estimator}") for estimator in COLUMNS}
    return steps, {estimator: cells[steps] for estimator, cells in found.items() if steps in cells}


def ahead_of(cells: dict[str, Cell], name: str) -> list[str]:
    """The estimators of a row whose test figure is lower than that of `name` by more than the seeds
    scatter: those for which the claim that they beat it holds.

    >>> ahead_of(row(results(), "sbn-bernoulli")[1], "gumbel_softmax")
    []
    """
    losses = {other: list(cell.values.values()) for other, cell in cells.items()}
    own = losses.pop(name, [])
    ran = {other: values for other, values in losses.items() if own and values}
    return [other for other, values in ran.items() if order_verdict(values, own) == "holds"]


def assess_cell(cell: Cell | None, number: float) -> Assessment:
    """A cell beside the paper's number in nats; None: it has no final run.

    >>> assess_cell(None, 110.9).verdict
    'not run yet'
    """
    if cell is None:
        return assess([], number)
    return assess(cell.values.values(), number, diverged=cell.diverged)


def search(records: Records, name: str) -> dict[tuple[float, float], dict]:
    """The search of a cell: (learning rate, anneal rate) -> record, at seed 0 and the steps at
    which most were tried.

    Of two such numbers of steps the smaller one, where no candidate is out of the race yet. Rates
    beyond the paper's list are part of it. Of several readings (`READING`) it is the one of the
    longest final runs.

    >>> min(search(results(), "sbn-bernoulli-st"))
    (1e-05, 0.0)
    """
    groups = defaultdict(dict)
    finals = by_steps(records, name)
    wanted = reading(finals[max(finals)].config) if finals else None
    for run in records.runs_of(name).values():
        config = run["config"]
        same = wanted is None or reading(config) == wanted
        if config["seed"] == 0 and standard(config) and same:
            groups[config["steps"]][config["lr"], config["anneal_rate"]] = run
    return min(groups.items(), key=lambda item: (-len(item[1]), item[0]), default=(None, {}))[1]


def sensitivity(records: Records, name: str) -> dict[float, float]:
    """Learning rate -> the bound on validation in nats that it reached in the search, with the
    better schedule.

    >>> len(sensitivity(results(), "sbn-bernoulli-st")) >= len(LEARNING_RATES)
    True
    """
    found = defaultdict(list)
    for (lr, _), run in search(records, name).items():
        if run["valid_bound"] is not None:  # else it diverged
            found[lr].append(run["valid_bound"])
    return {lr: min(found[lr]) for lr in sorted(found)}


def comparison(records: Records, name: str, steps: int | None = None):
    """A row of Table 1 as a pandas DataFrame, a line per estimator: the paper's number, ours with
    its 95 % interval (mean ± half width), their difference, seeds, diverged runs, the verdict of
    the mean and "by interval" that of the whole interval; "not run yet" where no runs are, and
    "diverged" where all of them did.

    >>> comparison(Records("none"), "vae-bernoulli").loc["sf", "verdict"]
    'not run yet'
    """
    import pandas as pd

    _, cells = row(records, name, steps)
    lines = {}
    for estimator, number in paper(name).items():
        found = assess_cell(cells.get(estimator), number)
        ours = found.ours
        lines[estimator] = {
            "paper": number,
            "ours": ours.mean if ours else math.nan,
            "±": ours.half_width if ours else math.nan,
            "difference": ours.mean - number if ours else math.nan,
            "seeds": ours.n if ours else 0,
            "diverged": found.diverged,
            "verdict": found.verdict,
            "by interval": found.equivalence,
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def scale(records: Records, name: str) -> str:
    """Lines on a row of Table 1: how many cells have final runs, at what scale, and what would run
    the others.

    >>> print(scale(Records("none"), "vae-bernoulli"))
    vae-bernoulli: not run yet, to be run by
        python -m gsbook run vae-bernoulli --budget laptop
    """
    steps, cells = row(records, name)
    if not cells:
        return f"{name}: not run yet, to be run by\n    {command(name)}"
    seeds = " or ".join(map(str, sorted({len(cell.runs) for cell in cells.values()})))
    lines = [f"{name}: {len(cells)} of {len(COLUMNS)} cells, {steps:,} steps, seeds: {seeds}"]
    if steps == EXTENDED.get(name):
        lines.append("made longer after its verdicts at 100,000 had been seen")
    missing = [f"{name}-{estimator}" for estimator in COLUMNS if estimator not in cells]
    if missing:  # finished runs of a row are not run again
        target = name if len(missing) > 1 else missing[0]
        lines.append(f"{len(missing)} not run yet, to be run by\n    {again(target, steps)}")
    if stale := stale_runs(records, cells):
        lines.append(f"{stale} runs of older code, to be run again by\n    {again(name, steps)}")
    return "\n    ".join(lines)


def stale_runs(records: Records, cells: dict[str, Cell]) -> int:
    """How many of the runs that stand for cells the present code would not give again."""
    if records.modules is None:
        return 0
    runs = [run for cell in cells.values() for run in cell.runs.values()]
    return sum(not records.is_current(run) for run in runs)
