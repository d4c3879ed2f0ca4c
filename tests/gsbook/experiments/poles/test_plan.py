"""Which runs make the experiment, and which of them stand for a method."""

import json
from dataclasses import replace

import pytest

from gsbook.engine import search
from gsbook.experiments import EXPERIMENTS, target
from gsbook.experiments.poles import plan, record, results
from gsbook.experiments.poles.config import METHODS, Team
from gsbook.timing import cost


def made(config, score, mean_cost=0.5, test=True):
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": None,
        "valid": {"mean_cost": mean_cost},
        "test": {"score": score, "greedy": score, "team": score / 2} if test else None,
        "data": {"source": "CartPole-v1", "images": 2, "sha256": {"train": "0"}},
        "evaluation": {"images": 2, "samples": 1000, "valid_samples": 100},
        "curve": {"step": [config.steps], "score": [score], "valid": [mean_cost]},
        "code": {},
        "minutes": 0.1,
    }


def test_a_rate_is_chosen_for_each_size_and_repeated_over_seeds():
    small = dict(poles=(1, 4), rates=(0.1, 0.3, 1.0), seeds=2, steps=20, rungs=((20, 1),))
    budget = replace(plan.BUDGETS["laptop"], **small)
    stages, asked, best = plan.plan("learned-st", budget), [], {1: 0.1, 4: 1.0}
    answer = None
    while True:
        try:
            configs, test = stages.send(answer)
        except StopIteration:
            break
        asked.append((sorted({(c.poles, c.lr, c.seed) for c in configs}), test))
        answer = [made(c, 100, mean_cost=abs(c.lr - best[c.poles])) for c in configs]
    assert asked == [
        ([(1, 0.1, 0), (1, 0.3, 0), (1, 1.0, 0)], False),
        ([(1, 0.1, 0), (1, 0.1, 1)], True),
        ([(4, 0.1, 0), (4, 0.3, 0), (4, 1.0, 0)], False),
        ([(4, 1.0, 0), (4, 1.0, 1)], True),
    ]


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_the_dry_run_counts_all_stages(name, tmp_path):
    budget = plan.BUDGETS[name]
    found = cost(plan.POLES, "equations-st", budget, record.records(tmp_path))
    searches = len(budget.rates) * len(budget.poles) if budget.rungs else 0
    assert sum(found.counts) == searches + budget.seeds * len(budget.poles)
    assert [
        c
        for c, _ in search.dry(
            plan.plan("equations-st", budget), lambda c: {"valid": {}, "diverged": None}
        )
    ]


def test_it_is_run_by_name_and_by_method():
    experiment, cells = target("poles", ["st", "own"])
    assert experiment is EXPERIMENTS["poles"]
    assert cells == ["equations-own", "equations-st", "learned-own", "learned-st"]
    assert len(target("poles")[1]) == len(METHODS) + len(plan.LEARNED)


def test_final_runs_stand_for_a_method(tmp_path):
    records = record.records(tmp_path)
    first = Team("equations", "st", 4, 0.3, steps=20)
    records.add(
        [made(replace(first, seed=s), 100.0 + s) for s in range(3)]
        + [made(replace(first, lr=1.0), 400.0, test=False)]
        + [made(replace(first, poles=16, lr=1.0, seed=s), 300.0) for s in range(2)]
    )
    teams = results.chosen(records)
    found = teams["equations", "st", 4]
    assert (found.lr, found.steps, found.figure("score")) == (0.3, 20, {0: 100, 1: 101, 2: 102})
    assert found.curve("score") == ([20], [[100.0], [101.0], [102.0]])
    assert set(teams) == {("equations", "st", 4), ("equations", "st", 16)}
    assert results.intervals(teams, "equations")["st"][4].mean == 101
    assert results.table(teams, "equations").loc["ST", 16] == 300
    for run in teams["equations", "st", 4].runs.values():
        run["diverged"] = 7
        run["test"] = dict.fromkeys(run["test"])
        break
    marked = results.table(teams, "equations")
    assert marked.loc["ST, 4: (2 of 3 seeds)"].to_dict() == {4: 101.5, 16: 300}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": {"score": 501.0, "greedy": 1.0, "team": 1.0}}, "score is 501.0, and an episode"),
        ({"test": {"score": None, "greedy": 1.0, "team": 1.0}}, "score is None, and an episode"),
        ({"test": {"score": -1.0, "greedy": 1.0, "team": 1.0}}, "score is -1.0, below 0"),
        ({"test": {"score": 1.0}}, "has the figures score, greedy, team"),
        ({"valid": {"mean_cost": None}}, "mean_cost is null"),
        ({"valid": {}}, "lacks 'mean_cost'"),
        ({"curve": {"step": [1], "score": [1, 2]}}, "1 steps and 2 of score"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, changes, reason):
    found, good = record.records(tmp_path), made(Team("equations", "st", 4, 0.3, steps=20), 100.0)
    found.add([good])
    assert len(found.all()) == 1
    found.path("equations-st").write_text(json.dumps(good | changes) + "\n")
    with pytest.raises(ValueError, match=f"equations-st.jsonl line 1 is no .*{reason}"):
        found.all()


def test_the_records_of_the_book_are_of_five_seeds():
    found = results.chosen(results.results())
    for world in ("equations", "learned"):
        rows = results.intervals(found, world)
        assert len(rows) == len(METHODS if world == "equations" else plan.LEARNED)
        for method, row in rows.items():
            assert {one.n for one in row.values()} == {5}, (world, method)
