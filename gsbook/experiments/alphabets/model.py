"""The autoencoder of Table 1 with other networks before and behind its 200 discrete units."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gslib.functional import stream
from gslib.models import DiscreteVAE, Linear

# Hidden ReLU layers, of as many units as are discrete, on either side; None: convolutions.
NETWORKS = {"linear": 0, "one": 1, "two": 2, "conv": None}
CHANNELS = (8, 16)  # of the convolutions, each of which halves the side


class Convolution(nn.Module):
    """A convolution that halves the side of square images, or its transpose, which doubles it, for
    one network or E side by side.

    Images are flat, as `Linear` has them: [*E, B, channels * side * side]. Weights [*E, out, in, 4,
    4] (transposed: [*E, in, out, 4, 4]), bias [*E, out]; they start as those of `Linear` do.

    Args:
        n_in, n_out: channels. side: of the images that come in, even or transposed.

    >>> Convolution(1, 8, side=28, name="a", ensemble=3)(torch.zeros(3, 5, 784)).shape
    torch.Size([3, 5, 1568])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        side: int,
        transposed: bool = False,
        name: str,
        ensemble: int | None = None,
        seeds: list[int] | None = None,
    ):
        super().__init__()
        self.shape, self.transposed = (n_in, side, side), transposed
        bound = math.sqrt(6 / ((n_in + n_out) * 16))
        size = (n_in, n_out, 4, 4) if transposed else (n_out, n_in, 4, 4)
        seeds = list(range(ensemble or 1)) if seeds is None else seeds
        draws = torch.stack([torch.rand(size, generator=stream("weights", name, s)) for s in seeds])
        weights = (draws * 2 - 1) * bound
        self.weight = nn.Parameter(weights[0] if ensemble is None else weights)
        self.bias = nn.Parameter(torch.zeros(*self.weight.shape[:-4], n_out))

    def forward(self, x: Tensor) -> Tensor:
        members = self.weight.shape[:-4].numel()
        images = x.unflatten(-1, self.shape).reshape(-1, members, x.shape[-2], *self.shape)
        # The members are groups of channels: [samples * B, E * C, side, side].
        rows = images.transpose(1, 2).flatten(2, 3).flatten(0, 1)
        apply = F.conv_transpose2d if self.transposed else F.conv2d
        weight, bias = self.weight.flatten(0, -4), self.bias.flatten()
        found = apply(rows, weight, bias, stride=2, padding=1, groups=members)
        found = found.view(len(images), x.shape[-2], members, -1).transpose(1, 2)
        return found.reshape(*x.shape[:-1], -1)


def encoder(network: str, data: int, units: int, **options) -> nn.Sequential:
    """Images [*E, B, data] -> logits [*E, B, units]. options: ensemble and seeds.

    >>> encoder("conv", 784, 200)(torch.zeros(5, 784)).shape
    torch.Size([5, 200])
    """
    layer = partial(Linear, **options)
    hidden = NETWORKS[network]
    if hidden is not None:
        sizes = [data, *[units] * hidden]
        layers = [layer(a, units, name=f"encoder {i}") for i, a in enumerate(sizes)]
    else:
        (a, b), side = CHANNELS, math.isqrt(data)
        layers = [
            Convolution(1, a, side=side, name="encoder 0", **options),
            Convolution(a, b, side=side // 2, name="encoder 1", **options),
            layer(b * (side // 4) ** 2, units, name="encoder 2"),
        ]
    return between(layers)


def decoder(network: str, units: int, data: int, **options) -> nn.Sequential:
    """Samples [*E, B, units] -> logits of pixels [*E, B, data]: the encoder's layers in reverse.

    >>> decoder("two", 200, 784)(torch.zeros(5, 200)).shape
    torch.Size([5, 784])
    """
    layer = partial(Linear, **options)
    hidden = NETWORKS[network]
    if hidden is not None:
        sizes = [*[units] * hidden, data]
        layers = [layer(units, b, name=f"decoder {i}") for i, b in enumerate(sizes)]
    else:
        (a, b), side = CHANNELS, math.isqrt(data)
        back = partial(Convolution, transposed=True, **options)
        layers = [
            layer(units, b * (side // 4) ** 2, name="decoder 0"),
            back(b, a, side=side // 4, name="decoder 1"),
            back(a, 1, side=side // 2, name="decoder 2"),
        ]
    return between(layers)


def between(layers: list) -> nn.Sequential:
    """The layers with a ReLU between each two."""
    return nn.Sequential(*[part for one in layers for part in (one, nn.ReLU())][:-1])


def deepen(model: DiscreteVAE, network: str, seeds: list[int] | None = None) -> DiscreteVAE:
    """Put other networks into a model, before and behind the same units; the one of Table 1 keeps
    its own.

    >>> deepen(DiscreteVAE(), "one").bound(torch.zeros(5, 784), m=2).shape
    torch.Size([5])
    """
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if network == "linear":
        return model
    data = model.decoder.weight.shape[-1]
    if NETWORKS[network] is None and (math.isqrt(data) ** 2 != data or data % 16):
        raise ValueError(
            f"convolutions need square images whose side is a multiple of 4, got {data} pixels"
        )
    options = dict(ensemble=model.ensemble, seeds=seeds)
    model.encoder = encoder(network, data, model.units, **options)
    model.decoder = decoder(network, model.units, data, **options)
    return model
