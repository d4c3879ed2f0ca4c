"""ReinMax: straight-through of second order."""

from torch import Tensor

from gslib.coupling import softened
from gslib.distributions import Distribution
from gslib.functional import Number, Uniform, zero_valued
from gslib.program import Program, run


def reinmax(program: Program, *, tau: Number = 1.0, uniform: Uniform = None) -> Tensor:
    r"""ReinMax: discrete samples forward; backward the softmax's derivative half-way between the
    sample and the mean.

    Biased, unless tau = 1 and f is quadratic over the states of one layer; one evaluation of the
    program.

    .. math:: \nabla_\theta z \approx \big(2 J(m) - \tfrac12 J(\pi)\big) \nabla_\theta \ell,
              \quad m = \tfrac12 (z + \mathrm{softmax}(\ell/\tau)),
              \quad J(m) = \mathrm{diag}(m) - m m^\top

    Heun's rule for the difference of losses, where straight-through takes Euler's. On binary units
    at tau = 1 it is DARN.

    Source: Liu, Dong, Liu, Yu, Gao 2023 (arXiv:2304.08612).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = reinmax(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """

    def sample(q: Distribution) -> Tensor:
        z = q.sample(uniform=uniform)
        middle = (z + softened(q, q.logits, tau)) / 2
        return z + zero_valued(2 * _moved(q, middle) - _moved(q, q.mean) / 2)

    return run(program, sample)


def _moved(q: Distribution, mean: Tensor) -> Tensor:
    """A tensor whose derivative is the softmax's, at this mean: J(m) logits, m held fixed."""
    mean = mean.detach()
    logits = q.logits.nan_to_num(neginf=0)  # a masked class stays where it is
    return mean * logits - mean * q.per_class(q.per_unit(mean * logits))
