"""The biased estimators show the bias that theory gives them."""

from functools import partial

import pytest
import torch
from estimator_table import (
    BIASED,
    LINEAR,
    SAMPLES,
    A,
    bernoulli,
    case_table,
    ensemble_table,
    estimator_of,
    target_case,
)
from programs import (
    Case,
    brute_force,
    exact_gradients,
    expected_estimate,
    per_sample,
    tensor,
    z_scores,
)

from gslib import ESTIMATORS, Bernoulli, Categorical

# --- biased estimators ----------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", BIASED)
def test_biased_estimators_show_their_bias(name, case, ensemble):
    estimator, target = estimator_of(name), target_case(name, case)
    _, gradients = per_sample(estimator, case, SAMPLES, ensemble, **BIASED[name])
    bias = z_scores(gradients, exact_gradients(target, ensemble))
    assert bias.amax(-1).min() > 6, f"every member is biased, got {bias}"
    if (
        "gumbel" not in name
    ):  # these have an expectation that enumeration gives; sampling must agree with it
        expected = expected_estimate_of(name, case, ensemble)
        assert z_scores(gradients, expected).max() < 4


def expected_estimate_of(name, case, ensemble=None):
    if name == "annealed_st":  # st on the sloped program, whose probabilities weigh the states
        return expected_estimate(ESTIMATORS["st"], target_case(name, case), ensemble)
    return expected_estimate(estimator_of(name), case, ensemble, **BIASED[name])


def one_unit(f):
    return Case([tensor(0.7)], lambda theta: lambda sample: f(sample(Bernoulli(theta))).sum(-1))


def f_and_slope(f, z):
    z = tensor(float(z)).requires_grad_()
    (slope,) = torch.autograd.grad(f(z).sum(), z)
    return f(z).item(), slope.item()


FUNCTIONS = {
    "linear": lambda z: 2 * z - 1,
    "quadratic": lambda z: (z - 0.3) ** 2,
    "cubic": lambda z: z**3 - z**2 + 0.3 * z,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_expectations_for_one_unit_by_hand(name):
    f = FUNCTIONS[name]
    (f0, slope0), (f1, slope1) = f_and_slope(f, 0), f_and_slope(f, 1)
    p = tensor(0.7).sigmoid().item()
    dp = p * (1 - p)
    by_hand = {
        "sf": dp * (f1 - f0),
        "muprop": dp * (f1 - f0),
        "st": dp * (p * slope1 + (1 - p) * slope0),
        "darn": dp * (slope1 + slope0) / 2,
    }
    for estimator, gradient in by_hand.items():
        assert expected_estimate(ESTIMATORS[estimator], one_unit(f)).item() == pytest.approx(
            gradient, abs=1e-12
        ), estimator
    exact = {
        estimator: abs(gradient - dp * (f1 - f0)) < 1e-12 for estimator, gradient in by_hand.items()
    }
    assert exact["darn"] == (name != "cubic")
    assert exact["st"] == (name == "linear")


@pytest.mark.parametrize("case", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("name", ["st", "darn"])
def test_straight_through_and_darn_are_exact_for_a_linear_loss(name, case):
    torch.testing.assert_close(
        expected_estimate(ESTIMATORS[name], case), exact_gradients(case, None)
    )


def test_darn_is_exact_for_any_quadratic_of_binary_units_and_not_for_a_cubic():
    quadratic = bernoulli(lambda z: ((z @ A) * z).sum(-1) - 0.3 * z.sum(-1))
    torch.testing.assert_close(
        expected_estimate(ESTIMATORS["darn"], quadratic), exact_gradients(quadratic, None)
    )
    cubic = bernoulli(lambda z: ((z @ A[0]) - 0.3) ** 3)
    assert (
        expected_estimate(ESTIMATORS["darn"], cubic) - exact_gradients(cubic, None)
    ).norm() > 0.01


def test_darn_as_printed_keeps_nothing_of_a_separable_quadratic():
    separable = bernoulli(lambda z: ((z - 0.3) ** 2 * A[0]).sum(-1))
    assert exact_gradients(separable, None).norm() > 0.05
    assert expected_estimate(partial(ESTIMATORS["darn"], form="printed"), separable).norm() < 1e-12


def test_darn_passes_a_lower_sample_by_its_own_rule():
    theta, w, b = 0.7, -1.2, 0.5  # z1 ~ sigmoid(theta), z2 ~ sigmoid(w z1 + b), f(z2)
    case = Case(
        [tensor(theta)],
        lambda theta: (
            lambda sample: FUNCTIONS["cubic"](
                sample(Bernoulli(sample(Bernoulli(theta)) * w + b))
            ).sum(-1)
        ),
    )
    p1, expected = tensor(theta).sigmoid().item(), 0.0
    for z1 in (0, 1):
        p2 = tensor(w * z1 + b).sigmoid().item()
        for z2 in (0, 1):
            probability = (p1 if z1 else 1 - p1) * (p2 if z2 else 1 - p2)
            slope = (
                f_and_slope(FUNCTIONS["cubic"], z2)[1] * (z2 - 0.5) * (z2 - p2) * w
            )  # d f / d z1 through log q(z2)
            expected += probability * slope * (z1 - 0.5) * (z1 - p1)
    assert abs(expected) > 1e-3
    assert expected_estimate(ESTIMATORS["darn"], case).item() == pytest.approx(expected, abs=1e-12)


def quadrature(estimator, case, step=0.05, **hyperparameters):
    """Expected gradient over the noise of two units, by the midpoint rule in the logit of u: no
    sampling error.

    Straight-through samples jump where the noise crosses minus the logits: the test puts these on
    the edges of cells.
    """
    ell = torch.arange(-22 + step / 2, 22, step, dtype=torch.float64)
    u, weight = ell.sigmoid(), ell.sigmoid() * (-ell).sigmoid() * step
    noise = iter([u.repeat_interleave(len(u)).unsqueeze(-1), u.repeat(len(u)).unsqueeze(-1)])
    weight = torch.outer(weight, weight).flatten()
    assert weight.sum().item() == pytest.approx(1, abs=1e-8)
    _, gradients = per_sample(
        estimator, case, len(weight), uniform=lambda t: next(noise), **hyperparameters
    )
    return (weight.unsqueeze(-1) * gradients).sum(0)


TWO_UNITS = Case(
    [tensor(0.7), tensor(-1.2, 0.5)],
    lambda theta, w: (
        lambda sample: (
            (sample(Bernoulli(sample(Bernoulli(theta)) * w[..., :1] + w[..., 1:])) - 0.3).sum(-1)
            ** 3
        )
    ),
)


@pytest.mark.parametrize("name", ["gumbel_softmax", "st_gumbel_softmax"])
@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_gumbel_estimators_sample_the_expectation_that_quadrature_gives(name, tau):
    expected = quadrature(ESTIMATORS[name], TWO_UNITS, tau=tau)
    _, gradients = per_sample(ESTIMATORS[name], TWO_UNITS, SAMPLES, tau=tau)
    assert z_scores(gradients, expected).max() < 4
    assert z_scores(gradients, brute_force(TWO_UNITS)[1]).max() > 6


def test_gumbel_softmax_loses_its_bias_as_tau_falls():
    def relaxed_gradient(tau):
        # E[f'(y) y(1-y)/tau] over logistic noise, y = sigmoid((theta + l)/tau): written out, with
        # no gslib in it.
        ell = torch.linspace(-36, 36, 1_000_001, dtype=torch.float64)
        y = ((0.7 + ell) / tau).sigmoid()
        return torch.trapezoid(
            3 * (y - 0.3) ** 2 * y * (1 - y) / tau * ell.sigmoid() * (-ell).sigmoid(), ell
        ).item()

    case = one_unit(lambda z: (z - 0.3) ** 3)
    exact = exact_gradients(case, None).item()
    ell = torch.linspace(-36, 36, 200_001, dtype=torch.float64)
    errors = []
    for tau in (2.0, 1.0, 0.1, 0.02):
        weight = ell.sigmoid() * (-ell).sigmoid() * (ell[1] - ell[0])
        _, gradients = per_sample(
            ESTIMATORS["gumbel_softmax"],
            case,
            len(ell),
            tau=tau,
            uniform=lambda t: ell.sigmoid().unsqueeze(-1),
        )
        expected = (weight * gradients.squeeze(-1)).sum().item()
        assert expected == pytest.approx(relaxed_gradient(tau), abs=1e-6)
        errors.append(abs(expected - exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05 > 0.001 > errors[-1]


def test_two_classes_and_one_binary_unit_are_the_same_estimator():
    # Two Gumbels differ by a logistic variable, so both nodes have one distribution of gradients:
    # compare their means.
    def loss(s):
        return (s - 0.3) ** 3

    binary = one_unit(loss)
    classes = Case(
        [tensor(0.7)],
        lambda theta: (
            lambda sample: loss(
                sample(Categorical(torch.stack([theta, 0 * theta], -1)))[..., 0]
            ).sum(-1)
        ),
    )
    for name in ("gumbel_softmax", "st_gumbel_softmax", "st", "sf", "muprop"):
        a, b = (
            per_sample(ESTIMATORS[name], case, SAMPLES)[1].squeeze(-1) for case in (binary, classes)
        )
        standard_error = ((a.var() + b.var()) / SAMPLES).sqrt()
        assert (a.mean() - b.mean()).abs() < 4 * standard_error, name
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.03), name
