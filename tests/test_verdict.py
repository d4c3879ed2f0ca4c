"""The rules that call a result reproduced or not, at their edges, and the choice of the runs that they are applied to."""

import math

import pytest
from gslib.experiment import Records, cell_verdict, claim_verdict, interval, order_verdict, summary

from gsbook.experiments.table1.config import Config
from gsbook.verdicts import (
    accuracy_verdict,
    close_verdict,
    figure_verdict,
    margin_nats,
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
    from gslib.experiment import verdict

    for low, high, expected in [
        (104, 108, "worse"),
        (102, 108, "undecided"),
        (92, 98, "undecided"),
        (92, 97, "better"),
    ]:
        ours = verdict.Interval((low + high) / 2, low, high, 3)
        monkeypatch.setattr(verdict, "interval", lambda values, ours=ours: ours)
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


# Which runs stand for a cell


def run(
    cell="vae-bernoulli-st",
    *,
    lr=1e-3,
    seed=0,
    steps=100,
    nll=100.0,
    valid=100.0,
    test=True,
    source="larochelle-murray",
    images=None,
    samples=1000,
    diverged=None,
    **options,
):
    config = Config(*cell.split("-"), lr=lr, seed=seed, steps=steps, **options)
    return {
        "key": config.key,
        "cell": cell,
        "config": config.to_dict(),
        "diverged": diverged,
        "valid_bound": valid,
        "test": {"nll": nll} if test else None,
        "evaluation": {"images": images, "samples": samples, "valid_samples": 100},
        "data": {"source": source},
        "code": "c",
    }


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "table1")


def test_the_cell_is_the_best_rate_on_validation_not_on_test(records):
    records.add(
        [run(lr=1e-3, seed=s, valid=100, nll=90 + s) for s in (0, 1)]
        + [run(lr=3e-4, seed=s, valid=99, nll=95 + s) for s in (0, 1)]
    )
    assert summary.by_steps(records, "vae-bernoulli-st")[100].values == {0: 95, 1: 96}


def test_more_seeds_go_before_a_better_bound(records):
    records.add([run(lr=1e-3, seed=s, valid=100) for s in (0, 1)] + [run(lr=3e-4, valid=50)])
    cell = summary.by_steps(records, "vae-bernoulli-st")[100]
    assert {r["config"]["lr"] for r in cell.runs.values()} == {1e-3}


@pytest.mark.parametrize(
    "odd",
    [
        {"test": False},
        {"source": "embedded-5000"},
        {"images": 200},
        {"samples": 20},
        {"lr": 1e-2},
        {"learned_prior": False},
        {"kl": "sampled"},
        {"data_bias": True},
        {"tau_min": 0.1},
    ],
)
def test_runs_outside_the_protocol_stand_for_no_cell(records, odd):
    records.add([run(seed=1, **odd)])
    assert summary.by_steps(records, "vae-bernoulli-st") == {}
    records.add([run(seed=0)])
    assert list(summary.by_steps(records, "vae-bernoulli-st")[100].runs) == [0]


def test_diverged_runs_are_counted_and_have_no_value(records):
    records.add([run(seed=0), run(seed=1, nll=None, valid=None, diverged=20)])
    cell = summary.by_steps(records, "vae-bernoulli-st")[100]
    assert (cell.values, cell.diverged) == ({0: 100.0}, 1)


def test_a_row_is_shown_at_one_number_of_steps(records):
    assert summary.row(records, "vae-bernoulli") == (None, {})
    records.add(
        [run("vae-bernoulli-st", steps=s) for s in (100, 200)]
        + [run("vae-bernoulli-sf", steps=100)]
    )
    steps, cells = summary.row(records, "vae-bernoulli")
    assert (steps, sorted(cells)) == (100, ["sf", "st"])  # most cells
    records.add([run("vae-bernoulli-sf", steps=200)])
    steps, cells = summary.row(records, "vae-bernoulli")
    assert (steps, {c.steps for c in cells.values()}) == (
        200,
        {200},
    )  # of equally many, the longer runs
