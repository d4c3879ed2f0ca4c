"""The bounds of both models against enumeration of every state, and relaxed ones by hand."""

import math

import pytest
import torch
from small_models import (
    MODELS,
    NODES,
    SMALL,
    WEIGHTS,
    D,
    bce,
    flat,
    images,
    make,
    noise,
    noise_per_node,
    oracle,
    z_score,
)
from torch import distributions as td

from gslib.models import DiscreteVAE, StochasticBinaryNetwork


@pytest.mark.parametrize("node", NODES)
def test_slope_reaches_posterior_kl_and_bound_but_not_the_prior(node):
    model, x = make(DiscreteVAE, node), images(6, D)
    plain = model.prior().logits.clone()
    model.slope = torch.tensor(1.7, dtype=torch.float64)
    logits = x @ model.encoder.weight + model.encoder.bias
    if node == "bernoulli":
        sloped = ((1.7 * logits + 1) / 2).clamp(1e-3, 1 - 1e-3).logit()
    else:
        sloped = 1.7 * logits
    q, p = oracle(node, sloped), oracle(node, model.prior_logits)
    torch.testing.assert_close(model.posterior(x).mean, q.mean)
    assert torch.equal(model.prior().logits, plain)
    z = q.sample()
    pixels = flat(node, z) @ model.decoder.weight + model.decoder.bias
    expected = bce(pixels, x) + td.kl_divergence(q, p.expand(q.batch_shape))
    torch.testing.assert_close(model.loss(x, lambda _: z), expected, rtol=1e-9, atol=1e-9)
    # m = 1 with one sample: its own weight, computed with the sloped posterior
    forced = [None]
    bound = model.bound(
        x, 1, uniform=lambda like: forced.__setitem__(0, noise(3)(like)) or forced[0]
    )
    z = model.posterior(x).sample(uniform=lambda like: forced[0])
    pixels = flat(node, z) @ model.decoder.weight + model.decoder.bias
    torch.testing.assert_close(
        bound, p.log_prob(z) - q.log_prob(z) - bce(pixels, x), rtol=1e-9, atol=1e-9
    )


# Bounds


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_bound_against_enumeration(kind, node):
    model, x = make(kind, node), images(3, D)
    with torch.no_grad():
        weights, log_q = WEIGHTS[kind](model, x)
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(3, dtype=torch.float64))
    log_p = (weights + log_q).logsumexp(0)
    pairs = torch.logaddexp(weights.unsqueeze(0), weights.unsqueeze(1)) - math.log(2)
    expected = {
        1: (log_q.exp() * weights).sum(0),
        2: ((log_q.unsqueeze(0) + log_q.unsqueeze(1)).exp() * pairs).sum((0, 1)),
    }
    repeats = 4000
    many = x.unsqueeze(1).expand(3, repeats, D).reshape(-1, D)
    means = []
    for m in (1, 2, 8):
        draws = (
            model.bound(many, m, uniform=noise(m), chunk=10**6).unflatten(0, (3, repeats)).T
        )  # [repeats, 3]
        if m in expected:
            assert z_score(draws, expected[m]).max() < 4
        means.append(draws.mean(0))
    assert (means[0] < means[1]).all()
    assert (means[1] < means[2]).all()
    assert (means[2] < log_p).all()
    assert (log_p - means[0]).min() > 0.1  # there is a gap to close
    close = model.bound(x, 100_000, uniform=noise("many"), chunk=200_000)
    assert (close - log_p).abs().max() < 0.02


@pytest.mark.parametrize("tau", [None, 0.6])
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_chunks_do_not_change_the_bound(kind, node, tau):
    model, x = make(kind, node), images(5, D)
    nodes = 1 if kind is DiscreteVAE else 2
    whole, *parts = (
        model.bound(x, 23, tau=tau, uniform=noise_per_node(nodes), chunk=c)
        for c in (10**6, 1, 35, 50)
    )
    for part in parts:  # 1, 7 and 10 samples at a time; the last chunk is a smaller one
        torch.testing.assert_close(part, whole, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(model.bound(x, 22, tau=tau, uniform=noise_per_node(nodes)), whole)


@pytest.mark.parametrize("node", NODES)
def test_relaxed_bound_by_hand(node):
    model, x, tau, m = make(DiscreteVAE, node), images(4, D), 0.5, 6
    used = []
    bound = model.bound(
        x, m, tau=tau, uniform=lambda like: used.append(noise(0)(like)) or used[-1], chunk=10**6
    )
    logits, prior, t = (
        x @ model.encoder.weight + model.encoder.bias,
        model.prior_logits,
        torch.tensor(tau).double(),
    )
    u = used[0].unflatten(0, (m, 4))
    if node == "bernoulli":
        log_y = (logits + u.log() - (-u).log1p()) / tau
        q, p = (td.relaxed_bernoulli.LogitRelaxedBernoulli(t, logits=a) for a in (logits, prior))
        y = log_y.sigmoid()
    else:
        logits, prior = logits.unflatten(-1, SMALL[node]), prior.unflatten(-1, SMALL[node])
        log_y = ((logits - (-u.log()).log()) / tau).log_softmax(-1)
        # Densities of log y: their Jacobian is the same for both and leaves the ratio.
        q, p = (td.relaxed_categorical.ExpRelaxedCategorical(t, logits=a) for a in (logits, prior))
        y = log_y.exp()
    ratio = (p.log_prob(log_y) - q.log_prob(log_y)).sum(-1)
    weights = ratio - bce(flat(node, y) @ model.decoder.weight + model.decoder.bias, x)
    torch.testing.assert_close(bound, weights.logsumexp(0) - math.log(m), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("tau", [0.5, 0.05, 0.01])
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_relaxed_bound_is_finite_at_low_temperature(kind, node, tau):
    model = make(kind, node).float()
    with torch.no_grad():
        for p in model.parameters():
            p *= 5  # saturated nodes
    bound = model.bound(images(50, D).float(), 40, tau=tau)
    assert bound.isfinite().all()


@pytest.mark.parametrize("node", NODES)
def test_relaxed_sbn_bound_by_hand(node):
    model, x, tau, m = make(StochasticBinaryNetwork, node), images(4, D), 0.5, 6
    used = []
    bound = model.bound(
        x,
        m,
        tau=tau,
        uniform=lambda like: used.append(noise(len(used))(like)) or used[-1],
        chunk=10**6,
    )
    h = x[:, : D // 2].expand(m, 4, D // 2)
    for layer, u in zip((model.layer1, model.layer2), used, strict=True):
        logits, u = h @ layer.weight + layer.bias, u.unflatten(0, (m, 4))
        if node == "bernoulli":
            h = ((logits + u.log() - (-u).log1p()) / tau).sigmoid()
        else:
            h = (
                ((logits.unflatten(-1, SMALL[node]) - (-u.log()).log()) / tau)
                .softmax(-1)
                .flatten(-2)
            )
    weights = -bce(h @ model.output.weight + model.output.bias, x[:, D // 2 :])
    torch.testing.assert_close(bound, weights.logsumexp(0) - math.log(m), rtol=1e-9, atol=1e-9)
