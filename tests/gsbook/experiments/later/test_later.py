"""The estimators after 2017: what a run is, what it costs, which runs are made, what is shown."""

from dataclasses import replace

import pytest
import torch
from helpers import ABOUT, NODE_SIZES, SIZE, TINY, InThisProcess, differing, execute

from gsbook.engine.search import dry
from gsbook.engine.step import usable
from gsbook.experiments import EXPERIMENTS, LATER, target
from gsbook.experiments.later import plan, record, results
from gsbook.experiments.later.config import CELLS, COLUMNS, NEWER, REFERENCES, Config
from gsbook.experiments.later.plan import BUDGETS, at_equal_cost, bounds, candidates
from gsbook.experiments.later.train import Later, estimate, evaluations
from gsbook.experiments.table1.config import ROWS
from gsbook.experiments.table1.config import Config as Table1
from gsbook.experiments.table1.train import Ensemble
from gslib import ESTIMATORS
from gslib._checks import unchecked

SHORT = {"steps": 20, "batch": 8, "eval_every": 10, "anneal_every": 4}


def config(estimator, model="vae", node="bernoulli", lr=1e-2, **changes):
    return Config(model, node, estimator, lr, **SHORT | changes)


def trained(configs, kind=Later, mode="eager", steps=20):
    ensemble = kind(configs, TINY, size=NODE_SIZES[configs[0].node], mode=mode)
    list(ensemble.advance(steps))
    return ensemble


# --- a run ----------------------------------------------------------------------------------------


def test_keys_leave_out_what_is_at_its_default():
    plain = config("reinmax")
    assert plain.key == Table1("vae", "bernoulli", "reinmax", 1e-2, **SHORT).key
    assert "temperature=0.5" in config("reinmax", temperature=0.5).key
    assert plain.settings == {}
    assert config("rebar", eta=0.0, temperature=0.1).settings == {"tau": 0.1, "eta": 0.0}


@pytest.mark.parametrize(
    ("estimator", "changes", "message"),
    [
        ("reinmax", {"samples": 2}, "reinmax has no samples to set, got 2"),
        ("gumbel_softmax", {"temperature": 0.5}, "gumbel_softmax has no temperature"),
        ("rloo", {"samples": 0}, "samples must be positive, got 0"),
        ("rebar", {"temperature": float("nan")}, "temperature must be a finite number, got nan"),
        ("reinmax", {"bound": 2}, "needs the log-ratio of each, got kl='analytic'"),
        ("vimco", {}, "give kl='sampled'"),
        ("vimco", {"bound": 2, "kl": "sampled"}, "for vimco 1 if that estimates another loss"),
        ("annealed_st", {"bound": 2, "kl": "sampled"}, "for annealed_st 1"),
        ("rloo", {"samples": 2.5}, "samples must be a whole number, got 2.5"),
        ("reinmax", {"bound": 1.5}, "bound must be a whole number, got 1.5"),
        ("gapped_st", {"gap": -1.0}, "gap must not be negative, got -1.0"),
        ("reinmax", {"bound": 0}, "bound must be 1 or more"),
        ("reinforce", {}, "estimator must be one of"),
    ],
)
def test_settings_that_make_no_sense(estimator, changes, message):
    with pytest.raises(ValueError, match=message):
        config(estimator, **changes)


@pytest.mark.parametrize(
    ("estimator", "model", "changes", "count"),
    [
        ("reinmax", "vae", {}, 1),
        ("gumbel_rao", "sbn", {}, 1),
        ("gapped_st", "vae", {}, 1),
        ("rloo", "vae", {"samples": 4}, 4),
        ("double_cv", "sbn", {}, 4),
        ("disarm", "vae", {}, 2),
        ("disarm", "sbn", {}, 3),
        ("rebar", "vae", {}, 3),
        ("rebar", "sbn", {}, 5),
        ("vimco", "vae", {"samples": 4, "kl": "sampled"}, 4),
        ("reinmax", "vae", {"bound": 4, "kl": "sampled"}, 4),
        ("rloo", "sbn", {"bound": 2, "samples": 3}, 6),
        ("gumbel_softmax", "vae", {}, 1),
    ],
)
@pytest.mark.parametrize("node", ["bernoulli", "categorical"])
def test_evaluations_are_counted(estimator, model, changes, count, node):
    assert evaluations(config(estimator, model, node, **changes)) == count


@pytest.mark.parametrize("model", ["vae", "sbn"])
@pytest.mark.parametrize("node", ["bernoulli", "categorical"])
@pytest.mark.parametrize("name", NEWER)
def test_a_member_is_its_lone_run(name, node, model):
    configs = [config(name, model, node, seed=s, lr=lr) for s, lr in ((0, 1e-2), (3, 1e-3))]
    together, alone = trained(configs), trained(configs[1:])
    ours, theirs = together.states()[1], alone.states()[0]
    if name in ("rloo", "double_cv"):  # products with an axis of samples: to rounding
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
        return
    assert differing(ours, theirs) == []
    assert together.curves[1] == alone.curves[0]


@pytest.mark.skipif(bool(usable("compiled")), reason=usable("compiled"))
def test_a_compiled_member_is_its_lone_run_bit_for_bit():
    configs = [config("rloo", seed=s) for s in (0, 3)]
    together, alone = (trained(some, mode="compiled") for some in (configs, configs[1:]))
    assert differing(together.states()[1], alone.states()[0]) == []


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_the_run_of_table_1(name):
    ours = trained([config(name, anneal_rate=0.02)])
    theirs = trained([Table1("vae", "bernoulli", name, 1e-2, anneal_rate=0.02, **SHORT)], Ensemble)
    assert differing(ours.states()[0], theirs.states()[0]) == []


def test_settings_and_the_bound_reach_the_estimator():
    plain = trained([config("rebar")])
    for changes in ({"temperature": 0.1}, {"eta": 0.5}):
        changed = trained([config("rebar", **changes)])
        assert differing(plain.states()[0], changed.states()[0])
    one, two = (trained([config("reinmax", kl="sampled", bound=k)]) for k in (1, 2))
    assert differing(one.states()[0], two.states()[0])


def test_the_loss_of_a_bound_of_one_is_the_loss():
    case = config("reinmax", kl="sampled")
    x = TINY["train"][None, :4].float()
    model = trained([case], steps=10).model
    halves = lambda like: torch.full_like(like, 0.5)  # noqa: E731
    program = lambda sample: model.loss(x, sample)  # noqa: E731
    with unchecked():
        found = estimate(program, config=case, uniform=halves)
        assert found.equal(ESTIMATORS["reinmax"](program, uniform=halves))


@pytest.mark.skipif(bool(usable("compiled")), reason=usable("compiled"))
@pytest.mark.parametrize(
    ("name", "model", "node", "changes"),
    [
        ("disarm", "sbn", "categorical", {}),
        ("rebar", "vae", "bernoulli", {}),
        ("st_gumbel_softmax", "vae", "bernoulli", {"bound": 2, "kl": "sampled"}),
    ],
)
def test_compiled_is_eager_to_rounding(name, model, node, changes):
    case = [config(name, model, node, **changes)]
    plain, compiled = (trained(case, mode=mode).states()[0] for mode in ("eager", "compiled"))
    for key, value in plain.items():
        torch.testing.assert_close(compiled[key], value, rtol=1e-3, atol=2e-5)


# --- which runs -----------------------------------------------------------------------------------


def test_cells():
    assert len(CELLS) == 4 * len(COLUMNS) + 2
    assert target("later") == (LATER, list(CELLS))
    assert target("later:vae-categorical", ["rebar"])[1] == ["vae-categorical-rebar"]
    assert target("later:sbn-bernoulli-disarm")[1] == ["sbn-bernoulli-disarm"]
    for wrong in ("later:vae-categorical-sf", "sooner:vae-categorical", "later:"):
        with pytest.raises(ValueError, match="unknown target"):
            target(wrong)


def asked(cell, budget, best=3e-3):
    def made(c):
        return {"key": c.key, "valid_bound": abs(c.lr - best) + 1e-9, "diverged": None}

    return list(dry(plan.plan(cell, budget), made))


def test_the_plan_of_a_cell_with_one_evaluation():
    (search, test), (final, tested) = asked("sbn-categorical-reinmax", BUDGETS["laptop"])
    assert [(c.lr, c.steps) for c in search] == [(1e-3, 10_000), (3e-3, 10_000)]
    assert (test, tested) == (False, True)
    assert [(c.lr, c.steps, c.seed) for c in final] == [(3e-3, 20_000, s) for s in range(3)]


def test_several_evaluations_are_tested_at_equal_cost_too():
    _, (early, first), (final, last) = asked("sbn-bernoulli-rebar", BUDGETS["laptop"])
    assert first
    assert last
    assert [c.steps for c in early] == [4000] * 3
    assert [replace(c, steps=20_000) for c in early] == final


def test_bounds_take_the_rate_of_the_cell():
    stages = asked("vae-categorical-st_gumbel_softmax", BUDGETS["laptop"], best=1e-3)
    early, late = (configs for configs, _ in stages[-2:])
    assert {(c.bound, c.kl, c.lr, c.anneal_rate, c.steps) for c in late} == {
        (k, "sampled", 1e-3, 1e-4, 20_000) for k in (2, 4)
    }
    assert {(c.bound, c.steps) for c in early} == {(2, 10_000), (4, 5_000)}
    vimco = asked("vae-bernoulli-vimco", BUDGETS["laptop"])
    assert {c.samples for configs, _ in vimco for c in configs} == {2, 4}
    assert bounds(config("reinmax", "sbn")) == []


def test_budgets():
    paper = BUDGETS["paper"]
    assert (paper.steps, paper.seeds, paper.size.samples) == (200_000, 3, 1000)
    assert BUDGETS["laptop"].size == paper.size
    one = candidates("vae-bernoulli-rebar", paper)
    assert {c.temperature for c in one} == {0.1, 0.5}
    assert len(one) == 12
    smoke = asked("vae-categorical-disarm", BUDGETS["smoke"])
    assert sum(c.steps for configs, _ in smoke for c in configs) <= 300
    for row in ROWS:
        for name in COLUMNS:
            for c in candidates(f"{row}-{name}", BUDGETS["laptop"]):
                assert at_equal_cost(c).steps * evaluations(c) <= c.steps


# --- records and what is shown --------------------------------------------------------------------


def toy():
    return replace(LATER, load_data=lambda images: (TINY, ABOUT | {"images": images}))


def test_a_run_leaves_a_record_that_is_read_back(tmp_path):
    def small():
        yield [config("disarm"), config("rloo", samples=3)], True

    kept = execute(tmp_path, small(), experiment=toy(), name="later", executor=InThisProcess())
    runs = {run["config"]["estimator"]: run for run in kept.all()}
    assert {name: run["evaluations"] for name, run in runs.items()} == {"disarm": 2, "rloo": 3}
    assert runs["disarm"]["evaluation"]["samples"] == SIZE.samples
    assert "gslib.estimators.coupled" in runs["disarm"]["code"]
    assert "gslib.estimators.coupled" not in runs["rloo"]["code"]
    assert all(kept.is_current(run) for run in runs.values())
    for broken in ({"evaluations": 0}, {"evaluations": None}, {"valid_bound": -1.0}):
        with pytest.raises(ValueError, match=r"evaluations is|below"):
            record.check(runs["disarm"] | broken)


def made(case, nll, minutes=1.0):
    test = {"nll": nll, "single": nll + 9, "nll_10": nll + 5, "nll_100": nll + 2}
    return {
        "key": case.key,
        "cell": case.cell,
        "config": case.to_dict(),
        "code": {},
        "test": test,
        "valid_bound": nll,
        "diverged": None,
        "evaluations": evaluations(case),
        "minutes": minutes,
        "evaluation": {"images": None, "samples": 1000, "valid_samples": 100},
        "data": {"source": results.SOURCE, "sha256": {"train": "0"}},
        "curve": {"step": [case.steps], "train": [1.0], "valid": [1.0], "test": [nll + 9]},
    }


@pytest.fixture
def kept(tmp_path):
    found = record.records(tmp_path)
    for seed in range(3):
        for steps in (5000, 20_000):
            four = config("rloo", lr=3e-3, samples=4, steps=steps, seed=seed)
            found.add([made(four, 118 - steps / 2000 + seed / 10)])
        one = config("reinmax", lr=3e-3, steps=20_000, seed=seed)
        found.add([made(one, 110 + seed / 10)])
    found.add([made(config("reinmax", lr=1e-3, steps=20_000), 100.0)])  # of one seed alone
    return found


def test_lines_at_equal_steps_and_at_equal_cost(kept):
    steps = results.comparison(results.at_equal_steps(kept, "vae-bernoulli"))
    assert list(steps.index) == ["RLOO, k = 4", "ReinMax"]
    assert steps.loc["RLOO, k = 4", "m = 1000"] == pytest.approx(108.1)
    assert steps.loc["ReinMax", "m = 1"] == pytest.approx(119.1)
    cost = results.comparison(results.at_equal_cost(kept, "vae-bernoulli"))
    assert list(cost.index) == ["ReinMax", "RLOO, k = 4"]
    assert cost.loc["RLOO, k = 4", ["steps", "evaluations"]].tolist() == [5000, 4]
    assert cost.loc["ReinMax", "seeds"] == 3
    assert cost.loc["ReinMax", "± 1000"] == pytest.approx(0.248, abs=1e-3)


def test_curves_count_evaluations(kept):
    (line,) = (x for x in results.at_equal_steps(kept, "vae-bernoulli") if "RLOO" in x.label)
    assert line.curve()[0] == [80_000]


def test_the_guide_names_what_the_records_do_not_tell_apart(kept):
    found = results.at_equal_steps(kept, "vae-bernoulli")
    needs = {
        "all": lambda line: True,
        "one run a step": lambda line: line.evaluations == 1,
        "none does": lambda line: line.evaluations > 4,
    }
    guide = results.guide(found, needs)
    assert list(guide["take"]) == ["RLOO, k = 4", "ReinMax"]
    assert list(guide.index) == ["all", "one run a step"]
    assert guide.loc["one run a step", "behind"] == pytest.approx(2.0)
    assert guide["±"].isna().tolist() == [True, False]
    by_cost = results.guide(results.at_equal_cost(kept, "vae-bernoulli"), needs)
    assert list(by_cost["take"]) == ["ReinMax", "ReinMax"]
    again = config("disarm", lr=3e-3, steps=20_000)
    kept.add([made(again, 111.0)])  # one seed: nothing tells it from the best
    assert results.guide(results.at_equal_steps(kept, "vae-bernoulli"), needs).loc[
        "all", "take"
    ] == ("RLOO, k = 4 or DisARM")


def test_a_line_that_diverged_leads_nowhere(tmp_path):
    found = record.records(tmp_path)
    for seed in range(2):
        run = made(config("reinmax", lr=3e-3, steps=20_000, seed=seed), 110.0)
        lost = dict.fromkeys(run["test"])
        found.add([run | {"test": lost, "valid_bound": None, "diverged": 5, "curve": {
            "step": [20_000], "train": [None], "valid": [None], "test": [None]}}])  # fmt: skip
    lines = results.at_equal_steps(found, "vae-bernoulli")
    assert lines
    assert results.leaders(lines) == []
    assert results.guide(lines, {"any": lambda line: True}).empty


def test_nothing_recorded_is_an_empty_table(tmp_path):
    empty = record.records(tmp_path / "none")
    assert results.guide(results.at_equal_cost(empty, "vae-bernoulli"), {}).empty
    assert results.at_equal_cost(empty, "vae-bernoulli") == []
    assert results.comparison([]).empty


def test_it_is_among_the_experiments():
    assert EXPERIMENTS["later"] is LATER
