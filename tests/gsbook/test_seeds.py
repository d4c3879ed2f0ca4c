"""Which recorded runs stand for a setting."""

import math

import pytest

from gsbook.experiments.reading.config import Reading
from gsbook.intervals import UNKNOWN
from gsbook.seeds import Runs, at_one_scale, best, difference, ranked


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
    with pytest.raises(KeyError, match="no test figure 'nnl', but nll"):
        runs.mean("nnl")


def test_a_curve_has_the_steps_that_all_seeds_have():
    other = made(1)
    other["curve"] = {"step": [25, 50, 100], "valid": [9.0, 4.0, None]}
    steps, (first, second) = Runs({0: made(), 1: other}).curve("valid")
    assert steps == [50, 100]
    assert first == [2.0, 1.0]
    assert second[0] == 4.0
    assert math.isnan(second[1])
    with pytest.raises(KeyError, match="no curve 'test' of seed 0, but step, valid"):
        Runs({0: made()}).curve()


def recorded(
    method="st",
    seed=0,
    *,
    images=None,
    source="cmudict",
    sha="0",
    diverged=None,
    valid=1.0,
    **settings,
):
    config = Reading(method, **{"lr": 2e-3, "seed": seed} | settings)
    value = None if diverged else valid
    return {
        "config": config.to_dict(),
        "diverged": diverged,
        "evaluation": {"images": images},
        "data": {"source": source, "sha256": {"test": sha}},
        "valid": {"nll": value},
        "test": {"nll": value},
    }


def several(method="st", seeds=2, **settings):
    return [recorded(method, seed, **settings) for seed in range(seeds)]


def stand(*runs):
    """What stands for each of the methods that these runs are of."""
    found: dict = {}
    for run in runs:
        found.setdefault(run["config"]["method"], []).append(run)
    return at_one_scale(found, Reading, lambda run: run["valid"]["nll"], ["method"])


def test_all_methods_stand_at_the_steps_of_most_with_several_seeds():
    """Two runs of one method at a longer budget are no comparison."""
    short = [run for method in ("sf", "st", "rloo") for run in several(method, steps=100)]
    longer = several("st", steps=400)
    alone = [recorded(method, steps=800) for method in ("sf", "st", "rloo")]
    found = stand(*alone, *longer, *short)
    assert {name: (runs.steps, list(runs.runs)) for name, runs in found.items()} == dict.fromkeys(
        ("sf", "st", "rloo"), (100, [0, 1])
    )
    both = stand(*short, *longer, *several("sf", steps=400), *several("rloo", steps=400))
    assert {runs.steps for runs in both.values()} == {400}
    assert {runs.steps for runs in stand(*alone, *longer).values()} == {400}
    assert {runs.steps for runs in stand(*alone, recorded("st", steps=900)).values()} == {800}


@pytest.mark.parametrize(
    "other", [{"hidden": 512}, {"sha": "1"}, {"source": "mine"}, {"images": 100}, {"tau_min": 0.1}]
)
def test_runs_that_differ_in_more_than_their_seed_are_not_put_together(other):
    others = [recorded("st", seed, valid=0.1, **other) for seed in (1, 5)]
    found = stand(*several("st", 3), *several("sf", 3), *others)
    assert set(found) == {"st", "sf"}
    assert found["st"].figure("nll") == {0: 1.0, 1: 1.0, 2: 1.0}


def test_how_often_a_run_was_looked_at_and_younger_fields_do_not_part_it():
    one, other = recorded(seed=0), recorded(seed=1, eval_every=10)
    del one["config"]["hidden"]
    assert list(stand(one, other)["st"].runs) == [0, 1]


def test_of_several_rates_most_seeds_then_validation_decide():
    """Never the order in the file, nor a rate that killed a seed."""
    good, bad = several(lr=1e-2, valid=0.3), several(lr=1e-3, valid=0.6)
    for runs in (good + bad, bad + good):
        assert stand(*runs)["st"].lr == 1e-2
    killed = [*several(lr=1e-2, seeds=1, valid=0.3), recorded(seed=1, lr=1e-2, diverged=70)]
    assert stand(*bad, *killed)["st"].lr == 1e-3
    assert stand(*bad, *killed, recorded(seed=2, lr=1e-2))["st"].mark == " (2 of 3 seeds)"


def test_seeds_that_diverged_count_against_a_method_when_one_is_chosen():
    whole = Runs({s: run for s, run in enumerate(several(valid=0.5))})
    part = Runs({0: recorded(valid=0.1), 1: recorded(seed=1, diverged=70)})
    dead = Runs({0: recorded(diverged=70)})
    found = {"dead": dead, "part": part, "whole": whole}
    assert best(found, found, "nll") == best(found, found, "nll", lower=False) == "whole"
    assert best(found, ["dead", "part"], "nll", lower=False) == "part"
    assert best(found, ["none"], "nll") is None
    assert ranked(found, "nll") == ["part", "whole", "dead"]
    assert ranked(found, "nll", lower=False) == ["whole", "part", "dead"]
    assert difference(whole, dead, "nll") is UNKNOWN
    assert part.mean("nll").mean == 0.1


@pytest.mark.filterwarnings("error")  # which a page would show
def test_a_side_whose_seeds_are_equal_has_an_interval_too():
    equal, apart = (Runs({i: made(i, nll=v) for i, v in enumerate(values)})
                    for values in ((500.0,) * 3, (498.0, 499.0, 500.0)))  # fmt: skip
    gap = difference(equal, apart, "nll")
    assert gap.mean == 1
    assert gap.low < 0 < gap.high
