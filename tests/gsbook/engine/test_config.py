"""The name of a run, and what its numbers may be."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from gsbook.engine.config import Annealed, Falling, Named


@dataclass(frozen=True)
class Toy(Named):
    NAME: ClassVar = ("kind", "method")
    IMPLIED: ClassVar = ("fixed",)

    kind: str
    method: str
    lr: float = 0.1
    seed: int = 0
    steps: int = 10
    fixed: int = 1
    width: int = 8

    def __post_init__(self):
        self.check_known(kind=("a", "b"))
        self.check_positive("lr", "steps")


TOY = Toy("a", "st")


def test_a_name_has_what_tells_runs_apart_and_no_more():
    assert (TOY.cell, TOY.trajectory, TOY.key) == (
        "a-st",
        "a-st_lr=0.1_seed=0",
        "a-st_lr=0.1_seed=0_steps=10",
    )
    assert replace(TOY, steps=20).trajectory == TOY.trajectory
    assert replace(TOY, width=9).trajectory == "a-st_lr=0.1_seed=0_width=9"
    assert replace(TOY, fixed=2).key == TOY.key


@pytest.mark.parametrize("field", ["kind", "method", "lr", "seed", "steps", "width"])
def test_runs_that_differ_in_a_setting_differ_in_their_key(field):
    other = {"kind": "b", "method": "sf"}.get(field, 3)
    assert replace(TOY, **{field: other}).key != TOY.key


def test_settings_come_back_from_a_record():
    assert Toy(**TOY.to_dict()) == TOY


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "c"}, "kind must be one of a, b, got 'c'"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": float("inf")}, "lr must be a finite number, got inf"),
        ({"lr": float("nan")}, "lr must be a finite number, got nan"),
        ({"lr": True}, "lr must be a finite number, got True"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": -1}, "steps must be positive, got -1"),
    ],
)
def test_what_cannot_be_is_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        replace(TOY, **change)


def test_schedules_start_at_one_and_keep_their_floor():
    class Slow(Annealed):
        anneal_rate, anneal_every, tau_min = 0.1, 5, 0.5

    class Straight(Falling):
        steps, horizon, tau_min = 8, 8, 0.25

    assert [round(Slow().tau(step), 3) for step in (0, 4, 5, 9, 10)] == [1, 1, 0.607, 0.607, 0.5]
    assert [Straight().tau(step) for step in (0, 4, 8, 99)] == [1, 0.5, 0.25, 0.25]
    Straight().check_horizon()
    Straight.steps = 9
    with pytest.raises(ValueError, match="steps = 9 go beyond the horizon of 8"):
        Straight().check_horizon()
