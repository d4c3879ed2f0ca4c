"""Which recorded runs of the team of poles stand for a method, and tables of them."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from statistics import fmean

from gsbook.experiments.poles import record
from gsbook.experiments.poles.config import METHODS
from gsbook.intervals import UNKNOWN, Interval, interval, welch
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs, longest

LABELS = {name: method.label for name, method in METHODS.items()}


def results() -> Records:
    """The book's records of the team.

    >>> results().folder.name
    'poles'
    """
    return record.records(results_folder() / "poles")


def team_runs(records: Records, world: str, method: str, poles: int) -> Runs | None:
    """What stands for a method in one world and at one size of team; None where it has no run. Of
    several rates the one with the lowest cost in the world that the team was trained in. Its test
    figures are gymnasium's, in steps of 500: "score", "greedy" and "team"; its curve is "score".

    >>> team_runs(Records("none"), "equations", "st", 16) is None
    True
    """
    found = (run for run in records.runs_of(f"{world}-{method}").values() if run["test"])
    return longest((run for run in found if run["config"]["poles"] == poles), cost)


def cost(runs: dict[int, dict]) -> float:
    """The mean over seeds of a team's cost on validation; infinite where a seed diverged."""
    costs = [run["valid"]["mean_cost"] for run in runs.values()]
    return math.inf if None in costs else fmean(costs)


def sizes(records: Records, world: str) -> list[int]:
    """The sizes of teams of which there are runs."""
    cells = [f"{world}-{method}" for method in METHODS]
    found = (run for cell in cells for run in records.runs_of(cell).values())
    return sorted({run["config"]["poles"] for run in found if run["test"]})


def intervals(
    records: Records, world: str, figure: str = "score"
) -> dict[str, dict[int, Interval]]:
    """Method -> size of the team -> mean and interval over seeds of a test figure.

    >>> intervals(Records("none"), "learned")
    {}
    """
    found: dict = defaultdict(dict)
    for method in METHODS:
        for poles in sizes(records, world):
            chosen = team_runs(records, world, method, poles)
            if chosen:
                found[method][poles] = interval(list(chosen.figure(figure).values()))
    return dict(found)


def table(records: Records, world: str, figure: str = "score"):
    """Means over seeds as a pandas DataFrame, a line for each method, a column for each size.

    >>> len(table(Records("none"), "equations"))
    0
    """
    import pandas as pd

    means = {
        LABELS[method]: {poles: found.mean for poles, found in row.items()}
        for method, row in intervals(records, world, figure).items()
    }
    frame = pd.DataFrame.from_dict(means, orient="index")
    return frame[sorted(frame.columns)]


def difference(records: Records, world: str, poles: int, first: str, second: str) -> Interval:
    """First minus second method in steps, with Welch's interval over seeds; NaN without runs."""
    sides = [team_runs(records, world, method, poles) for method in (first, second)]
    if not all(sides):
        return UNKNOWN
    one, two = (list(side.figure("score").values()) for side in sides if side)
    with warnings.catch_warnings():
        # scipy warns, on the page, of a side of which every seed stands to the end.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return welch(one, two)
