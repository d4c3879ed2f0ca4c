"""The search for the best setting, whatever the table: who runs, who stays, and in what order."""

from dataclasses import dataclass

import pytest

from gsbook.engine.experiment import Budget
from gsbook.engine.search import budget_name, dry, halving, over_seeds, ranked

BUDGET = Budget(rungs=((10, 3), (20, 2)), steps=100, seeds=3)


@dataclass(frozen=True)
class Setting:
    lr: float
    steps: int = 1
    seed: int = 0


def record(setting):
    return {"loss": setting.lr, "diverged": None}


def score(record):
    return record["loss"]


def driven(candidates, **options):
    """(what the search asks for, what it returns), where a record's loss is its rate."""
    asked, found = [], []

    def whole():
        found.extend((yield from halving(candidates, BUDGET, score, **options)))

    asked = list(dry(whole(), record))
    return asked, found


def test_the_best_of_each_rung_stay_and_reach_the_final_runs():
    asked, found = driven([Setting(lr) for lr in (4.0, 1.0, 3.0, 2.0)])
    assert asked == [
        ([Setting(lr, 10) for lr in (4.0, 1.0, 3.0, 2.0)], False),
        ([Setting(lr, 20) for lr in (1.0, 2.0, 3.0)], False),
    ]
    assert found == [Setting(1.0, 100), Setting(2.0, 100)]
    asked, _ = driven([Setting(1.0), Setting(2.0)], test=True)
    assert [test for _, test in asked] == [True, True]


def test_one_candidate_needs_no_search():
    assert driven([Setting(1.0)]) == ([], [Setting(1.0, 100)])


def test_the_scores_of_the_last_rung_are_told_by_final_run():
    seen = {Setting(9.0, 100): 0.0}
    driven([Setting(lr) for lr in (4.0, 1.0, 3.0, 2.0)], seen=seen)
    assert seen == {Setting(lr, 100): lr for lr in (1.0, 2.0, 3.0)}


def test_a_record_too_few_is_never_passed_over():
    """Or the others would be taken for the wrong settings'."""
    plan = halving([Setting(2.0), Setting(1.0)], BUDGET, score)
    configs, _ = next(plan)
    with pytest.raises(ValueError, match="zip"):
        plan.send([record(c) for c in configs[1:]])


def test_a_run_without_a_score_is_worse_than_any():
    settings = [Setting(lr) for lr in (1.0, 2.0, 3.0)]
    records = [record(s) for s in settings]
    records[0]["diverged"], records[1]["loss"] = 7, None
    assert ranked(settings, records, score)[0] == settings[2]


def test_every_candidate_has_every_seed():
    found = over_seeds([Setting(1.0), Setting(2.0)], 2)
    assert found == [Setting(lr, seed=seed) for lr in (1.0, 2.0) for seed in (0, 1)]


def test_the_budget_is_small_unless_it_is_named(monkeypatch):
    monkeypatch.delenv("GSLIB_BUDGET", raising=False)
    assert budget_name() == "smoke"
    for name in ("smoke", "laptop", "paper"):
        monkeypatch.setenv("GSLIB_BUDGET", name)
        assert budget_name() == name
    monkeypatch.setenv("GSLIB_BUDGET", "huge")
    with pytest.raises(ValueError, match="must be smoke, laptop or paper, got 'huge'"):
        budget_name()
