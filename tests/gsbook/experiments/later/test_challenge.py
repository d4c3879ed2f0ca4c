"""The challenge to Table 1's lowest cells: what is chosen, what it runs, what is shown."""

import pytest
import table1_runs

from gsbook.engine.search import dry
from gsbook.experiments import EXPERIMENTS, target
from gsbook.experiments.later import challenge, record, results
from gsbook.experiments.later.config import Config
from gsbook.experiments.later.train import evaluations
from gsbook.experiments.table1 import record as table1
from gsbook.experiments.table1.config import ROWS
from gsbook.timing import made_up

ROW = "vae-bernoulli"
BOUND = {"bound": 2, "kl": "sampled"}


def run(estimator, seed=0, nll=110.0, row=ROW, steps=results.CHOSEN_AT, valid=None, **changes):
    config = Config(*row.split("-"), estimator, lr=1e-3, seed=seed, steps=steps, **changes)
    figures = dict.fromkeys(("nll", "single", "nll_10", "nll_100"), nll)
    return table1_runs.record(row, estimator, seed, nll, steps, valid) | {
        "key": config.key,
        "config": config.to_dict(),
        "test": figures,
        "evaluations": evaluations(config),
    }


def kept(folder, *runs):
    found = record.records(folder)
    found.add(list(runs))
    return found


def chosen(found, row=ROW):
    return [(c.estimator, c.bound, c.samples) for c in results.challengers(found, row)]


def test_the_best_on_validation_of_either_loss_challenge(tmp_path):
    found = kept(
        tmp_path,
        run("gumbel_softmax", valid=100.0),  # of the paper's seven
        run("disarm", nll=99.0, valid=104.0),
        run("reinmax", nll=120.0, valid=103.0),
        run("reinmax", valid=102.0, **BOUND),
        run("st_gumbel_softmax", valid=101.0, **BOUND),
        run("vimco", valid=101.5, samples=2, kl="sampled"),
    )
    found.add([run("disarm", valid=90.0, steps=200_000)])  # of another length
    assert chosen(found) == [("reinmax", 1, None), ("st_gumbel_softmax", 2, None)]


def test_where_nothing_is_trained_on_several_samples_the_two_newest_challenge(tmp_path):
    row = "sbn-bernoulli"
    found = kept(tmp_path, *(run(name, row=row) for name in ("reinmax", "gumbel_softmax")))
    with pytest.raises(ValueError, match=r"sbn-bernoulli has 1 to choose from; run later:"):
        results.challengers(found, row)
    found.add([run("disarm", row=row, valid=109.0)])
    assert chosen(found, row) == [("disarm", 1, None), ("reinmax", 1, None)]


def test_what_diverged_does_not_challenge(tmp_path):
    lost = run("disarm", nll=None) | {"valid_bound": None}
    found = kept(tmp_path, run("reinmax"), run("rebar", valid=111.0), lost)
    assert [name for name, *_ in chosen(found)] == ["reinmax", "rebar"]


@pytest.mark.parametrize("row", ROWS)
def test_the_plan_of_a_row(row, monkeypatch, tmp_path):
    newer = [run("rebar", row=row, valid=101.0, temperature=0.1), run("disarm", row=row)]
    vimco = [run("vimco", row=row, samples=4, kl="sampled")] if row.startswith("vae") else []
    found = kept(tmp_path, *newer, *vimco)
    monkeypatch.setattr(challenge, "results", lambda: found)
    stages = list(dry(challenge.plan(row, challenge.BUDGETS["paper"]), made_up))
    searches, (finals, tested) = stages[:-1], stages[-1]
    assert [configs[0].steps for configs, _ in searches] == [20_000, 80_000] * 2
    assert len({config.lr for config in searches[0][0]}) == 6
    assert tested
    assert not any(test for _, test in searches)
    assert [c.estimator for c in finals[::3]] == ["rebar", "vimco" if vimco else "disarm"]
    assert [c.seed for c in finals] == [0, 1, 2] * 2
    if vimco:
        assert finals[-1].samples == 4
        assert finals[-1].kl == "sampled"
    for config in finals:
        assert config.lr == 1e-4  # what the search preferred
        assert 0.99 < config.steps * evaluations(config) / 500_000 <= 1


def test_a_bound_takes_the_rate_of_its_estimators_own_loss(monkeypatch, tmp_path):
    found = kept(tmp_path, run("rebar", valid=101.0), run("reinmax", bound=4, kl="sampled"))
    monkeypatch.setattr(challenge, "results", lambda: found)
    *searches, (finals, _) = dry(challenge.plan(ROW, challenge.BUDGETS["laptop"]), made_up)
    assert {(c.bound, c.kl) for configs, _ in searches for c in configs} == {(1, "analytic")}
    assert (finals[-1].bound, finals[-1].kl, finals[-1].steps) == (4, "sampled", 24_000)


def test_the_challenge_stands_beside_the_lowest_cell_at_its_cost(tmp_path):
    table = table1.records(tmp_path / "table")
    for seed in range(3):
        table.add([table1_runs.record(ROW, "st", seed, 112 + seed / 10, valid=100.0)])
        table.add([table1_runs.record(ROW, "darn", seed, 111 + seed / 10)])
    found = kept(tmp_path, *(run("disarm", seed, 110 + seed / 10, steps=500) for seed in range(3)))
    cell, challenger = results.challenge(found, table, ROW)
    assert (cell.label, cell.cost) == ("DARN of Table 1", 2000)  # two evaluations a step
    assert (challenger.label, challenger.cost) == ("DisARM", 1000)
    assert results.behind(challenger, cell).high < 0
    short = kept(tmp_path / "short", run("disarm", steps=400), run("reinmax", steps=100))
    assert results.challenge(short, table, ROW) == []
    assert results.challenge(found, table1.records(tmp_path / "none"), ROW) == []


def test_it_is_among_the_experiments():
    assert EXPERIMENTS["challenge"] is challenge.CHALLENGE
    assert target("challenge:sbn-bernoulli") == (challenge.CHALLENGE, ["sbn-bernoulli"])
