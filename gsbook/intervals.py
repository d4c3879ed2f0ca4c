"""Intervals over seeds: what chance alone can do to a mean, to a difference and to a slope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, or another estimate, of n values with its two-sided Student-t interval.

    >>> Interval(mean=2.0, low=1.5, high=2.5, n=3).half_width
    0.5
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return self.high - self.mean


UNKNOWN = Interval(math.nan, -math.inf, math.inf, 0)  # of what has no run


def interval(values, level: float = LEVEL) -> Interval:
    """The t-interval for the mean of independent values, one per seed; infinite for a single one.

    >>> round(interval([1.0, 2.0, 3.0]).half_width, 2)
    2.48
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"interval needs a non-empty list of finite numbers, got {values.tolist()}"
        )
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, got {level}")
    mean, n = float(values.mean()), len(values)
    half = math.inf
    if n > 1:
        half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def welch(first, second, level: float = LEVEL) -> Interval:
    """Welch's interval for the difference of two means, first minus second, whose values are not
    paired and may scatter differently (Welch 1947); infinite where one side has a single value.

    >>> difference = welch([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    >>> round(difference.mean, 2), round(difference.half_width, 2)
    (-4.0, 2.27)
    """
    from scipy.stats import ttest_ind

    sides = interval(first, level), interval(second, level)
    mean, n = sides[0].mean - sides[1].mean, min(side.n for side in sides)
    if n < 2:
        return Interval(mean, -math.inf, math.inf, n)
    if all(side.half_width == 0 for side in sides):  # no scatter at all: 0 / 0 in the formula
        return Interval(mean, mean, mean, n)
    found = ttest_ind(first, second, equal_var=False).confidence_interval(level)
    return Interval(mean, float(found.low), float(found.high), n)


def seed_correlation(by_seed) -> float:
    """Pearson's correlation over seeds, averaged over all pairs of estimators: whether the luck of
    a seed is shared. NaN for less than three common seeds.

    by_seed: for each estimator, seed -> value.

    >>> seed_correlation([{0: 1.0, 1: 2.0, 2: 4.0}, {0: 3.0, 1: 4.0, 2: 6.0}])
    1.0
    """
    by_seed = list(by_seed)
    seeds = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    rows = [[values[s] for s in seeds] for values in by_seed]
    pairs = [(a, b) for a, b in combinations(rows, 2) if np.ptp(a) > 0 and np.ptp(b) > 0]
    if len(seeds) < 3 or not pairs:
        return math.nan
    return round(fmean(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs), 12)


def trend(steps, losses) -> Interval:
    """How fast a learning curve still falls or rises at its end, in nats per 10,000 steps: the
    slope of a line through the points of its last half by least squares, one for each seed, with
    the 95 % interval over the seeds. Negative: it falls.

    steps: [points]; losses: [seeds, points]; gaps are NaN, seeds without three points are left out.

    >>> steps = [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    >>> trend(steps, [[9.0, 8.0, 7.0, 6.0, 5.0, 4.0]] * 2).mean
    -1.0
    """
    from scipy.stats import linregress

    steps, losses = np.asarray(steps, dtype=float), np.atleast_2d(np.asarray(losses, dtype=float))
    if steps.ndim != 1 or losses.ndim != 2 or losses.shape[1] != len(steps):
        shapes = f"{list(steps.shape)} and {list(losses.shape)}"
        raise ValueError(f"trend needs steps [points] and losses [seeds, points], got {shapes}")
    slopes = []
    for curve in losses if len(steps) else ():
        kept = (steps >= steps[-1] / 2) & np.isfinite(curve)
        if kept.sum() > 2:
            slopes.append(1e4 * float(linregress(steps[kept], curve[kept]).slope))
    if not slopes:
        raise ValueError("trend needs three finite points in the last half of a curve, got fewer")
    return interval(np.round(slopes, 12))
