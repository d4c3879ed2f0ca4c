"""The rules that call a result reproduced or not, at their edges."""

import math

import pytest

from gsbook import verdicts
from gsbook.verdicts import (
    accuracy_verdict,
    cell_verdict,
    claim_verdict,
    close_verdict,
    figure_verdict,
    interval,
    margin_nats,
    order_verdict,
    speed_verdict,
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
        ours = verdicts.Interval((low + high) / 2, low, high, 3)
        monkeypatch.setattr(verdicts, "interval", lambda values, ours=ours: ours)
        assert cell_verdict([0], 100.0) == expected


@pytest.mark.parametrize(
    ("lower", "higher", "expected"),
    [
        (
            [1.0, 2.0, 3.0],
            [2.0, 3.0, 4.0],
            "holds",
        ),  # differences without spread, although the values overlap
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], "contradicted"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "undecided"),  # no difference at all
        ([1.0], [9.0], "undecided"),  # one pair has no interval
        ([0.0, 0.0], [1.0, 1.25], "undecided"),  # -1.125 +- 1.59
        ([0.0, 0.0], [1.0, 1.125], "holds"),  # -1.0625 +- 0.79
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], "undecided"),  # -2 +- 2.48
        ([0.0, 0.0, 0.0], [2.0, 3.0, 4.0], "holds"),  # -3 +- 2.48
        ([2.0, 3.0, 4.0], [0.0, 0.0, 0.0], "contradicted"),
    ],
)
def test_order_verdict(lower, higher, expected):
    assert order_verdict(lower, higher) == expected


def test_order_verdict_needs_pairs():
    with pytest.raises(ValueError, match="same seeds, got 2 and 3 values"):
        order_verdict([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (["holds"], "holds"),
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided"], "undecided"),
        (["undecided", "contradicted", "holds"], "contradicted"),
    ],
)
def test_claim_verdict(orders, expected):
    assert claim_verdict(orders) == expected
    assert claim_verdict(iter(orders)) == expected


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
        ([4.75] * 3, "better"),
        ([1.75] * 3, "worse"),
        ([9.0], "undecided"),
    ],
)
def test_speed_verdict(values, expected):
    assert speed_verdict(values, 3.0) == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[90.0, 91.0, 92.0], [90.5, 91.5, 92.5]], "holds"),
        (
            [[90.0, 91.0, 92.0], [91.0, 92.0, 93.0]],
            "holds",
        ),  # one point apart, exactly at the margin
        ([[90.0, 91.0, 92.0], [91.25, 92.25, 93.25]], "contradicted"),
        ([[91.25, 92.25, 93.25], [90.0, 91.0, 92.0]], "contradicted"),
        (
            [[90.0, 91.0, 92.0], [90.0, 91.0, 92.0], [93.0, 94.0, 95.0]],
            "contradicted",
        ),  # any pair may
        ([[90.0, 91.0, 92.0], [93.0, 91.0, 89.0]], "undecided"),
        ([[90.0], [90.0]], "undecided"),
    ],
)
def test_close_verdict(groups, expected):
    assert close_verdict(groups) == expected


def test_figure_verdict():
    assert [figure_verdict(*a) for a in [(True,), (True, True), (True, False), (False, True)]] == [
        "drawn",
        "drawn",
        "not drawn yet",
        "not drawn yet",
    ]
