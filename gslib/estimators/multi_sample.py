"""Estimators that take several samples, and the bound that several samples give."""

import math

import torch
from torch import Tensor

from gslib._checks import check_count, check_inside
from gslib.distributions import Distribution
from gslib.estimators.score_function import _expand, _linear
from gslib.functional import Uniform, straight_through, zero_valued
from gslib.program import Program, Trace, run, stacked


def multi_sample(program: Program, k: int = 2) -> Program:
    r"""The program of the k-sample bound: k samples of each node, one loss, [..., B].

    .. math:: -\log \frac1k \sum_{j=1}^k \exp(-f(z_j))

    Every estimator takes it as it is, with k T nodes in the place of T. For a VAE with a sampled
    KL it is the importance-weighted bound, negated; with the analytic KL it is none.

    Source: Burda, Grosse, Salakhutdinov 2016 (arXiv:1509.00519).

    >>> q = gslib.Bernoulli(torch.zeros(1, 2))
    >>> program = lambda sample: sample(q).sum(-1)
    >>> bounds = [gslib.ESTIMATORS["exact"](multi_sample(program, k)) for k in (1, 2, 3)]
    >>> torch.cat(bounds)  # falls to -log E exp(-f)
    tensor([1.0000, 0.8857, 0.8437])
    """
    return lambda sample: _bound(program(stacked(sample, k)))


def _bound(f: Tensor, dim: int = 0) -> Tensor:
    return math.log(f.shape[dim]) - (-f).logsumexp(dim)


def vimco(program: Program, *, k: int = 2, uniform: Uniform = None) -> Tensor:
    r"""VIMCO: the score function for the k-sample bound, a signal for each sample by what the bound
    would be without it.

    Unbiased for the gradient of `multi_sample(program, k)`, which is another loss than the
    program's own; k evaluations, in one run. ValueError for k < 2.

    .. math:: \sum_j \big(L - L_{-j}\big)\, \nabla_\theta \log q(z_j) + \nabla_\theta L, \qquad
              L = -\log \frac1k \sum_j e^{-f_j}

    L_{-j} has the mean of the other losses in the place of f_j.

    Source: Mnih, Rezende 2016 (arXiv:1602.06725).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = vimco(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1), k=2)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    f, trace = _samples(program, k, uniform)
    # Row j has the mean of the other losses in the place of f_j, [k, k, ..., B].
    losses = torch.diagonal_scatter(f.expand(k, *f.shape), _others(f).movedim(0, -1))
    bound, without = _bound(f), _bound(losses, 1)
    score = (bound - without).detach() * trace.log_prob()
    return bound + zero_valued(score.sum(0))


def rloo(program: Program, *, k: int = 2, uniform: Uniform = None) -> Tensor:
    r"""Leave-one-out REINFORCE: the score function with k samples, each with the mean loss of the
    others as its baseline.

    Unbiased; k evaluations of the program, in one run on a leading axis.

    .. math:: \frac1k \sum_{j=1}^k \Big(f_j - \frac{1}{k-1} \sum_{l \ne j} f_l\Big)\,
              \nabla_\theta \log q(z_j) + \nabla_\theta f_j

    The surrogate's value is the mean loss. The program must let leading axes through. ValueError
    for k < 2.

    Source: Kool, van Hoof, Welling 2019 (ICLR workshop, "Buy 4 REINFORCE samples, get a baseline
    for free!"); Salimans, Knowles 2014 (arXiv:1401.1022).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = rloo(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1), k=4)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    f, trace = _samples(program, k, uniform)
    return (f + zero_valued((f - _others(f)).detach() * trace.log_prob())).mean(0)


def double_cv(
    program: Program, *, k: int = 2, alpha: float = 0.5, uniform: Uniform = None
) -> Tensor:
    r"""Double control variate: leave-one-out on what is left of each loss after a linear term, the
    slope of which the other samples gave.

    Unbiased for any alpha, a fixed number here; 2 k evaluations of the program in two runs, the
    second for derivatives.

    .. math:: h_j = f_j - \alpha\, s_j^\top (z_j - \bar z), \qquad
              \frac1k \sum_j \Big(h_j - \frac{1}{k-1} \sum_{l \ne j} h_l\Big)
              \nabla_\theta \log q(z_j) + \alpha\, s_j^\top \nabla_\theta \bar z + \nabla_\theta f_j

    s_j is the mean of df/dz at the other samples, with several layers passed on straight-through.
    ValueError for k < 2 or an alpha that is not finite.

    Source: Titsias, Shi 2022 (arXiv:2111.05300). Departure: alpha is not learned.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = double_cv(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    check_inside("alpha", alpha, -math.inf, math.inf, "try 0.5", "be finite")
    f, trace = _samples(program, k, uniform)
    log_q = trace.log_prob()
    _, _, slopes = _expand(program, _straight, trace)
    slopes = [_others(slope) for slope in slopes]
    linear = sum(_linear(trace, slopes, [z - q.mean for q, z in trace]))
    means = sum(_linear(trace, slopes, [q.mean for q, _ in trace]))
    h = f - alpha * linear
    return (f + zero_valued((h - _others(h)).detach() * log_q + alpha * means)).mean(0)


def _samples(program: Program, k: int, uniform: Uniform) -> tuple[Tensor, Trace]:
    """The losses of k samples, [k, ..., B], and what was drawn."""
    check_count("k", k, 2)  # a sample needs another
    trace = Trace()
    return run(program, stacked(lambda q: q.sample(uniform=uniform), k), trace), trace


def _others(x: Tensor) -> Tensor:
    """For each of the entries along the first axis the mean of the others."""
    return (x.sum(0) - x) / (len(x) - 1)


def _straight(q: Distribution, z: Tensor) -> Tensor:
    return straight_through(z, q.mean.expand_as(z))
