"""The rules by which a result is called reproduced or not, fixed before any result was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NOT_RUN = "not run yet"
DIVERGED = "diverged"  # in place of a verdict, where no seed came to an end
MARGIN_NATS = 1.0
MARGIN_SHARE = 0.02
LEVEL = 0.95
MARGIN_POINTS = 1.0  # of accuracy, in percentage points
CLOSE_POINTS = 1.0  # accuracies are close within this: narrower than the paper, whose three lie within 1.2 points
SPEED_FACTOR = (
    1.5  # speed depends on the machine: a ratio is reproduced within this factor, either way
)


@dataclass(frozen=True)
class Interval:
    """Mean of n values with its two-sided Student-t interval; infinite for fewer than two values.

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


def interval(values, level: float = LEVEL) -> Interval:
    """The t-interval for the mean of independent values, one per seed.

    >>> round(interval([1.0, 2.0, 3.0]).half_width, 2)
    2.48
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"interval needs a non-empty list of finite numbers, got {values.tolist()}"
        )
    mean, n = float(values.mean()), len(values)
    half = (
        math.inf
        if n < 2
        else float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    )
    return Interval(mean, mean - half, mean + half, n)


def margin_nats(paper: float) -> float:
    """How far from the paper's number in nats still counts as the same: max(1 nat, 2 %).

    >>> margin_nats(30.0), margin_nats(100.0)
    (1.0, 2.0)
    """
    return max(MARGIN_NATS, MARGIN_SHARE * abs(paper))


def cell_verdict(values, paper: float) -> str:
    """ "reproduced", "better", "worse" or "undecided" for a table cell in nats, where lower is better.

    Reproduced: the mean over seeds is within max(1 nat, 2 %) of the paper's number. Better or worse: it is not, and the
    95 % interval over seeds lies beyond that margin altogether. Undecided: anything else.

    >>> cell_verdict([100.1, 100.2, 100.3], paper=101.5), cell_verdict([90.1, 90.2, 90.3], paper=101.5)
    ('reproduced', 'better')
    """
    margin = margin_nats(paper)
    ours = interval(values)
    if abs(ours.mean - paper) <= margin:
        return "reproduced"
    if ours.high < paper - margin:
        return "better"
    if ours.low > paper + margin:
        return "worse"
    return "undecided"


def order_verdict(lower, higher) -> str:
    """ "holds", "contradicted" or "undecided" for the claim that `lower` beats `higher`, paired by seed.

    Decided by the sign of the 95 % interval of the paired difference over the seeds that both have.

    >>> order_verdict([1.0, 2.0, 3.0], [2.0, 3.1, 4.0]), order_verdict([1.0, 2.0, 3.0], [2.0, 1.0, 4.0])
    ('holds', 'undecided')
    """
    if len(lower) != len(higher):
        raise ValueError(
            f"paired values must come from the same seeds, got {len(lower)} and {len(higher)} values"
        )
    difference = interval(np.asarray(lower, dtype=float) - np.asarray(higher, dtype=float))
    if difference.high < 0:
        return "holds"
    return "contradicted" if difference.low > 0 else "undecided"


def claim_verdict(verdicts) -> str:
    """A claim made of several orders holds if all hold, is contradicted if any is, else is undecided.

    >>> claim_verdict(["holds", "undecided"])
    'undecided'
    """
    verdicts = list(verdicts)
    if not verdicts:
        raise ValueError("a claim needs at least one order to decide")
    if "contradicted" in verdicts:
        return "contradicted"
    return "holds" if all(v == "holds" for v in verdicts) else "undecided"


def accuracy_verdict(values, paper: float) -> str:
    """ "reproduced", "better", "worse" or "undecided" for an accuracy in per cent, where higher is better.

    As for a table cell in nats, with a margin of 1 percentage point.

    >>> accuracy_verdict([92.4, 92.6, 92.8], paper=92.6)
    'reproduced'
    """
    return _beyond(interval(values), paper - MARGIN_POINTS, paper + MARGIN_POINTS)


def speed_verdict(values, paper: float) -> str:
    """ "reproduced", "better", "worse" or "undecided" for how many times as fast one method is as another.

    Reproduced: the mean over repetitions is within a factor of 1.5 of the paper's ratio. Better or worse: it is not, and
    the 95 % interval lies beyond that factor altogether. Undecided: anything else.

    >>> speed_verdict([2.0, 2.1, 2.2], paper=9.9)
    'worse'
    """
    return _beyond(interval(values), paper / SPEED_FACTOR, paper * SPEED_FACTOR)


def close_verdict(groups, margin: float = CLOSE_POINTS) -> str:
    """ "holds", "contradicted" or "undecided" for the claim that methods are close or on par, paired by seed.

    Holds if the 95 % interval of every paired difference lies within the margin (1 percentage point for accuracies,
    max(1 nat, 2 %) for nats), contradicted if one lies outside altogether, else undecided.

    >>> close_verdict([[92.4, 92.6, 92.8], [93.0, 93.3, 93.4]])
    'holds'
    """
    groups = [np.asarray(g, dtype=float) for g in groups]
    differences = [interval(a - b) for i, a in enumerate(groups) for b in groups[:i]]
    if any(d.low > margin or d.high < -margin for d in differences):
        return "contradicted"
    return (
        "holds" if all(-margin <= d.low and d.high <= margin for d in differences) else "undecided"
    )


def figure_verdict(drawn: bool, complete: bool = True) -> str:
    """ "drawn" for a figure that the book draws anew and whose runs are all recorded, else "not drawn yet".

    >>> figure_verdict(drawn=True, complete=False)
    'not drawn yet'
    """
    return "drawn" if drawn and complete else "not drawn yet"


def _beyond(ours: Interval, low: float, high: float) -> str:
    if low <= ours.mean <= high:
        return "reproduced"
    if ours.low > high:
        return "better"
    return "worse" if ours.high < low else "undecided"
