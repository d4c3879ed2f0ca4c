"""The rules that call a result reproduced or not, at their edges and against known values."""

import math

import numpy as np
import pytest
from scipy import stats

from gsbook import verdicts
from gsbook.intervals import Interval, interval, seed_correlation, trend, welch
from gsbook.verdicts import (
    LIMITS,
    accuracy_verdict,
    assess,
    bound_verdict,
    cell_verdict,
    claim_verdict,
    close_verdict,
    equivalence_verdict,
    figure_verdict,
    limits_nats,
    margin_nats,
    order_verdict,
    speed_verdict,
    trend_verdict,
)

# Student's t, two-sided 95 %, from printed tables: by n - 1 degrees of freedom
T = {1: 12.7062, 2: 4.30265, 4: 2.77645}


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1, 2, 3], 2, T[2] / math.sqrt(3)),
        ([0, 1], 0.5, T[1] / 2),
        ([4, 4, 4], 4, 0),
        ([1, 2, 3, 4, 5], 3, T[4] * math.sqrt(2.5 / 5)),
    ],
)
def test_interval_against_printed_tables(values, mean, half):
    ours = interval(values)
    assert (ours.mean, ours.n) == (mean, len(values))
    assert ours.half_width == pytest.approx(half, rel=1e-5)
    assert ours.low == pytest.approx(mean - half, rel=1e-5, abs=1e-5)


def test_one_value_has_no_interval():
    ours = interval([7.0])
    assert (ours.mean, ours.low, ours.high) == (7.0, -math.inf, math.inf)


def test_a_lower_level_gives_a_narrower_interval():
    assert interval([1, 2, 3], level=0.5).half_width == pytest.approx(
        0.81650 / math.sqrt(3), rel=1e-4
    )


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf], [[1.0, 2.0]]])
def test_interval_refuses_what_has_no_mean(values):
    with pytest.raises(ValueError, match="non-empty list of finite numbers"):
        interval(values)


@pytest.mark.parametrize(
    ("paper", "margin"), [(10.0, 1.0), (50.0, 1.0), (100.0, 2.0), (-100.0, 2.0), (0.0, 1.0)]
)
def test_margin(paper, margin):
    assert margin_nats(paper) == margin


@pytest.mark.parametrize(
    ("values", "paper", "expected"),
    [
        ([41.0] * 3, 40.0, "reproduced"),  # exactly at the margin of 1 nat
        ([39.0] * 3, 40.0, "reproduced"),
        ([41.25] * 3, 40.0, "worse"),
        ([38.75] * 3, 40.0, "better"),
        ([102.0] * 3, 100.0, "reproduced"),  # exactly at the margin of 2 %
        ([98.0] * 3, 100.0, "reproduced"),
        ([102.25] * 3, 100.0, "worse"),
        ([97.75] * 3, 100.0, "better"),
        ([101.5, 102.5], 100.0, "reproduced"),  # the mean decides, however wide the interval
        ([0.0, 200.0], 100.0, "reproduced"),
        ([90.0], 100.0, "undecided"),  # one seed has no interval
        ([101.0], 100.0, "reproduced"),
        ([90.0, 91.0], 100.0, "better"),  # high = 90.5 + 6.35 = 96.85
        ([90.5, 91.75], 100.0, "undecided"),  # high = 91.1 + 7.94 = 99.1
        ([109.0, 110.0], 100.0, "worse"),
        ([108.25, 109.5], 100.0, "undecided"),
        ([104.0, 105.0, 106.0], 100.0, "worse"),  # low = 105 - 2.48 = 102.52
        ([103.0, 104.0, 105.0], 100.0, "undecided"),  # low = 104 - 2.48 = 101.52
    ],
)
def test_cell_verdict(values, paper, expected):
    assert cell_verdict(values, paper) == expected


def test_an_interval_that_ends_at_the_margin_decides_nothing(monkeypatch):
    for low, high, expected in [
        (104, 108, "worse"),
        (102, 108, "undecided"),
        (92, 98, "undecided"),
        (92, 97, "better"),
    ]:
        ours = Interval((low + high) / 2, low, high, 3)
        monkeypatch.setattr(verdicts, "interval", lambda values, ours=ours: ours)
        assert cell_verdict([0], 100.0) == expected


def test_welch_against_a_worked_example():
    """Yields of two lots by hand: variances 10/3 and 1, standard error sqrt(10/9 + 1/3), and by
    the Welch-Satterthwaite formula (13/9)^2 / ((10/9)^2 / 2 + (1/3)^2 / 2) degrees of freedom."""
    a, b = [27.0, 29.0 - math.sqrt(10) / 10, 30.0], [21.0, 22.0, 23.0]
    va, vb = np.var(a, ddof=1) / 3, 1 / 3
    df = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 2)
    half = stats.t.ppf(0.975, df) * math.sqrt(va + vb)
    found = welch(a, b)
    assert found.mean == pytest.approx(np.mean(a) - 22)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.half_width == pytest.approx(-welch(b, a).low - found.mean)


def test_equal_scatter_gives_students_degrees_of_freedom():
    found = welch([1.0, 2.0, 3.0], [11.0, 12.0, 13.0])
    assert found.half_width == pytest.approx(T[4] * math.sqrt(2 / 3), rel=1e-5)


def test_a_side_without_scatter_leaves_the_others_degrees_of_freedom():
    found = welch([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    assert found.half_width == pytest.approx(T[2] / math.sqrt(3), rel=1e-5)


def test_welch_without_scatter_and_with_single_values():
    assert welch([1.0, 1.0], [3.0, 3.0]) == Interval(-2.0, -2.0, -2.0, 2)
    assert welch([1.0], [3.0, 4.0]) == Interval(-2.5, -math.inf, math.inf, 1)


@pytest.mark.parametrize(
    ("lower", "higher", "expected"),
    [
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "holds"),  # -4 +- 2.27
        ([5.0, 6.0, 7.0], [1.0, 2.0, 3.0], "contradicted"),
        ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0], "undecided"),  # -2 +- 2.27
        ([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], "undecided"),  # pairs would say "holds": not asked
        ([1.0, 2.0, 3.0], [9.0, 9.5], "holds"),  # seeds need not be the same, nor as many
        ([1.0], [9.0], "undecided"),  # one value has no interval
        ([0.0, 0.0], [1.0, 1.25], "undecided"),  # -1.125 +- 1.59
        ([0.0, 0.0], [1.0, 1.125], "holds"),  # -1.0625 +- 0.79
        ([0.0, 0.0, 0.0], [2.0, 3.0, 4.0], "holds"),  # -3 +- 2.48
        ([2.0, 2.0], [2.0, 2.0], "undecided"),  # no difference at all
    ],
)
def test_order_verdict(lower, higher, expected):
    assert order_verdict(lower, higher) == expected


def test_seed_correlation():
    up, down = {0: 1.0, 1: 2.0, 2: 3.0}, {0: 6.0, 1: 4.0, 2: 2.0}
    assert seed_correlation([up, down]) == -1
    assert seed_correlation([up, down, up]) == pytest.approx(-1 / 3)  # -1, -1 and 1
    assert seed_correlation([up, down | {7: 100.0}]) == -1  # over the common seeds
    assert math.isnan(seed_correlation([up, {0: 1.0, 1: 2.0}]))  # two points always lie on a line
    assert math.isnan(seed_correlation([up, dict.fromkeys(range(3), 5.0)]))
    assert math.isnan(seed_correlation([]))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["holds"], "holds"),
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided"], "undecided"),
        (["undecided", "contradicted", "holds"], "contradicted"),
    ],
)
def test_claim_verdict(verdicts, expected):
    assert claim_verdict(verdicts) == expected
    assert claim_verdict(iter(verdicts)) == expected


def test_a_claim_without_orders_is_an_error():
    with pytest.raises(ValueError, match="at least one order"):
        claim_verdict([])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([91.0] * 3, "reproduced"),
        ([89.0] * 3, "reproduced"),  # exactly at the margin of one point
        ([91.25] * 3, "better"),
        ([88.75] * 3, "worse"),
        ([93.0], "undecided"),
        ([91.0, 92.0], "undecided"),
        ([94.0, 95.0, 96.0], "better"),
        ([84.0, 85.0, 86.0], "worse"),
    ],
)
def test_accuracy_verdict(values, expected):
    assert accuracy_verdict(values, 90.0) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0] * 3, "reproduced"),
        ([1.5 * 3] * 3, "reproduced"),
        ([2.0] * 3, "reproduced"),
        ([4.75] * 3, "larger ratio"),
        ([1.75] * 3, "worse"),
        ([9.0], "undecided"),
    ],
)
def test_speed_verdict(values, expected):
    assert speed_verdict(values, 3.0) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-98.0] * 3, "reproduced"),  # exactly at the margin
        ([-97.75] * 3, "higher ELBO"),
        ([-102.25] * 3, "worse"),
        ([-90.0], "undecided"),
    ],
)
def test_bound_verdict(values, expected):
    assert bound_verdict(values, -100.0) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([98.0, 98.0, 98.0], "equivalent"),  # the limit belongs to the margin
        ([101.0, 101.1, 101.2], "equivalent"),  # 101.1 +- 0.25
        ([101.0, 101.5, 102.0], "undecided"),  # 101.5 +- 1.24: the mean alone would do
        ([104.0, 105.0, 106.0], "different"),  # 105 +- 2.48
        ([94.0, 95.0, 96.0], "different"),
        ([103.0, 104.0, 105.0], "undecided"),
        ([100.0], "undecided"),  # one seed proves nothing
    ],
)
def test_equivalence_verdict(values, expected):
    assert equivalence_verdict(values, limits_nats(100.0)) == expected


@pytest.mark.parametrize("rule", LIMITS)
def test_an_assessment_has_both_verdicts_by_the_limits_of_its_rule(rule):
    paper = 10.0
    low, high = LIMITS[rule](paper)
    for value, equivalence in ((low, "equivalent"), (high, "equivalent"), (high + 1, "different")):
        found = assess([value] * 3, paper, rule)
        assert (found.equivalence, found.ours.mean) == (equivalence, value)
        assert found.verdict == rule([value] * 3, paper)
        assert (found.verdict == "reproduced") == (equivalence == "equivalent")


def test_an_assessment_without_a_value():
    assert assess([], 10.0).verdict == verdicts.NOT_RUN
    assert assess([], 10.0, diverged=2).verdict == verdicts.DIVERGED
    assert assess([10.0], 10.0, diverged=2).diverged == 2


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[90.0, 90.1, 90.2], [90.5, 90.6, 90.7]], "holds"),  # -0.5 +- 0.23
        ([[90.0] * 3, [91.0] * 3], "holds"),  # exactly at the margin
        ([[90.0] * 3, [91.25] * 3], "contradicted"),
        ([[91.25] * 3, [90.0] * 3], "contradicted"),
        ([[90.0] * 3, [90.0] * 3, [93.0, 94.0, 95.0]], "contradicted"),  # any pair may
        ([[90.0, 91.0, 92.0], [90.5, 91.5, 92.5]], "undecided"),  # -0.5 +- 2.27
        ([[90.0], [90.0]], "undecided"),
    ],
)
def test_close_verdict(groups, expected):
    assert close_verdict(groups) == expected


STEPS = np.arange(1, 11) * 10_000


@pytest.mark.parametrize("groups", [[], [[92.5, 92.6]]])
def test_nothing_is_close_to_nothing(groups):
    with pytest.raises(ValueError, match="two groups or more"):
        close_verdict(groups)


def test_a_level_in_per_cent_is_an_error():
    for level in (95, 0, 1):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            interval([1, 2, 3], level=level)


@pytest.mark.parametrize(
    ("steps", "losses", "reason"),
    [
        ([], [], "three finite points"),
        ([1, 2, 3], [[1, 2]], r"got \[3\] and \[1, 2\]"),
        ([[1, 2, 3]], [[1, 2, 3]], r"got \[1, 3\] and \[1, 3\]"),
    ],
)
def test_a_trend_needs_a_loss_for_each_step(steps, losses, reason):
    with pytest.raises(ValueError, match=reason):
        trend(steps, losses)


def test_trend_is_the_slope_of_the_last_half():
    falling_first = np.array([90, 70, 50, 40, 30, 29, 28, 27, 26, 25.0])
    assert trend(STEPS, falling_first[None]).mean == pytest.approx(-1.0)  # not of the start
    # By least squares: deviations of x are -2.5 to 2.5 in 10,000 steps, their squares sum to 17.5.
    last = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    slope = sum((i - 2.5) * y for i, y in enumerate(last)) / 17.5
    found = trend(STEPS, np.concatenate([[0.0] * 4, last])[None])
    assert found.mean == pytest.approx(slope)
    assert (found.low, found.high) == (-math.inf, math.inf)  # one seed


def test_trend_over_seeds_and_with_gaps():
    x = STEPS / 10_000
    curves = np.stack([50 - 1.0 * x, 60 - 2.0 * x, 70 - 3.0 * x])
    assert trend(STEPS, curves) == interval([-1.0, -2.0, -3.0])
    gaps = curves.copy()
    gaps[0, 6] = math.nan
    assert trend(STEPS, gaps).mean == pytest.approx(-2.0)
    gaps[2, 5:] = math.nan  # a seed that diverged
    assert trend(STEPS, gaps).n == 2
    with pytest.raises(ValueError, match="three finite points"):
        trend(STEPS, np.full((2, 10), math.nan))


def test_trend_verdict_is_not_fooled_by_the_last_two_points():
    x = STEPS / 10_000
    curves = np.stack([50 - x, 51 - 1.1 * x, 52 - 0.9 * x])
    assert trend_verdict(STEPS, curves) == "falling"
    assert trend_verdict(STEPS, -curves) == "rising"
    curves[:, -1] = curves[:, -2] + 1  # one noisy point at the end
    assert trend_verdict(STEPS, curves) == "falling"
    assert trend_verdict(STEPS, np.stack([50 - x, 50 + x])) == "undecided"
    assert trend_verdict(STEPS, curves[:1]) == "undecided"


def test_figure_verdict():
    assert [figure_verdict(*a) for a in [(True,), (True, True), (True, False), (False, True)]] == [
        "drawn",
        "drawn",
        "not drawn yet",
        "not drawn yet",
    ]
