"""Noise and relaxations as plain functions. All Gumbel noise of the module, and its clamping, is
made here.
"""

import hashlib
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from gslib._checks import check_floating, check_inside, check_logits, check_tau, wrong_shape
from gslib._fast import bernoulli_nll as bernoulli_nll, softmax, widened

Uniform = Callable[[Tensor], Tensor] | None  # tensor -> U(0,1) of its shape; None: torch.rand_like
Number = float | Tensor  # one, or one per ensemble member, [E]


def noise_like(logits: Tensor, uniform: Uniform = None) -> Tensor:
    """U(0,1) noise of the logits' shape, in float32 or wider, strictly inside (0, 1): a new tensor,
    the caller's to change.

    In half precision a uniform draw has so few values that its logarithms lose the tail, so the
    noise stays wide whatever the logits are. The clamp keeps u = 0 and u = 1, which generators do
    return, finite after two logarithms. ValueError for noise of another shape, outside [0, 1] or
    NaN.

    >>> ends = torch.tensor([0.0, 0.7])
    >>> noise_like(torch.zeros(2), uniform=lambda like: ends)  # 0 is moved inside
    tensor([1.1755e-38, 7.0000e-01])
    """
    wide = widened(logits.detach())
    u = torch.rand_like(wide) if uniform is None else uniform(wide)
    check_floating("what uniform returned", u)
    if u.shape != logits.shape:
        raise wrong_shape("what uniform returned", u, f"make it {tuple(logits.shape)}")
    if uniform is not None:
        check_inside("what uniform returned", u, 0, 1, "draw it with torch.rand_like")
    u = widened(u)
    info = torch.finfo(u.dtype)
    # clamp copies even where nothing is clamped: u may belong to the caller.
    return u.clamp(info.tiny, 1 - info.eps / 2)


def stream(*key: int | str) -> torch.Generator:
    """A CPU generator of its own for each key, such as ("noise", seed, step): equal keys give equal
    numbers anywhere.

    >>> torch.randint(10, (4,), generator=stream("noise", 7))
    tensor([8, 3, 6, 9])
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel noise -log(-log u) from uniform noise u in (0, 1) (Jang et al. 2017,
    arXiv:1611.01144, section 2).

    >>> gumbel(torch.tensor([0.1, 0.5, 0.9]))
    tensor([-0.8340,  0.3665,  2.2504])
    """
    _check_uniform(u)
    return -(-u.log()).log()


def perturb(logits: Tensor, uniform: Uniform = None) -> Tensor:
    """logits + Gumbel noise, in float32 or wider, [...]: its arg max is a sample, its softmax at
    tau a relaxed one.

    >>> halves = lambda like: torch.full_like(like, 0.5)
    >>> perturb(torch.tensor([0.0, 1.0]), uniform=halves)
    tensor([0.3665, 1.3665])
    """
    check_floating("logits", logits)
    return logits - noise_like(logits, uniform).log_().neg_().log_()  # in place: the noise is ours


def logistic(u: Tensor) -> Tensor:
    """Standard logistic noise log u - log(1 - u): the difference of two Gumbels, which is what two
    classes need.

    >>> logistic(torch.tensor([0.1, 0.5, 0.9]))
    tensor([-2.1972,  0.0000,  2.1972])
    """
    _check_uniform(u)
    return (u / (1 - u)).log()


def _check_uniform(u: Tensor) -> None:
    check_floating("u", u)
    check_inside("u", u, 0, 1, "draw it with torch.rand")


def zero_valued(x: Tensor) -> Tensor:
    """x - x.detach(): adds nothing to a loss, and x's gradient to its gradient.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = zero_valued(x**2)
    >>> y.item(), torch.autograd.grad(y, x)[0].item()
    (0.0, 6.0)
    """
    return x - x.detach()


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, the gradient of `soft`. The brackets keep the value exact: soft - soft
    is 0, not nearly 0.

    >>> x = torch.tensor(0.3, requires_grad=True)
    >>> y = straight_through(x.round(), 2 * x)
    >>> y.item(), torch.autograd.grad(y, x)[0].item()
    (0.0, 2.0)
    """
    if hard.shape != soft.shape:  # else the smaller one would be repeated
        raise wrong_shape("hard", hard, f"it must be soft's, {tuple(soft.shape)}")
    return hard.detach() + (soft - soft.detach())


def from_left(value: Number, like: Tensor) -> Number:
    """Append axes to a tensor of per-member values ([E] or [E, 1, ...]) so that it broadcasts from
    the left.

    >>> from_left(torch.tensor([1.0, 0.5]), torch.zeros(2, 100, 200)).shape
    torch.Size([2, 1, 1])
    """
    if isinstance(value, Tensor) and 0 < value.ndim < like.ndim:
        return value.reshape(value.shape + (1,) * (like.ndim - value.ndim))
    return value


def one_hot(index: Tensor, like: Tensor, dim: int = -1) -> Tensor:
    """One-hot vectors along `dim`, of the shape, type and device of `like`; `index` keeps that axis
    with length 1.

    >>> one_hot(torch.tensor([[2]]), torch.zeros(1, 4))
    tensor([[0., 0., 1., 0.]])
    """
    return torch.zeros_like(like).scatter(dim, index, 1)


def gumbel_softmax(
    logits: Tensor,
    tau: Number = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    uniform: Uniform = None,
) -> Tensor:
    r"""Draw from the Gumbel-Softmax distribution; a drop-in for
    `torch.nn.functional.gumbel_softmax`.

    .. math:: y_i = \frac{\exp((\log\pi_i + g_i)/\tau)}{\sum_j \exp((\log\pi_j + g_j)/\tau)},
              \qquad g_i = -\log(-\log u_i)

    Args:
        logits: unnormalised log-probabilities, any shape, floating point; -inf masks a class.
        tau: temperature > 0; a tensor broadcasts from the left, so [E] holds one temperature per
            ensemble member.
        hard: return exact one-hot samples that carry the gradient of y (the straight-through
            variant, section 2.2).
        eps: without effect, and deprecated, as in torch: it keeps calls of torch's function valid.
        dim: the axis of the classes.
        uniform: callable that takes a tensor and returns U(0,1) noise of its shape; default
            `torch.rand_like`.

    Returns:
        A tensor of the logits' shape and type, on the simplex along `dim`.

    Raises:
        ValueError: tau not positive and finite, or too small for the size of the logits; NaN or
            +inf logits, a row with every class masked; a tau that does not broadcast from the left
            to the logits.
        IndexError: dim out of range. TypeError: logits not a floating-point tensor.

    Value checks read the tensor, so they run eagerly and are skipped where none can be read: under
    `torch.compile` and `torch.func.vmap`, and on meta tensors.

    Source: Jang, Gu, Poole 2017 (arXiv:1611.01144), equation 2. Noise is drawn in float32 or wider
    and the result is cast last; the arg max is taken before dividing by tau, where rounding cannot
    make ties.

    >>> logits = torch.tensor([0.5, 0.3, 0.2]).log()
    >>> halves = lambda like: torch.full_like(like, 0.5)  # the same noise for each
    >>> gumbel_softmax(logits, tau=0.5, uniform=halves)
    tensor([0.6579, 0.2368, 0.1053])
    >>> gumbel_softmax(logits, tau=0.5, hard=True, uniform=halves)
    tensor([1., 0., 0.])
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    check_logits(logits, dim)
    check_tau(tau, logits)
    perturbed = perturb(logits, uniform)
    soft = softmax(divided(perturbed, tau), dim).to(logits.dtype)
    if not hard:
        return soft
    winner = perturbed.argmax(dim, keepdim=True)
    return straight_through(one_hot(winner, soft, dim), soft)


def divided(perturbed: Tensor, tau: Number) -> Tensor:
    """Perturbed logits / tau, tau from the left; a masked class gives a learned tau no gradient.

    >>> divided(torch.tensor([1.0, 2.0]), 0.5)
    tensor([2., 4.])
    """
    by = from_left(tau, perturbed)
    if isinstance(tau, Tensor) and tau.requires_grad:  # the gradient of -inf / tau would be NaN
        masked = perturbed == -torch.inf
        return (perturbed.masked_fill(masked, 0) / by).masked_fill(masked, -torch.inf)
    return perturbed / by
