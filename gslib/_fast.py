"""The same numbers as torch's own functions, in fewer passes or by quicker kernels on a CPU."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gslib._checks import check_inside, check_logits, check_value

VECTORS = 32  # float32 numbers in two of the widest vectors of a CPU
SHORT_ROW = 16  # classes, below which torch's CPU kernels are several times as slow as arithmetic
WIDE = (torch.float32, torch.float64)


def widened(x: Tensor) -> Tensor:
    """x in float32, or as it is where it is that wide already: a product or a tail needs the
    digits.
    """
    return x if x.dtype in WIDE else x.float()


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """torch's softmax, written out where its own CPU kernel is slow."""
    if x.shape[dim] >= SHORT_ROW or not x.is_cpu:
        return x.softmax(dim)
    e = (x - x.detach().amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """torch's log_softmax, written out where its own CPU kernel is slow."""
    if x.shape[dim] >= SHORT_ROW or not x.is_cpu:
        return x.log_softmax(dim)
    shifted = x - x.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


class _Function(torch.autograd.Function):
    """What both functions below share: they keep their inputs, for derivatives of either mode."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _Softplus(_Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.relu() - x.abs().sigmoid().log()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0].sigmoid()

    jvp = backward


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without log1p, which takes several times as long as log on common CPUs."""
    if torch.compiler.is_compiling():
        return F.softplus(x)
    if x.dtype not in WIDE:
        return softplus(x.float()).to(x.dtype if x.is_floating_point() else torch.float32)
    if x.is_cpu and x.ndim and math.prod(x.shape[-2:]) % VECTORS:
        # torch's sigmoid rounds the elements that are left after the last full pair of vectors in
        # another way. Padding leaves none: a member of an ensemble gets the same bits anywhere.
        return _Softplus.apply(F.pad(x, (0, -x.shape[-1] % VECTORS)))[..., : x.shape[-1]]
    return _Softplus.apply(x)


class _BernoulliNLL(_Function):
    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:
        # softplus(l) - x l with softplus(l) = relu(l) - log sigmoid(|l|). The sigmoids lie in
        # [1/2, 1], so the product of up to 100 of them stays a normal number and needs one log.
        group = max(d for d in range(1, 101) if logits.shape[-1] % d == 0)
        products = logits.abs().sigmoid_().unflatten(-1, (-1, group)).prod(-1)
        linear = torch.addcmul(logits.relu(), logits, x, value=-1)
        return linear.sum(-1) - products.log_().sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, x = ctx.saved_tensors
        return (logits.sigmoid() - x) * grad.unsqueeze(-1), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Tensor | None) -> Tensor:
        logits, x = ctx.saved_tensors
        return ((logits.sigmoid() - x) * tangent).sum(-1)


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x) in nats, summed over the last axis: [..., B, D], [..., B, D] -> [..., B].

    For binary x the negative log-likelihood of independent Bernoulli pixels; for x between 0 and 1
    the cross-entropy, as in `binary_cross_entropy_with_logits`. x may have any real type and gets
    no gradient. Half-precision logits are widened: the loss is float32 or wider.

    >>> gslib.functional.bernoulli_nll(torch.zeros(10), torch.ones(10))  # ten fair coins: 10 log 2
    tensor(6.9315)
    """
    check_logits(logits)
    check_value("x", x, logits.shape, 1)
    if not logits.ndim:
        raise ValueError("logits are one number; give them the axis of the pixels, [..., D]")
    check_inside("x", x, 0, 1, "divide grey values by 255")
    logits = widened(logits)
    logits, x = torch.broadcast_tensors(logits, x.detach().to(logits.dtype))
    if torch.compiler.is_compiling() or not logits.shape[-1]:
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return _BernoulliNLL.apply(logits, x)
