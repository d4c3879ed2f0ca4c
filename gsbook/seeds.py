"""Which recorded runs stand for a setting, one a seed, and what they say together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from gsbook.intervals import UNKNOWN, Interval, interval


class BySeed:
    """Finished runs by seed, that differ in nothing else: seed -> record."""

    runs: dict[int, dict]

    @property
    def config(self) -> dict:
        """The config that the runs share, but for the seed."""
        return next(iter(self.runs.values()))["config"]

    @property
    def lr(self) -> float:
        return self.config["lr"]

    def figure(self, name: str) -> dict[int, float]:
        """A test figure by seed; runs that diverged are left out."""
        found = {seed: run["test"].get(name) for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def curve(self, name: str = "test") -> tuple[list[int], list[list[float]]]:
        """(steps, values [seeds, steps]) of a learning curve: the steps that all runs have, NaN
        where a run had diverged."""
        curves = [run["curve"] for run in self.runs.values()]
        steps = sorted(set.intersection(*(set(c["step"]) for c in curves)))
        by_step = [dict(zip(c["step"], c[name], strict=True)) for c in curves]
        return steps, [[math.nan if c[s] is None else c[s] for s in steps] for c in by_step]


@dataclass(frozen=True)
class Runs(BySeed):
    """What stands for a setting.

    >>> Runs({0: {"config": {"lr": 2e-3, "steps": 100}, "test": {"nll": 0.5}}}).figure("nll")
    {0: 0.5}
    """

    runs: dict[int, dict]

    @property
    def steps(self) -> int:
        return self.config["steps"]

    def on_validation(self, name: str) -> float:
        """The mean of a validation figure, by which methods are chosen: a difference of two that
        were chosen by their test figures would flatter both."""
        return fmean(run["valid"][name] for run in self.runs.values())

    def mean(self, name: str) -> Interval:
        """A test figure with its 95 % interval over seeds; unknown where every run diverged."""
        values = list(self.figure(name).values())
        return interval(values) if values else UNKNOWN


def longest(
    found: Iterable[dict], score: Callable[[dict[int, dict]], float] | None = None
) -> Runs | None:
    """The runs that stand for a method of which several rates and lengths were recorded: those
    with more than one seed, of these the longest, of these those with most seeds, of these those
    of the lowest `score`; None where there is no run.

    score: of runs by seed, lower is better; by default the first group in the records.

    >>> one = {"config": {"lr": 1e-3, "steps": 100, "seed": 0}}
    >>> two = {"config": {"lr": 1e-3, "steps": 200, "seed": 0}}
    >>> longest([one, two]).steps, longest([])
    (200, None)
    """
    groups: dict[tuple, dict[int, dict]] = defaultdict(dict)
    for run in found:
        config = run["config"]
        groups[config["steps"], config["lr"]][config["seed"]] = run

    def rank(item):
        (steps, _), runs = item
        return len(runs) > 1, steps, len(runs), -score(runs) if score else 0

    if not groups:
        return None
    _, runs = max(groups.items(), key=rank)
    return Runs(dict(sorted(runs.items())))
