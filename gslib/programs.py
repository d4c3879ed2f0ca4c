"""The small programs that `check` grades on: each a name, its parameters, and what builds it from
them.

Parameters come first in each builder, with any leading axes; everything else is constant.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gslib.distributions import Bernoulli, Categorical, Distribution
from gslib.program import Program, Sampler

Build = Callable[..., Program]
Programs = dict[str, tuple[list[Tensor], Build]]


def _tensor(*values: float | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


W, T = _tensor(1.0, -0.7, 0.4), 0.2
C = _tensor([0.9, -0.3, 0.1], [0.2, 0.7, -0.8])
THETA, LOGITS = _tensor(0.4, -0.6, 0.9), C.flip(-1)
A = _tensor([1.0, 0.1, -0.4], [-0.2, 0.6, 0.8], [0.3, -0.9, 0.5])


def _one_node(node: type[Distribution], loss: Callable[..., Tensor]) -> Build:
    return lambda theta, *rest: lambda sample: loss(sample(node(theta)), *rest)


_coins, _dice = partial(_one_node, Bernoulli), partial(_one_node, Categorical)


def _binary_layers(theta: Tensor, weights: Tensor, sample: Sampler) -> Tensor:
    z = sample(Bernoulli(theta))  # [..., 2]
    z = sample(Bernoulli((z.unsqueeze(-1) * weights).sum(-2) - 0.3))  # [..., 2]
    return ((z * W[:2]).sum(-1) - T) ** 2


def _categorical_layers(theta: Tensor, weights: Tensor, sample: Sampler) -> Tensor:
    z = sample(Categorical(theta))[..., 0, :]  # [..., 3]
    z = sample(Categorical((z.unsqueeze(-1) * weights).sum(-2).unsqueeze(-2)))
    return ((z[..., 0, :] * W).sum(-1) - T) ** 2


PROGRAMS: Programs = {
    "bernoulli, linear": ([THETA], _coins(lambda z: (z * W).sum(-1))),
    "bernoulli, separable quadratic": ([THETA], _coins(lambda z: ((z - T) ** 2 * W).sum(-1))),
    "bernoulli, quadratic": ([THETA], _coins(lambda z: ((z * W).sum(-1) - T) ** 2)),
    "bernoulli, cubic": ([THETA], _coins(lambda z: ((z * W).sum(-1) - T) ** 3)),
    "bernoulli, parameter in loss": ([THETA, W], _coins(lambda z, w: ((z * w).sum(-1) - T) ** 2)),
    "bernoulli, two layers": ([THETA[:2], 2 * A[:2, :2]], lambda *p: partial(_binary_layers, *p)),
    "categorical, linear": ([LOGITS], _dice(lambda z: (z * C).sum((-2, -1)))),
    "categorical, quadratic": ([LOGITS], _dice(lambda z: ((z * C).sum((-2, -1)) - T) ** 2)),
    "categorical, bilinear": ([LOGITS], _dice(lambda z: (z[..., 0, :] @ A * z[..., 1, :]).sum(-1))),
    "categorical, two layers": ([THETA[None], A], lambda *p: partial(_categorical_layers, *p)),
}
