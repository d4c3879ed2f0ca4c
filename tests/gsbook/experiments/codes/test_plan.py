"""Which runs make the experiment, and which of them stand for a method."""

import json
from dataclasses import replace

import pytest

from gsbook.experiments import EXPERIMENTS, target
from gsbook.experiments.codes import plan, record, results
from gsbook.experiments.codes.config import FITTED, Codes
from gsbook.experiments.codes.plan import BUDGETS, CELLS, METHODS, SHAPES
from gsbook.timing import cost


def made(config, error=40.0, ndcg=7.0, test=True):
    figures = dict(error=error, hit=12.0, ndcg=ndcg, neighbours=20.0)
    figures |= dict(used=100.0, alone=90.0, entropy=config.bits - 1)
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": None,
        "valid": figures,
        "test": figures if test else None,
        "data": {"source": "kjv", "images": None, "sha256": {"train": "0"}},
        "evaluation": {"images": None, "samples": 1000, "valid_samples": 100},
        "curve": {"step": [config.steps], "valid": [error], "ndcg": [ndcg]},
        "code": {},
        "minutes": 0.1,
    }


@pytest.mark.parametrize("aim", ["row", "task"])
def test_a_rate_is_chosen_for_each_shape_and_repeated_over_seeds(aim):
    budget = replace(BUDGETS["laptop"], shapes=((8, 16), (4, 16)), seeds=2)
    stages, asked, answer = plan.plan(f"{aim}-tuned", budget), [], None
    best = {8: 3e-3, 4: 3e-2}
    while True:
        try:
            configs, test = stages.send(answer)
        except StopIteration:
            break
        asked.append((sorted({(c.choices, c.lr, c.seed) for c in configs}), test))
        gaps = [abs(c.lr - best[c.choices]) for c in configs]
        answer = [made(c, 40 + gap, 7 - gap) for c, gap in zip(configs, gaps, strict=True)]
    assert asked == [
        ([(8, 3e-3, 0), (8, 1e-2, 0), (8, 3e-2, 0)], False),
        ([(8, 3e-3, 0), (8, 3e-3, 1)], True),
        ([(4, 3e-3, 0), (4, 1e-2, 0), (4, 3e-2, 0)], False),
        ([(4, 3e-2, 0), (4, 3e-2, 1)], True),
    ]


def test_what_is_fitted_has_no_rate_and_the_table_no_chance():
    budget = BUDGETS["laptop"]
    for method, seeds in (("residual", 5), ("table", 1)):
        stages = list(plan.plan(f"row-{method}", replace(budget, shapes=((8, 16),))))
        assert [(len(configs), test) for configs, test in stages] == [(seeds, True)]
        assert {(c.lr, c.steps) for c in stages[0][0]} == {(1e-2, 1)}


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_the_dry_run_counts_all_stages(name, tmp_path):
    budget = BUDGETS[name]
    found = cost(plan.CODES, "row-tuned", budget, record.records(tmp_path))
    tried = len(budget.rates) if budget.rungs else 0
    assert sum(found.counts) == (tried + budget.seeds) * len(budget.shapes)
    films = cost(plan.FILMS, "row-tuned", budget, record.records(tmp_path))
    assert sum(films.counts) == tried + budget.seeds


def test_it_is_run_by_name_and_by_method():
    experiment, cells = target("codes", ["st", "residual"])
    assert experiment is EXPERIMENTS["codes"]
    assert cells == ["row-residual", "row-st", "task-residual", "task-st"]
    assert target("films")[1] == list(CELLS)
    assert len(CELLS) == 2 * len(METHODS)


def test_final_runs_stand_for_a_method(tmp_path):
    records = record.records(tmp_path)
    first = Codes("row", "gumbel_softmax", 1e-2)
    records.add(
        [made(replace(first, seed=s), 40.0 + s) for s in range(3)]
        + [made(replace(first, lr=3e-2), 10.0)]  # of the search: one seed
        + [made(replace(first, choices=4, seed=s), 60.0) for s in range(2)]
    )
    found = results.chosen(records, "row")["gumbel_softmax"]
    assert (found.lr, found.figure("error")) == (1e-2, {0: 40.0, 1: 41.0, 2: 42.0})
    assert results.chosen(records, "task") == {}
    shapes = results.by_shape(records, "row", "error")
    means = {shape: one.mean for shape, one in shapes["gumbel_softmax"].items()}
    assert means == {(4, 16): 60.0, (8, 16): 41.0}
    assert set(means) <= set(SHAPES)
    frame = results.comparison(results.chosen(records, "row"), "error")
    assert frame.loc["Gumbel-Softmax", ["error", "lr"]].tolist() == [41.0, "0.01"]
    committed = results.comparison(results.chosen(results.results("codes"), "row"), "error")
    assert committed.loc["The table itself", "lr"] == "–"


def test_what_is_fitted_stands_beside_what_learns_judged_on_the_same(tmp_path):
    """It has one step in every budget, and places that depend on the budget."""
    records = record.records(tmp_path)
    learned = runs("row", "st", 45.0, 6.0)
    fitted = runs("row", "residual", 40.0, 6.0)
    for run in learned + fitted[1:]:
        run["evaluation"] = run["evaluation"] | {"images": 4_000}
        run["data"] = run["data"] | {"images": 4_000}
    records.add(learned + fitted)
    found = results.chosen(records, "row")
    assert {method: list(one.runs) for method, one in found.items()} == {
        "residual": [1, 2, 3, 4],
        "st": [0, 1, 2, 3, 4],
    }
    assert {method: one.steps for method, one in found.items()} == {"residual": 1, "st": 1_000}
    found["st"].runs[3]["diverged"] = 70
    assert "ST (4 of 5 seeds)" in results.comparison(found, "error").index


def runs(aim, method, error, ndcg, seeds=5):
    """Runs of one method that scatter a little."""
    steps = dict(steps=1, horizon=1) if method in FITTED else {}
    return [
        made(Codes(aim, method, 1e-2, seed=s, **steps), error + s / 50, ndcg + s / 50)
        for s in range(seeds)
    ]


@pytest.mark.parametrize(
    ("ndcg", "standing", "end"),
    [
        (8.0, "better", "relax when the codes have to serve a loss"),
        (6.0, "worse", "take the codes from k-means"),
        (7.0, "as good", "begin with k-means"),
    ],
)
def test_the_lesson_follows_the_records(tmp_path, ndcg, standing, end):
    records = record.records(tmp_path)
    for aim in ("row", "task"):
        records.add(runs(aim, "residual", 40.0, 6.0) + runs(aim, "tuned", 39.0, 7.0))
        records.add(runs(aim, "gumbel_softmax", 45.0, ndcg))
    found = (results.chosen(records, aim) for aim in ("row", "task"))
    said = results.lesson(*found, 3)
    assert "codes of k-means whose vectors learn 39.0 % (the relaxation is worse)" in said
    assert "3 learning rates to try" in said
    assert f"(the relaxation is {standing})" in said
    assert end in said
    assert ("vectors learn, and" in said) == (standing != "better")


def test_the_lesson_names_whom_validation_chose_and_no_step_that_does_not_help(tmp_path):
    records = record.records(tmp_path)
    for aim in ("row", "task"):
        records.add(runs(aim, "residual", 40.0, 7.0) + runs(aim, "tuned", 39.0, 7.0))
        for method, valid, test in (("gumbel_softmax", 6.0, 5.0), ("st_gumbel_softmax", 5.5, 5.9)):
            found = runs(aim, method, 45.0, test)
            records.add([run | {"valid": run["valid"] | {"ndcg": valid}} for run in found])
    said = results.lesson(*(results.chosen(records, aim) for aim in ("row", "task")), 3)
    assert "to serve the task, Gumbel-Softmax reaches an NDCG of 5.04" in said
    assert "take the codes from k-means, and keep the relaxation" in said


def test_less_is_better_of_the_error_and_worse_of_ndcg():
    for name in ("error", "ndcg"):
        gap = results.Interval(3.0, 2.0, 4.0, 5)
        assert results.standing(gap, name) == ("worse" if name == "error" else "better")
        assert results.standing(results.Interval(0.0, -2.0, 2.0, 5), name) == "undecided"
        assert results.standing(results.Interval(0.0, -0.1, 0.1, 5), name) == "equal"


@pytest.mark.parametrize(
    ("figure", "value", "reason"),
    [
        ("hit", 101.0, "hit on valid of 101.0 is no percentage"),
        ("entropy", 33.0, "entropy on valid is 33.0, and a code has 32.0 bits"),
        ("error", -1.0, "error is -1.0, below 0"),
        ("ndcg", None, "ndcg on valid is null, and yet it did not diverge"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, figure, value, reason):
    found, good = record.records(tmp_path), made(Codes("row", "st", 1e-2))
    found.add([good])
    assert len(found.all()) == 1
    bad = good | {"valid": good["valid"] | {figure: value}}
    found.path("row-st").write_text(json.dumps(bad) + "\n")
    with pytest.raises(ValueError, match=f"row-st.jsonl line 1 is no .*{reason}"):
        found.all()


@pytest.mark.parametrize("name", ["codes", "films"])
def test_the_records_of_the_book_are_of_five_seeds(name):
    found = results.results(name)
    for aim in ("row", "task"):
        for method, one in results.chosen(found, aim).items():
            assert len(one.runs) == (1 if method == "table" else 5), (aim, method)
