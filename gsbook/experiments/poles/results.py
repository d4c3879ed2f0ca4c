"""Which recorded runs of the team of poles stand for a method, and tables of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import product

from gsbook.experiments.poles import record
from gsbook.experiments.poles.config import METHODS, WORLDS, Team
from gsbook.experiments.poles.plan import score
from gsbook.intervals import Interval
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs, at_one_scale

LABELS = {name: method.label for name, method in METHODS.items()}


def results() -> Records:
    """The book's records of the team.

    >>> results().folder.name
    'poles'
    """
    return record.records(results_folder() / "poles")


def chosen(records: Records) -> dict[tuple[str, str, int], Runs]:
    """(world, method, size of the team) -> what stands for it, all at one scale. Of several rates
    it is the one with the lowest cost in the world that the team was trained in. Test figures are
    gymnasium's, in steps of 500: "score", "greedy" and "team"; the curve is "score".

    >>> chosen(Records("none"))
    {}
    """
    found: dict = defaultdict(list)
    for world, method in product(WORLDS, METHODS):
        for run in records.runs_of(f"{world}-{method}").values():
            if run["test"] is not None:
                found[world, method, run["config"]["poles"]].append(run)
    return at_one_scale(found, Team, score, own=["world", "method", "poles"])


def intervals(
    found: Mapping[tuple[str, str, int], Runs], world: str, figure: str = "score"
) -> dict[str, dict[int, Interval]]:
    """Method -> size of the team -> mean and interval over seeds of a test figure.

    >>> intervals({}, "learned")
    {}
    """
    rows: dict = {method: {} for method in METHODS}
    for (where, method, poles), runs in sorted(found.items()):
        if where == world:
            rows[method][poles] = runs.mean(figure)
    return {method: row for method, row in rows.items() if row}


def table(found: Mapping[tuple[str, str, int], Runs], world: str, figure: str = "score"):
    """Means over seeds as a pandas DataFrame, a line for each method, a column for each size. Where
    seeds diverged, the name of the line says of how many a mean is.

    >>> len(table({}, "equations"))
    0
    """
    import pandas as pd

    means = {}
    for method, row in intervals(found, world, figure).items():
        marks = {poles: found[world, method, poles].mark for poles in row}
        name = LABELS[method] + "".join(f", {n}:{mark}" for n, mark in marks.items() if mark)
        means[name] = {poles: one.mean for poles, one in row.items()}
    frame = pd.DataFrame.from_dict(means, orient="index")
    return frame[sorted(frame.columns)]
