"""Figure 5a: measured with memory, recorded once, and again when its code has changed."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import ABOUT, LABELLED

from gsbook.experiments.table2 import plan, speed
from gsbook.experiments.table2.config import FewLabels

FIGURES = ("ratio", *speed.TIMED, *(f"{method}_mb" for method in speed.TIMED))


@pytest.fixture
def budget(monkeypatch):
    """Tiny measurements in this process."""
    monkeypatch.setattr(speed, "load_data", lambda: (LABELLED, ABOUT))
    monkeypatch.setattr(speed, "alone", lambda function, *given: function(*given))
    monkeypatch.setattr(speed, "FewLabels", partial(FewLabels, batch=20, labelled_batch=20))
    return replace(plan.BUDGETS["smoke"], classes=(5, 10), repeats=2, seconds=0.01)


def test_speed_is_measured_with_memory_and_recorded_once(tmp_path, budget):
    records = speed.records(tmp_path)
    speed.measure_speed(records, budget, device="cpu")
    runs = records.all()
    assert [r["key"] for r in runs] == [
        f"ssl-classes-{k}_repeat={i}" for k in (10, 5) for i in (0, 1)
    ]
    for test in (r["test"] for r in runs):
        ratio = test["gumbel_softmax"] / test["marginalisation"]
        assert test["ratio"] == pytest.approx(ratio, rel=1e-3)
    found = speed.speed(records)
    growth = found["marginalisation MB"] / found["gumbel_softmax MB"]
    assert 1.5 < growth[5] < growth[10] < 10
    assert found.attrs["stale"] == 0
    before = records.path("ssl-classes-5").read_bytes()
    speed.measure_speed(records, budget, device="cpu")
    assert records.path("ssl-classes-5").read_bytes() == before


def test_measurements_of_older_code_are_made_again(tmp_path, budget):
    records, one = speed.records(tmp_path), replace(budget, classes=(5,), repeats=1)
    speed.measure_speed(records, one, device="cpu")
    (run,) = records.all()
    records.add([run | {"code": "0" * 64, "date": "long ago"}])
    assert speed.speed(records).attrs["stale"] == 1
    speed.measure_speed(records, one, device="cpu")
    (again,) = records.all()
    assert again["date"] != "long ago"
    assert speed.speed(records).attrs["stale"] == 0


def test_machines_are_not_mixed(tmp_path, budget):
    records, one = speed.records(tmp_path), replace(budget, classes=(5,), repeats=1)
    speed.measure_speed(records, one, device="cpu")
    (run,) = records.all()
    records.add([run | {"device": "another"}])
    with pytest.raises(ValueError, match=r"holds measurements of another, this is .*folder"):
        speed.measure_speed(records, budget, device="cpu")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": "ssl-classes-5_repeat=1"}, "its key is not the one of its config"),
        ({"config": {"classes": "5", "seed": 0}}, "are no counts"),
        ({"config": {"classes": 5, "seed": -1}}, "are no counts"),
        ({"config": {"seed": 0}}, "lacks 'classes'"),
        ({"test": {"ratio": 1.0}}, "test lacks gumbel_softmax, marginalisation"),
        ({"test": None}, "test lacks ratio"),
        ({"test": dict.fromkeys(FIGURES, -1.0)}, "ratio is -1.0, below 0"),
        ({"test": dict.fromkeys(FIGURES, "9.9")}, "ratio is '9.9'"),
        ({"device": {"name": "EPYC"}}, "device is"),
        ({"device": None}, "device is None"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, budget, changes, reason):
    records = speed.records(tmp_path)
    speed.measure_speed(records, replace(budget, classes=(5,), repeats=1), device="cpu")
    (run,) = records.all()
    records.path("ssl-classes-5").write_text(json.dumps(run | changes) + "\n")
    with pytest.raises(ValueError, match=f"ssl-classes-5.jsonl line 1 is no record.*{reason}"):
        records.all()


def test_memory_held_for_the_way_back_counts_each_tensor_once():
    x = torch.ones(1000, requires_grad=True)
    held = speed.held_for_backward
    assert held(lambda: (x.exp() * 2).sum()) == 4000  # exp keeps its result alone
    assert held(lambda: (x.exp().exp() + x.sin()).sum()) == 3 * 4000
