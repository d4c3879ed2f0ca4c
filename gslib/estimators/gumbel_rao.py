"""Straight-through estimators that average, or do without, the noise of the relaxed sample."""

import math

import torch
from torch import Tensor

from gslib._checks import check_count, check_inside
from gslib.coupling import conditional, softened
from gslib.distributions import Bernoulli, Distribution
from gslib.functional import Number, Uniform, straight_through, zero_valued
from gslib.program import Program, run


def gumbel_rao(
    program: Program, *, tau: Number = 0.5, k: int = 10, uniform: Uniform = None
) -> Tensor:
    r"""Gumbel-Rao: straight-through Gumbel-Softmax, its relaxed sample averaged over k noises that
    all lead to the same discrete sample.

    Biased as ST Gumbel-Softmax is at the same tau, with no more variance; one evaluation of the
    program and k relaxations.

    .. math:: z \sim q, \qquad \nabla_\theta z \approx \frac1k \sum_{j=1}^k
              \nabla_\theta\, \mathrm{softmax}\big((\ell + G_j)/\tau\big),
              \qquad G_j \mid \arg\max(\ell + G_j) = z

    G_j is held fixed: how its distribution given z depends on the logits is not differentiated.
    ValueError for k < 1.

    Source: Paulus, Maddison, Krause 2021 (arXiv:2010.04838).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = gumbel_rao(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1), tau=1.0)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=2)  # exact: 0.1
    tensor([0.0700, 0.0700])
    """
    check_count("k", k)

    def sample(q: Distribution) -> Tensor:
        z = q.sample(uniform=uniform)
        moved = zero_valued(q.logits.nan_to_num(neginf=0))
        noisy = [conditional(q, z, uniform=uniform).detach() for _ in range(k)]
        soft = torch.stack([softened(q, x + moved, tau) for x in noisy]).mean(0)
        return straight_through(z, soft)

    return run(program, sample)


def gapped_st(
    program: Program, *, tau: Number = 1.0, gap: float = 1.0, uniform: Uniform = None
) -> Tensor:
    r"""Gapped straight-through: backward, a softmax of logits that were moved until the sampled
    class leads by a gap; no Gumbel noise.

    Biased; one evaluation of the program.

    .. math:: \nabla_\theta z \approx \nabla_\theta\, \mathrm{softmax}((\ell + m)/\tau), \quad
              m_z = \max_j \ell_j - \ell_z, \quad
              m_i = -\big(\ell_i + \mathrm{gap} - \max_j \ell_j\big)_+

    m is held fixed. For a binary unit the moved logit is s max(s logit, gap), s = 2 z - 1.
    ValueError for a gap that is negative or not finite.

    Source: Fan, Chi, Rudnicky, Ramadge 2022 (arXiv:2206.07235), there called GST with gap 1.

    >>> q = gslib.Categorical(torch.tensor([[[2.0, 0.0, -2.0]]], requires_grad=True))
    >>> loss = gapped_st(lambda sample: sample(q)[..., 0, 0], uniform=torch.ones_like)
    >>> torch.autograd.grad(loss.sum(), q.logits)[0].round(decimals=2)  # class 0 led by 2
    tensor([[[ 0.1200, -0.1000, -0.0100]]])
    """
    check_inside("gap", gap, 0.0, math.inf, "try 1", "be finite and not negative")

    def sample(q: Distribution) -> Tensor:
        z, logits = q.sample(uniform=uniform), q.logits.detach()
        if isinstance(q, Bernoulli):
            move = (2 * z - 1) * ((2 * z - 1) * logits).clamp(min=gap) - logits
        else:
            top = logits.amax(-1, keepdim=True)
            move = torch.where(z == 1, top - logits, -(logits + gap - top).relu())
        return straight_through(z, softened(q, q.logits + move, tau))

    return run(program, sample)
