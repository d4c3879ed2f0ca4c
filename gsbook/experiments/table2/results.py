"""Which recorded runs stand for a method of Table 2."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, replace

from gsbook.claims import stated
from gsbook.experiments.table2 import record
from gsbook.experiments.table2.config import METHODS, FewLabels
from gsbook.experiments.table2.plan import CHANGES
from gsbook.intervals import interval
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.verdicts import accuracy_verdict, assess, bound_verdict


def results() -> Records:
    """The book's records of Table 2.

    >>> results().folder.name
    'table2'
    """
    return record.records(results_folder() / "table2")


@dataclass(frozen=True)
class MethodRuns:
    """What stands for a method in Table 2: its final runs by seed, at the settings that validation
    chose, alpha among them.

    >>> MethodRuns("supervised", 1.0, 100, {0: {"test": {"accuracy": 71.5}}}).figure("accuracy")
    {0: 71.5}
    """

    method: str
    alpha: float
    steps: int
    runs: dict[int, dict]
    change: str = "not tried"  # what else validation chose to change: a name of `CHANGES`

    def figure(self, name: str) -> dict[int, float]:
        """A test figure by seed: "elbo" or "single" in nats, "accuracy" in per cent."""
        found = {seed: run["test"][name] for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}


def method_runs(records: Records, method: str) -> MethodRuns | None:
    """The longest runs that have most seeds, at the settings that are best on validation; None
    where there are none.

    Runs on the embedded digits or with part of the images are none of the table's.

    >>> method_runs(Records("none"), "gumbel_softmax") is None
    True
    """
    groups = defaultdict(dict)
    for run in records.runs_of(method).values():
        if run["test"] and run["data"]["source"] == "mnist" and run["data"]["images"] is None:
            config = FewLabels(**run["config"])  # fields younger than the run: their defaults
            groups[replace(config, seed=0)][config.seed] = run

    def rank(item):
        settings, runs = item
        return (
            len(runs) > 1,
            settings.steps,
            len(runs),
            statistics.fmean(r["valid"]["accuracy"] for r in runs.values()),
        )

    if not groups:
        return None
    settings, runs = max(groups.items(), key=rank)
    tried = {_change(one) for one in groups if one.steps == settings.steps}
    change = _change(settings) if len(tried) > 1 else MethodRuns.change
    return MethodRuns(method, settings.alpha, settings.steps, dict(sorted(runs.items())), change)


def _change(config: FewLabels) -> str:
    """The name of the most that a config changes."""
    found = (
        name
        for name, change in CHANGES.items()
        if all(getattr(config, field) == value for field, value in change.items())
    )
    return max(found, key=lambda name: len(CHANGES[name]))


FIGURES = {"elbo": ("ELBO", bound_verdict), "accuracy": ("accuracy", accuracy_verdict)}


def comparison(records: Records):
    """Table 2 as a pandas DataFrame, a line per method: the paper's numbers, ours with 95 %
    intervals, and the verdicts of the mean and of the whole interval.

    >>> comparison(Records("none")).loc["gumbel_softmax", "verdict accuracy"]
    'not run yet'
    """
    import pandas as pd

    paper, lines = stated()["table2"]["rows"], {}
    for method in METHODS:
        chosen, line = method_runs(records, method), {}
        for name, (title, rule) in FIGURES.items():
            values = list(chosen.figure(name).values()) if chosen else []
            number = paper.get(method, {}).get(name)
            ours = interval(values) if values else None
            line[f"paper {title}"] = math.nan if number is None else number
            line["ours ELBO" if name == "elbo" else "accuracy"] = ours.mean if ours else math.nan
            line[f"± {title}"] = ours.half_width if ours else math.nan
            found = None if number is None else assess(values, number, rule)
            line[f"verdict {title}"] = found.verdict if found else ""
            line[f"by interval {title}"] = found.equivalence if found else ""
        lines[method] = line | {
            "alpha": chosen.alpha if chosen else math.nan,
            "changed": chosen.change if chosen else "",
            "steps": chosen.steps if chosen else 0,
            "seeds": len(chosen.runs) if chosen else 0,
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def alphas(records: Records, method: str):
    """The search of a method as a DataFrame by alpha: "valid accuracy", "test accuracy", "elbo"
    (test), at seed 0 and the fewest steps at which most were tried (attrs["steps"]).

    >>> alphas(Records("none"), "gumbel_softmax").attrs["steps"]
    0
    """
    import pandas as pd

    groups = defaultdict(dict)
    for run in records.runs_of(method).values():
        if run["config"]["seed"] == 0 and run["test"]:
            groups[run["config"]["steps"]][run["config"]["alpha"]] = run
    steps, runs = min(groups.items(), key=lambda item: (-len(item[1]), item[0]), default=(0, {}))
    frame = pd.DataFrame(
        {
            alpha: {
                "valid accuracy": runs[alpha]["valid"]["accuracy"],
                "elbo": runs[alpha]["test"]["elbo"],
                "test accuracy": runs[alpha]["test"]["accuracy"],
            }
            for alpha in sorted(runs)
        }
    ).T
    frame.attrs["steps"] = steps
    return frame
