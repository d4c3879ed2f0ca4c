"""Variance normalisation rescales an estimate and keeps its direction."""

from functools import partial

import pytest
import torch
from estimator_table import A, bernoulli
from programs import CASES, Case, exact_gradients, expected_estimate, tensor

import gslib
from gslib import ESTIMATORS, Baseline, Bernoulli

# --- variance normalisation -----------------------------------------------------------------------


def seen(baseline, mean, variance):
    """A baseline that has learned these moments already."""
    baseline.mean.fill_(mean)
    baseline.variance.fill_(variance)
    baseline.seen.fill_(True)
    return baseline


@pytest.mark.parametrize("name", ["sf", "muprop"])
@pytest.mark.parametrize("kind", ["bernoulli", "categorical"])
def test_variance_normalisation_rescales_and_keeps_the_direction(name, kind):
    case = CASES[kind]
    fixed = Case(
        case.parameters[:1], lambda theta: case.build(theta, case.parameters[1])
    )  # no parameter in the loss
    baseline = seen(Baseline(normalise=True), 0.25, 6.25)
    expected = expected_estimate(partial(ESTIMATORS[name], baseline=baseline), fixed)
    torch.testing.assert_close(expected, exact_gradients(fixed, None) / 2.5)


def test_variance_normalisation_leaves_small_signals_and_the_loss_gradient_alone():
    case = CASES["bernoulli"]
    small = seen(Baseline(normalise=True), 0.1, 0.04)
    expected = expected_estimate(partial(ESTIMATORS["sf"], baseline=small), case)
    torch.testing.assert_close(expected, exact_gradients(case, None))
    large = seen(Baseline(normalise=True), 0.1, 100.0)
    expected = expected_estimate(partial(ESTIMATORS["muprop"], baseline=large), case)
    torch.testing.assert_close(
        expected[3:], exact_gradients(case, None)[3:]
    )  # the parameters of the loss: not rescaled
    torch.testing.assert_close(expected[:3], exact_gradients(case, None)[:3] / 10)


def test_darn_with_variance_normalisation_is_proportional_to_darn():
    case = bernoulli(lambda z: ((z @ A) * z).sum(-1))
    baseline = seen(Baseline(normalise=True), 0.0, 9.0)
    expected = expected_estimate(partial(ESTIMATORS["darn"], baseline=baseline), case)
    torch.testing.assert_close(expected, exact_gradients(case, None) / 3)


@pytest.mark.parametrize("name", ["sf", "muprop", "darn"])
def test_variance_normalisation_divides_a_kl_term_with_the_rest(name):
    """A variational posterior gets gradient through the sample and through its KL: dividing one
    alone turns it round.
    """

    def build(theta):
        def program(sample):
            q = Bernoulli(theta)
            z = sample(q)
            return ((z @ A) * z).sum(-1) + 3 * gslib.kl(
                q, Bernoulli(torch.full_like(theta, 1.5))
            ).sum(-1)

        return program

    case = Case([tensor(0.4, -0.6, 0.9)], build)
    expected = expected_estimate(
        partial(ESTIMATORS[name], baseline=seen(Baseline(normalise=True), 0.0, 16.0)), case
    )
    torch.testing.assert_close(expected, exact_gradients(case, None) / 4)


@pytest.mark.parametrize("node", ["bernoulli", "categorical"])
def test_variance_normalisation_in_an_autoencoder_touches_the_encoder_alone(node):
    """For one draw: every gradient of a VAE's encoder is divided by the scale, those of decoder and
    prior are not.
    """
    x = torch.randint(0, 2, (2, 5, 16), generator=torch.Generator().manual_seed(1)).float()
    model = gslib.models.DiscreteVAE(
        node, size=(4,) if node == "bernoulli" else (2, 3), ensemble=2, data=16
    )
    gradients = {}
    for scale in (1.0, 5.0):
        torch.manual_seed(0)
        baseline = seen(Baseline(normalise=True, moving_average=False, ensemble=2), 0.0, scale**2)
        ESTIMATORS["muprop"](partial(model.loss, x), baseline=baseline).mean(-1).sum().backward()
        gradients[scale] = {k: p.grad.clone() for k, p in model.named_parameters()}
        model.zero_grad()
    for k, g in gradients[1.0].items():
        torch.testing.assert_close(
            gradients[5.0][k] * (5 if k.startswith("encoder") else 1), g, rtol=1e-4, atol=1e-5
        )
