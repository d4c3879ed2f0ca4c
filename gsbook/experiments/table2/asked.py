"""What may cost ST Gumbel-Softmax its accuracy: the runs of `causes`, beside those of Table 2 that
change nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from gsbook.experiments.table2 import plan, record
from gsbook.experiments.table2.causes import ALPHAS, CAUSES
from gsbook.experiments.table2.config import FewLabels
from gsbook.intervals import Interval, interval, welch
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.verdicts import CLOSE_POINTS, NOT_RUN

NOTHING = next(iter(CAUSES))  # the runs of the table
ONE_SEED = "one seed, no interval"


@dataclass(frozen=True)
class Answer:
    """One change at one alpha: its runs by seed, and those that differ in the change alone.

    >>> a, b = ({0: {"test": {"accuracy": percent}}} for percent in (85.0, 82.5))
    >>> Answer("the rate never falls", 0.8, a, b).gains
    [2.5]
    """

    cause: str  # what the change takes away
    alpha: float
    runs: dict[int, dict]
    without: dict[int, dict]

    @property
    def pairs(self) -> list[int]:
        """The seeds, and so the hundred labels, with and without the change."""
        return [seed for seed in self.runs if seed in self.without]

    @property
    def accuracy(self) -> list[float]:
        """On the test images in per cent, of the pairs; of all seeds where there is none."""
        return [self.runs[seed]["test"]["accuracy"] for seed in self.pairs or self.runs]

    @property
    def gains(self) -> list[float]:
        """What the change adds in percentage points: pairs of one seed, and so of one hundred
        labels."""
        return [
            round(self.runs[seed]["test"]["accuracy"] - self.without[seed]["test"]["accuracy"], 6)
            for seed in self.pairs
        ]

    @property
    def verdict(self) -> str:
        """Whether the cause is one, by the 95 % interval of the gains: "a cause" above 0,
        "excluded" below the point that counts as close, else undecided."""
        if len(self.gains) < 2:
            return ONE_SEED if self.gains else NOT_RUN
        gain = interval(self.gains)
        if gain.low > 0:
            return "a cause"
        return "excluded" if gain.high < CLOSE_POINTS else "undecided"


def results() -> tuple[Records, Records]:
    """The book's records that ask for a cause: those made for it, and those of Table 2."""
    return tuple(record.records(results_folder() / name) for name in ("causes", "table2"))


def answers(records: Iterable[Records], method: str) -> tuple[int, list[Answer]]:
    """(steps, every change at both values of alpha), those without runs included: at the number of
    steps that most of them have, then most runs, then the larger. 0 steps where nothing has run.

    >>> steps, found = answers([Records("none")], "st_gumbel_softmax")
    >>> steps, len(found), found[0].verdict
    (0, 9, 'not run yet')
    """
    found: dict = defaultdict(lambda: defaultdict(dict))
    for run in (run for one in records for run in one.runs_of(method).values()):
        config = FewLabels(**run["config"])  # fields younger than the run: their defaults
        whole = run["data"]["source"] == "mnist" and run["data"]["images"] is None
        if whole and run["test"] and config.alpha in ALPHAS:
            for cause in CAUSES:
                if _same(config, _changed(method, config.steps, cause)):
                    found[config.steps][cause, config.alpha].setdefault(config.seed, run)

    def rank(steps):
        return len(found[steps]), sum(map(len, found[steps].values())), steps

    steps = max(found, key=rank, default=0)
    ran = found[steps] if steps else {}
    asked = [
        Answer(cause, alpha, ran.get((cause, alpha), {}), ran.get((NOTHING, alpha), {}))
        for cause in list(CAUSES)[1:]
        for alpha in ALPHAS
    ]
    low, high = (ran.get((NOTHING, alpha), {}) for alpha in ALPHAS)
    return steps, [Answer("alpha is on the other scale", ALPHAS[0], low, high), *asked]


def unchanged(records: Iterable[Records], method: str, alpha: float) -> dict[int, dict]:
    """A method's runs by seed in which nothing is changed, at one alpha.

    >>> unchanged([Records("none")], "st_gumbel_softmax", ALPHAS[0])
    {}
    """
    found = answers(records, method)[1]
    own = (one.without for one in found if one.cause in CAUSES and one.alpha == alpha)
    return next(own, {})


def _changed(method: str, steps: int, cause: str) -> FewLabels:
    first = plan.first(method, replace(plan.BUDGETS["laptop"], steps=steps))
    return replace(first, **CAUSES[cause])


def _same(config: FewLabels, other: FewLabels) -> bool:
    """Whether two runs differ in seed, alpha and how often they are looked at alone."""
    free = dict(seed=0, alpha=1.0, eval_every=1)
    return replace(config, **free) == replace(other, **free)


def table(found: Sequence[Answer]):
    """The changes that have run as a pandas DataFrame: alpha, pairs, accuracy in per cent, points
    gained with the half width of their 95 % interval, and the verdict.

    >>> list(table([]).columns)[:3]
    ['alpha', 'pairs', 'accuracy']
    """
    import pandas as pd

    columns = ["cause", "alpha", "pairs", "accuracy", "gain", "± gain", "verdict"]
    lines = []
    for one in found:
        if not one.runs:
            continue
        gain = interval(one.gains) if one.gains else None
        spread = gain.half_width if gain and gain.n > 1 else math.nan
        mean = gain.mean if gain else math.nan
        lines.append(
            [
                *(one.cause, f"{one.alpha:g}", len(one.pairs), fmean(one.accuracy)),
                *(mean, spread, one.verdict),
            ]
        )
    return pd.DataFrame(lines, columns=columns).set_index("cause").rename_axis(None)


def sentences(steps: int, found: Sequence[Answer]) -> list[str]:
    """What the answers say, a line each: how many have run, which causes are, and which are not."""
    ran = [one for one in found if one.gains]
    said = [f"{len(ran)} of {len(found)} changes have a pair of runs, of {steps:,} steps"]
    for verdict in ("a cause", "excluded", "undecided", ONE_SEED, NOT_RUN):
        own: dict[str, list[str]] = defaultdict(list)
        for one in found:
            if one.verdict == verdict:
                own[one.cause].append(f"{one.alpha:g}")
        if own:
            named = (f"{cause} (alpha {' and '.join(alphas)})" for cause, alphas in own.items())
            said.append(f"{verdict}: {'; '.join(named)}")
    return said


# --- within a run


def last_half(run: dict) -> list[float]:
    """The accuracies on validation in per cent, at the points of the last half of a run.

    >>> last_half({"curve": {"step": [1, 2, 3, 4], "accuracy": [50.0, 70.0, 80.0, None]}})
    [70.0, 80.0]
    """
    curve = run["curve"]
    points = zip(curve["step"], curve["accuracy"], strict=True)
    half = curve["step"][-1] / 2 if curve["step"] else 0
    return [value for step, value in points if step >= half and value is not None]


def scatter(runs: dict[str, dict[int, dict]]):
    """How much the accuracy moves within a run, as a pandas DataFrame by method, means over seeds
    in per cent: at the last point of the curve, the mean and the best of the last half, and the
    standard deviation of its points.

    runs: method -> seed -> record; methods whose curves have no two points there are left out.

    >>> list(scatter({}).columns)
    ['last', 'mean', 'best', 'scatter']
    """
    import pandas as pd

    lines = {}
    for method, by_seed in runs.items():
        halves = [half for half in map(last_half, by_seed.values()) if len(half) > 1]
        if halves:
            lines[method] = [
                fmean(half[-1] for half in halves),
                fmean(map(fmean, halves)),
                fmean(map(max, halves)),
                fmean(map(stdev, halves)),
            ]
    columns = ["last", "mean", "best", "scatter"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns, dtype=float)


def gap(first: dict[int, dict], second: dict[int, dict], average: bool) -> Interval | None:
    """How far the first method's accuracy on validation lies above the second's, in points with
    Welch's interval over seeds: at the last point of the curves, or averaged over their last
    halves. None with less than two seeds on a side.

    >>> gap({}, {}, average=True) is None
    True
    """
    sides = []
    for runs in (first, second):
        halves = [half for half in map(last_half, runs.values()) if half]
        sides.append([fmean(half) if average else half[-1] for half in halves])
    return welch(*sides) if min(map(len, sides)) > 1 else None
