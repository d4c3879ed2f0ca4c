"""gslib.models against torch.distributions and against enumeration of every state, in float64
unless it says otherwise.
"""

import math
from functools import partial

import pytest
import torch
from small_models import (
    MODELS,
    NODES,
    SMALL,
    D,
    all_states,
    bce,
    flat,
    half,
    images,
    log_weights,
    make,
    member,
    noise,
    noise_per_node,
    oracle,
    sbn_log_weights,
    z_score,
)
from torch import distributions as td

from gslib import ESTIMATORS
from gslib.models import DiscreteVAE, Linear, StochasticBinaryNetwork


@pytest.mark.parametrize("ensemble", [None, 1, 3])
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_shapes(kind, node, ensemble):
    model, lead = make(kind, node, ensemble), () if ensemble is None else (ensemble,)
    x = images(*lead, 5, D)
    seen = []
    loss = model.loss(x, lambda q: seen.append(q) or q.sample())
    assert loss.shape == (*lead, 5)
    assert [tuple(q.logits.shape) for q in seen] == [(*lead, 5, *SMALL[node])] * (
        1 if kind is DiscreteVAE else 2
    )
    assert model.bound(x, 3).shape == model.bound(x, 3, tau=0.7).shape == (*lead, 5)
    # A batch without the ensemble axis serves every member.
    assert model.loss(x.flatten(0, -2), lambda q: q.mean).shape == (*lead, 5 * math.prod(lead))
    assert model.bound(x.flatten(0, -2), 3).shape == (*lead, 5 * math.prod(lead))
    if kind is DiscreteVAE:
        pictures = [model.reconstruct(x), model.generate(6)]
        assert [p.shape for p in pictures] == [(*lead, 5, D), (*lead, 6, D)]
    else:
        pictures = [model.complete(x[..., : D // 2])]
        assert pictures[0].shape == (*lead, 5, D // 2)
    assert all(0 <= p.min() and p.max() <= 1 and not p.requires_grad for p in pictures)


@pytest.mark.parametrize("kind", MODELS)
def test_default_sizes_are_the_papers(kind):
    shapes = {
        n: [tuple(p.shape) for p in kind(n).parameters() if p.ndim == 2 and len(p) > 1]
        for n in NODES
    }
    vae, sbn = [(784, 200), (200, 784)], [(392, 200), (200, 200), (200, 392)]
    assert shapes == dict.fromkeys(NODES, vae if kind is DiscreteVAE else sbn)
    assert kind("bernoulli").size == (200,)
    assert kind("categorical").size == (20, 10)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_a_member_starts_the_same_in_any_ensemble(kind, node):
    ensemble = kind(node, size=SMALL[node], data=D, ensemble=3, seeds=[5, 0, 7]).state_dict()
    for e, seed in enumerate([5, 0, 7]):
        pair = kind(node, size=SMALL[node], data=D, ensemble=2, seeds=[seed, 11]).state_dict()
        lone = kind(node, size=SMALL[node], data=D, seeds=[seed]).state_dict()
        assert all(
            torch.equal(v[e], lone[k]) and torch.equal(pair[k][0], lone[k])
            for k, v in ensemble.items()
        )


def test_weights_are_glorot_uniform_and_differ_between_layers_and_seeds():
    model = StochasticBinaryNetwork(
        "bernoulli", ensemble=2, size=(40,), data=160
    )  # 80 - 40 - 40 - 80
    first = []  # the first draws of each stream, scaled to [-1, 1]
    for layer in (model.layer1, model.layer2, model.output):
        bound = math.sqrt(6 / sum(layer.weight.shape[1:]))
        for w in layer.weight.detach() / bound:
            assert 0.99 < w.abs().max() < 1
            assert w.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.05)
            assert abs(w.mean()) < 4 / math.sqrt(3 * w.numel())
            first.append(w.flatten()[:1600])
        assert not layer.bias.any()
    assert (torch.corrcoef(torch.stack(first)) - torch.eye(6)).abs().max() < 0.1


def test_prior_starts_uniform_and_can_be_held_there():
    assert not DiscreteVAE("categorical").prior_logits.any()
    assert DiscreteVAE("categorical").prior_logits.requires_grad
    assert not DiscreteVAE("categorical", learned_prior=False).prior_logits.requires_grad


# Losses


@pytest.mark.parametrize("sampled_kl", [False, True])
@pytest.mark.parametrize("node", NODES)
def test_vae_loss_by_hand(node, sampled_kl):
    model, x = make(DiscreteVAE, node, sampled_kl=sampled_kl), images(6, D)
    drawn = []
    loss = model.loss(x, lambda q: drawn.append(q.sample()) or drawn[-1])
    q, p = (
        oracle(node, x @ model.encoder.weight + model.encoder.bias),
        oracle(node, model.prior_logits),
    )
    z = drawn[0]
    divergence = (
        q.log_prob(z) - p.log_prob(z)
        if sampled_kl
        else td.kl_divergence(q, p.expand(q.batch_shape))
    )
    expected = bce(flat(node, z) @ model.decoder.weight + model.decoder.bias, x) + divergence
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("node", NODES)
def test_sbn_loss_by_hand(node):
    model, x = make(StochasticBinaryNetwork, node), images(6, D)
    drawn = []
    loss = model.loss(x, lambda q: drawn.append((q.logits, q.sample())) or drawn[-1][1])
    (logits_1, h_1), (logits_2, h_2) = drawn
    torch.testing.assert_close(
        logits_1.flatten(1), x[:, : D // 2] @ model.layer1.weight + model.layer1.bias
    )
    torch.testing.assert_close(
        logits_2.flatten(1), flat(node, h_1) @ model.layer2.weight + model.layer2.bias
    )
    expected = bce(flat(node, h_2) @ model.output.weight + model.output.bias, x[:, D // 2 :])
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("node", NODES)
def test_sampled_kl_has_the_expectation_of_the_analytic_one(node):
    x = images(6, D)
    analytic, sampled = (make(DiscreteVAE, node, sampled_kl=s) for s in (False, True))
    losses = [ESTIMATORS["exact"](partial(m.loss, x)) for m in (analytic, sampled)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=1e-10)
    for m, loss in zip((analytic, sampled), losses, strict=True):
        loss.mean().backward()
        assert m.prior_logits.grad.abs().max() > 1e-3
    for a, s in zip(analytic.parameters(), sampled.parameters(), strict=True):
        torch.testing.assert_close(a.grad, s.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_an_ensemble_computes_what_its_members_do(kind, node):
    model, x = make(kind, node, ensemble=3), images(3, 5, D)
    model.slope = torch.tensor([1.0, 1.3, 2.0], dtype=torch.float64)
    loss, bound = (
        model.loss(x, lambda q: q.mean),
        model.bound(x, 7, tau=torch.tensor([0.5, 0.7, 1.0]), uniform=half),
    )
    for e in range(3):
        lone = member(model, e)
        torch.testing.assert_close(loss[e], lone.loss(x[e], lambda q: q.mean))
        torch.testing.assert_close(
            bound[e], lone.bound(x[e], 7, tau=[0.5, 0.7, 1.0][e], uniform=half)
        )


def test_low_temperature_samples_are_nearly_discrete():
    """Towards tau = 0 the SBN's relaxed network is the discrete one."""
    model, x = make(StochasticBinaryNetwork, "bernoulli"), images(20, D)
    hard, soft = (model.bound(x, 5, tau=tau, uniform=noise_per_node(2)) for tau in (None, 1e-4))
    torch.testing.assert_close(soft, hard, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("node", NODES)
def test_generate_has_the_models_mean(node):
    model, n = make(DiscreteVAE, node), 20_000
    z = all_states(node)
    p = oracle(node, model.prior_logits).log_prob(z.unsqueeze(1)).exp()
    exact = (p * (flat(node, z) @ model.decoder.weight + model.decoder.bias).sigmoid()).sum(0)
    assert z_score(model.generate(n, uniform=noise(0)), exact.detach()).max() < 4


@pytest.mark.parametrize("node", NODES)
def test_reconstruct_and_complete_have_their_models_means(node):
    n, x = 20_000, images(1, D)
    vae, sbn = make(DiscreteVAE, node), make(StochasticBinaryNetwork, node)
    z = flat(node, all_states(node))
    with torch.no_grad():
        q = log_weights(vae, x)[1].exp()
        exact = (q * (z @ vae.decoder.weight + vae.decoder.bias).sigmoid()).sum(0)
        assert z_score(vae.reconstruct(x.expand(n, -1), uniform=noise(0)), exact).max() < 4
        joint = (
            sbn_log_weights(sbn, x)[1].exp().unflatten(0, (len(z), len(z))).sum(0)
        )  # p(h2 | upper), [S, 1]
        exact = (joint * (z @ sbn.output.weight + sbn.output.bias).sigmoid()).sum(0)
        assert (
            z_score(sbn.complete(x[:, : D // 2].expand(n, -1), uniform=noise(0)), exact).max() < 4
        )


# Precision and errors


@pytest.fixture
def medium_precision():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("medium_precision")
@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", MODELS)
def test_float32_as_the_runner_sets_it_against_float64(kind, node):
    x = images(2, 100, 784)
    results = []
    for dtype in (torch.float32, torch.float64):
        model = kind(node, ensemble=2).to(dtype)
        loss = ESTIMATORS["gumbel_softmax"](
            partial(model.loss, x.to(dtype)), tau=0.5, uniform=noise(0)
        )
        loss.mean(-1).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append(
            [
                loss.detach().double(),
                gradient.double(),
                model.bound(x.to(dtype), 20, uniform=noise(1)).double(),
            ]
        )
    for single, double in zip(*results, strict=True):
        assert ((single - double).norm() / double.norm()).item() < 1e-4


def test_errors_name_value_and_remedy():
    for kind in MODELS:
        with pytest.raises(
            ValueError, match=r"node must be one of bernoulli, categorical, got 'gaussian'"
        ):
            kind("gaussian")
        with pytest.raises(
            ValueError, match=r"size of a categorical node must be as \(20, 10\), got \(4,\)"
        ):
            kind("categorical", size=(4,))
        with pytest.raises(
            ValueError, match=r"size of a bernoulli node must be as \(200,\), got \(2, 3\)"
        ):
            kind("bernoulli", size=(2, 3))
        with pytest.raises(ValueError, match=r"1 seeds for 3 member\(s\); give one each"):
            kind("bernoulli", ensemble=3, seeds=[0])
        with pytest.raises(ValueError, match="m must be an integer of at least 1, got 0"):
            make(kind, "bernoulli").bound(images(2, D), 0)


@pytest.mark.parametrize("width", [1, 3])
def test_a_layer_sums_alike_alone_and_beside_others(width):
    """With one column, too, which MKL sums in another order for several members on some CPUs."""
    together, x = Linear(100, width, ensemble=4), torch.randn(4, 100, 100)
    torch.nn.init.normal_(together.bias)
    slopes = torch.autograd.grad(together(x).square().sum(), [together.weight, together.bias])
    for e in range(4):
        alone = Linear(100, width, ensemble=1, seeds=[e])
        alone.load_state_dict({k: v[e : e + 1] for k, v in together.state_dict().items()})
        y = alone(x[e : e + 1])
        own = torch.autograd.grad(y.square().sum(), [alone.weight, alone.bias])
        assert torch.equal(y[0], together(x)[e])
        for slope, lone in zip(slopes, own, strict=True):
            assert torch.equal(slope[e], lone[0])
