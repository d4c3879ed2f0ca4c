"""gslib.models against torch.distributions and against enumeration of every state, in float64 unless it says otherwise."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as td

from gslib import ESTIMATORS
from gslib.functional import stream
from gslib.models import DiscreteVAE, StochasticBinaryNetwork

SMALL = {"bernoulli": (4,), "categorical": (2, 3)}
NODES = sorted(SMALL)
MODELS = [DiscreteVAE, StochasticBinaryNetwork]
D = 16


def images(*shape):
    return torch.randint(0, 2, shape, generator=stream("images")).double()


def noise(*key):
    """A `uniform` with a stream of its own."""
    generator = stream("test", *key)
    return lambda like: torch.rand(like.shape, generator=generator, dtype=torch.float64).to(like)


def noise_per_node(nodes):
    """One stream per node of the model: the draws of a node do not depend on how many the others took before."""
    streams, calls = [noise(i) for i in range(nodes)], iter(range(10**9))
    return lambda like: streams[next(calls) % nodes](like)


def make(kind, node, ensemble=None, **options):
    """A small model whose every parameter is random, so that no term of its loss vanishes by symmetry."""
    model = kind(node, size=SMALL[node], ensemble=ensemble, data=D, **options).double()
    generator = stream("parameters", node)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / 2)
    return model


def member(model, e):
    """Member e of an ensemble as a model of its own."""
    lone = type(model)(model.node, size=model.size, data=D).double()
    lone.load_state_dict({k: v[e] for k, v in model.state_dict().items() if k != "slope"})
    if model.slope is not None:
        lone.slope = model.slope[e]
    return lone


def all_states(node):
    """[S, N] or [S, N, K], in the order of counting."""
    if node == "bernoulli":
        n = SMALL[node][0]
        return torch.tensor(
            [[float(i >> j & 1) for j in range(n)] for i in range(2**n)], dtype=torch.float64
        )
    n, k = SMALL[node]
    return torch.stack(
        [torch.eye(k, dtype=torch.float64)[[i // k**j % k for j in range(n)]] for i in range(k**n)]
    )


def oracle(node, logits):
    """torch's distribution of a whole node with flat logits [..., units]."""
    if node == "bernoulli":
        return td.Independent(td.Bernoulli(logits=logits, validate_args=False), 1)
    return td.Independent(
        td.OneHotCategorical(logits=logits.unflatten(-1, SMALL[node]), validate_args=False), 1
    )


def flat(node, z):
    return z if node == "bernoulli" else z.flatten(-2)


def bce(logits, x):
    return F.binary_cross_entropy_with_logits(
        *torch.broadcast_tensors(logits, x), reduction="none"
    ).sum(-1)


def log_weights(model, x):
    """log p(x|z) + log p(z) - log q(z|x) and log q(z|x) of every state z of the VAE, both [S, B]."""
    z = all_states(model.node)
    q = oracle(model.node, x @ model.encoder.weight + model.encoder.bias).log_prob(z.unsqueeze(1))
    p = oracle(model.node, model.prior_logits).log_prob(z.unsqueeze(1))
    pixels = (flat(model.node, z) @ model.decoder.weight + model.decoder.bias).unsqueeze(1)
    return p - bce(pixels, x) - q, q


def sbn_log_weights(model, x):
    """log p(lower|h) and log p(h|upper) of every joint state h = (h1, h2) of the SBN, both [S * S, B]."""
    upper, lower = x[:, : D // 2], x[:, D // 2 :]
    z = all_states(model.node)
    h = flat(model.node, z)
    log_1 = oracle(model.node, upper @ model.layer1.weight + model.layer1.bias).log_prob(
        z.unsqueeze(1)
    )  # [S, B]
    log_2 = oracle(model.node, (h @ model.layer2.weight + model.layer2.bias).unsqueeze(1)).log_prob(
        z
    )  # [S1, S2]
    likelihood = -bce((h @ model.output.weight + model.output.bias).unsqueeze(1), lower)  # [S2, B]
    joint = log_1.unsqueeze(1) + log_2.unsqueeze(2)
    return likelihood.expand_as(joint).flatten(0, 1), joint.flatten(0, 1)


WEIGHTS = {DiscreteVAE: log_weights, StochasticBinaryNetwork: sbn_log_weights}


def z_score(samples, exact):
    """Deviation of the mean over the first axis in standard errors."""
    return (samples.mean(0) - exact).abs() / (samples.std(0) / math.sqrt(len(samples)))


# Shapes and parameters


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


def half(like):
    """Noise that is the same for every member, sample and example."""
    return torch.linspace(0.1, 0.9, like.shape[-1]).to(like).expand_as(like)


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
            ValueError, match=r"size of a categorical node must be \(N, K\), got \(4,\)"
        ):
            kind("categorical", size=(4,))
        with pytest.raises(
            ValueError, match=r"size of a bernoulli node must be \(N,\), got \(2, 3\)"
        ):
            kind("bernoulli", size=(2, 3))
        with pytest.raises(
            ValueError, match=r"1 seeds for 3 member\(s\); give one seed per member"
        ):
            kind("bernoulli", ensemble=3, seeds=[0])
        with pytest.raises(ValueError, match="m must be at least 1, got 0"):
            make(kind, "bernoulli").bound(images(2, D), 0)
