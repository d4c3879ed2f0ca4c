"""Small models with random parameters, and what their losses and bounds are by hand."""

import math

import torch
import torch.nn.functional as F
from torch import distributions as td

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
    """One stream per node of the model: the draws of a node do not depend on how many the others
    took before.
    """
    streams, calls = [noise(i) for i in range(nodes)], iter(range(10**9))
    return lambda like: streams[next(calls) % nodes](like)


def make(kind, node, ensemble=None, **options):
    """A small model whose every parameter is random, so that no term of its loss vanishes by
    symmetry.
    """
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
    """log p(x|z) + log p(z) - log q(z|x) and log q(z|x) of every state z of the VAE, both
    [S, B].
    """
    z = all_states(model.node)
    q = oracle(model.node, x @ model.encoder.weight + model.encoder.bias).log_prob(z.unsqueeze(1))
    p = oracle(model.node, model.prior_logits).log_prob(z.unsqueeze(1))
    pixels = (flat(model.node, z) @ model.decoder.weight + model.decoder.bias).unsqueeze(1)
    return p - bce(pixels, x) - q, q


def sbn_log_weights(model, x):
    """log p(lower|h) and log p(h|upper) of every joint state h = (h1, h2) of the SBN, both
    [S * S, B].
    """
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


def half(like):
    """Noise that is the same for every member, sample and example."""
    return torch.linspace(0.1, 0.9, like.shape[-1]).to(like).expand_as(like)
