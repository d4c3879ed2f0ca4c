"""How long is long enough: laws through three bounds, and predictions that are made once."""

from dataclasses import replace
from datetime import date

import pytest

from gsbook.claims import paper, titles
from gsbook.experiments.table1 import forecast
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.evaluate import SAMPLES
from gsbook.experiments.table1.results import SOURCE
from gsbook.records import Records

ROW = "vae-bernoulli"


def record(config, valid, test=None):
    steps = [50_000, config.steps]
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "code": {},
        "valid_bound": valid,
        "test": None if test is None else {"nll": test, "single": test and test + 10},
        "diverged": None,
        "evaluation": {"images": None, "samples": SAMPLES},
        "data": {"source": SOURCE, "sha256": {"train": "0"}},
        "curve": {"step": steps} | {key: [150.0, valid] for key in ("train", "valid", "test")},
    }


@pytest.mark.parametrize(
    ("limit", "scale", "rate"), [(100.0, 2000.0, 0.5), (58.2, 450.0, 0.34), (110.0, 9e3, 0.9)]
)
def test_a_law_is_found_from_three_of_its_points(limit, scale, rate):
    law = forecast.Law(limit, scale, rate)
    found = forecast.power_law(forecast.FITTED, [law(t) for t in forecast.FITTED])
    assert (found.limit, found.scale, found.rate) == pytest.approx((limit, scale, rate), rel=1e-6)
    assert found(500_000) == pytest.approx(law(500_000))


@pytest.mark.parametrize(
    "bounds",
    [(120.0, 119.0, 120.5), (120.0, 120.0, 119.0), (130.0, 128.0, 120.0), (120.0, None, 110.0)],
    ids=["rises", "stands still first", "falls ever faster", "diverged"],
)
def test_no_law_is_made_up(bounds):
    assert forecast.power_law(forecast.FITTED, bounds) is None


def test_steps_of_a_law_increase():
    with pytest.raises(ValueError, match=r"three increasing.*\(2, 1, 3\)"):
        forecast.power_law((2, 1, 3), (3.0, 2.0, 1.0))


def test_a_prediction_is_the_law_s_fall_from_the_longest_runs(tmp_path):
    law, found = forecast.Law(100.0, 2000.0, 0.5), Records(tmp_path)
    config = Config("vae", "bernoulli", "st", lr=3e-3)
    runs = [record(replace(config, steps=t), law(t)) for t in forecast.FITTED[:2]]
    for steps in (100_000, 200_000):
        longer = [replace(config, steps=steps, seed=s) for s in range(3)]
        runs += [record(c, law(steps), law(steps) - 3 + c.seed) for c in longer]
    found.add(runs)
    said = forecast.predict(found, config.cell, 500_000)
    assert said["start"] == 200_000
    assert said["predicted"] == pytest.approx(law(500_000) - 2)
    assert said["paper"] == paper(ROW)["st"]
    assert forecast.predict(found, "vae-bernoulli-sf", 500_000) is None


def test_points_of_another_reading_and_younger_twins_are_left_out(tmp_path):
    found = Records(tmp_path)
    config = Config("vae", "categorical", "muprop", lr=3e-3)
    old = {k: v for k, v in config.to_dict().items() if k not in ("centre", "slope_form")}
    for steps, valid in zip(forecast.FITTED, (120.0, 115.0, 112.0), strict=True):
        run = record(replace(config, steps=steps), valid, 112.0)
        run["config"] = old | {"steps": steps}  # before a reading was a field
        found.add([run | {"date": "2026-11-24 12:00"}])
    longer = record(replace(config, steps=500_000, centre=True), 100.0, 100.0)
    twin = record(replace(config, steps=20_000, slope_form="soft"), 90.0)
    found.add([longer, twin | {"date": "2026-11-28 12:00"}])
    final, bounds = forecast.points(found, config.cell)
    assert final.steps == 100_000
    assert list(bounds.items()) == [(20_000, 120.0), (40_000, 115.0), (100_000, 112.0)]


def test_a_prediction_is_written_once(tmp_path, capsys):
    path = tmp_path / "predictions.json"
    path.write_text("made before")
    assert forecast.main(["500000", "--file", str(path)]) == 1
    assert path.read_text() == "made before"
    assert "made once" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        forecast.main(["100000", "--file", str(tmp_path / "other.json")])


def test_the_predictions_are_complete_and_dated():
    made = forecast.predictions()
    assert date.fromisoformat(made["made"]) <= date.today()
    assert made["cells"].keys() == {f"{row}-{name}" for row in titles() for name in paper(row)}
    for said in made["cells"].values():
        assert (said["law"] is None) == (said["predicted"] is None)
        if said["law"]:
            law = forecast.Law(*said["law"])
            assert [law(int(t)) for t in said["bounds"]] == pytest.approx(
                [*said["bounds"].values()]
            )
            expected = said["test"] + law(made["steps"]) - law(said["start"])
            assert said["predicted"] == pytest.approx(expected)
