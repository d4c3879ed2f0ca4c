"""What the recorded runs say of each mistake."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean

from gsbook.experiments.mistakes import record
from gsbook.experiments.mistakes.lines import BESIDE, MISTAKES
from gsbook.intervals import Interval, interval
from gsbook.places import results_folder
from gsbook.records import Records


def results() -> Records:
    """The book's records of the mistakes.

    >>> results().folder.name
    'mistakes'
    """
    return record.records(results_folder() / "mistakes")


def runs(records: Records, mistake: str) -> dict[int, dict]:
    """The runs that stand for a mistake, by seed: the longest ones, of those that have most seeds;
    none on the embedded digits.

    >>> runs(Records("none"), "no_kl")
    {}
    """
    groups: dict[int, dict[int, dict]] = defaultdict(dict)
    for run in records.runs_of(mistake).values():
        if run["test"] and run["data"]["source"] == "larochelle-murray":
            groups[run["config"]["steps"]][run["config"]["seed"]] = run
    _, found = max(groups.items(), key=lambda g: (len(g[1]) > 1, g[0]), default=(0, {}))
    return dict(sorted(found.items()))


def price(records: Records, mistake: str, figure: str = "single") -> Interval | None:
    """How much higher a figure on validation is than that of the right code, in nats: the interval
    over the seeds that both have; infinitely wide for one seed, None where there is none.

    >>> price(Records("none"), "no_kl") is None
    True
    """
    mine, right = runs(records, mistake), runs(records, BESIDE.get(mistake, "right"))
    pairs = [
        (mine[seed]["valid"][figure], right[seed]["valid"][figure])
        for seed in mine.keys() & right.keys()
        if mine[seed]["config"]["steps"] == right[seed]["config"]["steps"]
    ]
    gaps = [ours - theirs for ours, theirs in pairs if None not in (ours, theirs)]
    return interval(gaps) if gaps else None


def prices(records: Records):
    """All mistakes that have runs as a pandas DataFrame, a line each: "printed", what their code
    prints on validation images; "loss", of the correct model with their weights; "price" and "±",
    over the right code's loss; the symptoms "kl", "entropy", "classes" and "units"; means over
    "seeds" of so many "steps". NaN where a run diverged.

    >>> len(prices(Records("none")))
    0
    """
    import pandas as pd

    lines = {}
    for mistake in MISTAKES:
        if not (found := runs(records, mistake)):
            continue
        cost = price(records, mistake)
        names = {"printed": "printed", "loss": "single"}
        names |= {name: name for name in ("kl", "entropy", "classes", "units")}
        lines[mistake] = {
            **{name: _mean(found, figure) for name, figure in names.items()},
            "price": cost.mean if cost else math.nan,
            "±": cost.half_width if cost else math.nan,
            "seeds": len(found),
            "steps": next(iter(found.values()))["config"]["steps"],
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def _mean(found: dict[int, dict], figure: str) -> float:
    values = [run["valid"][figure] for run in found.values()]
    return math.nan if None in values else fmean(values)
