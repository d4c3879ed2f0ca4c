"""Noise and relaxations as plain functions. All Gumbel noise of the module, and its clamping, is made here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gslib._checks import check_logits, check_tau

Uniform = Callable[[Tensor], Tensor]


def noise_like(logits: Tensor, uniform: Uniform | None = None) -> Tensor:
    """U(0,1) noise of the logits' shape, in float32 or wider, strictly inside (0, 1).

    In half precision a uniform draw has so few values that its logarithms lose the tail, so the noise stays wide
    whatever the logits are. The clamp keeps u = 0 and u = 1, which generators do return, finite after two logarithms.
    """
    wide = logits.detach() if logits.dtype in (torch.float32, torch.float64) else logits.detach().float()
    u = torch.rand_like(wide) if uniform is None else uniform(wide)
    if u.shape != logits.shape:
        raise ValueError(f"uniform returned shape {tuple(u.shape)} for a tensor of shape {tuple(logits.shape)}; "
                         "it must return noise of the shape it is given")
    info = torch.finfo(u.dtype)
    return u.clamp(info.tiny, 1 - info.eps / 2)


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel noise -log(-log u) from uniform noise u in (0, 1) (Jang et al. 2017, arXiv:1611.01144, section 2)."""
    return -(-u.log()).log()


def logistic(u: Tensor) -> Tensor:
    """Standard logistic noise log u - log(1 - u): the difference of two Gumbels, which is what two classes need."""
    return u.log() - (-u).log1p()


def zero_valued(x: Tensor) -> Tensor:
    """x - x.detach(): adds nothing to a loss, and x's gradient to its gradient."""
    return x - x.detach()


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, the gradient of `soft`. The brackets keep the value exact: soft - soft is 0, not nearly 0."""
    return hard + (soft - soft.detach())


def from_left(value, like: Tensor):
    """Append axes to a tensor of per-member values ([E] or [E, 1, ...]) so that it broadcasts from the left."""
    if isinstance(value, Tensor) and 0 < value.ndim < like.ndim:
        return value.reshape(value.shape + (1,) * (like.ndim - value.ndim))
    return value


def one_hot(index: Tensor, like: Tensor, dim: int = -1) -> Tensor:
    """One-hot vectors along `dim`, of the shape, type and device of `like`; `index` keeps that axis with length 1."""
    return torch.zeros_like(like).scatter(dim, index, 1)


def gumbel_softmax(
    logits: Tensor, tau: float | Tensor = 1.0, hard: bool = False, dim: int = -1, *, uniform: Uniform | None = None
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
    """
    check_logits(logits, dim)
    check_tau(tau)
    perturbed = logits + gumbel(noise_like(logits, uniform))
    soft = (perturbed / from_left(tau, logits)).softmax(dim).to(logits.dtype)
    if not hard:
        return soft
    return straight_through(one_hot(perturbed.argmax(dim, keepdim=True), soft, dim), soft)
