"""Noise of a node that is tied to a sample: given the sample, or the negative of another's."""

import torch
from torch import Tensor

from gslib._checks import check_inside, check_tau, check_value
from gslib._fast import softplus
from gslib.distributions import Bernoulli, Distribution
from gslib.functional import Number, Uniform, divided, noise_like, one_hot
from gslib.program import fixed


def conditional(q: Distribution, z: Tensor, *, uniform: Uniform = None) -> Tensor:
    r"""Perturbed logits, logits + noise, given the sample z that they led to, [..., N(, K)].

    .. math:: x_z = -\log E_z, \qquad x_i = -\log(E_i / \pi_i + E_z), \qquad E_i = -\log v_i

    For a binary unit, with s = 2 z - 1: x = s (softplus(s logit + log v) - log(1 - v)). Classes are
    relative to their normalised log-probabilities; a masked class keeps -inf. Differentiable in the
    logits: the derivative is that of the noise given z (REBAR). ValueError for a z that is no
    sample.

    Source: Maddison, Tarlow, Minka 2014 (top-down construction); Tucker et al. 2017
    (arXiv:1703.07370); Grathwohl et al. 2018 (arXiv:1711.00123), appendix on conditional
    re-sampling.

    >>> q = gslib.Categorical(torch.zeros(1000, 1, 3))
    >>> z = q.sample()
    >>> conditional(q, z).argmax(-1).equal(z.argmax(-1))
    True
    """
    check_value("z", z, q.logits.shape, q.event_ndim)
    check_inside("z (1 - z)", z * (1 - z), 0, 0, "z must be a sample, no relaxed one")
    v = noise_like(q.logits, uniform)
    if isinstance(q, Bernoulli):
        sign = 2 * z - 1
        return sign * (softplus(sign * q.logits + v.log()) - (-v).log1p())
    masked, log_e = q.logits == -torch.inf, (-v.log()).log()
    top = (z * log_e).sum(-1, keepdim=True)
    others = torch.logaddexp(log_e - q.log_probs.masked_fill(masked, 0), top)
    return -torch.where(z == 1, top, others).masked_fill(masked, torch.inf)


def softened(q: Distribution, x: Tensor, tau: Number) -> Tensor:
    """The relaxed sample of perturbed logits x at a temperature, [..., N(, K)].

    >>> softened(gslib.Bernoulli(torch.zeros(1)), torch.tensor([1.0]), 0.5)
    tensor([0.8808])
    """
    check_tau(tau, x)
    return type(q)(divided(x, tau)).mean.to(q.logits.dtype)


@torch.no_grad()
def antithetic(q: Distribution, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Two negatively coupled exact samples from one noise, z from u and z' from 1 - u, and the
    weight q(z) q(z') / P(z, z') of each unit's pair, 0 where z = z': [..., N(, K)] twice, [..., N].

    .. math:: w = [z \ne z']\,\sigma(|\ell|), \qquad
              w = [z \ne z']\,(1 - s_m) \prod_{c < m} \frac{(1 - s_c)^2}{1 - 2 s_c}

    for a binary unit and for K classes, which are taken by stick-breaking: in ascending order of
    probability, class c ends the walk with chance s_c, its share of what is left; m is the earlier
    of the two classes. Ascending, because s_c is then at most 1/2 for all but the last: of two
    coupled walks one ends at any s_c > 1/2, and pairs that both pass it would never be seen.
    ValueError for a u of another shape than the logits', or outside [0, 1].

    Source: Dong, Mnih, Tucker 2020 (arXiv:2006.10680); 2021 (arXiv:2106.08056).

    >>> z, other, weight = antithetic(gslib.Bernoulli(torch.zeros(2)), torch.tensor([0.1, 0.7]))
    >>> z, other, weight
    (tensor([0., 1.]), tensor([1., 0.]), tensor([0.5000, 0.5000]))
    """
    u = noise_like(q.logits, lambda _: u)
    if isinstance(q, Bernoulli):
        z, other = (q.sample(uniform=fixed(u)) for u in (u, 1 - u))
        return z, other, (z - other).abs() * q.logits.abs().sigmoid()
    p, order = q.mean.to(u.dtype).sort(-1)
    s = p / p.flip(-1).cumsum(-1).flip(-1)
    # Places of the walks' ends: how many sticks are passed first, of all but the last.
    walks = [(u >= s)[..., :-1].long().cumprod(-1) for u in (u, 1 - u)]
    ends = [walk.sum(-1, keepdim=True) for walk in walks]
    # Two last classes of one probability are passed by no pair.
    tiny = torch.finfo(s.dtype).tiny
    passed = ((1 - s) ** 2 / (1 - 2 * s).clamp(min=tiny)).cumprod(-1).roll(1, -1)
    passed[..., 0] = 1
    weight = (passed * (1 - s)).gather(-1, torch.minimum(*ends))
    z, other = (one_hot(order.gather(-1, end), q.logits) for end in ends)
    return z, other, (weight * (ends[0] != ends[1])).squeeze(-1).to(q.logits.dtype)
