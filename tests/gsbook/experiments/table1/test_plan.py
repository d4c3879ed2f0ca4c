"""Which runs make Table 1: the protocol, the search, the seeds, and what lies beyond the edge."""

from dataclasses import replace

from gsbook.engine.search import dry, ranked
from gsbook.experiments.table1.config import LEARNING_RATES
from gsbook.experiments.table1.plan import BUDGETS, Budget, candidates, plan, score

SEARCH = Budget(((20, 3), (40, 1)), 100, 3)


def test_budgets_are_the_protocol():
    assert set(LEARNING_RATES) == {3e-5, 1e-5, 3e-4, 1e-4, 3e-3, 1e-3}
    for name in ("laptop", "paper"):
        assert BUDGETS[name].rates == LEARNING_RATES
        assert BUDGETS[name].size.images is None
        assert BUDGETS[name].size.samples == 1000
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


def test_ranking_puts_diverged_runs_last():
    configs = candidates("sbn-bernoulli-st", BUDGETS["laptop"])
    bounds = [5.0, 3.0, None, 4.0, 1.0, 2.0]
    records = [
        made(c, b, 2000 if i == 4 else None)
        for i, (c, b) in enumerate(zip(configs, bounds, strict=True))
    ]
    assert ranked(configs, records, score) == [configs[i] for i in (5, 1, 3, 0, 2, 4)]


def drive(cell, budget, bound):
    """What the plan asks for, when bound(config) is every run's on validation; None: diverged."""
    return list(
        dry(plan(cell, budget), lambda c: made(c, bound(c), 10 if bound(c) is None else None))
    )


def test_successive_halving():
    order = {1e-3: 1.0, 3e-4: 2.0, 1e-4: 3.0, 3e-5: 4.0, 1e-5: 5.0, 3e-3: None}
    # The second-best rate after 20 steps is the best after 40.
    asked = drive(
        "vae-bernoulli-st", SEARCH, lambda c: 0.5 if (c.lr, c.steps) == (3e-4, 40) else order[c.lr]
    )
    (first, _), (second, _), (final, _), (close, _) = asked
    assert [test for _, test in asked] == [False, False, True, True]
    assert [(c.lr, c.steps, c.seed) for c in first] == [(lr, 20, 0) for lr in LEARNING_RATES]
    assert [(c.lr, c.steps, c.seed) for c in second] == [(lr, 40, 0) for lr in (1e-3, 3e-4, 1e-4)]
    assert [(c.lr, c.steps, c.seed) for c in final] == [(3e-4, 100, seed) for seed in range(3)]
    # 1e-3 ended the search within a nat: it goes to the end, too, on one seed.
    assert [(c.lr, c.steps, c.seed) for c in close] == [(1e-3, 100, 0)]


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
        ({3e-3, 1e-3}, {40}, False),
        ({3e-3}, {100}, True),
        ({3e-3}, {100}, True),  # the other schedule, as close
        ({1e-3}, {100}, True),  # the next rate, as close
        ({1e-2}, {20}, False),
        ({1e-2}, {40}, False),
        ({1e-2}, {100}, True),
    ]
    assert [{c.anneal_rate for c in asked[i][0]} for i in (2, 3)] == [{1e-5}, {1e-4}]
    assert len(asked[4][0]) == 1
    assert len(asked[5][0]) == 2  # one for each schedule
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
