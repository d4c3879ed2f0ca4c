"""Which recorded runs of the team of poles stand for a method, and tables of them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from gsbook.experiments.poles import record
from gsbook.experiments.poles.config import METHODS
from gsbook.intervals import Interval, interval, welch
from gsbook.places import results_folder
from gsbook.records import Records

LABELS = {name: method.label for name, method in METHODS.items()}


def results() -> Records:
    """The book's records of the team.

    >>> results().folder.name
    'poles'
    """
    return record.records(results_folder() / "poles")


@dataclass(frozen=True)
class TeamRuns:
    """What stands for a method in one world and at one size of team: its final runs by seed, at the
    learning rate that was chosen.

    >>> TeamRuns(0.3, 40, {0: {"test": {"score": 480.0}}}).figure("score")
    {0: 480.0}
    """

    lr: float
    steps: int
    runs: dict[int, dict]

    def figure(self, name: str) -> dict[int, float]:
        """A figure of gymnasium's by seed, in steps of 500: "score", "greedy" or "team"."""
        return {seed: run["test"][name] for seed, run in self.runs.items()}

    def curve(self, name: str = "score") -> tuple[list[int], list[list[float]]]:
        """(updates, a figure at each of them by seed) of the learning curves."""
        found = [run["curve"] for run in self.runs.values()]
        return found[0]["step"], [curve[name] for curve in found]

    @property
    def seconds(self) -> float:
        """Of one run, on the machine that made it, with five runs side by side."""
        return sum(60 * run["minutes"] for run in self.runs.values()) / len(self.runs)


def team_runs(records: Records, world: str, method: str, poles: int) -> TeamRuns | None:
    """The longest runs that have most seeds, at the rate with the lower cost in the world that they
    were trained in; None where there are none.

    >>> team_runs(Records("none"), "equations", "st", 16) is None
    True
    """
    groups: dict = defaultdict(dict)
    for run in records.runs_of(f"{world}-{method}").values():
        config = run["config"]
        if run["test"] and config["poles"] == poles:
            groups[config["steps"], config["lr"]][config["seed"]] = run

    def rank(item):
        (steps, _), runs = item
        costs = [run["valid"]["mean_cost"] for run in runs.values()]
        worst = math.inf if None in costs else fmean(costs)
        return len(runs) > 1, steps, len(runs), -worst

    (steps, lr), runs = max(groups.items(), key=rank, default=((0, 0.0), {}))
    return TeamRuns(lr, steps, dict(sorted(runs.items()))) if runs else None


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
        return Interval(math.nan, -math.inf, math.inf, 0)
    one, two = (list(side.figure("score").values()) for side in sides if side)
    return welch(one, two)
