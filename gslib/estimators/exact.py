"""Exact marginalisation: the estimator that needs no estimate, and the oracle that the others are
held against.
"""

import math

import torch
from torch import Tensor

from gslib._checks import check_count
from gslib.distributions import Distribution
from gslib.functional import Uniform
from gslib.program import Program, Trace, run


def exact(
    program: Program, *, max_states: int = 4096, uniform: Uniform = None
) -> Tensor:
    r"""Exact expectation: enumerate every joint state of all nodes and weight each loss by its
    probability.

    Unbiased, without variance; S + 1 evaluations of the program: one on means, for the nodes'
    shapes and without gradient, and S along a leading axis of states, S the product over nodes of
    2^N or K^N. Refuses more than `max_states`.

    .. math:: \mathbb{E}[f] = \sum_z q_\theta(z)\, f_\theta(z)

    The program must let leading axes through: every sample is [S, ..., B, N(, K)], whatever the
    node's own shape. `uniform` is accepted so that all estimators share one signature, and is not
    used.

    Source: the definition; Jang et al. 2017 (arXiv:1611.01144), equation 10, for its use in
    semi-supervised learning.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(1, 2))  # a batch of one
    >>> loss = exact(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0]
    tensor([0.1000, 0.1000])
    """
    check_count("max_states", max_states)
    shapes = Trace()
    with torch.no_grad():
        run(program, lambda q: q.mean, shapes)
    counts = [q.n_states() for q, _ in shapes]
    total = math.prod(counts)
    if total > max_states:
        about = (
            f"about 2^{math.log2(total):.0f} joint states"  # digits may be thousands
        )
        raise ValueError(f"{about} > {max_states = }: take smaller nodes")
    joint = torch.cartesian_prod(*map(torch.arange, counts)).reshape(total, -1)
    trace = Trace()

    def enumerate_node(q: Distribution) -> Tensor:
        if len(trace) == len(shapes):  # `run` says that there are too many
            return q.mean
        i, shape = len(trace), shapes[len(trace)][0].logits.shape
        states = q.states()[joint[:, i].to(q.logits.device)]  # [S, N(, K)]
        batch = (1,) * (len(shape) - q.event_ndim)
        return states.unflatten(0, (total, *batch)).expand(total, *shape)

    f, log_q = run(program, enumerate_node, trace, first=shapes), trace.log_prob()
    return (log_q.exp() * f.masked_fill(log_q == -torch.inf, 0)).sum(0)
