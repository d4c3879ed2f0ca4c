"""Divergences between two nodes of one kind: of the discrete distributions, and of their
relaxations.
"""

import torch
from torch import Tensor

from gslib._checks import check_inside, check_value
from gslib._fast import softplus
from gslib.distributions import Bernoulli, Categorical, Distribution
from gslib.functional import Number


def kl(q: Distribution, p: Distribution) -> Tensor:
    """Analytic Kullback-Leibler divergence KL(q || p) in nats per unit, [..., N], of the *discrete*
    distributions.

    A class that q masks contributes nothing, with zero gradient. A class that p masks and q does
    not gives infinity.

    >>> kl(gslib.Bernoulli(torch.tensor([2.0])), gslib.Bernoulli(torch.tensor([0.0])))
    tensor([0.3278])
    """
    _check_pair(q, p)
    if isinstance(q, Bernoulli) or isinstance(p, Bernoulli):
        # The mean comes first: gradients add up in the order of these lines, to the last bit.
        mean, difference = q.mean, q.logits - p.logits
        check_inside("the difference of logits", difference, -torch.inf, torch.inf, "clamp them")
        return mean * difference - softplus(q.logits) + softplus(p.logits)
    log_q = q.log_probs
    difference = (log_q - p.log_probs).masked_fill(log_q == -torch.inf, 0)
    outside = difference == torch.inf  # log_q.exp() may underflow to 0 there
    total = (log_q.exp() * difference.masked_fill(outside, 0)).sum(-1)
    return total.masked_fill(outside.any(-1), torch.inf)


def relaxed_kl(q: Distribution, p: Distribution, log_y: Tensor, tau: Number) -> Tensor:
    """One-sample Monte-Carlo estimate of KL between the *relaxed* distributions, [..., N]; may be
    negative.

    `log_y` is a draw `q.relaxed_logits(tau)`. Unbiased for the divergence of the two relaxed
    densities at one tau, which is not the divergence of the discrete ones that `kl` gives: never
    mix the two in one bound.

    >>> q = gslib.Bernoulli(torch.full((100_000,), 2.0))
    >>> p = gslib.Bernoulli(torch.zeros(100_000))
    >>> kl(q, p)[0].round(decimals=1)
    tensor(0.3000)
    >>> relaxed_kl(q, p, q.relaxed_logits(0.5), 0.5).mean().round(decimals=1)
    tensor(0.6000)
    """
    _check_pair(q, p)
    return q.relaxed_log_prob(log_y, tau) - p.relaxed_log_prob(log_y, tau)


def _check_pair(q: Distribution, p: Distribution) -> None:
    if type(q) is not type(p) or not isinstance(q, (Bernoulli, Categorical)):
        raise TypeError(f"q and p must both be Bernoulli or both Categorical, got {q!r} and {p!r}")
    check_value("logits of p", p.logits, q.logits.shape, q.event_ndim)
