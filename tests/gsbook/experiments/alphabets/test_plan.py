"""Which runs make the experiment, and which of them stand for an estimator."""

import json
from dataclasses import replace

import pytest

from gsbook.engine import search
from gsbook.experiments import EXPERIMENTS, target
from gsbook.experiments.alphabets import plan, record, results
from gsbook.experiments.alphabets.config import CELLS, COLUMNS, ROWS, Config
from gsbook.timing import cost

FIRST = Config("vae", "categorical", "st", lr=1e-3, steps=20, eval_every=10)


def made(config, nll, test=True, samples=100, **changes):
    figures = {"nll": nll, "nll_10": nll, "single": nll}
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": None if nll is not None else 10,
        "valid_bound": nll,
        "test": figures if test else None,
        "data": {"source": results.SOURCE, "images": 50, "sha256": {"train": "0"}},
        "evaluation": {"images": 50, "samples": samples, "valid_samples": 100},
        "curve": {
            "step": [10, config.steps],
            "train": [nll] * 2,
            "valid": [nll] * 2,
            "test": [nll] * 2,
        },
        "code": {},
        "minutes": 0.1,
    } | changes


def asked(cell, budget, best=0.003, behind=0.0, **changes):
    """The stages of a cell, if the best rate is `best` and seed 3 is behind the others."""
    stages, found, answer = plan.plan(cell, budget), [], None
    while True:
        try:
            configs, test = stages.send(answer)
        except StopIteration:
            return found
        found.append((configs, test))
        losses = [100 + abs(c.lr - best) + behind * (c.seed == 3) for c in configs]
        answer = [made(c, n, test, **changes) for c, n in zip(configs, losses, strict=True)]


@pytest.mark.parametrize("estimator", COLUMNS)
def test_a_rate_is_chosen_on_one_seed_and_repeated(estimator):
    (first, tried), (final, tested) = asked(f"drawers-one-sgd-{estimator}", plan.BUDGETS["laptop"])
    assert (tried, tested) == (False, True)
    assert sorted({(c.lr, c.seed, c.steps) for c in first}) == [(1e-3, 0, 2000), (3e-3, 0, 2000)]
    assert [(c.lr, c.seed, c.steps) for c in final] == [(3e-3, s, 8000) for s in range(5)]
    tempered = estimator in ("gumbel_softmax", "st_gumbel_softmax")
    assert {c.anneal_rate for c in final} == {1e-4 if tempered else 0.0}
    assert final[0].network == "one"


def test_where_a_run_got_worse_the_smaller_rate_runs_to_the_end_too():
    cell, budget = "digits-two-sgd-reinmax", plan.BUDGETS["laptop"]
    rises = {"curve": {"valid": [130, 120, 121.5]}}
    *_, (final, _), (slower, tested) = asked(cell, budget, **rises)
    assert tested
    assert slower == [replace(c, lr=1e-3) for c in final]
    assert len(asked(cell, budget, best=0.001, **rises)) == 2  # none is smaller
    assert plan.risen({"diverged": 9, "curve": {"valid": [130, None]}})


def test_where_a_seed_was_thrown_off_the_smaller_rate_runs_to_the_end_too(tmp_path):
    cell, budget = "digits-conv-sgd-st", plan.BUDGETS["laptop"]
    assert len(asked(cell, budget, best=1e-3, behind=19)) == 2
    *_, (final, _), (slower, tested) = asked(cell, budget, best=1e-3, behind=21)
    assert tested
    assert slower == [replace(c, lr=3e-4) for c in final]
    assert plan.thrown([{"curve": {"valid": [None]}}]) == [False]  # diverged, which `risen` sees
    records = record.records(tmp_path)
    for name in ("st", "reinmax"):
        runs = [replace(c, estimator=name) for c in final]
        records.add([made(c, 100 + 21.0 * (c.seed == 3)) for c in runs])
    frame = results.thrown_off(records, ["digits-conv-sgd"])
    labels = [f"digits, convolutions, SGD: {name}" for name in ("ST", "ReinMax")]
    assert frame.reset_index().to_numpy().tolist() == [[name, "0.001", "3"] for name in labels]


def test_only_runs_of_the_row_s_own_length_count_as_thrown_off(tmp_path):
    records = record.records(tmp_path)
    for steps, late in ((20, 3), (40, 1)):
        runs = [replace(FIRST, steps=steps, seed=s) for s in range(4)]
        records.add([made(c, 100 + 21.0 * (c.seed == late)) for c in runs])
    records.add([made(replace(FIRST, lr=3e-4, steps=20), 100.0)])
    frame = results.thrown_off(records, ["drawers-linear-sgd"])
    assert frame[["rate", "seeds"]].to_numpy().tolist() == [["0.001", "1"]]


def test_convolutions_have_fewer_steps_where_they_are_dear():
    for name, steps in (("laptop", 3000), ("paper", 100_000)):
        configs, _ = asked("digits-conv-sgd-sf", plan.BUDGETS[name])[-1]
        assert {c.steps for c in configs} == {steps}
        assert len(configs) == 5


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_the_dry_run_counts_all_stages(name, tmp_path):
    budget = plan.BUDGETS[name]
    found = cost(plan.ALPHABETS, CELLS[0], budget, record.records(tmp_path))
    assert found.tested == budget.seeds
    assert found.steps == sum(
        c.steps for configs, _ in search.dry(plan.plan(CELLS[0], budget), made_up) for c in configs
    )


def made_up(config):
    return {"diverged": None, "valid_bound": config.lr, "curve": {"valid": [config.lr]}}


def test_it_is_run_by_name_row_and_estimator():
    experiment, cells = target("alphabets", ["st", "sf"])
    assert experiment is EXPERIMENTS["alphabets"]
    assert len(cells) == 2 * len(ROWS)
    assert target("alphabets:drawers-two-adam")[1] == [f"drawers-two-adam-{n}" for n in COLUMNS]


def test_final_runs_stand_for_an_estimator(tmp_path):
    records = record.records(tmp_path)
    records.add(
        [made(replace(FIRST, seed=s), 100.0 + s) for s in range(3)]
        + [made(replace(FIRST, lr=3e-3), 90.0, test=False)]
        + [made(replace(FIRST, estimator="sf", lr=3e-3, seed=s), 110.0) for s in range(2)]
        + [made(replace(FIRST, estimator="sf", lr=1e-3, seed=s), 120.0) for s in range(2)]
        + [made(replace(FIRST, steps=40, lr=3e-3), 50.0)]  # longer, of one estimator only
        + [made(replace(FIRST, estimator="darn", seed=s), None) for s in range(2)]
        + [
            made(
                replace(FIRST, estimator="muprop"),
                1.0,
                data={"source": "digits, embedded-5000", "sha256": {"train": "0"}},
            )
        ]
    )
    found = results.lines(records, "drawers-linear-sgd")
    assert set(found) == {"st", "sf", "darn"}
    assert found["st"].figure("nll") == {0: 100.0, 1: 101.0, 2: 102.0}
    assert (found["sf"].lr, found["sf"].steps) == (3e-3, 20)
    assert found["st"].curve("valid") == ([10, 20], [[100.0] * 2, [101.0] * 2, [102.0] * 2])
    assert found["darn"].figure("nll") == {}
    assert results.order(records, "drawers-linear-sgd") == ["st", "sf", "darn"]
    frame = results.table(records)
    assert list(frame.columns) == ["drawers-linear-sgd"]
    assert frame.loc["ST", "drawers-linear-sgd"] == 101
    assert results.complete(records) == []
    assert results.thrown_off(records, ["drawers-linear-sgd"]).empty
    assert results.difference(records, "drawers-linear-sgd", "st", "sf").mean == -9
    assert results.difference(records, "drawers-linear-sgd", "st", "reinmax").n == 0


def test_orders_agree_or_do_not(tmp_path):
    records = record.records(tmp_path)
    values = {"drawers": (1.0, 2.0, 3.0), "digits": (3.0, 2.0, 1.0), "alphabets": (2.0, 1.0, 3.0)}
    for data, losses in values.items():
        for name, loss in zip(("sf", "st", "reinmax"), losses, strict=True):
            records.add([made(replace(FIRST, estimator=name, data=data), loss)])
    rows = [f"{data}-linear-sgd" for data in values]
    assert results.agreement(records, rows[0], rows[0]) == pytest.approx(1)
    assert results.agreement(records, rows[0], rows[1]) == pytest.approx(-1)
    assert results.agreement(records, rows[0], rows[2]) == pytest.approx(1 / 3)
    assert results.agreement(records, rows[0], "digits-two-sgd") != 0  # NaN
    frame = results.agreements(records, rows)
    assert list(frame.index) == [f"{results.title(row)}  {i}" for i, row in enumerate(rows, 1)]
    assert frame.isna().to_numpy().tolist() == [[True, True], [False, True], [False, False]]
    assert frame.loc[frame.index[2]].tolist() == pytest.approx([1 / 3, -1 / 3])


def test_an_estimator_with_a_seed_far_behind_decides_no_order(tmp_path):
    records = record.records(tmp_path)
    names = ("sf", "st", "reinmax", "darn")
    for data, losses in (("drawers", (1.0, 2.0, 3.0, 4.0)), ("digits", (3.0, 1.0, 2.0, 4.0))):
        for name, loss in zip(names, losses, strict=True):
            configs = [replace(FIRST, estimator=name, data=data, seed=s) for s in range(3)]
            off = 21.0 * (name == "sf" and data == "digits")
            records.add([made(c, loss + off * (c.seed == 2)) for c in configs])
    rows = ["drawers-linear-sgd", "digits-linear-sgd"]
    assert [results.left_out(records, row) for row in rows] == [[], ["sf"]]
    assert results.order(records, rows[1]) == ["st", "reinmax", "darn"]
    assert results.agreement(records, *rows) == pytest.approx(1)  # with SF it is 0
    assert len(results.comparison(records, rows[1])) == 4  # the table has all of them


def test_a_row_is_complete_with_all_estimators_and_two_seeds(tmp_path):
    records = record.records(tmp_path)
    configs = [replace(FIRST, estimator=n, seed=s) for n in COLUMNS for s in range(2)]
    records.add([made(c, 100.0) for c in configs[:-1]])
    assert results.complete(records) == []
    records.add([made(configs[-1], 100.0)])
    assert results.complete(records) == ["drawers-linear-sgd"]
    assert list(results.comparison(records, ROWS[0]).seeds) == [2] * 8
    assert results.title(ROWS[0]) == "new drawers, linear, SGD"


@pytest.mark.parametrize(
    ("sloped", "side"), [((90.0, 91.0), "ahead of"), ((100.0, 101.0), "not apart from")]
)
def test_the_lesson_says_who_leads_and_by_how_much(tmp_path, sloped, side):
    records = record.records(tmp_path)
    assert "not run yet" in results.lesson(records)
    for name in COLUMNS:
        losses = sloped if name == "st" else (101.0, 102.0) if name != "sf" else (100.0, 101.5)
        configs = [replace(FIRST, estimator=name, seed=s) for s in range(2)]
        records.add([made(c, loss) for c, loss in zip(configs, losses, strict=True)])
    said = results.lesson(records)
    assert f"nats {side} SF" in said
    assert "leads in 1 of 1 complete rows; on new drawers, linear, SGD, ST is" in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": {"nll": 1.0}}, "has the figures nll, nll_10, single"),
        ({"valid_bound": None}, "valid_bound is null, and yet it did not diverge"),
        ({"valid_bound": -1.0}, "valid_bound is -1.0, below 0"),
        ({"key": "other"}, "not the one of its config"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, changes, reason):
    found, good = record.records(tmp_path), made(FIRST, 100.0)
    found.add([good])
    assert len(found.all()) == 1
    found.path(FIRST.cell).write_text(json.dumps(good | changes) + "\n")
    with pytest.raises(ValueError, match=f"{FIRST.cell}.jsonl line 1 is no .*{reason}"):
        found.all()
