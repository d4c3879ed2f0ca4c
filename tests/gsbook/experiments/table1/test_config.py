"""Configs of Table 1: schedules, names and what they refuse."""

import json
import math

import pytest
from helpers import config

from gsbook.experiments.table1.config import Config


def test_temperature_schedule():
    c = Config("vae", "categorical", "gumbel_softmax", 1e-3, anneal_rate=1e-4)
    assert [c.tau(t) for t in (0, 499)] == [1.0, 1.0]
    assert [c.tau(t) for t in (500, 999, 1000)] == [
        math.exp(-0.05),
        math.exp(-0.05),
        math.exp(-0.1),
    ]
    assert [c.tau(t) for t in (6500, 7000, 10**6)] == [
        math.exp(-0.65),
        0.5,
        0.5,
    ]  # ln 2 / 1e-4 = 6931
    assert Config("sbn", "categorical", "gumbel_softmax", 1e-3).tau(10**6) == 1


def test_slope_schedule():
    c = Config("sbn", "bernoulli", "annealed_st", 1e-3, slope_rate=0.04, slope_max=5)
    assert [c.slope(t, 500) for t in (0, 499, 500, 1250)] == [1.0, 1.0, 1.04, 1.08]
    assert [c.slope(t, 500) for t in (49_500, 50_000, 10**6)] == [pytest.approx(4.96), 5.0, 5.0]
    assert Config("sbn", "bernoulli", "st", 1e-3).slope(10**6, 500) == 1


def test_keys_are_unique_and_trajectories_forget_the_steps():
    base = config()
    others = {
        "model": "sbn",
        "node": "categorical",
        "estimator": "sf",
        "lr": 1e-5,
        "seed": 1,
        "steps": 40,
        "batch": 10,
        "eval_every": 20,
        "momentum": 0.5,
        "anneal_rate": 1e-5,
        "anneal_every": 2,
        "tau_min": 0.1,
        "slope_rate": 0.1,
        "slope_max": 9.0,
        "baseline_lr": 0.1,
        "learned_prior": False,
        "kl": "sampled",
        "data_bias": True,
        "darn_form": "printed",
        "centre": True,
        "normalise": "signal",
        "slope_form": "soft",
    }
    assert set(others) == set(base.to_dict())
    changed = [Config(**base.to_dict() | {name: value}) for name, value in others.items()]
    assert len({c.key for c in [base, *changed]}) == len(changed) + 1
    assert [n for n, c in zip(others, changed, strict=True) if c.trajectory == base.trajectory] == [
        "steps"
    ]
    assert Config(**json.loads(json.dumps(base.to_dict()))) == base
    assert (base.cell, base.row) == ("vae-bernoulli-st", "vae-bernoulli")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gan"}, "model must be one of vae, sbn, got 'gan'"),
        ({"node": "gaussian"}, "node must be one of bernoulli, categorical, got 'gaussian'"),
        ({"estimator": "relax"}, "estimator must be one of sf, darn, .*, got 'relax'"),
        ({"kl": "x"}, "kl must be one of analytic, sampled, got 'x'"),
        ({"darn_form": "x"}, "darn_form must be one of sample, printed, got 'x'"),
        ({"lr": 0}, "lr must be positive, got 0"),
        ({"lr": math.nan}, "lr must be a finite number, got nan"),
        ({"steps": -1}, "steps must be positive, got -1"),
        ({"model": "sbn", "kl": "sampled"}, "belong to the VAE"),
        ({"model": "sbn", "learned_prior": False}, "belong to the VAE"),
    ],
)
def test_config_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)
