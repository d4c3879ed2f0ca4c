"""What the chapters show from records, be they complete, partial, not there or damaged."""

import json
import math
from dataclasses import replace

import pytest

from gsbook import claims, experiments
from gsbook.code import code_of
from gsbook.experiments.table1 import plan, record, results
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.evaluate import SAMPLES
from gsbook.places import PACKAGE, command, results_folder
from gsbook.reader import plots
from gsbook.verdicts import DIVERGED, NOT_RUN

ROW = "vae-bernoulli"


def made(config, valid, test=None):
    steps = [config.steps // 2, config.steps]
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "valid_bound": valid,
        "test": None if test is None else {"nll": test, "single": test and test + 10},
        "diverged": config.steps // 2 if valid is None else None,
        "code": "c",
        "evaluation": {"images": None, "samples": SAMPLES, "valid_samples": 100},
        "data": {"source": results.SOURCE, "sha256": {"train": "0"}},
        "curve": {"step": steps}
        | {key: [150.0, test or valid] for key in ("train", "valid", "test")},
    }


@pytest.fixture
def records(tmp_path):
    """SF with three seeds, MuProp with one that diverged, the search of ST; nothing else."""
    found = record.records(tmp_path)
    for name, values in {"sf": [112.0, 112.2, 112.4], "muprop": [109.0, 109.2, None]}.items():
        configs = [Config("vae", "bernoulli", name, lr=3e-3, seed=s) for s in range(3)]
        found.add(
            [made(c, 115.0, v) for c, v in zip(configs, values, strict=True)]
            if None not in values
            else [
                made(c, 115.0, v) if v else made(c, None) | {"test": {"nll": None, "single": None}}
                for c, v in zip(configs, values, strict=True)
            ]
        )
    rates = {1e-4: 140.0, 3e-3: 120.0, 1e-2: None}
    found.add(
        [
            made(Config("vae", "bernoulli", "st", lr=lr, steps=20_000), bound)
            for lr, bound in rates.items()
        ]
    )
    return found


def test_comparison_holds_every_estimator_and_says_what_has_not_run(records):
    table = results.comparison(records, ROW)
    assert list(table.index) == list(claims.paper(ROW))
    sf = table.loc["sf"]
    assert (sf["ours"], sf["seeds"], sf["verdict"]) == (pytest.approx(112.2), 3, "reproduced")
    assert sf["±"] == pytest.approx(4.3027 * 0.2 / math.sqrt(3), abs=1e-4)
    assert table.loc["muprop", ["seeds", "diverged"]].tolist() == [2, 1]
    assert table.loc["gumbel_softmax", "verdict"] == NOT_RUN
    assert math.isnan(table.loc["gumbel_softmax", "ours"])


def test_runs_beyond_the_papers_rates_are_shown_apart(records):
    beyond = [Config("vae", "bernoulli", "sf", lr=1e-2, seed=s) for s in range(2)]
    records.add([made(c, 90.0, 100.0) for c in beyond])
    assert list(results.row(records, ROW)[1]["sf"].values.values()) == [112.0, 112.2, 112.4]
    (cell,) = results.by_steps(records, f"{ROW}-sf", (plan.BEYOND,)).values()
    assert cell.values == {0: 100.0, 1: 100.0}


def test_a_cell_whose_seeds_all_diverged_has_run(tmp_path):
    found = record.records(tmp_path)
    found.add(
        [
            made(Config("vae", "bernoulli", "st", lr=3e-3), None)
            | {"test": {"nll": None, "single": None}}
        ]
    )
    line = results.comparison(found, ROW).loc["st"]
    assert (line["verdict"], line["diverged"], line["seeds"]) == (DIVERGED, 1, 0)


def test_comparison_of_an_empty_folder(tmp_path):
    table = results.comparison(record.records(tmp_path / "none"), ROW)
    assert set(table["verdict"]) == {NOT_RUN}


def test_scale_names_the_commands_of_missing_cells(records, tmp_path):
    text = results.scale(records, ROW)
    assert "2 of 7 cells, 100,000 steps, seeds: 3" in text
    assert "5 not run yet" in text
    assert text.endswith(command(ROW))
    assert command(ROW) in results.scale(record.records(tmp_path / "none"), ROW)


def test_a_length_that_was_added_after_the_verdicts_says_so(tmp_path):
    row, steps = next(iter(results.EXTENDED.items()))
    for length, late in ((100_000, False), (steps, True)):
        found = record.records(tmp_path / str(length))
        config = Config(*row.split("-"), "sf", lr=3e-3, steps=length)
        found.add([made(config, 115.0, 110.0)])
        assert ("after its verdicts at 100,000 had been seen" in results.scale(found, row)) == late


@pytest.mark.parametrize(
    ("steps", "options"), [(500_000, "--budget paper"), (300_000, "--budget laptop --steps 300000")]
)
def test_missing_cells_are_to_be_made_as_long_as_the_others(tmp_path, steps, options):
    found = record.records(tmp_path)
    found.add([made(Config(*ROW.split("-"), "sf", lr=3e-3, steps=steps), 115.0, 110.0)])
    assert results.scale(found, ROW).endswith(f"python -m gsbook run {ROW} {options}")


@pytest.mark.parametrize("target", ["table1", "figure4", ROW, f"{ROW}-sf"])
def test_commands_name_targets_and_budgets_that_exist(target):
    *_, name, option, budget = command(target).split()
    assert experiments.target(name)[1]
    assert option == "--budget"
    assert budget in plan.BUDGETS


def test_search_and_sensitivity_keep_to_one_scale_and_leave_out_diverged(records):
    assert set(results.search(records, f"{ROW}-st")) == {(1e-4, 0.0), (3e-3, 0.0), (1e-2, 0.0)}
    assert results.sensitivity(records, f"{ROW}-st") == {1e-4: 140.0, 3e-3: 120.0}
    assert results.sensitivity(records, f"{ROW}-darn") == {}


def test_a_search_is_of_the_reading_whose_runs_are_longest(tmp_path):
    found = record.records(tmp_path)
    old, new = {}, {"normalise": "signal"}
    for settings, bound in ((old, 120.0), (new, 110.0)):
        tried = [
            Config("vae", "bernoulli", "sf", lr=lr, steps=20_000, **settings) for lr in (1e-3, 3e-3)
        ]
        found.add([made(c, bound) for c in tried])
    final = [Config("vae", "bernoulli", "sf", lr=3e-3, steps=n) for n in (100_000, 500_000)]
    found.add([made(final[0], 100.0, 99.0)])
    assert results.sensitivity(found, f"{ROW}-sf") == {1e-3: 120.0, 3e-3: 120.0}
    found.add([made(replace(final[1], **new), 100.0, 99.0)])
    assert results.sensitivity(found, f"{ROW}-sf") == {1e-3: 110.0, 3e-3: 110.0}


def test_figures_and_curves_of_a_cell(records):
    cell = results.row(records, ROW)[1]["muprop"]
    assert cell.figure("single") == {0: 119.0, 1: 119.2}
    assert cell.figure("no such figure") == {}
    steps, losses = cell.curve("test")
    assert steps == [50_000, 100_000]
    assert losses[0] == [150.0, 109.0]
    assert math.isnan(losses[2][1])


def test_curves_are_drawn_for_what_is_there(records):
    ax = plots.learning_curves(results.row(records, ROW)[1])
    assert [line.get_label() for line in ax.lines] == ["SF", "MuProp"]
    assert ax.lines[1].get_ydata()[-1] == pytest.approx(
        109.1
    )  # of the two seeds that did not diverge
    assert [text.get_text() for text in plots.learning_curves({}).texts] == ["not run yet"]


def test_results_can_be_read_from_another_folder(monkeypatch, tmp_path):
    assert results.results().folder == results_folder() / "table1"
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))
    assert results.results().folder == tmp_path / "table1"


def test_the_book_is_found_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (results_folder() / "table1").is_dir()
    assert claims.FILE == PACKAGE / "claims.yml"
    assert claims.stated()["table1"]


def test_a_row_of_older_code_says_so_with_its_command(records):
    runs = records.runs_of(f"{ROW}-sf").values()
    assert "runs of older code" in results.scale(records, ROW)
    now = code_of(records.modules(next(iter(runs))))
    records.add(
        [run | {"code": now} for run in [*runs, *records.runs_of(f"{ROW}-muprop").values()]]
    )
    assert "older code" not in results.scale(records, ROW)


# What a record must be


def whole():
    return made(Config("vae", "bernoulli", "sf", lr=3e-3), 115.0, 112.0) | {"code": {}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valid_bound": "115.0"}, "valid_bound is '115.0', which is no finite number"),
        ({"valid_bound": -3.0}, "valid_bound is -3.0, below 0"),
        ({"valid_bound": None}, "valid_bound is null, and yet it did not diverge"),
        ({"test": {"nll": "61.5", "single": 1.0}}, "nll is '61.5'"),
        ({"test": {"nll": -5, "single": 1.0}}, "nll is -5, below 0"),
        ({"test": {"nll": None, "single": 1.0}}, "nll is null, and yet it did not diverge"),
        ({"test": {}}, "test is neither null nor has the figures nll, single"),
        ({"test": {"nll": 61.5}}, "test is neither null nor has the figures"),
        ({"test": {"nll": True, "single": 1.0}}, "nll is True"),
        ({"test": {"nll": 1.0, "single": 1.0, "nll_part": [1]}}, r"nll_part is \[1\]"),
        ({"evaluation": {"images": None, "samples": "1000", "valid_samples": 1}}, "samples of its"),
        ({"evaluation": {"images": None, "samples": 0, "valid_samples": 1}}, "samples of its"),
        ({"evaluation": {"images": None, "samples": 10}}, "lacks 'valid_samples'"),
        ({"evaluation": {}}, "lacks 'images'"),
        ({"diverged": 200_000}, "diverged is 200000"),
        ({"diverged": True}, "diverged is True"),
        ({"data": {"source": 3, "sha256": {"train": "0"}}}, "source of its data is 3"),
        ({"data": {}}, "lacks 'source'"),
        ({"curve": {"step": [2, 1], "test": [1.0, 1.0]}}, "do not rise"),
        ({"curve": {"step": [1, 1], "test": [1.0, 1.0]}}, "do not rise"),
        ({"curve": {"step": [1, 100_001], "test": [1.0, 1.0]}}, "rise to 100000 at most"),
        ({"curve": {"step": ["1"], "test": [1.0]}}, "do not rise"),
        ({"curve": {"step": [], "test": []}}, "do not rise"),
        ({"curve": {"step": [1], "valid": [1.0, 2.0]}}, "1 steps and 2 of valid"),
        ({"curve": {"step": [1], "valid": ["1.0"]}}, "valid of its curve is '1.0'"),
        ({"curve": {"step": [100_000], "valid": [1.0]}}, "its curve lacks train, test"),
        ({"data": {"source": "s", "sha256": "abc"}}, "SHA-256 of its data is 'abc'"),
        ({"data": {"source": "s", "sha256": {"train": 1}}}, "SHA-256 of its data is"),
        ({"code": {"gslib.functional": ["a"]}}, "code is {'gslib.functional'"),
        ({"key": "other"}, "its key is not the one of its config"),
        ({"code": 7}, "code is 7"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, changes, reason):
    found = record.records(tmp_path)
    found.add([whole()])
    assert len(found.all()) == 1
    found.path("vae-bernoulli-sf").write_text(json.dumps(whole() | changes) + "\n")
    with pytest.raises(ValueError, match=f"vae-bernoulli-sf.jsonl line 1 is no .*{reason}.*delete"):
        found.all()


@pytest.mark.parametrize("name", ["key", "cell", "config", "code", "valid_bound", "test", "curve"])
def test_a_missing_field_is_named(tmp_path, name):
    found = record.records(tmp_path)
    run = {k: v for k, v in whole().items() if k != name}
    found.path("vae-bernoulli-sf").write_text(json.dumps(run) + "\n")
    with pytest.raises(ValueError, match=f"line 1 is no record .it lacks '{name}'"):
        found.all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lr": "0.003"}, "lr of its config is '0.003', which is no float"),
        ({"seed": 0.0}, "seed of its config is 0.0, which is no int"),
        ({"seed": False}, "seed of its config is False"),
        ({"learned_prior": 1}, "learned_prior of its config is 1, which is no bool"),
        ({"steps": -1}, "steps must be positive"),
        ({"node": "gaussian"}, "node must be one of"),
        ({"extra": 1}, "beyond the known, extra"),
    ],
)
def test_configs_that_cannot_be_are_refused(changes, reason):
    run = whole()
    with pytest.raises(ValueError, match=reason):
        record.check(run | {"config": run["config"] | changes})


@pytest.mark.parametrize("name", ["lr", "model"])
def test_a_config_without_what_has_no_default_is_refused(name):
    run = whole()
    del run["config"][name]
    with pytest.raises(ValueError, match=f"lacks, or has beyond the known, {name}"):
        record.check(run)


def test_a_field_that_came_later_has_its_default(tmp_path):
    found, run = record.records(tmp_path), whole()
    del run["config"]["momentum"]
    found.add([run])
    assert len(found.all()) == 1


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
        "test": {"nll": nll, "single": nll} if test else None,
        "evaluation": {"images": images, "samples": samples, "valid_samples": 100},
        "data": {"source": source, "sha256": {"train": "0"}},
        "code": "c",
        "curve": {"step": [steps]} | {key: [nll] for key in ("train", "valid", "test")},
    }


@pytest.fixture
def empty(tmp_path):
    return record.records(tmp_path / "table1")


def test_the_cell_is_the_best_rate_on_validation_not_on_test(empty):
    empty.add(
        [run(lr=1e-3, seed=s, valid=100, nll=90 + s) for s in (0, 1)]
        + [run(lr=3e-4, seed=s, valid=99, nll=95 + s) for s in (0, 1)]
    )
    assert results.by_steps(empty, "vae-bernoulli-st")[100].values == {0: 95, 1: 96}


def test_more_seeds_go_before_a_better_bound(empty):
    empty.add([run(lr=1e-3, seed=s, valid=100) for s in (0, 1)] + [run(lr=3e-4, valid=50)])
    cell = results.by_steps(empty, "vae-bernoulli-st")[100]
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
def test_runs_outside_the_protocol_stand_for_no_cell(empty, odd):
    empty.add([run(seed=1, **odd)])
    assert results.by_steps(empty, "vae-bernoulli-st") == {}
    empty.add([run(seed=0)])
    assert list(results.by_steps(empty, "vae-bernoulli-st")[100].runs) == [0]


def test_diverged_runs_are_counted_and_have_no_value(empty):
    empty.add([run(seed=0), run(seed=1, nll=None, valid=None, diverged=20)])
    cell = results.by_steps(empty, "vae-bernoulli-st")[100]
    assert (cell.values, cell.diverged) == ({0: 100.0}, 1)


def test_a_row_is_shown_at_one_number_of_steps(empty):
    assert results.row(empty, "vae-bernoulli") == (None, {})
    empty.add(
        [run("vae-bernoulli-st", steps=s) for s in (100, 200)]
        + [run("vae-bernoulli-sf", steps=100)]
    )
    steps, cells = results.row(empty, "vae-bernoulli")
    assert (steps, sorted(cells)) == (100, ["sf", "st"])  # most cells
    empty.add([run("vae-bernoulli-sf", steps=200)])
    steps, cells = results.row(empty, "vae-bernoulli")
    assert (steps, {c.steps for c in cells.values()}) == (
        200,
        {200},
    )  # of equally many, the longer runs
