"""The training code of a categorical VAE, line by line, and the popular mistakes: each replaces one
line of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gslib.distributions import Categorical
from gslib.divergences import kl
from gslib.functional import Number, Uniform, bernoulli_nll, divided, from_left, perturb
from gslib.models import DiscreteVAE
from gslib.program import Sampler


def relaxed(q: Categorical, tau: Number, uniform: Uniform) -> Tensor:
    return q.relaxed_sample(tau, uniform=uniform)


@dataclass(frozen=True)
class Lines:
    """What training does with a batch, in five lines that a mistake may replace, and the settings
    that it may change.

    >>> MISTAKES["no_kl"].settings
    {}
    """

    # The node's logits, from the encoder's.
    posterior: Callable[[Tensor], Tensor] = lambda h: h
    node: Callable[[Categorical], Categorical] = lambda q: q  # what is drawn from
    draw: Callable[[Categorical, Number, Uniform], Tensor] = relaxed  # [..., N, K]
    nll: Callable[[Tensor, Tensor], Tensor] = bernoulli_nll  # of pixels, [..., B]
    divergence: Callable[[Categorical, Categorical], Tensor] = kl  # per unit, [..., N]
    settings: dict[str, Any] = field(default_factory=dict)  # of the config
    grey: bool = False  # trained on grey pixels, x / 255, where data are binary

    def loss(self, model: DiscreteVAE, x: Tensor, sample: Sampler) -> Tensor:
        """What this code minimises and prints, per example, [..., B]."""
        q, p = self.read(model, x), model.prior()
        z = sample(q)
        return self.nll(model.decoder(model.flat(z)), x) + self.divergence(q, p).sum(-1)

    def read(self, model: DiscreteVAE, x: Tensor) -> Categorical:
        """q(z|x), as this code has it."""
        return model.distribution(self.posterior(model.encoder(x)))

    def sample(self, q: Categorical, tau: Number, uniform: Uniform) -> Tensor:
        """What this code takes for a sample of q, [..., N, K]."""
        return self.draw(self.node(q), tau, uniform)


def one_for_all(uniform: Uniform) -> Uniform:
    """The noise of the first example for every example of a batch [E, B, ...]."""
    return lambda like: uniform(like[:, :1]).expand_as(like)


def misread_noise(q: Categorical, tau: Number, uniform: Uniform) -> Tensor:
    """Gumbel noise -log(-log(u + eps) + eps) whose eps is given the temperature."""
    eps = from_left(tau, q.logits)
    return divided(q.logits - (eps - (uniform(q.logits) + eps).log()).log(), tau).softmax(-1)


UNIFORM = {"learned_prior": False}
MISTAKES: dict[str, Lines] = {
    "right": Lines(),
    # the sample
    "probabilities": Lines(node=lambda q: Categorical(q.mean)),
    "wrong_axis": Lines(
        draw=lambda q, tau, uniform: (
            divided(perturb(q.logits, uniform), tau).flatten(-2).softmax(-1).view_as(q.logits)
        )
    ),
    "no_noise": Lines(draw=lambda q, tau, _: divided(q.logits, tau).softmax(-1)),
    "one_noise": Lines(draw=lambda q, tau, uniform: relaxed(q, tau, one_for_all(uniform))),
    "relu": Lines(posterior=lambda h: h.relu()),
    "hard": Lines(draw=lambda q, tau, uniform: q.straight_through_sample(tau, uniform=uniform)),
    "no_straight_through": Lines(draw=lambda q, _, uniform: q.sample(uniform=uniform)),
    # the loss
    "no_kl": Lines(divergence=lambda q, p: 0 * kl(q, p)),
    "kl_sign": Lines(divergence=lambda q, p: -kl(q, p)),
    "pixel_mean": Lines(nll=lambda logits, x: bernoulli_nll(logits, x) / x.shape[-1]),
    "uniform_prior": Lines(settings=UNIFORM),
    "kl_probability": Lines(
        divergence=lambda q, _: -q.entropy() - 1 / q.logits.shape[-1], settings=UNIFORM
    ),
    # the temperature
    "never_annealed": Lines(settings={"anneal_rate": 0.0}),
    "floor_at_once": Lines(settings={"anneal_rate": 0.05}),
    "cold_at_once": Lines(settings={"anneal_rate": 0.05, "tau_min": 0.1}),
    "tau_as_eps": Lines(draw=misread_noise),
    # the training
    "no_zero_grad": Lines(settings={"momentum": 1.0}),
    "grey": Lines(grey=True),
}
"""By name. `right` and `hard` are no mistakes, but what those with relaxed and with hard samples
stand beside; `uniform_prior` is what `kl_probability` stands beside. Without zero_grad plain
gradient descent adds up all gradients so far, which is momentum of 1."""

BESIDE = {"no_straight_through": "hard", "kl_probability": "uniform_prior"}
"""Mistake -> the right code that it differs from in one line, where that is not `right`."""
