"""A convolutional autoencoder whose code is a grid of 7 x 7 choices among K."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gsbook.experiments.quantised.config import PIXELS, POSITIONS, Quantised
from gslib.distributions import Categorical
from gslib.divergences import kl
from gslib.functional import straight_through, stream
from gslib.program import Program, Sampler

COMMITMENT = 0.25  # beta of van den Oord et al. 2017, at their value
CHANNELS = 16  # of the outer layers; the inner ones have twice as many


class QuantisedAutoencoder(nn.Module):
    r"""Pictures [B, 784] -> features h [B, 49, D] -> codes among K -> vectors -> logits of pixels.

    A codebook [K, D] has a vector for each code, and every method decodes these vectors. Vector
    quantisation takes the vector nearest to h; a posterior takes h as features of K logits.

    Source: van den Oord et al. 2017 (arXiv:1711.00937) for the codebook and its loss; Ramesh et al.
    2021 (arXiv:2102.12092) for logits over the same kind of grid. Departure: small, and no residual
    blocks.
    """

    def __init__(self, config: Quantised) -> None:
        super().__init__()
        few, many, d = CHANNELS, 2 * CHANNELS, config.size
        self.encoder = nn.Sequential(
            nn.Conv2d(1, few, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(few, many, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(many, d, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(d, many, 3, 1, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(many, few, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(few, 1, 4, 2, 1),
        )
        self.head = nn.Linear(d, config.codes)
        self.book = nn.Parameter(torch.empty(config.codes, d))
        with torch.no_grad():
            for name, weight in self.named_parameters():
                noise = torch.randn(weight.shape, generator=stream("quantised", config.seed, name))
                weight.copy_(noise * self.spread(name, weight))

    @staticmethod
    def spread(name: str, weight: Tensor) -> float:
        """The standard deviation that a weight begins with: He et al. 2015, by what enters."""
        if weight.ndim == 1:
            return 0.0
        if weight.ndim == 2:  # a code's vector has length 1 on average
            return weight.shape[1] ** -0.5
        entering = weight[0].numel()
        if name in ("decoder.2.weight", "decoder.4.weight"):  # transposed, with stride 2
            entering = weight.shape[0] * weight[0, 0].numel() // 4
        return (2 / entering) ** 0.5

    def features(self, x: Tensor) -> Tensor:
        """h of pictures [B, 784], [B, 49, D]."""
        return self.encoder(x.view(-1, 1, 28, 28)).flatten(2).mT

    def node(self, x: Tensor) -> Categorical:
        """The posterior over codes: logits [B, 49, K]."""
        return Categorical(self.head(self.features(x)))

    def nearest(self, h: Tensor) -> Tensor:
        """The codes whose vectors are nearest to features [..., D], [...]."""
        fit = h @ self.book.T - self.book.square().sum(-1) / 2
        return fit.argmax(-1)

    def nll(self, x: Tensor, vectors: Tensor) -> Tensor:
        """-log p(x | code) in nats for vectors [..., B, 49, D], [..., B]."""
        lead = vectors.shape[:-2]
        grid = vectors.flatten(0, -3).mT.unflatten(-1, (7, 7))
        logits = self.decoder(grid).view(*lead, PIXELS)
        target = x.expand_as(logits)
        return binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)

    def vq_loss(
        self,
        x: Tensor,
        *,
        learn_book: bool = True,  # False: another rule moves the vectors
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(loss [B], codes [B, 49], h): what VQ descends (van den Oord et al. 2017).

        The decoder sees the codebook's vectors, and its gradient passes straight through to h. The
        vectors are drawn to h, and h, more weakly, to the vectors. learn_book: False leaves out
        what draws the vectors.
        """
        h = self.features(x)
        codes = self.nearest(h.detach())
        vectors = self.book[codes]
        loss = self.nll(x, straight_through(vectors.detach(), h))
        gap = (h - vectors.detach()).square().sum((-1, -2))
        loss = loss + COMMITMENT * gap
        if learn_book:
            loss = loss + (vectors - h.detach()).square().sum((-1, -2))
        return loss, codes, h.detach()

    def program(self, x: Tensor, pays: str) -> Program:
        """The loss of a posterior as a program of its sampler, [..., B].

        pays: "kl", each position's divergence from the uniform prior, which makes the loss a bound;
        "use", that of the batch's mean posterior alone (the diversity loss of Baevski et al. 2020,
        with the weight of the KL), which ties the losses of a batch together, so that no score
        function may follow; "", nothing.
        """
        q = self.node(x)

        def loss(sample: Sampler) -> Tensor:
            nll = self.nll(x, sample(q) @ self.book)
            if pays == "kl":
                return nll + kl(q, uniform(q)).sum(-1)
            return nll + POSITIONS * unevenness(q) if pays else nll

        return loss

    def codes(self, x: Tensor, posterior: bool) -> Tensor:
        """The codes of pictures, [B, 49]: the likeliest, or the nearest."""
        h = self.features(x)
        return self.head(h).argmax(-1) if posterior else self.nearest(h)


def uniform(q: Categorical) -> Categorical:
    """The prior: all codes alike."""
    return Categorical(torch.zeros_like(q.logits))


def unevenness(q: Categorical) -> Tensor:
    """log K - H of the mean posterior over batch and positions, a scalar in nats."""
    mean = q.mean.flatten(0, -2).mean(0)
    return torch.tensor(float(len(mean))).log() - torch.special.entr(mean).sum()
