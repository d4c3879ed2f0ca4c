"""Exact marginalisation against brute force, and the unbiased estimators against it."""

import pytest
import torch
from estimator_table import LINEAR, SAMPLES, UNBIASED, case_table, ensemble_table, estimator_of
from programs import CASES, brute_force, exact_gradients, expected_estimate, per_sample, z_scores

from gslib import ESTIMATORS, Bernoulli

# --- the oracle -----------------------------------------------------------------------------------


@case_table
@ensemble_table
def test_exact_is_brute_force(case, ensemble):
    values, gradients = per_sample(ESTIMATORS["exact"], case, 2, ensemble)
    expected = exact_gradients(case, ensemble)
    torch.testing.assert_close(
        gradients, expected.unsqueeze(-2).expand_as(gradients), rtol=1e-10, atol=1e-12
    )
    if ensemble is None:
        torch.testing.assert_close(values, brute_force(case)[0].expand(2), rtol=1e-10, atol=1e-12)


def test_exact_gives_the_gradient_of_finite_differences():
    case = CASES["bernoulli over categorical"]
    leaves = [p.clone().requires_grad_() for p in case.parameters]
    assert torch.autograd.gradcheck(lambda *p: ESTIMATORS["exact"](case.build(*p)), leaves)


def test_exact_counts_states_before_it_enumerates():
    def program(units):
        return lambda sample: sample(Bernoulli(torch.zeros(1, units))).sum(-1)

    with pytest.raises(ValueError, match=r"2\^30 joint states.*max_states = 4096.*smaller"):
        ESTIMATORS["exact"](program(30))
    with pytest.raises(ValueError, match=r"2\^4 joint states"):
        ESTIMATORS["exact"](program(4), max_states=15)
    assert ESTIMATORS["exact"](program(4), max_states=16).item() == 2


# --- unbiased estimators --------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_in_exact_expectation(name, case, ensemble):
    expected = expected_estimate(estimator_of(name), case, ensemble, **UNBIASED[name])
    torch.testing.assert_close(expected, exact_gradients(case, ensemble), rtol=1e-9, atol=1e-12)


@case_table
@ensemble_table
@pytest.mark.parametrize("name", ["sf", "muprop"])
def test_unbiased_by_sampling(name, case, ensemble):
    _, gradients = per_sample(ESTIMATORS[name], case, SAMPLES, ensemble)
    assert z_scores(gradients, exact_gradients(case, ensemble)).max() < 4


def test_control_variates_reduce_variance():
    case = CASES["bernoulli"]
    variance = {
        name: per_sample(estimator_of(name), case, 10_000, **hyper)[1].var(0).sum()
        for name, hyper in {
            "sf": {},
            "sf, baseline": {"baseline": brute_force(case)[0].item()},
            "muprop": {},
        }.items()
    }
    assert variance["muprop"] < variance["sf, baseline"] < variance["sf"]


def test_muprop_has_no_variance_on_a_linear_loss():
    for case in LINEAR.values():
        _, gradients = per_sample(ESTIMATORS["muprop"], case, 100)
        torch.testing.assert_close(gradients, exact_gradients(case, None).expand_as(gradients))
