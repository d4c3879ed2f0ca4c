"""Score-function estimators that run the program again with coupled noise, once or twice a node."""

import math

import torch
from torch import Tensor

from gslib._checks import check_inside, check_rows
from gslib.coupling import antithetic, conditional, softened
from gslib.distributions import Bernoulli, Distribution
from gslib.functional import Number, Uniform, zero_valued
from gslib.program import Draw, Program, Tape, fixed, run


def disarm(program: Program, *, uniform: Uniform = None) -> Tensor:
    r"""DisARM: the difference of the losses of two negatively coupled samples, reweighted so that
    the coupling does not bias.

    Unbiased; 1 + T evaluations of the program with T nodes.

    .. math:: \tfrac12 (f(z) - f(z')) \sum_i w_i\,
              \nabla_\theta \big(\log q(z_i) - \log q(z'_i)\big)
              + \tfrac12 \nabla_\theta (f(z) + f(z')), \qquad w = \frac{q(z)\,q(z')}{P(z, z')}

    The pair and its weight are `gslib.coupling.antithetic`'s. With several layers each node in turn
    gets its z', nodes above keep their samples and nodes below their noise. The surrogate's value
    is the mean loss of the runs.

    Source: Dong, Mnih, Tucker 2020 (arXiv:2006.10680), at the same time Yin et al. 2020 (U2G);
    for categories, by stick-breaking, Dong, Mnih, Tucker 2021 (arXiv:2106.08056).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = disarm(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    tape = Tape(uniform, lambda q, u: antithetic(q, u)[0])
    f = run(program, tape.sample, tape)
    runs, score = [f], torch.zeros_like(f)
    for i, (q, z) in enumerate(tape):
        _, other, weight = antithetic(q, tape.noise[i])
        runs.append(tape.rerun(program, i, other))
        signal = (f - runs[-1]).detach() / 2
        score = score + signal * (weight * (q.log_prob(z) - q.log_prob(other))).sum(-1)
    return torch.stack(runs).mean(0) + zero_valued(score)


def rebar(
    program: Program, *, tau: Number = 0.5, eta: float = 1.0, uniform: Uniform = None
) -> Tensor:
    r"""REBAR: the score function with the Gumbel-Softmax loss, at noise that leads to the same
    sample, as control variate.

    Unbiased for any tau and eta, which are fixed numbers here; 1 + 2 T evaluations of the program
    with T nodes, all but one of them relaxed.

    .. math:: \big(f(z) - \eta f(\tilde y)\big)\,\nabla_\theta \log q(z)
              + \eta \nabla_\theta f(y) - \eta \nabla_\theta f(\tilde y) + \nabla_\theta f(z)

    y is the relaxed sample of z's own noise, y~ that of noise given z. With several layers each
    node in turn is relaxed, and so are all nodes below it: were they discrete, the derivative
    through them would be lost and the estimate biased. The control variate reaches parameters
    through its node's logits alone. ValueError for an eta that is not finite, or where examples
    share a row of a node.

    Source: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein 2017 (arXiv:1703.07370). Departure: tau
    and eta are not learned.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = rebar(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    check_inside("eta", eta, -math.inf, math.inf, "try 1", "be finite")
    tape = Tape(uniform)
    f = run(program, tape.sample, tape)
    if torch.is_inference_mode_enabled():  # nobody will differentiate
        return f
    relax: Draw = lambda q, u: q.relaxed_sample(tau, uniform=fixed(u))  # noqa: E731
    score = torch.zeros_like(f)
    for i, (q, z) in enumerate(tape):
        check_rows("a sample", z, q.event_ndim, f)
        with torch.enable_grad():
            moves = torch.zeros_like(q.logits, requires_grad=True)
            node = type(q)(q.logits.detach() + moves)
            x = conditional(node, z, uniform=uniform)
            points = relax(node, tape.noise[i]), softened(node, x, tau)
            free, tied = (tape.rerun(program, i, y, relax) for y in points)
            total = (free - tied).sum() + 0 * node.logits.sum()  # f may depend on none
            (slope,) = torch.autograd.grad(total, node.logits)
        moved = q.per_unit(slope * q.logits.nan_to_num(neginf=0)).sum(-1)
        score = score + (f - eta * tied).detach() * q.log_prob(z).sum(-1) + eta * moved
    return f + zero_valued(score)


def local_expectation(program: Program, *, uniform: Uniform = None) -> Tensor:
    r"""Local expectation: every unit is enumerated, the others stay at the sample.

    Unbiased, with the least variance of all that stand on one sample; 1 + K N T evaluations of the
    program (T nodes of N units with K states), those of a node on a leading axis: an oracle where
    `exact` cannot go, and no way to train.

    .. math:: \sum_i \sum_s f(z_{-i}, s)\, \nabla_\theta\, q_\theta(z_i = s) + \nabla_\theta f(z)

    Nodes below are drawn from the noise they had. The program must let leading axes through.

    Source: Titsias, Lázaro-Gredilla 2015 (arXiv:1503.01494).

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(1, 2))  # one example, one sample
    >>> loss = local_expectation(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0]
    tensor([0.1000, 0.1000])
    """
    tape = Tape(uniform)
    f = run(program, tape.sample, tape)
    expected = torch.zeros_like(f)
    for i, (q, z) in enumerate(tape):
        states, chances = _neighbours(q, z)
        with torch.no_grad():
            losses = tape.rerun(program, i, states).unflatten(0, chances.shape[:2])
        expected = expected + (losses.where(chances > 0, 0.0) * chances).sum((0, 1))
    return f + zero_valued(expected)


def _neighbours(q: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """The sample with each unit in each of its states, [N * S, ..., B, N(, K)], and the chance of
    that state, [N, S, ..., B].
    """
    one, n = q.unit_states().to(z), z.shape[-q.event_ndim]
    lead = (1,) * (z.ndim - q.event_ndim)
    here = torch.eye(n, dtype=torch.bool, device=z.device).view(n, 1, *lead, n)
    there = one.view(1, len(one), *lead, 1, *one.shape[1:])
    states = torch.where(q.per_class(here), there, z).flatten(0, 1)
    if isinstance(q, Bernoulli):
        return states, torch.stack([1 - q.mean, q.mean]).movedim(-1, 0)
    return states, q.mean.movedim((-2, -1), (0, 1))
