"""Which recorded runs stand for a setting, one a seed, and what they say together."""

from __future__ import annotations

import json
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from gsbook.intervals import UNKNOWN, Interval, interval, welch

Name = TypeVar("Name", bound=Hashable)
FREE = ("seed", "lr", "eval_every")  # in what runs of a comparison may always differ


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
        ended = {s: run["test"] for s, run in self.runs.items() if run.get("diverged") is None}
        return {seed: test[name] for seed, test in ended.items() if test.get(name) is not None}

    def curve(self, name: str = "test") -> tuple[list[int], list[list[float]]]:
        """(steps, values [seeds, steps]) of a learning curve: the steps that all runs have, NaN
        where a run had diverged. Raises KeyError where a run lacks the curve."""
        curves = [run["curve"] for run in self.runs.values()]
        if lacking := [seed for seed, run in self.runs.items() if not run["curve"].get(name)]:
            raise KeyError(f"no curve {name!r} of seed {lacking[0]}, but {', '.join(curves[0])}")
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

    @property
    def diverged(self) -> int:
        return sum(run["diverged"] is not None for run in self.runs.values())

    @property
    def mark(self) -> str:
        """What is said behind a method's name where a mean is not of all seeds: nothing if none
        diverged.

        >>> one, other = {"diverged": None}, {"diverged": 70}
        >>> Runs({0: one, 1: other, 2: one}).mark, Runs({0: one}).mark
        (' (2 of 3 seeds)', '')
        """
        count = len(self.runs)
        return f" ({count - self.diverged} of {count} seeds)" if self.diverged else ""

    def mean(self, name: str) -> Interval:
        """A test figure with its 95 % interval over seeds; unknown where every run diverged. Raises
        KeyError for a figure that no run has."""
        if not any(name in run["test"] for run in self.runs.values()):
            there = ", ".join(next(iter(self.runs.values()))["test"])
            raise KeyError(f"no test figure {name!r}, but {there}")
        values = list(self.figure(name).values())
        return interval(values) if values else UNKNOWN


def at_one_scale(
    found: Mapping[Name, Iterable[dict]],
    config: Callable[..., Any],
    score: Callable[[dict], float | None],
    own: Collection[str] = (),
) -> dict[Name, Runs]:
    """What stands for each method of a comparison, all at one scale: one number of steps, judged on
    one set of data, with equal configs but for what is a method's own. It is the scale at which
    most methods have several seeds, of several such scales that with most steps. Of a method's
    learning rates there those with most seeds stand, of these those of which fewest diverged, of
    these the best on validation.

    found: method -> its finished runs. config: the class of their configs. score: what validation
    says of a run, lower is better. own: the fields of a config that make a method.

    >>> from gsbook.experiments.reading.config import Reading
    >>> at_one_scale({"st": []}, Reading, lambda run: run["valid"]["nll"], ["method"])
    {}
    """
    scales: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for name, runs in found.items():
        for run in runs:
            made = config(**run["config"])  # fields that are younger than the run: their defaults
            shared = {k: v for k, v in made.to_dict().items() if k not in (*own, *FREE)}
            scale = made.steps, json.dumps([shared, judged_on(run)], sort_keys=True)
            scales[scale][name][made.lr][made.seed] = run
    if not scales:
        return {}

    def covered(scale):
        methods = [max(map(len, rates.values())) for rates in scales[scale].values()]
        several = sum(seeds > 1 for seeds in methods)
        return several, 0 if several else len(methods), scale

    def behind(runs):
        scores = [score(run) for run in runs.values() if run["diverged"] is None]
        return -len(runs), len(runs) - len(scores), fmean(scores) if scores else math.inf

    chosen = scales[max(scales, key=covered)]
    first = {name: min(chosen[name].values(), key=behind) for name in found if name in chosen}
    return {name: Runs(dict(sorted(runs.items()))) for name, runs in first.items()}


def judged_on(run: dict) -> list:
    """On what a run was judged: how large the evaluation was, the source of data and its hashes."""
    return [run["evaluation"], run["data"]["source"], run["data"]["sha256"]]


def difference(one: Runs, other: Runs, name: str) -> Interval:
    """How much higher a test figure of the first is, with Welch's interval; unknown where every
    seed of one of them diverged.

    >>> runs = Runs({s: {"diverged": None, "test": {"nll": 0.5}} for s in range(2)})
    >>> difference(runs, runs, "nll").mean
    0.0
    """
    sides = [list(side.figure(name).values()) for side in (one, other)]
    with warnings.catch_warnings():
        # scipy warns, on the page, of a side whose seeds are all equal.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return welch(*sides) if all(sides) else UNKNOWN


def best(
    found: Mapping[Name, Runs], names: Iterable[Name], figure: str, lower: bool = True
) -> Name | None:
    """The method among these names that is best by a validation figure: a difference of two that
    were chosen by their test figures would flatter both. One of which no seed diverged goes before
    others. None where none has runs.

    lower: whether less is better.
    """

    def behind(name):
        runs = found[name]
        ended = [run["valid"][figure] for run in runs.runs.values() if run["diverged"] is None]
        return runs.diverged, (1 if lower else -1) * fmean(ended) if ended else math.inf

    return min((name for name in names if name in found), key=behind, default=None)


def ranked(found: Mapping[Name, Runs], figure: str, lower: bool = True) -> list[Name]:
    """The methods by the mean of a test figure, best first; those without a seed that ended last.

    lower: whether less is better.
    """
    means = {name: (1 if lower else -1) * runs.mean(figure).mean for name, runs in found.items()}
    return sorted(means, key=lambda name: (math.isnan(means[name]), means[name]))
