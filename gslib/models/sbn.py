"""The stochastic binary network of section 4.1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gslib.distributions import Distribution
from gslib.functional import Uniform, bernoulli_nll
from gslib.models.layers import Linear, Model, nll, repeated
from gslib.program import Sampler


class StochasticBinaryNetwork(Model):
    """Structured prediction: the lower half of a digit from its upper half, through two stochastic layers.

    392 - 200 - 200 - 392 with Bernoulli units, or 392 - (20 x 10) - (20 x 10) - 392 with categories, linear in between.

    Args: as for `DiscreteVAE`; data is the number of pixels of the whole image.

    Source: Jang et al. 2017, section 4.1.

    >>> sbn, x = StochasticBinaryNetwork("bernoulli"), torch.zeros(100, 784)
    >>> gslib.ESTIMATORS["st"](lambda sample: sbn.loss(x, sample)).shape
    torch.Size([100])
    >>> sbn.complete(x[:, :392]).shape
    torch.Size([100, 392])
    """

    def __init__(
        self,
        node: str = "categorical",
        *,
        size: tuple[int, ...] | None = None,
        ensemble: int | None = None,
        seeds: Sequence[int] | None = None,
        data: int = 784,
    ):
        super().__init__(node, ensemble, size)
        self.half = half = data // 2
        self.layer1 = Linear(half, self.units, name="layer1", ensemble=ensemble, seeds=seeds)
        self.layer2 = Linear(self.units, self.units, name="layer2", ensemble=ensemble, seeds=seeds)
        self.output = Linear(self.units, half, name="output", ensemble=ensemble, seeds=seeds)

    def logits(self, upper: Tensor, sample: Sampler) -> Tensor:
        """Logits of the lower half given the upper half and one sample of each layer, [..., B, D/2]."""
        h = self.flat(sample(self.distribution(self.layer1(upper))))
        h = self.flat(sample(self.distribution(self.layer2(h))))
        return self.output(h)

    def loss(self, x: Tensor, sample: Sampler) -> Tensor:
        """-log p(lower | h) per example with one sample of h, [..., B]: a program of its sampler, for x [..., B, D]."""
        return bernoulli_nll(self.logits(x[..., : self.half], sample), x[..., self.half :])

    def _log_weights(
        self, x: Tensor, samples: int, *, tau: float | Tensor | None, uniform: Uniform | None
    ) -> Tensor:
        def draw(q: Distribution) -> Tensor:
            z = q.sample(uniform=uniform) if tau is None else q.relaxed_sample(tau, uniform=uniform)
            return self.flat(z)

        h = draw(repeated(self.distribution(self.layer1(x[..., : self.half])), samples))
        h = draw(self.distribution(self.layer2(h)))
        return -nll(self.output(h), x[..., self.half :], samples)

    @torch.no_grad()
    def complete(self, upper: Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """Pixel probabilities of the lower half for one sample of h, [..., B, D/2]."""
        return self.logits(upper, lambda q: q.sample(uniform=uniform)).sigmoid()
