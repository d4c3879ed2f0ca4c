"""The rules by which a result is called reproduced or not, fixed before any result was seen.

The margins and the rule of the mean are older than every record. The other rules were fixed before
the runs beyond 200,000 steps: equivalence beside the mean, Welch's interval in place of pairs of
seeds, a line in place of two points, and one number of steps for all rows of a claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from gsbook.intervals import Interval, interval, trend, welch

NOT_RUN = "not run yet"
DIVERGED = "diverged"  # in place of a verdict, where no seed came to an end
MARGIN_NATS = 1.0
MARGIN_SHARE = 0.02
MARGIN_POINTS = 1.0  # of accuracy, in percentage points
CLOSE_POINTS = 1.0  # between accuracies that are close; the paper's three lie within 1.2 points
SPEED_FACTOR = 1.5  # speed depends on the machine: a ratio may differ by this factor, either way


# --- a number beside the paper's


def margin_nats(paper: float) -> float:
    """How far from the paper's number in nats still counts as the same: max(1 nat, 2 %).

    >>> margin_nats(30.0), margin_nats(100.0)
    (1.0, 2.0)
    """
    return max(MARGIN_NATS, MARGIN_SHARE * abs(paper))


def limits_nats(paper: float) -> tuple[float, float]:
    """The margin around a number in nats.

    >>> limits_nats(100.0)
    (98.0, 102.0)
    """
    return paper - margin_nats(paper), paper + margin_nats(paper)


def limits_points(paper: float) -> tuple[float, float]:
    """The margin around an accuracy in per cent: 1 percentage point either way."""
    return paper - MARGIN_POINTS, paper + MARGIN_POINTS


def limits_factor(paper: float) -> tuple[float, float]:
    """The margin around a ratio of speeds: a factor of 1.5 either way."""
    return paper / SPEED_FACTOR, paper * SPEED_FACTOR


def cell_verdict(values, paper: float) -> str:
    """ "reproduced", "better", "worse" or "undecided" for a table cell in nats, lower is better.

    Reproduced: the mean over seeds is within max(1 nat, 2 %) of the paper's number. Better or
    worse: it is not, and the 95 % interval over seeds lies beyond that margin altogether.
    Undecided: anything else.

    >>> cell_verdict([100.1, 100.2, 100.3], paper=101.5)
    'reproduced'
    >>> cell_verdict([90.1, 90.2, 90.3], paper=101.5)
    'better'
    """
    return _by_mean(values, limits_nats(paper), below="better", above="worse")


def bound_verdict(values, paper: float) -> str:
    """ "reproduced", "higher ELBO", "worse" or "undecided" for an ELBO in nats, higher is better.

    As for a table cell. But the paper does not give the sizes of these networks, so that a higher
    bound may be a larger network's: it is called what it is, and not better.

    >>> bound_verdict([-95.1, -95.2, -95.3], paper=-106.8)
    'higher ELBO'
    """
    return _by_mean(values, limits_nats(paper), below="worse", above="higher ELBO")


def accuracy_verdict(values, paper: float) -> str:
    """ "reproduced", "better", "worse" or "undecided" for an accuracy in %, higher is better.

    As for a table cell in nats, with a margin of 1 percentage point.

    >>> accuracy_verdict([92.4, 92.6, 92.8], paper=92.6)
    'reproduced'
    """
    return _by_mean(values, limits_points(paper), below="worse", above="better")


def speed_verdict(values, paper: float) -> str:
    """ "reproduced", "larger ratio", "worse" or "undecided" for how many times as fast one method
    is as another.

    As for a table cell, with a factor of 1.5 for a margin and repeats in place of seeds. Another
    machine gives another ratio: a larger one is called what it is, and not better.

    >>> speed_verdict([2.0, 2.1, 2.2], paper=9.9)
    'worse'
    """
    return _by_mean(values, limits_factor(paper), below="worse", above="larger ratio")


def equivalence_verdict(values, limits: tuple[float, float]) -> str:
    """ "equivalent", "different" or "undecided": where the whole 95 % interval lies.

    Equivalent: all of it is within the limits, so that chance is no excuse. Different: all of it
    is outside. Undecided: it reaches across a limit.

    >>> equivalence_verdict([100.1, 100.2, 100.3], limits_nats(101.5))
    'equivalent'
    >>> equivalence_verdict([99.0, 100.2, 101.0], limits_nats(101.5))
    'undecided'
    """
    ours, (low, high) = interval(values), limits
    if low <= ours.low and ours.high <= high:
        return "equivalent"
    return "different" if ours.low > high or ours.high < low else "undecided"


LIMITS = {  # rule of a number -> its margin around the paper's
    cell_verdict: limits_nats,
    bound_verdict: limits_nats,
    accuracy_verdict: limits_points,
    speed_verdict: limits_factor,
}


@dataclass(frozen=True)
class Assessment:
    """A number of ours beside the paper's: the verdict of the mean, that of the whole interval,
    and the interval; no interval where no run has come to an end.

    >>> Assessment("not run yet").ours is None
    True
    """

    verdict: str
    equivalence: str = ""
    ours: Interval | None = None
    diverged: int = 0


def assess(values, paper: float, rule=cell_verdict, diverged: int = 0) -> Assessment:
    """Judge a number by one of the rules above; the one place where that is done.

    values: one per seed that came to an end. diverged: how many did not.

    >>> assess([100.1, 100.2, 100.3], paper=101.5).equivalence
    'equivalent'
    >>> assess([], paper=101.5, diverged=3).verdict
    'diverged'
    """
    values = list(values)
    if not values:
        return Assessment(DIVERGED if diverged else NOT_RUN, diverged=diverged)
    equivalence = equivalence_verdict(values, LIMITS[rule](paper))
    return Assessment(rule(values, paper), equivalence, interval(values), diverged)


def _by_mean(values, limits: tuple[float, float], below: str, above: str) -> str:
    ours, (low, high) = interval(values), limits
    if low <= ours.mean <= high:
        return "reproduced"
    if ours.high < low:
        return below
    return above if ours.low > high else "undecided"


# --- claims about several numbers


def order_verdict(lower, higher) -> str:
    """ "holds", "contradicted" or "undecided" for the claim that `lower` beats `higher`.

    Decided by the sign of Welch's 95 % interval for the difference of the means. Seeds are not
    paired: over estimators they are hardly correlated, and pairing would cost degrees of freedom.

    >>> order_verdict([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    'holds'
    >>> order_verdict([1.0, 2.0, 3.0], [2.0, 1.0, 4.0])
    'undecided'
    """
    difference = welch(lower, higher)
    if difference.high < 0:
        return "holds"
    return "contradicted" if difference.low > 0 else "undecided"


def claim_verdict(verdicts) -> str:
    """A claim made of several orders holds if all hold, is contradicted if any is, else is
    undecided.

    >>> claim_verdict(["holds", "undecided"])
    'undecided'
    """
    verdicts = list(verdicts)
    if not verdicts:
        raise ValueError("a claim needs at least one order to decide")
    if "contradicted" in verdicts:
        return "contradicted"
    return "holds" if all(v == "holds" for v in verdicts) else "undecided"


def close_verdict(groups, margin: float = CLOSE_POINTS) -> str:
    """ "holds", "contradicted" or "undecided" for the claim that methods are close or on par.

    Holds if Welch's 95 % interval of every difference lies within the margin (1 percentage point
    for accuracies, max(1 nat, 2 %) for nats), contradicted if one lies outside altogether, else
    undecided.

    >>> close_verdict([[92.5, 92.6, 92.7], [92.9, 93.0, 93.1]])
    'holds'
    """
    differences = [welch(a, b) for a, b in combinations(groups, 2)]
    if not differences:
        raise ValueError("closeness needs two groups or more to compare")
    if any(d.low > margin or d.high < -margin for d in differences):
        return "contradicted"
    inside = all(-margin <= d.low and d.high <= margin for d in differences)
    return "holds" if inside else "undecided"


def figure_verdict(drawn: bool, complete: bool = True) -> str:
    """ "drawn" for a figure that the book draws anew and whose runs are all recorded, else "not
    drawn yet".

    >>> figure_verdict(drawn=True, complete=False)
    'not drawn yet'
    """
    return "drawn" if drawn and complete else "not drawn yet"


# --- the end of a learning curve


def trend_verdict(steps, losses) -> str:
    """ "falling", "rising" or "undecided": the sign of the 95 % interval of
    `gsbook.intervals.trend`.

    >>> steps = [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    >>> trend_verdict(steps, [[9, 8, 7, 6, 5, 4], [9, 8, 7, 6.1, 5, 4], [9, 8, 7, 6, 5, 4.1]])
    'falling'
    """
    slope = trend(steps, losses)
    if slope.high < 0:
        return "falling"
    return "rising" if slope.low > 0 else "undecided"
