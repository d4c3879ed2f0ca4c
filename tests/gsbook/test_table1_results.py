"""Which recorded runs stand for a cell of Table 1."""

import pytest

from gsbook.experiments.table1 import results as table1
from gsbook.experiments.table1.config import Config
from gsbook.records import Records


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
    assert table1.by_steps(records, "vae-bernoulli-st")[100].values == {0: 95, 1: 96}


def test_more_seeds_go_before_a_better_bound(records):
    records.add([run(lr=1e-3, seed=s, valid=100) for s in (0, 1)] + [run(lr=3e-4, valid=50)])
    cell = table1.by_steps(records, "vae-bernoulli-st")[100]
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
    assert table1.by_steps(records, "vae-bernoulli-st") == {}
    records.add([run(seed=0)])
    assert list(table1.by_steps(records, "vae-bernoulli-st")[100].runs) == [0]


def test_diverged_runs_are_counted_and_have_no_value(records):
    records.add([run(seed=0), run(seed=1, nll=None, valid=None, diverged=20)])
    cell = table1.by_steps(records, "vae-bernoulli-st")[100]
    assert (cell.values, cell.diverged) == ({0: 100.0}, 1)


def test_a_row_is_shown_at_one_number_of_steps(records):
    assert table1.row(records, "vae-bernoulli") == (None, {})
    records.add(
        [run("vae-bernoulli-st", steps=s) for s in (100, 200)]
        + [run("vae-bernoulli-sf", steps=100)]
    )
    steps, cells = table1.row(records, "vae-bernoulli")
    assert (steps, sorted(cells)) == (100, ["sf", "st"])  # most cells
    records.add([run("vae-bernoulli-sf", steps=200)])
    steps, cells = table1.row(records, "vae-bernoulli")
    assert (steps, {c.steps for c in cells.values()}) == (
        200,
        {200},
    )  # of equally many, the longer runs
