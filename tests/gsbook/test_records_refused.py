"""What a folder of records refuses: numbers beyond floats, records that it could not read back, a
damaged list of equivalences."""

import json

import pytest
from helpers import ABOUT

from gsbook.experiments import EXPERIMENTS
from gsbook.places import results_folder
from gsbook.records import Records


def record(key="k", **changes):
    config, curve = {"lr": 0.1, "seed": 0}, {"step": [1]}
    run = {"key": key, "cell": "vae-bernoulli-st", "config": config, "curve": curve, "code": "c"}
    run |= {"diverged": None, "valid_bound": 1.5, "test": {"nll": 2.5}, "data": ABOUT}
    return run | changes


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results" / "table1")


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "NaN"])
def test_a_number_that_no_float_holds_is_refused(records, literal):
    records.add([record()])
    path = records.path("vae-bernoulli-st")
    path.write_text(path.read_text().replace('"valid_bound": 1.5', f'"valid_bound": {literal}'))
    with pytest.raises(ValueError, match=r"line 1 is no record"):
        records.all()


def test_nothing_is_written_that_would_be_refused(records):
    records.add([record()])
    before = records.path("vae-bernoulli-st").read_bytes()
    for wrong in ({"code": 7}, {"config": None}, {"minutes": float("inf")}):
        with pytest.raises(ValueError, match=r"is|float"):
            records.add([record("other") | wrong])
    assert records.path("vae-bernoulli-st").read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"modules": {"a": {"b": {}}}}'])
def test_a_damaged_list_of_equivalences_is_named(records, text):
    records.add([record()])
    (records.folder.parent / "equivalent_code.json").write_text(text)
    with pytest.raises(ValueError, match=r"equivalent_code.json is no list of equivalences"):
        records.equivalent()


# --- records of one experiment: each change makes of a true one what cannot be


def first(name):
    """The first tested record of an experiment, of a run that is trained."""
    own = EXPERIMENTS[name]
    records = own.records(results_folder() / name).all()
    return own, json.loads(json.dumps(next(r for r in records if r["test"] and r["curve"]["step"])))


@pytest.mark.parametrize("name", sorted(EXPERIMENTS.keys() - {"challenge"}))
def test_a_curve_ends_with_its_run_and_says_whether_it_diverged(name):
    own, run = first(name)
    own.check(run)
    *rest, last = run["curve"]["step"]
    short = {"curve": run["curve"] | {"step": [*rest, last - 1]}}
    lost = {"curve": run["curve"] | {"train": [*run["curve"]["train"][:-1], None]}}
    other = {"data": run["data"] | {"images": 7}}
    for wrong in (short, lost, {"diverged": last}, other):
        with pytest.raises(
            ValueError, match=r"its curve ends after|does not say so|images of its data"
        ):
            own.check(run | wrong)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("temperature", {"noise": -1.0}),
        ("temperature", {"tau": -1.0}),
        ("reading", {"expected": 0.0}),
        ("codes", {"ndcg": 50.0, "hit": 1.0}),
        ("poles", {"team": 50.0, "score": 49.0}),
        ("quantised", {"perplexity": 0.5}),
        ("quantised", {"bound": 1.0, "kl": 2.0}),
    ],
)
def test_figures_that_cannot_be_are_refused(name, figures):
    own, run = first(name)
    with pytest.raises(ValueError, match=r"below|above"):
        own.check(run | {"test": run["test"] | figures})


def test_a_run_that_diverged_may_lack_what_it_could_not_count():
    own, run = first("quantised")
    last = run["curve"]["step"][-1]
    curve = run["curve"] | {"train": [*run["curve"]["train"][:-1], None]}
    lost = dict.fromkeys(("nll", "kl", "bound"))
    own.check(run | {"diverged": last, "curve": curve, "test": run["test"] | lost})
