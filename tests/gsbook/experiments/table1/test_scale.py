"""The number of steps at which rows of Table 1 are compared, and runs that must not be mixed."""

import pytest
from table1_runs import record

from gsbook.experiments.table1 import results as table1
from gsbook.experiments.table1.config import COLUMNS
from gsbook.records import Records


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "table1")


def whole(row, steps, seeds=2, without=()):
    """All cells of a row."""
    return [
        record(row, name, seed, 100.0, steps=steps)
        for name in COLUMNS
        if name not in without
        for seed in range(seeds)
    ]


def test_a_complete_row_is_shown_at_the_largest_scale_that_has_intervals(records):
    records.add(whole("vae-bernoulli", 100) + whole("vae-bernoulli", 200, without=["sf"]))
    assert table1.row(records, "vae-bernoulli")[0] == 100
    records.add([record("vae-bernoulli", "sf", 0, 100.0, steps=200)])  # one seed
    assert table1.row(records, "vae-bernoulli")[0] == 100
    records.add([record("vae-bernoulli", "sf", 1, 100.0, steps=200)])
    assert table1.row(records, "vae-bernoulli")[0] == 200
    assert set(table1.row(records, "vae-bernoulli", 100)[1]) == set(COLUMNS)


def test_rows_are_compared_at_one_scale_that_all_of_them_have(records):
    rows = "vae-bernoulli", "sbn-bernoulli"
    records.add(whole(rows[0], 100) + whole(rows[0], 200) + whole(rows[1], 100))
    assert [table1.scale_of(records, [name]) for name in rows] == [200, 100]
    assert table1.scale_of(records, rows) == 100
    records.add(whole(rows[1], 200))
    assert table1.scale_of(records, rows) == 200
    assert table1.scale_of(Records("none"), rows) is None


def test_readings_of_a_setting_are_not_mixed(records):
    """Of two readings with equally many seeds the better on validation stands for the cell."""
    for seed in range(2):
        records.add([record("sbn-bernoulli", "sf", seed, 70.0 + seed, valid=71.0)])
        records.add(
            [record("sbn-bernoulli", "sf", seed, 60.0 + seed, valid=61.0, normalise="signal")]
        )
    cell = table1.by_steps(records, "sbn-bernoulli-sf")[1000]
    assert cell.values == {0: 60.0, 1: 61.0}
    old = record("sbn-bernoulli", "sf", 2, 72.0, valid=60.0)
    del old["config"]["normalise"], old["config"]["centre"]  # from before there was a choice
    records.add([old])
    assert table1.by_steps(records, "sbn-bernoulli-sf")[1000].values == {0: 70.0, 1: 71.0, 2: 72.0}


def test_categories_have_one_form_of_slope_in_searches_and_readings(records):
    row, name = "vae-categorical", "annealed_st"
    options = dict(lr=3e-3, slope_form="soft")
    records.add([record(row, name, seed, 110.0, steps=5000, **options) for seed in (0, 1)])
    searched = [record(row, name, 0, None, valid=120.0 + lr, lr=lr) for lr in (1e-3, 3e-3)]
    records.add([run | {"test": None, "diverged": None} for run in searched])
    assert set(table1.search(records, f"{row}-{name}")) == {(1e-3, 0.0), (3e-3, 0.0)}
