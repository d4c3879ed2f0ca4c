"""What the study of temperature shows: a line a setting, means over seeds, and what has not run."""

from dataclasses import replace

import pytest

from gsbook.experiments.temperature import record, results
from gsbook.experiments.temperature.plan import FAMILIES, settings, stretched
from gsbook.intervals import UNKNOWN

EVERY = [c for family in FAMILIES for c in settings(family)]


def run(config, **figures):
    """A record of a run with these figures, all others 1."""
    names = ("single", "nll_10", "nll_100", "loss", "loss_trained", "bias", "cosine", "noise")
    names += ("entropy", "live", "kl", "classes", "tau", "tau_lowest", "tau_highest", "nll")
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "code": {},
        "data": {"source": "made up", "sha256": {"train": "0"}},
        "evaluation": {"images": 10, "samples": 5, "valid_samples": 5},
        "diverged": None,
        "valid_bound": 100.0,
        "curve": {"step": [config.steps], "train": [1.0], "valid": [1.0], "test": [1.0]},
        "test": dict.fromkeys(names, 1.0) | figures,
    }


@pytest.fixture
def records(tmp_path):
    found = record.records(tmp_path)
    cold, _, half = settings("constant")[:3]
    runs = [run(cold, nll=110.0, loss=5.0, loss_trained=3.5), run(half, nll=120.0)]
    runs += [run(replace(cold, seed=seed), nll=110.0 + 2 * seed) for seed in (1, 2)]
    found.add(runs)
    return found


def test_every_setting_has_a_label_of_its_own():
    assert len({results.label(c) for c in EVERY}) == len(EVERY)


def test_a_line_is_the_mean_over_seeds_and_says_how_many(records):
    table = results.table(records, "constant")
    assert table.seeds.tolist() == [3, 0, 1, 0, 0]
    assert table.nll[["0.1", "0.5"]].tolist() == [112.0, 120.0]
    assert table.loc["0.1", "gap"] == pytest.approx(0.5)
    assert table.nll.isna().sum() == 3
    assert len(results.table(records)) == len(EVERY)
    assert results.table(records, steps=200_000).seeds.sum() == 0


def test_scatter_is_pooled_over_settings_with_several_seeds_that_do_not_fail(records):
    assert results.scatter(records, "nll") == pytest.approx(2.0)
    warm, failed = settings("constant")[3:]
    records.add([run(replace(warm, seed=seed), nll=120.0 + 4 * seed) for seed in (0, 1, 2)])
    assert results.scatter(records, "nll") == pytest.approx(((2 * 4 + 2 * 16) / 4) ** 0.5)
    records.add([run(replace(failed, seed=seed), nll=200.0 + 50 * seed) for seed in (0, 1, 2)])
    assert results.scatter(records, "nll") == pytest.approx(10**0.5)


def test_scatter_is_of_runs_of_one_length(records):
    before = results.scatter(records, "nll")
    longer = stretched(settings("constant")[1], 200_000)
    records.add([run(replace(longer, seed=seed), nll=90.0 + 9 * seed) for seed in (0, 1, 2)])
    assert results.scatter(records, "nll") == before


def test_the_best_of_many_samples_is_chosen_on_validation(records):
    half = settings("constant")[2]
    records.add([run(half, nll=120.0, single=9.0) | {"valid_bound": 50.0}])
    table = results.table(records, "constant")
    assert results.ranked(table, "nll") == ["0.5", "0.1"]  # by test it is the other way round
    assert results.ranked(table, "single") == ["0.1", "0.5"]  # validation has no such figure


def test_a_difference_has_welchs_interval_and_is_told_apart_beyond_it(records):
    gap = results.difference(records, "0.1", "0.5", "nll")
    assert gap.mean == -8.0
    assert results.standing(gap) == "not told apart"  # one seed on one side
    half = settings("constant")[2]
    records.add([run(replace(half, seed=seed), nll=120.0 + seed) for seed in (1, 2)])
    gap = results.difference(records, "0.1", "0.5", "nll")
    assert gap.mean == -9.0
    assert results.standing(gap) == "better"
    assert results.difference(records, "0.5", "0.5", "nll").half_width == 0
    assert results.difference(records, "0.1", "0.25", "nll") == UNKNOWN
    assert results.difference(records, "0.1", "0.5", "nll", steps=200_000) == UNKNOWN


def test_it_says_how_much_has_run(records):
    assert results.scale(records).startswith(f"2 of {len(EVERY)} settings have run, 20,000 steps")
    assert results.COMMAND in results.scale(records)


def test_the_books_records_are_of_the_present_code():
    assert results.results().all()
    assert results.results().stale_keys() == []
