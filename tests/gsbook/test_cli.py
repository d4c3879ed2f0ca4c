"""The command line in this process: targets, options, budgets and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import searched

from gsbook import __main__ as command
from gsbook import timing
from gsbook.engine import step
from gsbook.experiments import EXPERIMENTS, TABLE1, target
from gsbook.experiments.table1.config import COLUMNS
from gslib.functional import stream


def cells(name, only=None):
    return target(name, only)[1]


def test_targets():
    assert len(cells("table1")) == 28
    assert cells("figure3") + cells("figure4") == cells("table1")
    assert {c.split("-")[0] for c in cells("figure3")} == {"sbn"}
    assert cells("vae-categorical") == [f"vae-categorical-{name}" for name in COLUMNS]
    assert cells("vae-categorical-st") == ["vae-categorical-st"]  # and not st_gumbel_softmax
    assert cells("figure4", ["st", "sf"]) == [
        f"vae-{n}-{e}" for n in ("bernoulli", "categorical") for e in ("sf", "st")
    ]


@pytest.mark.parametrize(
    ("target", "estimators", "message"),
    [
        (
            "table7",
            None,
            "unknown target 'table7'; choose table1, table2, choices, readings, causes, later",
        ),
        (
            "table2",
            ["sf"],
            "unknown estimator sf; choose from marginalisation, gumbel_softmax, st_gumbel",
        ),
        (
            "table1",
            ["st", "rebar"],
            "unknown estimator rebar; choose from sf, darn, muprop, st, annealed_st, gumbel_s",
        ),
        ("table1", ["exact"], "unknown estimator exact"),
        ("vae-categorical-sf", ["st"], "vae-categorical-sf has no estimator st"),
        ("challenge", ["gapped_st"], "the cells of challenge are whole rows: leave --estimator"),
        ("temperature", ["st"], "the cells of temperature are whole rows: leave --estimator"),
    ],
)
def test_unknown_targets_and_estimators(target, estimators, message):
    with pytest.raises(ValueError, match=message):
        cells(target, estimators)


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    """Random data for the calibration, no training; what would have been trained, as a list."""
    images = torch.randint(0, 2, (200, 784), generator=stream("cli"), dtype=torch.uint8)
    data = dict.fromkeys(("train", "valid", "test"), images)
    trained = []
    for name in ("table1", "choices"):
        stubs = dict(load_data=lambda images=None: (data, {}), evaluate=lambda *_: None)
        row = replace(EXPERIMENTS[name], **stubs)
        monkeypatch.setitem(EXPERIMENTS, name, row)
    monkeypatch.setattr("gsbook.experiments.TABLE1", EXPERIMENTS["table1"])
    monkeypatch.setattr(
        command.workers, "run_stages", lambda *given, **options: trained.append((given, options))
    )
    monkeypatch.setattr(timing.predicted_seconds, "__defaults__", (0.05,))
    monkeypatch.delenv("GSLIB_BUDGET", raising=False)
    monkeypatch.chdir(tmp_path)
    return trained


def test_dry_run_prints_counts_and_a_time_and_trains_nothing(
    stubbed, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(timing, "TIMED", 1)  # to compile and test all would take a minute
    monkeypatch.setattr(step, "LONG", math.inf)
    assert (
        command.main(["run", "vae-categorical", "--budget", "laptop", "--dry-run", "--jobs", "2"])
        == 0
    )
    out = capsys.readouterr().out
    assert "7 cells, budget laptop" in out
    assert "vae-categorical-st: 6 + 3 + 3 runs, 540,000 steps" in out
    assert "vae-categorical-gumbel_softmax: 12 + 3 + 3 runs, 660,000 steps" in out
    assert "102 runs, 4,140,000 steps\nabout" in out
    number, unit = out.split("about ")[1].split()[:2]
    assert 0 < float(number) < 100
    assert unit in ("minutes", "hours")
    assert stubbed == []
    assert list(tmp_path.iterdir()) == []


def test_options_reach_the_plans(stubbed, capsys):
    assert (
        command.main(
            [
                "run",
                "figure3",
                "--estimator",
                "st",
                "--steps",
                "70",
                "--seeds",
                "2",
                "--jobs",
                "3",
                "--device",
                "cpu",
                "--results",
                "r",
                "--checkpoints",
                "c",
            ]
        )
        == 0
    )
    (((experiment, plans, records, size), options),) = stubbed
    assert experiment.name == "table1"
    asked = [next(p) for p in plans]
    assert [(configs[0].cell, len(configs), test) for configs, test in asked] == [
        ("sbn-bernoulli-st", 4, True),
        ("sbn-categorical-st", 4, True),
    ]
    assert {c.steps for configs, _ in asked for c in configs} == {70}
    assert records.folder == Path("r")
    assert size == TABLE1.budgets["smoke"].size
    assert options == {
        "jobs": 3,
        "device": "cpu",
        "checkpoints": Path("c"),
        "total": 560,
        "executor": None,
    }
    assert "records are in r" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "budget", "folder"),
    [
        ("vae-bernoulli-st", "smoke", "_build/smoke/table1"),
        ("vae-bernoulli-st", "laptop", "results/table1"),
        ("choices", "smoke", "_build/smoke/choices"),
        ("choices", "laptop", "results/choices"),
    ],
)
def test_smoke_runs_stay_out_of_the_results(stubbed, target, budget, folder):
    command.main(["run", target, "--budget", budget])
    assert stubbed[0][0][2].folder == Path(folder)
    experiment = EXPERIMENTS.get(target, TABLE1)
    assert stubbed[0][0][3] == experiment.budgets[budget].size


def test_choices_take_the_rate_from_the_records_beside_them(stubbed, tmp_path):
    searched(tmp_path, {(3e-4, 1e-4): 104.0}, "vae-categorical-gumbel_softmax")
    command.main(
        ["run", "choices", "--estimator", "gumbel_softmax", "--seeds", "2", "--results", "choices"]
    )
    asked = [next(p)[0] for p in stubbed[0][0][1]]
    assert [{c.lr for c in configs} for configs in asked] == [{3e-3}, {3e-4}]
    assert {c.seed for configs in asked for c in configs} == {0, 1}


def test_budget_comes_from_the_environment(stubbed, monkeypatch):
    monkeypatch.setenv("GSLIB_BUDGET", "laptop")
    command.main(["run", "vae-bernoulli-st"])
    assert stubbed[0][0][2].folder == Path("results/table1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table1", "--budget", "huge"], "invalid choice: 'huge'"),
        (["run", "table1", "--steps", "0"], "must be a whole number above 0, got '0'"),
        (["run", "table1", "--seeds", "-1"], "must be a whole number above 0, got '-1'"),
        (["run", "table1", "--jobs", "many"], "must be a whole number above 0, got 'many'"),
        (["run", "table1", "--results", ""], "must name a folder, got ''"),
        (["gpu", "--out", "x", "--minutes", "nan"], "must be 0 or more and finite, got 'nan'"),
        ([], "required: command"),
    ],
)
def test_usage_errors(stubbed, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert stubbed == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table7"], "unknown target 'table7'; choose table1"),
        (["run", "vae-bernoulli-"], "unknown target 'vae-bernoulli-'"),
        (
            ["run", "table1", "--estimator", "rebar"],
            "unknown estimator rebar; choose from sf, darn",
        ),
        (["run", "figure5a", "--steps", "3"], "figure5a has neither --steps nor --seeds"),
        (["keep", "table7"], "'table7' is no cell whose weights are kept; choose sbn-bernoulli-sf"),
        (["keep", "vae-bernoulli"], "'vae-bernoulli' is no cell whose weights are kept"),
        (["run", "figure5a", "--jobs", "7"], "figure5a times this machine, one process at a time"),
    ],
)
def test_errors_are_one_sentence(stubbed, capsys, arguments, message):
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m gsbook: ")
    assert message in error
    assert error.count("\n") == 1
    assert stubbed == []


def test_a_wrong_budget_in_the_environment(stubbed, capsys, monkeypatch):
    monkeypatch.setenv("GSLIB_BUDGET", "huge")
    assert command.main(["run", "table1"]) == 2
    assert "GSLIB_BUDGET must be smoke, laptop or paper, got 'huge'" in capsys.readouterr().err


def test_a_damaged_record_is_one_sentence(stubbed, capsys, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "table1").mkdir()
    (tmp_path / "table1" / "vae-bernoulli-darn.jsonl").write_text("half a li")
    assert command.main(["run", "vae-bernoulli-darn", "--results", "table1", "--dry-run"]) == 0
    assert command.main(["run", "choices", "--estimator", "darn", "--results", "r"]) == 2
    error = capsys.readouterr().err
    assert "vae-bernoulli-darn.jsonl line 1 is no record" in error
    assert error.count("\n") == 1


def test_no_time_is_predicted_for_an_interrupted_command(stubbed, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.timing, "cost", interrupted)
    assert command.main(["run", "vae-bernoulli-st"]) == 130
    assert capsys.readouterr().err == "python -m gsbook: interrupted\n"


def test_keep_says_what_to_run_first(capsys, tmp_path):
    arguments = ["keep", "vae-bernoulli-sf", "--results", str(tmp_path)]
    assert command.main(arguments) == 2
    assert "has no finished final run" in capsys.readouterr().err
