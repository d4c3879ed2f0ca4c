"""What the chapters on results show: rows, curves and searches from records, complete, partial or not there."""

import math
from dataclasses import replace
from datetime import date

import pytest

from gslib import plots
from gslib.experiment import Config, Records, forecast, plan, summary
from gslib.experiment.evaluate import SAMPLES

ROW = "vae-bernoulli"


def record(config, valid, test=None):
    steps = [50_000, config.steps]
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "valid_bound": valid,
        "test": None if test is None else {"nll": test, "single": test and test + 10},
        "diverged": None,
        "evaluation": {"images": None, "samples": SAMPLES},
        "data": {"source": summary.SOURCE},
        "curve": {"step": steps, "test": [150.0, test]},
    }


@pytest.fixture
def records(tmp_path):
    """SF with three seeds, MuProp with one that diverged, the search of ST; nothing else."""
    found = Records(tmp_path)
    for name, values in {"sf": [112.0, 112.2, 112.4], "muprop": [109.0, 109.2, None]}.items():
        configs = [Config("vae", "bernoulli", name, lr=3e-3, seed=s) for s in range(3)]
        found.add(
            [record(c, 115.0, v) for c, v in zip(configs, values, strict=True)]
            if None not in values
            else [
                record(c, 115.0, v)
                if v
                else record(c, None) | {"test": {"nll": None, "single": None}}
                for c, v in zip(configs, values, strict=True)
            ]
        )
    rates = {1e-4: 140.0, 3e-3: 120.0, 1e-2: None}
    found.add(
        [
            record(Config("vae", "bernoulli", "st", lr=lr, steps=20_000), bound)
            for lr, bound in rates.items()
        ]
    )
    return found


def test_comparison_holds_every_estimator_and_says_what_has_not_run(records):
    table = summary.comparison(records, ROW)
    assert list(table.index) == list(summary.paper(ROW))
    sf = table.loc["sf"]
    assert (sf["ours"], sf["seeds"], sf["verdict"]) == (pytest.approx(112.2), 3, "reproduced")
    assert sf["±"] == pytest.approx(4.3027 * 0.2 / math.sqrt(3), abs=1e-4)
    assert table.loc["muprop", ["seeds", "diverged"]].tolist() == [2, 1]
    assert table.loc["gumbel_softmax", "verdict"] == summary.NOT_RUN
    assert math.isnan(table.loc["gumbel_softmax", "ours"])


def test_runs_beyond_the_papers_rates_are_shown_apart(records):
    beyond = [Config("vae", "bernoulli", "sf", lr=1e-2, seed=s) for s in range(2)]
    records.add([record(c, 90.0, 100.0) for c in beyond])
    assert list(summary.row(records, ROW)[1]["sf"].values.values()) == [112.0, 112.2, 112.4]
    (cell,) = summary.by_steps(records, f"{ROW}-sf", (plan.BEYOND,)).values()
    assert cell.values == {0: 100.0, 1: 100.0}


def test_a_cell_whose_seeds_all_diverged_has_run(tmp_path):
    found = Records(tmp_path)
    found.add(
        [
            record(Config("vae", "bernoulli", "st", lr=3e-3), None)
            | {"test": {"nll": None, "single": None}}
        ]
    )
    line = summary.comparison(found, ROW).loc["st"]
    assert (line["verdict"], line["diverged"], line["seeds"]) == (summary.DIVERGED, 1, 0)


def test_comparison_of_an_empty_folder(tmp_path):
    table = summary.comparison(Records(tmp_path / "none"), ROW)
    assert set(table["verdict"]) == {summary.NOT_RUN}


def test_scale_names_the_commands_of_missing_cells(records, tmp_path):
    text = summary.scale(records, ROW)
    assert "2 of 7 cells, 100,000 steps, seeds: 3" in text
    assert "5 not run yet" in text
    assert text.endswith(summary.command(ROW))
    assert summary.command(ROW) in summary.scale(Records(tmp_path / "none"), ROW)


@pytest.mark.parametrize("target", ["table1", "figure4", ROW, f"{ROW}-sf"])
def test_commands_name_targets_and_budgets_that_exist(target):
    *_, name, option, budget = summary.command(target).split()
    assert plan.cells(name)
    assert option == "--budget"
    assert budget in plan.BUDGETS


def test_search_and_sensitivity_keep_to_one_scale_and_leave_out_diverged(records):
    assert set(summary.search(records, f"{ROW}-st")) == {(1e-4, 0.0), (3e-3, 0.0), (1e-2, 0.0)}
    assert summary.sensitivity(records, f"{ROW}-st") == {1e-4: 140.0, 3e-3: 120.0}
    assert summary.sensitivity(records, f"{ROW}-darn") == {}


def test_figures_and_curves_of_a_cell(records):
    cell = summary.row(records, ROW)[1]["muprop"]
    assert cell.figure("single") == {0: 119.0, 1: 119.2}
    assert cell.figure("no such figure") == {}
    steps, losses = cell.curve("test")
    assert steps == [50_000, 100_000]
    assert losses[0] == [150.0, 109.0]
    assert math.isnan(losses[2][1])


def test_curves_are_drawn_for_what_is_there(records):
    ax = plots.learning_curves(summary.row(records, ROW)[1])
    assert [line.get_label() for line in ax.lines] == ["SF", "MuProp"]
    assert ax.lines[1].get_ydata()[-1] == pytest.approx(
        109.1
    )  # of the two seeds that did not diverge
    assert [text.get_text() for text in plots.learning_curves({}).texts] == ["not run yet"]


def test_results_can_be_read_from_another_folder(monkeypatch, tmp_path):
    assert summary.results().folder == summary.book() / "results" / "table1"
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))
    assert summary.results().folder == tmp_path / "table1"


def test_the_book_is_found_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (summary.book() / "book" / "claims.yml").exists()


# --- how long is long enough


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
    runs = [record(config.longer(t), law(t)) for t in forecast.FITTED[:2]]
    for steps in (100_000, 200_000):
        longer = [replace(config, steps=steps, seed=s) for s in range(3)]
        runs += [record(c, law(steps), law(steps) - 3 + c.seed) for c in longer]
    found.add(runs)
    said = forecast.predict(found, config.cell, 500_000)
    assert said["start"] == 200_000
    assert said["predicted"] == pytest.approx(law(500_000) - 2)
    assert said["paper"] == summary.paper(ROW)["st"]
    assert forecast.predict(found, "vae-bernoulli-sf", 500_000) is None


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
    assert made["cells"].keys() == {
        f"{row}-{name}" for row in summary.titles() for name in summary.paper(row)
    }
    for said in made["cells"].values():
        assert (said["law"] is None) == (said["predicted"] is None)
        if said["law"]:
            law = forecast.Law(*said["law"])
            assert [law(int(t)) for t in said["bounds"]] == pytest.approx(
                [*said["bounds"].values()]
            )
            expected = said["test"] + law(made["steps"]) - law(said["start"])
            assert said["predicted"] == pytest.approx(expected)
