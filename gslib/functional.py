"""Noise and relaxations as plain functions. All Gumbel noise of the module, and its clamping, is made here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from gslib._checks import check_logits, check_tau

Uniform = Callable[[Tensor], Tensor]


def noise_like(logits: Tensor, uniform: Uniform | None = None) -> Tensor:
    """U(0,1) noise of the logits' shape, in float32 or wider, strictly inside (0, 1): a new tensor, the caller's to change.

    In half precision a uniform draw has so few values that its logarithms lose the tail, so the noise stays wide
    whatever the logits are. The clamp keeps u = 0 and u = 1, which generators do return, finite after two logarithms.

    >>> ends = torch.tensor([0.0, 0.7])
    >>> noise_like(torch.zeros(2), uniform=lambda like: ends)  # 0 is moved inside
    tensor([1.1755e-38, 7.0000e-01])
    """
    wide = (
        logits.detach()
        if logits.dtype in (torch.float32, torch.float64)
        else logits.detach().float()
    )
    u = torch.rand_like(wide) if uniform is None else uniform(wide)
    if u.shape != logits.shape:
        raise ValueError(
            f"uniform returned shape {tuple(u.shape)} for a tensor of shape {tuple(logits.shape)}; "
            "it must return noise of the shape it is given"
        )
    info = torch.finfo(u.dtype)
    return u.clamp(
        info.tiny, 1 - info.eps / 2
    )  # a copy even where nothing is clamped: u may belong to the caller


def stream(*key: int | str) -> torch.Generator:
    """A CPU generator of its own for each key, such as ("noise", seed, step): equal keys give equal numbers anywhere.

    >>> torch.randint(10, (4,), generator=stream("noise", 7))
    tensor([8, 3, 6, 9])
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel noise -log(-log u) from uniform noise u in (0, 1) (Jang et al. 2017, arXiv:1611.01144, section 2).

    >>> gumbel(torch.tensor([0.1, 0.5, 0.9]))
    tensor([-0.8340,  0.3665,  2.2504])
    """
    return -(-u.log()).log()


def perturb(logits: Tensor, uniform: Uniform | None = None) -> Tensor:
    """logits + Gumbel noise, in float32 or wider, [...]: its arg max is a sample, its softmax at tau a relaxed one.

    >>> halves = lambda like: torch.full_like(like, 0.5)
    >>> perturb(torch.tensor([0.0, 1.0]), uniform=halves)
    tensor([0.3665, 1.3665])
    """
    return logits - noise_like(logits, uniform).log_().neg_().log_()  # in place: the noise is ours


def logistic(u: Tensor) -> Tensor:
    """Standard logistic noise log u - log(1 - u): the difference of two Gumbels, which is what two classes need.

    >>> logistic(torch.tensor([0.1, 0.5, 0.9]))
    tensor([-2.1972,  0.0000,  2.1972])
    """
    return (u / (1 - u)).log()


VECTORS = 32  # float32 numbers in two of the widest vectors of a CPU
SHORT_ROW = 16  # below this many classes torch's CPU kernels take a path several times as slow as plain arithmetic


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """torch's softmax, written out where its own CPU kernel is slow.

    >>> softmax(torch.tensor([0.0, 1.0]))
    tensor([0.2689, 0.7311])
    """
    if x.shape[dim] >= SHORT_ROW or not x.is_cpu:
        return x.softmax(dim)
    e = (x - x.detach().amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """torch's log_softmax, written out where its own CPU kernel is slow.

    >>> log_softmax(torch.tensor([0.0, 1000.0]))
    tensor([-1000.,     0.])
    """
    if x.shape[dim] >= SHORT_ROW or not x.is_cpu:
        return x.log_softmax(dim)
    shifted = x - x.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


class _Softplus(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.relu() - x.abs().sigmoid().log()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].sigmoid()


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without log1p, which takes ten times as long as log on common CPUs; absolute error below 1e-7.

    >>> softplus(torch.tensor([-100.0, 0.0, 100.0]))
    tensor([  0.0000,   0.6931, 100.0000])
    """
    if x.is_cpu and x.ndim and math.prod(x.shape[-2:]) % VECTORS:
        # torch's sigmoid rounds the elements that are left after the last full pair of vectors in another way. Padding
        # leaves none, so that a member of an ensemble gets the same bits wherever it stands.
        return _Softplus.apply(pad(x, (0, -x.shape[-1] % VECTORS)))[..., : x.shape[-1]]
    return _Softplus.apply(x)


class _BernoulliNLL(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits, x):
        # -log p(x) = sum softplus(a) with a = (1 - 2x) logits, and softplus(a) = relu(a) - log sigmoid(|a|). The
        # sigmoids lie in [1/2, 1], so the product of up to 100 of them stays a normal number and needs one log.
        a = torch.addcmul(logits, logits, x, value=-2)
        group = max(d for d in range(1, 101) if a.shape[-1] % d == 0)
        products = a.abs().sigmoid_().unflatten(-1, (-1, group)).prod(-1)
        return a.relu_().sum(-1) - products.log_().sum(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        logits, x = ctx.saved_tensors
        return (logits.sigmoid() - x) * grad.unsqueeze(-1), None


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of independent binary x in nats, summed over the last axis: [..., B, D], [..., B, D] -> [..., B].

    The same number as binary cross-entropy with logits, about ten times faster; x gets no gradient.

    >>> bernoulli_nll(torch.zeros(10), torch.ones(10))  # ten fair coins: 10 log 2
    tensor(6.9315)
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()  # a product of 100 sigmoids needs the range and the digits; losses are wide under autocast
    logits, x = torch.broadcast_tensors(logits, x)
    return _BernoulliNLL.apply(logits, x)


def zero_valued(x: Tensor) -> Tensor:
    """x - x.detach(): adds nothing to a loss, and x's gradient to its gradient.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = zero_valued(x**2)
    >>> y.item(), torch.autograd.grad(y, x)[0].item()
    (0.0, 6.0)
    """
    return x - x.detach()


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, the gradient of `soft`. The brackets keep the value exact: soft - soft is 0, not nearly 0.

    >>> x = torch.tensor(0.3, requires_grad=True)
    >>> y = straight_through(x.round(), 2 * x)
    >>> y.item(), torch.autograd.grad(y, x)[0].item()
    (0.0, 2.0)
    """
    return hard + (soft - soft.detach())


def from_left(value, like: Tensor):
    """Append axes to a tensor of per-member values ([E] or [E, 1, ...]) so that it broadcasts from the left.

    >>> from_left(torch.tensor([1.0, 0.5]), torch.zeros(2, 100, 200)).shape
    torch.Size([2, 1, 1])
    """
    if isinstance(value, Tensor) and 0 < value.ndim < like.ndim:
        return value.reshape(value.shape + (1,) * (like.ndim - value.ndim))
    return value


def one_hot(index: Tensor, like: Tensor, dim: int = -1) -> Tensor:
    """One-hot vectors along `dim`, of the shape, type and device of `like`; `index` keeps that axis with length 1.

    >>> one_hot(torch.tensor([[2]]), torch.zeros(1, 4))
    tensor([[0., 0., 1., 0.]])
    """
    return torch.zeros_like(like).scatter(dim, index, 1)


def gumbel_softmax(
    logits: Tensor,
    tau: float | Tensor = 1.0,
    hard: bool = False,
    dim: int = -1,
    *,
    uniform: Uniform | None = None,
) -> Tensor:
    r"""Draw from the Gumbel-Softmax distribution; a drop-in for `torch.nn.functional.gumbel_softmax`.

    .. math:: y_i = \frac{\exp((\log\pi_i + g_i)/\tau)}{\sum_j \exp((\log\pi_j + g_j)/\tau)}, \qquad g_i = -\log(-\log u_i)

    Args:
        logits: unnormalised log-probabilities, any shape, floating point; -inf masks a class.
        tau: temperature > 0; a tensor broadcasts from the left, so [E] holds one temperature per ensemble member.
        hard: return exact one-hot samples that carry the gradient of y (the straight-through variant, section 2.2).
        dim: the axis of the classes.
        uniform: callable that takes a tensor and returns U(0,1) noise of its shape; default `torch.rand_like`.

    Returns:
        A tensor of the logits' shape and type, on the simplex along `dim`.

    Raises:
        ValueError: tau not positive and finite, NaN or +inf logits, a row with every class masked.
        IndexError: dim out of range. TypeError: logits not a floating-point tensor.

    Value checks need to read the tensor, so they run eagerly and are skipped under `torch.compile` and `torch.func.vmap`.

    Source: Jang, Gu, Poole 2017 (arXiv:1611.01144), equation 2. Noise is drawn in float32 or wider and the result is
    cast last; the arg max is taken before dividing by tau, where rounding cannot make ties.

    >>> logits = torch.tensor([0.5, 0.3, 0.2]).log()
    >>> halves = lambda like: torch.full_like(like, 0.5)  # the same noise for each
    >>> gumbel_softmax(logits, tau=0.5, uniform=halves)
    tensor([0.6579, 0.2368, 0.1053])
    >>> gumbel_softmax(logits, tau=0.5, hard=True, uniform=halves)
    tensor([1., 0., 0.])
    """
    check_logits(logits, dim)
    check_tau(tau)
    perturbed = perturb(logits, uniform)
    soft = softmax(perturbed / from_left(tau, logits), dim).to(logits.dtype)
    if not hard:
        return soft
    return straight_through(one_hot(perturbed.argmax(dim, keepdim=True), soft, dim), soft)
