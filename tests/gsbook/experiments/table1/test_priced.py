"""The prices of the readings, from records complete, incomplete and none."""

import json
import math

import pytest
from table1_runs import part, record

from gsbook.experiments.table1 import priced
from gsbook.experiments.table1.config import ROWS, Config
from gsbook.experiments.table1.plan import SLOPE_ENDS
from gsbook.experiments.table1.readings import BUDGETS, CELLS, compared
from gsbook.records import Records

SF, SOFT = "sbn-bernoulli-sf", {"slope_form": "soft"}


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "readings")


def run(seed, nll, *, row="sbn-bernoulli", estimator="sf", steps=None, without=None, **changes):
    steps = steps or {"annealed_st": 50_000}.get(estimator, 1000)  # where the slope has ended
    made = record(row, estimator, seed, nll, **{"lr": 3e-3, "steps": steps, **changes})
    made["test"]["nll_unsloped"] = without
    return part(made, 2000)


def test_every_reading_of_a_cell_has_a_label_of_its_own():
    for cell in CELLS:
        found = [priced.label(config) for config in compared(cell, BUDGETS["paper"])]
        rates = 2 if cell.endswith("annealed_st") else 1
        assert len(set(found)) * rates == len(found)


def test_categories_have_one_form_of_slope():
    forms = {c.slope_form for c in compared("vae-categorical-annealed_st", BUDGETS["paper"])}
    assert forms == {"hard"}


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_recorded(cell):
    assert priced.compare([Records("none")], cell) is None


def test_one_reading_is_no_choice(records):
    records.add([run(seed, 70.0 + seed) for seed in range(2)])
    found = priced.compare([records], SF)
    assert found.chosen is None
    assert found.missing == ["signal divided", "nothing divided"]
    assert priced.sentences(found)[0] == "1 of 3 readings at 1,000 steps, 2,000 images"
    assert list(priced.table(found).index) == ["all divided"]


def test_validation_chooses_and_the_test_prices(records):
    for seed in range(3):
        records.add([run(seed, 70.0 + seed / 10, valid=71.0)])
        records.add([run(seed, 60.0 + seed / 10, valid=72.0, normalise="signal")])
        records.add([run(seed, 80.0 + seed / 10, valid=73.0, normalise="none")])
    found = priced.compare([records], SF)
    assert found.chosen.label == "all divided"
    assert found.complete
    table = priced.table(found)
    assert list(table[""]) == ["chosen", "in Table 1", ""]
    assert list(table["validation"]) == [71.0, 72.0, 73.0]
    assert "slope left out" not in table
    assert priced.sentences(found)[1:] == [
        "validation chooses: all divided",
        "signal divided: -10.00 ± 0.23 nats on test images, better",
        "nothing divided: +10.00 ± 0.23 nats on test images, worse",
    ]


def test_searches_of_one_seed_are_compared_on_validation(records):
    for nll, changes in ((70.0, {}), (65.5, {"normalise": "signal"})):
        records.add([run(0, nll, **changes) | {"test": None}])
    found = priced.compare([records], SF)
    assert "all divided: +4.50 nats on validation images, no interval, one seed" in (
        priced.sentences(found)
    )
    assert priced.table(found)["±"].isna().all()


def test_lengths_images_and_choices_are_not_mixed(records, tmp_path):
    """The scale with more readings wins; a run with another baseline is no reading."""
    table1 = Records(tmp_path / "table1")
    table1.add([run(seed, 50.0, steps=5000) for seed in range(3)])
    table1.add([run(0, 40.0, baseline_lr=1e-2, normalise="none")])
    records.add([run(0, 70.0), run(0, 71.0, normalise="signal")])
    records.add([run(1, 30.0) | {"evaluation": table1.all()[0]["evaluation"] | {"images": None}}])
    found = priced.compare([records, table1], SF)
    assert (found.steps, found.images, len(found.readings)) == (1000, 2000, 2)
    assert [len(one.runs) for one in found.readings] == [1, 1]


def test_a_reading_with_fewer_seeds_is_not_chosen_and_one_that_diverged_is_told(records):
    records.add([run(seed, 70.0) for seed in range(3)])
    records.add([run(0, 60.0, normalise="signal")])
    records.add([run(seed, None, normalise="none") for seed in range(3)])
    found = priced.compare([records], SF)
    assert [one.label for one in found.readings] == [
        *("all divided", "nothing divided", "signal divided")
    ]
    assert not found.complete
    said = priced.sentences(found)
    assert "validation chooses: all divided, so far" in said
    assert "nothing divided: diverged" in said
    assert math.isnan(priced.table(found).loc["nothing divided", "validation"])


def test_annealed_st_takes_the_better_rate_and_prices_the_slope_at_the_test(records):
    for seed in range(2):
        options = dict(estimator="annealed_st", **SOFT)
        records.add([run(seed, 66.0 + seed / 10, without=67.0, **options)])
        records.add([run(seed, 65.0 + seed / 10, without=67.0, lr=1e-3, **options)])
        records.add([run(seed, 64.0, lr=3e-4, **options)])  # a rate that is not compared
        records.add([run(seed, 68.0 + seed, estimator="annealed_st")])
    found = priced.compare([records], "sbn-bernoulli-annealed_st")
    assert [one.lr for one in found.readings] == [1e-3, 3e-3]
    table = priced.table(found)
    assert list(table.index) == ["ordinary sigmoid, slope to 5", "clipped sigmoid, slope to 5"]
    assert list(table[""]) == ["chosen, in Table 1", ""]
    assert table["slope left out"].iloc[0] == pytest.approx(1.95)
    assert priced.sentences(found)[-1] == "its slope left out at the test: +1.95 ± 0.64 nats"


def test_ends_of_a_slope_are_compared_once_it_has_ended(records):
    for steps, better in ((49_500, 2.0), (50_000, 5.0)):
        for end in (2.0, 5.0):
            options = dict(estimator="annealed_st", slope_max=end, steps=steps, **SOFT)
            records.add([run(0, 60.0 + (end != better), **options)])
        records.add([run(0, 60.0, estimator="annealed_st", steps=49_500)])  # most have run there
    found = priced.compare([records], "sbn-bernoulli-annealed_st")
    assert (found.steps, found.chosen.label) == (50_000, "ordinary sigmoid, slope to 5")


@pytest.mark.parametrize("row", ROWS)
def test_the_search_has_the_end_of_the_slope_that_the_readings_choose(row):
    found = priced.compare(priced.results(), f"{row}-annealed_st")
    if found and found.chosen and not found.missing:
        end = next(iter(found.chosen.runs.values()))["config"]["slope_max"]
        assert end in SLOPE_ENDS


def test_softmax_is_one_reading_by_whatever_form_it_was_recorded(records):
    records.add([run(0, 110.0, row="vae-categorical", estimator="annealed_st")])
    records.add([run(1, 111.0, row="vae-categorical", estimator="annealed_st", **SOFT)])
    found = priced.compare([records], "vae-categorical-annealed_st")
    assert [sorted(one.runs) for one in found.readings] == [[0, 1]]


def test_records_from_before_there_was_a_choice(records):
    old = run(0, 70.0)
    del old["config"]["normalise"], old["config"]["centre"], old["config"]["slope_form"]
    records.add([old])
    assert priced.compare([records], SF).readings[0].label == "all divided"


def test_in_the_books_records_both_forms_are_the_same_softmax():
    for cell in ("sbn-categorical-annealed_st", "vae-categorical-annealed_st"):
        runs = priced.results()[0].runs_of(cell)
        for run in runs.values():
            twin = runs.get(Config(**run["config"] | {"slope_form": "hard"}).key)
            assert twin is None or (twin["test"], twin["curve"]) == (run["test"], run["curve"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_books_records_can_be_shown(cell):
    found = priced.compare(priced.results(), cell)
    assert len(priced.table(found)) == len(found.readings)
    json.dumps(priced.sentences(found))
