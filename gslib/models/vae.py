"""The discrete variational autoencoder of section 4.2."""

from typing import Any

import torch
from torch import Tensor, nn

from gslib._checks import check_count
from gslib.distributions import Distribution
from gslib.divergences import kl, relaxed_kl
from gslib.functional import Number, Uniform, bernoulli_nll
from gslib.models.layers import Model, nll, repeated
from gslib.program import Sampler


class DiscreteVAE(Model):
    """A variational autoencoder with one discrete layer: 784 - 200 Bernoulli units, or 20 x 10
    categories - 784.

    Linear encoder and decoder. The loss is the negative evidence lower bound in nats, with the
    analytic KL, or, with `sampled_kl`, the categorical log-ratio at the sample (also at a relaxed
    one, where it is linear in z).

    Args:
        node: "bernoulli" or "categorical". size: (N,) or (N, K); default the paper's.
        ensemble: number of members E, or None. seeds: one per member. data: number of pixels.
            learned_prior: else uniform.

    Source: Jang et al. 2017, section 4.2 (one stochastic layer, learned categorical prior).

    >>> vae, x = DiscreteVAE("categorical"), torch.zeros(100, 784)
    >>> program = lambda sample: vae.loss(x, sample)
    >>> gslib.ESTIMATORS["gumbel_softmax"](program, tau=0.5).shape
    torch.Size([100])
    >>> vae.bound(x, m=10).shape
    torch.Size([100])
    """

    def __init__(
        self,
        node: str = "categorical",
        *,
        learned_prior: bool = True,
        sampled_kl: bool = False,
        data: int = 784,
        **options: Any,
    ):
        super().__init__(node, **options)
        self.sampled_kl = sampled_kl
        self.encoder = self.linear(data, self.units, name="encoder")
        self.decoder = self.linear(self.units, data, name="decoder")
        self.prior_logits = nn.Parameter(torch.zeros_like(self.encoder.bias), learned_prior)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) for x [..., B, D]."""
        return self.distribution(self.encoder(x))

    def prior(self) -> Distribution:
        """p(z), with logits [*E, 1, N(, K)]; a slope shapes the posterior only."""
        return self.plain_distribution(self.prior_logits)

    def loss(self, x: Tensor, sample: Sampler) -> Tensor:
        """-log p(x|z) + KL(q(z|x) || p(z)) per example, [..., B]: a program of its sampler, for x
        [..., B, D].
        """
        h, p = self.encoder(x), self.prior()
        q = self.distribution(h)
        z = sample(q)
        if self.slope is not None:  # equal; in its own graph it rounds as in the records
            q = self.distribution(h)
        divergence = q.log_prob(z) - p.log_prob(z) if self.sampled_kl else kl(q, p)
        return bernoulli_nll(self.decoder(self.flat(z)), x) + divergence.sum(-1)

    def log_weights(self, x: Tensor, samples: int, tau: Number | None, uniform: Uniform) -> Tensor:
        """log p(x|z) p(z) / q(z|x) for `samples` draws of z, [*E, samples, B]."""
        q, p = self.posterior(x), self.prior()
        rows = repeated(q, samples)
        # Densities are taken per example and broadcast over the samples, which have an axis of
        # their own there.
        q, p = (type(d)(d.logits.unsqueeze(-d.event_ndim - 2)) for d in (q, p))
        if tau is None:
            z = y = rows.sample(uniform=uniform)
        else:
            y = rows.relaxed_logits(tau, uniform=uniform)
            z = (y.sigmoid() if self.node == "bernoulli" else y.exp()).to(q.logits)
        y = y.unflatten(-q.event_ndim - 1, (samples, x.shape[-2]))
        ratio = p.log_prob(y) - q.log_prob(y) if tau is None else -relaxed_kl(q, p, y, tau)
        return ratio.sum(-1) - nll(self.decoder(self.flat(z)), x, samples)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, *, uniform: Uniform = None) -> Tensor:
        """Pixel probabilities of p(x|z) for one z ~ q(z|x), [..., B, D]."""
        return self.decoder(self.flat(self.posterior(x).sample(uniform=uniform))).sigmoid()

    @torch.no_grad()
    def generate(self, n: int, *, uniform: Uniform = None) -> Tensor:
        """Pixel probabilities of p(x|z) for n draws z ~ p(z), [*E, n, D]."""
        check_count("n", n)
        z = repeated(self.prior(), n).sample(uniform=uniform)
        return self.decoder(self.flat(z)).sigmoid()
