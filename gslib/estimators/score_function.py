"""Estimators that weight the score, grad log q(z), by a learning signal."""

from functools import partial

import torch
from torch import Tensor

from gslib._checks import check_rows
from gslib.baselines import Centre, as_baseline
from gslib.distributions import Distribution
from gslib.functional import Number, Uniform, zero_valued
from gslib.program import Draw, Program, Trace, run

Tensors = list[Tensor]


def sf(program: Program, *, baseline: Centre = 0.0, uniform: Uniform = None) -> Tensor:
    r"""Score function (REINFORCE): push the probability of each sample up or down by how good its
    loss was.

    Unbiased for any baseline that does not look at z; high variance; one evaluation of the program.
    With variance normalisation, parameters above the nodes have their gradient up to a positive
    factor, if the loss computes its KL from the very node that it sampled.

    .. math:: \nabla_\theta \mathbb{E}[f]
              = \mathbb{E}\big[(f(z) - b)\,\nabla_\theta \log q_\theta(z) + \nabla_\theta f(z)\big]

    baseline: a number or tensor b, or a `gslib.Baseline`: NVIL's, with variance normalisation.

    Source: Williams 1992; Mnih, Gregor 2014 (arXiv:1402.0030), equations 5 to 8; Jang et al. 2017,
    equation 5.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = sf(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1), baseline=0.6)
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    trace = Trace()
    f = run(program, lambda q: q.sample(uniform=uniform), trace)
    signals, scale = as_baseline(baseline)(f.detach().unsqueeze(-1))
    return _surrogate(f, trace, signals * trace.log_prob().unsqueeze(-1), scale)


def muprop(  # two runs
    program: Program, *, baseline: Centre = 0.0, uniform: Uniform = None
) -> Tensor:
    r"""MuProp: the score function with a first-order Taylor expansion of f at the mean field as
    control variate.

    Unbiased; two evaluations of the program, the second on means.

    .. math:: \big(f(z) - f(\bar z) - f'(\bar z)(z - \bar z) - b\big)\,
              \nabla_\theta \log q_\theta(z) + f'(\bar z)\,\nabla_\theta \mathbb{E}_q[z]
              + \nabla_\theta f(z), \qquad \bar z = \mathbb{E}_q[z]

    With several layers the mean-field pass carries means through all of them and f' is the total
    derivative along it. Variance normalisation divides all that reaches the nodes, signal, residual
    and direct terms, by the same number, so the direction keeps its expectation, as for `sf`.

    Source: Gu, Levine, Sutskever, Mnih 2016 (arXiv:1511.05176), equation 3 and section 3.1; Jang et
    al. 2017, equation 7.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = muprop(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    trace = Trace()
    f = _run_on_samples(program, uniform, trace)
    signals, slopes = _node_signals(f, program, lambda q, _: q.mean, trace)
    residuals = _linear(trace, slopes, [q.mean for q, _ in trace])
    signals, scale = as_baseline(baseline)(signals)
    scores = signals * trace.log_prob_per_node() + torch.stack(residuals, -1)
    return _surrogate(f, trace, scores, scale)


def darn(
    program: Program,
    *,
    baseline: Centre = 0.0,
    form: str = "sample",  # or "printed"
    uniform: Uniform = None,
) -> Tensor:
    r"""DARN: each unit's score is weighted by a first-order estimate of what its state changed.

    Biased unless f is quadratic in each unit; two evaluations of the program, the second for its
    derivative.

    .. math:: \sum_j f'_j(z)\,(z_j - \bar z)\,\nabla_\theta \log q_\theta(z_j) + \nabla_\theta f(z),
              \qquad \bar z = 1/2\ \text{or}\ 1/K

    form: "sample" expands f at the sample z, as above: f(z) - f(zbar) without its second-order
    remainder, which is the same for both states of a unit when f is quadratic (for K classes: when
    its second derivative is a multiple of one). "printed" expands at zbar, as the formula in Jang
    et al. reads, with the signal f(z) - f(zbar) - f'(zbar)(z - zbar) and no correction term: of a
    quadratic f with separate units it keeps nothing, its expected gradient is then zero. With
    several layers f' passes through each sample by the same rule.

    Source: Gregor, Danihelka, Mnih, Blundell, Wierstra 2014 (arXiv:1310.8499), section 3.4; Gu et
    al. 2016 (arXiv:1511.05176), equation 5, the form "sample", who also found zbar = 1/K to work
    for categories; Jang et al. 2017, section 3.2, who print the other form.

    >>> logits = torch.zeros(2, requires_grad=True)
    >>> q = gslib.Bernoulli(logits.expand(100_000, 2))
    >>> loss = darn(lambda sample: ((sample(q) - 0.3) ** 2).sum(-1))
    >>> torch.autograd.grad(loss.mean(), logits)[0].round(decimals=1)
    tensor([0.1000, 0.1000])
    """
    if form not in ("sample", "printed"):
        raise ValueError(f"form must be 'sample' or 'printed', got {form!r}")
    trace = Trace()
    f = _run_on_samples(program, uniform, trace)
    if form == "printed":
        signals, _ = _node_signals(f, program, _uniform_mean, trace)
        log_q = trace.log_prob_per_node()
    else:
        _, _, slopes = _expand(program, _darn_sample, trace)
        pairs = zip(trace, slopes, strict=True)
        parts = [q.per_unit(slope * (z - q.uniform_mean)) for (q, z), slope in pairs]
        signals = torch.cat(parts, -1)
        log_q = torch.cat([q.log_prob(z) for q, z in trace], -1)
    signals, scale = as_baseline(baseline)(signals)
    return _surrogate(f, trace, signals * log_q, scale)


def _run_on_samples(program: Program, uniform: Uniform, trace: Trace) -> Tensor:
    f = run(program, lambda q: q.sample(uniform=uniform), trace)
    for q, z in trace:
        check_rows("a sample", z, q.event_ndim, f)
    return f


def _surrogate(f: Tensor, trace: Trace, scores: Tensor, scale: Number) -> Tensor:
    """f plus a zero-valued term whose gradient is that of sum_s score_s / scale.

    Scores are [..., B, S], signals times log-probabilities; S counts the signals of an example: one
    in all, one per node or one per unit.
    """
    score = (scores / scale).sum(-1)
    return f + zero_valued(score) + zero_valued(_direct(f, trace, scale))


def _direct(f: Tensor, trace: Trace, scale: Number) -> Tensor:
    """What turns the gradient that f itself sends into the nodes' logits (by a KL term, say) into
    1/scale of it.

    A parameter above a node then has its whole gradient divided by one number, and its direction
    keeps its expectation.
    """
    terms = torch.zeros_like(f)
    if not isinstance(scale, Tensor) or not f.requires_grad:
        return terms
    slopes_of = partial(torch.autograd.grad, retain_graph=True, allow_unused=True)
    for q in (q for q, _ in reversed(trace) if q.logits.requires_grad):
        check_rows("logits", q.logits, q.event_ndim, f)
        rest = f.sum() - terms.sum()  # what goes through a later node is counted there
        (slope,) = slopes_of(rest, q.logits)
        if slope is not None:
            x = q.logits.nan_to_num(neginf=0)
            terms = terms + (slope * x).flatten(f.ndim).sum(-1)
    return (1 / scale - 1).squeeze(-1) * terms


def _node_signals(
    f: Tensor, program: Program, rule: Draw, trace: Trace
) -> tuple[Tensor, Tensors]:
    """f(z) - f(zbar) - f'_i(zbar) (z_i - zbar_i) for each node i, [..., B, nodes], and the slopes
    f'_i(zbar).

    A node's signal has its own linear term only: the terms of nodes below depend, in expectation,
    on this node's sample and would bias its gradient.
    """
    f_bar, points, slopes = _expand(program, rule, trace)
    excess = (f.detach() - f_bar).unsqueeze(-1)
    moves = [z - zbar for (_, z), zbar in zip(trace, points, strict=True)]
    return excess - torch.stack(_linear(trace, slopes, moves), -1), slopes


def _linear(trace: Trace, slopes: Tensors, points: Tensors) -> Tensors:
    """slope * point, summed over each node's units: a tensor [..., B] for each node."""
    triples = zip(trace, slopes, points, strict=True)
    return [q.per_unit(slope * x).sum(-1) for (q, _), slope, x in triples]


def _expand(
    program: Program, rule: Draw, first: Trace
) -> tuple[Tensor, Tensors, Tensors]:
    """Run the program on `rule`'s points; return its value, the points and the total derivative at
    each, all detached.
    """
    trace = Trace()

    def point(q: Distribution) -> Tensor:
        z = first[min(len(trace), len(first) - 1)][1]
        # Zeros give a point its own gradient where no parameter stands above its node.
        return rule(q, z) + torch.zeros_like(q.logits, requires_grad=True)

    with torch.enable_grad():
        f = run(program, point, trace, first=first)
        points = [z for _, z in trace]
        if torch.is_inference_mode_enabled():  # any slopes: nobody will differentiate
            return f, points, points
        # The first term is for a loss that depends on nothing.
        total = sum(0 * z.sum() for z in points) + f.sum()
        slopes = torch.autograd.grad(total, points)
    return f.detach(), [z.detach() for z in points], list(slopes)


def _darn_sample(q: Distribution, z: Tensor) -> Tensor:
    """The value z with DARN's own derivative, (z - zbar) grad log q(z), towards the layers
    above.
    """
    return z + zero_valued((z - q.uniform_mean) * q.per_class(q.log_prob(z)))


def _uniform_mean(q: Distribution, _: Tensor) -> Tensor:
    return torch.full_like(q.logits, q.uniform_mean)
