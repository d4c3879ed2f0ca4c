"""Estimators that differentiate through the sample: each is one rule at the stochastic nodes."""

from torch import Tensor

from gslib.functional import Number, Uniform, straight_through
from gslib.program import Program, run, sloped


def gumbel_softmax(  # relax
    program: Program, *, tau: Number = 1.0, uniform: Uniform = None
) -> Tensor:
    r"""Gumbel-Softmax: run the program on relaxed samples and back-propagate through them.

    Biased for the discrete loss, less so as tau falls, while the variance grows; one evaluation of
    the program.

    .. math:: z \to y = \mathrm{softmax}((\log\pi + g)/\tau),
              \qquad \nabla_\theta f(y)
              = \frac{\partial f}{\partial y}\frac{\partial y}{\partial \theta}

    The surrogate's value is f(y), the loss of the relaxed program. tau broadcasts from the left
    ([E]: one per member).

    Source: Jang, Gu, Poole 2017 (arXiv:1611.01144), equation 2, section 2.1; Maddison, Mnih, Teh
    2017 (arXiv:1611.00712).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> program = lambda sample: ((sample(q) - 0.3) ** 2).sum(-1)
    >>> loss = gumbel_softmax(program, tau=1.0)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=2)  # exact: 0.1
    tensor([0.0700, 0.0700])
    """
    return run(program, lambda q: q.relaxed_sample(tau, uniform=uniform))


def st_gumbel_softmax(  # discrete forward, relaxed backward
    program: Program, *, tau: Number = 1.0, uniform: Uniform = None
) -> Tensor:
    r"""Straight-through Gumbel-Softmax: discrete samples forward, the relaxed sample's gradient
    backward.

    Biased, its value is not; one evaluation of the program.

    .. math:: z = \mathrm{one\_hot}(\arg\max_i y_i), \qquad \nabla_\theta z \approx \nabla_\theta y

    Source: Jang, Gu, Poole 2017 (arXiv:1611.01144), section 2.2.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> program = lambda sample: ((sample(q) - 0.3) ** 2).sum(-1)
    >>> loss = st_gumbel_softmax(program, tau=1.0)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=2)  # exact: 0.1
    tensor([0.0700, 0.0700])
    """
    return run(program, lambda q: q.straight_through_sample(tau, uniform=uniform))


def st(program: Program, *, uniform: Uniform = None) -> Tensor:
    r"""Straight-through: discrete samples forward, the gradient of the mean backward.

    Biased unless f is linear in each sample; one evaluation of the program.

    .. math:: z \sim q, \qquad \nabla_\theta z \approx \nabla_\theta\, \mathbb{E}_q[z]

    Source: Bengio, Léonard, Courville 2013 (arXiv:1308.3432), section 4, with the gradient of the
    mean as in Jang et al. 2017 (arXiv:1611.01144), section 3.1.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = st(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)  # exact: 0.1
    tensor([0.1000, 0.1000])
    """
    return run(program, lambda q: straight_through(q.sample(uniform=uniform), q.mean))


def annealed_st(  # straight-through at sharpened nodes
    program: Program, *, slope: Number = 1.0, uniform: Uniform = None
) -> Tensor:
    r"""Slope-annealed straight-through: straight-through at nodes whose mean is a hard sigmoid of
    growing slope.

    Biased, towards none as the slope grows and the node becomes deterministic; one evaluation of
    the program.

    .. math:: P(z = 1) = \mathrm{clip}\big((a\,\ell + 1)/2,\ 0,\ 1\big),
              \qquad \nabla_\theta z \approx \nabla_\theta P(z = 1)

    Unlike the other estimators it changes the node it samples: with slope a and logits l, the loss
    it estimates is that of the program with `sharpened(q, a)` in place of q. A model that also uses
    q elsewhere (a KL term, the bound at evaluation) holds the slope itself, and slope-annealed
    straight-through on it is `st`: see `gslib.models`. Categorical nodes use softmax(a * logits).

    Source: Chung, Ahn, Bengio 2016 (arXiv:1609.01704), section 3.3 (slope annealing).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> program = lambda sample: ((sample(q) - 0.3) ** 2).sum(-1)
    >>> loss = annealed_st(program, slope=2.0)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.4000, 0.4000])
    """
    return st(sloped(program, slope), uniform=uniform)
