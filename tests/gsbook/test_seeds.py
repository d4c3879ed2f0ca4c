"""Which recorded runs stand for a setting."""

import math

import pytest

from gsbook.intervals import UNKNOWN
from gsbook.seeds import Runs, longest


def made(seed=0, lr=1e-3, steps=100, nll: float | None = 1.0, valid=None):
    curve = {"step": [50, steps], "valid": valid or [2.0, nll]}
    config = {"seed": seed, "lr": lr, "steps": steps}
    return {"config": config, "test": {"nll": nll}, "curve": curve}


def test_figures_leave_diverged_seeds_out():
    runs = Runs({0: made(nll=1.0), 1: made(1, nll=3.0), 2: made(2, nll=None)})
    assert runs.figure("nll") == {0: 1.0, 1: 3.0}
    assert runs.mean("nll").mean == 2.0
    assert runs.figure("an older record has none") == {}
    assert Runs({0: made(nll=None)}).mean("nll") is UNKNOWN


def test_a_curve_has_the_steps_that_all_seeds_have():
    other = made(1)
    other["curve"] = {"step": [25, 50, 100], "valid": [9.0, 4.0, None]}
    steps, (first, second) = Runs({0: made(), 1: other}).curve("valid")
    assert steps == [50, 100]
    assert first == [2.0, 1.0]
    assert second[0] == 4.0
    assert math.isnan(second[1])


def test_several_seeds_go_before_length_and_length_before_their_number():
    long_and_alone = made(steps=400)
    longer = [made(seed, steps=200) for seed in range(2)]
    more = [made(seed) for seed in range(5)]
    assert longest([long_and_alone, *more]).steps == 100
    assert longest([*more, long_and_alone, *longer]).steps == 200
    assert list(longest(reversed(more)).runs) == [0, 1, 2, 3, 4]
    assert longest([]) is None


@pytest.mark.parametrize("turn", [1, -1])
def test_of_equal_groups_the_lowest_score_stands(turn):
    found = [made(seed, lr) for lr in (1e-3, 1e-2) for seed in range(2)]
    ours = longest(found, lambda runs: turn * runs[0]["config"]["lr"])
    assert ours.lr == (1e-3 if turn == 1 else 1e-2)
    assert longest(found).lr == 1e-3
