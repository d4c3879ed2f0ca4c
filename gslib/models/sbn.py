"""The stochastic binary network of section 4.1."""

from typing import Any

import torch
from torch import Tensor

from gslib.distributions import Distribution
from gslib.functional import Number, Uniform, bernoulli_nll
from gslib.models.layers import Model, nll, repeated
from gslib.program import Sampler


class StochasticBinaryNetwork(Model):
    """Structured prediction: the lower half of a digit from its upper half, through two stochastic
    layers.

    392 - 200 - 200 - 392 with Bernoulli units, or 392 - (20 x 10) - (20 x 10) - 392 with
    categories, linear in between.

    Args: as for `DiscreteVAE`; data is the number of pixels of the whole image.

    Source: Jang et al. 2017, section 4.1.

    >>> sbn, x = StochasticBinaryNetwork("bernoulli"), torch.zeros(100, 784)
    >>> gslib.ESTIMATORS["st"](lambda sample: sbn.loss(x, sample)).shape
    torch.Size([100])
    >>> sbn.complete(x[:, :392]).shape
    torch.Size([100, 392])
    """

    def __init__(self, node: str = "categorical", *, data: int = 784, **options: Any):
        super().__init__(node, **options)
        self.upper = half = data // 2
        self.layer1 = self.linear(half, self.units, name="layer1")
        self.layer2 = self.linear(self.units, self.units, name="layer2")
        self.output = self.linear(self.units, half, name="output")

    def logits(self, upper: Tensor, sample: Sampler) -> Tensor:
        """Logits of the lower half, given the upper and a sample of each layer, [..., B, D/2]."""
        h = self.flat(sample(self.distribution(self.layer1(upper))))
        h = self.flat(sample(self.distribution(self.layer2(h))))
        return self.output(h)

    def loss(self, x: Tensor, sample: Sampler) -> Tensor:
        """-log p(lower | h) per example with one sample of h, [..., B]: a program of its sampler,
        for x [..., B, D].
        """
        upper, lower = x[..., : self.upper], x[..., self.upper :]
        return bernoulli_nll(self.logits(upper, sample), lower)

    def log_weights(self, x: Tensor, samples: int, tau: Number | None, uniform: Uniform) -> Tensor:
        """log p(lower|h) for `samples` draws of h, [*E, samples, B]."""

        def draw(q: Distribution) -> Tensor:
            z = q.sample(uniform=uniform) if tau is None else q.relaxed_sample(tau, uniform=uniform)
            return self.flat(z)

        h = draw(repeated(self.distribution(self.layer1(x[..., : self.upper])), samples))
        h = draw(self.distribution(self.layer2(h)))
        return -nll(self.output(h), x[..., self.upper :], samples)

    @torch.no_grad()
    def complete(self, upper: Tensor, *, uniform: Uniform = None) -> Tensor:
        """Pixel probabilities of the lower half for one sample of h, [..., B, D/2]."""
        return self.logits(upper, lambda q: q.sample(uniform=uniform)).sigmoid()
