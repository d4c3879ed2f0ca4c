"""The paper's third model: a variational autoencoder with a class, a style, and labels for a few
images only.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gslib._checks import check_floating, wrong_shape
from gslib.distributions import Categorical
from gslib.functional import Uniform, bernoulli_nll, noise_like
from gslib.program import Sampler

Widths = tuple[int, int, int]


class SemiSupervisedVAE(nn.Module):
    r"""p(y) p(z) p(x|y,z) with a class y and a Gaussian style z, and the inference networks q(y|x)
    and q(z|x,y).

    q(y|x) and q(z|x,y) have three convolutional layers, p(x|y,z) four transposed ones, with ReLU
    between them; y enters q(z|x,y) at its first layer. p(y) is uniform, p(z) standard normal.
    Losses are in nats per example. Leading axes of y (the states of `exact`) go through all of it
    in one pass, while what depends on x alone is computed once.

    Args:
        classes: k. style: dimension of z. channels: of the three inner layers. seed: of torch's
            usual initial weights.

    Source: Jang et al. 2017 (arXiv:1611.01144), section 4.3 and Figures 6 and 7, after Kingma et
    al. 2014 (arXiv:1406.5298), model M2. The sizes of the layers and of z are ours: the paper's
    text gives none.

    >>> vae, x = SemiSupervisedVAE(), torch.zeros(4, 784)
    >>> gslib.ESTIMATORS["exact"](lambda sample: vae.unlabelled(x, sample)).shape
    torch.Size([4])
    """

    def __init__(
        self, classes: int = 10, *, style: int = 16, channels: Widths = (16, 32, 32), seed: int = 0
    ):
        super().__init__()
        if classes < 2 or style < 1:
            raise ValueError(f"give 2 classes and 1 style or more, got {classes} and {style}")
        self.classes, self.style = classes, style
        a, b, c = channels
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.class_network = _network((1, a, b, c), classes)
            self.style_image = _halving(1, a)
            self.style_class = nn.Linear(classes, a, bias=False)
            self.style_network = _network((a, b, c), 2 * style, nn.ReLU())
            decoder: list[nn.Module] = [nn.ConvTranspose2d(classes + style, c, 4)]  # 1 -> 4 pixels
            for sizes in ((c, b, 3), (b, a, 4), (a, 1, 4)):  # -> 7 -> 14 -> 28
                decoder += [nn.ReLU(), nn.ConvTranspose2d(*sizes, stride=2, padding=1)]
            self.decoder = nn.Sequential(*decoder, nn.Flatten())

    def posterior(self, x: Tensor) -> Categorical:
        """q(y|x) for x [B, 784]: one variable of k classes, logits [B, 1, k]."""
        return Categorical(self.class_network(_image(x)).unsqueeze(-2))

    def infer_style(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x,y), each [..., B, style], for x [B, 784] and y
        [..., B, k].
        """
        self._check_class(x, y)
        shared = self.style_image(_image(x))  # [B, a, 14, 14]; y adds to every place of it
        h = shared + self.style_class(y).unsqueeze(-1).unsqueeze(-1)
        moments = self.style_network(h.flatten(0, -4)).unflatten(0, y.shape[:-1])
        return moments.tensor_split(2, -1)

    def decode(self, y: Tensor, z: Tensor) -> Tensor:
        """Pixel logits of p(x|y,z), [..., 784], for y [..., k] and z [..., style]."""
        code = torch.cat([y, z], -1)
        return self.decoder(code.flatten(0, -2)[..., None, None]).unflatten(0, code.shape[:-1])

    def labelled(self, x: Tensor, y: Tensor, *, uniform: Uniform = None) -> Tensor:
        r"""L(x, y), the negative evidence lower bound of image and class, [..., B], with one sample
        of z.

        .. math:: -\mathcal{L}(x, y) = \mathbb{E}_{q(z|x,y)}[\log p(x|y,z)]
                  - \mathrm{KL}\big(q(z|x,y)\,\|\,p(y)\,p(z)\big)

        x: [B, 784]. y: one-hot or relaxed, [..., B, k]. The divergence is analytic. Source: eq. 8.
        """
        mean, log_variance = self.infer_style(x, y)
        noise = torch.special.ndtri(noise_like(mean, uniform)).to(mean)
        z = mean + (log_variance / 2).exp() * noise
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1) / 2
        return bernoulli_nll(self.decode(y, z), x) + divergence + math.log(self.classes)

    def unlabelled(self, x: Tensor, sample: Sampler, *, uniform: Uniform = None) -> Tensor:
        r"""U(x), the negative evidence lower bound of the image alone, [..., B]: a program of its
        sampler.

        .. math:: -\mathcal{U}(x) = \mathbb{E}_{q(y|x)}[-\mathcal{L}(x, y)] + H(q(y|x))

        With the sampler of `exact` this is equation 10 (marginalisation), with one that draws a
        class an estimate of equation 9, whose entropy term is analytic. `uniform` is the noise of
        z; that of y belongs to the sampler.
        """
        q = self.posterior(x)
        y = sample(q)
        return self.labelled(x, y.squeeze(-2), uniform=uniform) - q.entropy().squeeze(-1)

    def classification(self, x: Tensor, y: Tensor) -> Tensor:
        """-log q(y|x), [B], for x [B, 784] and one-hot y [B, k]: the last term of equation 11,
        without its weight alpha.
        """
        self._check_class(x, y)
        return -self.posterior(x).log_prob(y.unsqueeze(-2)).squeeze(-1)

    def _check_class(self, x: Tensor, y: Tensor) -> None:
        check_floating("y", y)
        if y.shape[-2:] != (len(x), self.classes):
            raise wrong_shape("y", y, f"these images need [..., {len(x)}, {self.classes}]")


def _halving(n_in: int, n_out: int) -> nn.Conv2d:
    """A convolution that halves the side: 28 -> 14 -> 7 -> 4."""
    width = 5 if n_in == 1 else 3
    return nn.Conv2d(n_in, n_out, width, stride=2, padding=width // 2)


def _network(channels: tuple[int, ...], outputs: int, *first: nn.Module) -> nn.Sequential:
    """Layers that halve the side down to 4 x 4 pixels, and a linear one."""
    layers = [layer for pair in pairwise(channels) for layer in (_halving(*pair), nn.ReLU())]
    return nn.Sequential(*first, *layers, nn.Flatten(), nn.Linear(16 * channels[-1], outputs))


def _image(x: Tensor) -> Tensor:
    """Pixels [B, 784] -> [B, 1, 28, 28]."""
    if x.ndim != 2 or x.shape[-1] != 784:  # the convolutions are made for 28 x 28 pixels
        raise wrong_shape("x", x, "images need [B, 784]; flatten them")
    return x.unflatten(-1, (1, 28, 28))
