"""How long a plan takes: counts from the plan run dry, and measured steps."""

from dataclasses import replace
from itertools import count

import pytest
import torch

from gsbook import timing
from gsbook.engine.search import dry
from gsbook.engine.workers import common
from gsbook.experiments import EXPERIMENTS, TABLE1
from gsbook.experiments.later import results as later
from gsbook.experiments.table1.plan import BUDGETS, Budget, plan
from gsbook.records import Records
from gslib.functional import stream

SEARCH = Budget(((20, 3), (40, 1)), 100, 3)


@pytest.mark.parametrize("budget", [SEARCH, BUDGETS["smoke"], BUDGETS["laptop"]])
@pytest.mark.parametrize("cell", ["sbn-bernoulli-st", "vae-categorical-gumbel_softmax"])
def test_a_cost_counts_what_a_plan_asks_for(cell, budget):
    cost = timing.cost(TABLE1, cell, budget, Records("none"))

    def apart(c):
        """Nothing wins at the edge of the list, and nothing is close to what wins."""
        return {"diverged": None, "valid_bound": 1e6 * abs(c.lr - 3e-4) + 1e6 * c.anneal_rate}

    asked = list(dry(plan(cell, budget), apart))
    assert cost.counts == [len(configs) for configs, _ in asked]
    assert cost.steps == sum(c.steps for configs, _ in asked for c in configs)
    assert cost.tested == sum(len(configs) for configs, test in asked if test)
    assert cost.sample == asked[0][0][:3]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_plan_of_every_budget_can_be_run_dry(name, tmp_path):
    experiment = EXPERIMENTS[name]
    cells = experiment.cells
    if name == "challenge":  # rows without shorter runs have no challengers yet
        cells = [row for row in cells if later.at_equal_steps(later.results(), row)]
    for budget in experiment.budgets.values():
        for cell in cells:
            cost = timing.cost(experiment, cell, budget, experiment.records(tmp_path / name))
            chance = not cell.endswith("-table")  # an embedding table is given, not trained
            assert cost.counts[-1] >= (budget.seeds if chance else 1)
            assert cost.tested > 0
            assert len({str(common(experiment, config)) for config in cost.sample}) == 1


def test_predicted_time(monkeypatch):
    clock = count(0, 0.25)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    images = torch.randint(0, 2, (200, 784), generator=stream("cli"), dtype=torch.uint8)
    data = dict.fromkeys(("train", "valid", "test"), images)
    experiment = replace(TABLE1, load_data=lambda images: (data, {}))
    cost = timing.cost(experiment, "vae-bernoulli-st", BUDGETS["smoke"], Records("none"))
    # Five steps of two members between two looks at the clock, 1.25 seconds for 15 steps; 400
    # member-steps in all. Then a quarter of a second for ten images of two members; two runs, 200.
    training, evaluation = 1.25 / 15 / 2 * 400, 0.25 / 10 / 2 * 200 * 2
    seconds = timing.predicted_seconds(experiment, [cost], BUDGETS["smoke"], 2, calibration=0.8)
    assert seconds == pytest.approx((training + evaluation) / 2)


def test_of_many_cells_a_part_is_timed(monkeypatch):
    monkeypatch.setattr(timing, "TIMED", 2)
    timed = []
    monkeypatch.setattr(timing, "seconds_per_step", lambda trainer, seconds: 0.5)
    experiment = replace(
        TABLE1,
        load_data=lambda images: ({}, {}),
        trainer=lambda configs, data, device: timed.append(configs[0]),
        evaluate=lambda *_: None,
    )
    configs, _ = next(plan("vae-bernoulli-st", BUDGETS["smoke"], Records("none")))
    costs = [timing.Cost(str(k), [1], 100, 0, configs[:1]) for k in range(5)]
    seconds = timing.predicted_seconds(experiment, costs, BUDGETS["smoke"], 1)
    assert len(timed) == 2  # the first and the fourth stand for all five
    assert seconds == pytest.approx(5 * 100 * 0.5, rel=1e-3)
