"""What every estimator does: its value, its noise, its errors."""

import pytest
import torch
from estimator_table import SEVERAL, case_table, ensemble_table
from programs import CASES, per_sample

from gslib import ESTIMATORS, Bernoulli
from gslib.distributions import sharpened

# --- the surrogate's value ------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in ("exact", *SEVERAL)])
def test_the_value_is_the_loss_of_the_sample(name, case, ensemble):
    def seeded():
        generator = torch.Generator().manual_seed(3)
        return lambda t: torch.rand(t.shape, generator=generator, dtype=t.dtype)

    rule = {
        "gumbel_softmax": lambda q, uniform: q.relaxed_sample(1.0, uniform=uniform),
        "annealed_st": lambda q, uniform: sharpened(q, 1.0).sample(uniform=uniform),
    }.get(name, lambda q, uniform: q.sample(uniform=uniform))

    def plain(program, *, uniform):
        return program(lambda q: rule(q, uniform)) + 0 * program(lambda q: q.mean)

    expected, _ = per_sample(plain, case, 50, ensemble, uniform=seeded())
    values, _ = per_sample(ESTIMATORS[name], case, 50, ensemble, uniform=seeded())
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


def test_exact_has_no_variance_and_ignores_the_noise():
    program = CASES["bernoulli"].build(*CASES["bernoulli"].parameters)
    assert ESTIMATORS["exact"](program, uniform=torch.zeros_like).equal(
        ESTIMATORS["exact"](program)
    )


def test_same_seed_same_estimate_and_other_seed_another():
    case = CASES["categorical, two layers"]
    for name in ESTIMATORS:
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(per_sample(ESTIMATORS[name], case, 20)[1])
        assert draws[0].equal(draws[1]), name
        assert name == "exact" or not draws[0].equal(draws[2]), name


# --- errors ---------------------------------------------------------------------------------------

THETA = torch.zeros(5, 3, requires_grad=True)


def test_unknown_name():
    with pytest.raises(
        KeyError, match=r"unknown estimator 'gumbel'; choose one of sf, darn, muprop, st"
    ):
        ESTIMATORS["gumbel"]


@pytest.mark.parametrize("name", ["sf", "darn", "muprop", "exact"])
def test_programs_that_break_the_rules(name):
    with pytest.raises(
        ValueError, match=r"returned \(\).*one loss per example.*\(5,\).*do not average"
    ):
        ESTIMATORS[name](lambda sample: sample(Bernoulli(THETA)).mean())
    with pytest.raises(ValueError, match="never called its sampler"):
        ESTIMATORS[name](lambda sample: THETA.sum(-1))
    with pytest.raises(ValueError, match=r"returned float.*one loss per example"):
        ESTIMATORS[name](lambda sample: float(sample(Bernoulli(THETA)).sum()))


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        (
            "gumbel_softmax",
            {"tau": 0.0},
            ValueError,
            r"tau must be positive and finite, got 0; anneal",
        ),
        (
            "st_gumbel_softmax",
            {"tau": -1.0},
            ValueError,
            r"tau must be positive and finite, got -1; anneal",
        ),
        (
            "gumbel_softmax",
            {"tau": torch.tensor([1.0, 1.0, 1.0, 1.0, float("nan")])},
            ValueError,
            r"got nan",
        ),
        (
            "darn",
            {"form": "taylor"},
            ValueError,
            "form must be 'sample' or 'printed', got 'taylor'",
        ),
        ("sf", {"baseline": float("nan")}, ValueError, "baseline must be finite, got nan"),
        ("sf", {"baseline": torch.zeros(4)}, ValueError, r"baseline has shape \(4,\).*\(5,\)"),
        (
            "sf",
            {"uniform": lambda t: torch.rand(2)},
            ValueError,
            r"uniform returned has shape \(2,\).*\(5, 3\)",
        ),
    ],
)
def test_bad_hyperparameters(name, settings, error, message):
    with pytest.raises(error, match=message):
        ESTIMATORS[name](lambda sample: sample(Bernoulli(THETA)).sum(-1), **settings)
