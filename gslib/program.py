"""A stochastic program is a function of its sampler; all that an estimator needs of it is here::

    Sampler   = Callable[[Distribution], Tensor]  one call per stochastic node, in a fixed order
    Program   = Callable[[Sampler], Tensor]       the loss per example, [..., B]
    Estimator = Callable[..., Tensor]             (program, *, ...) -> surrogate, [..., B]

The surrogate's value is the loss, its gradient is the estimate, for every parameter of the program
at once. Four rules make a program work with every estimator: it is pure (no dropout, no running
statistics), it calls `sample` once per node in a fixed order, it accepts soft samples (a product
with a matrix, not a table look-up), and it returns one loss per example, without averaging.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gslib._checks import check_floating, shown
from gslib.distributions import Distribution

Sampler = Callable[[Distribution], Tensor]
Program = Callable[[Sampler], Tensor]
Draw = Callable[[Distribution, Tensor], Tensor]  # a node and a tensor of its shape -> a sample


class Trace(list[tuple[Distribution, Tensor]]):
    """The (distribution, sample) pairs of one run of a program, in order.

    >>> trace = Trace()
    >>> q = gslib.Bernoulli(torch.zeros(4, 3))  # four examples of three fair coins
    >>> z = trace.recording(lambda q: q.sample())(q)
    >>> trace.log_prob()
    tensor([-2.0794, -2.0794, -2.0794, -2.0794])
    """

    def recording(self, rule: Sampler) -> Sampler:
        """The sampler that draws by `rule` and notes what it drew."""

        def sample(q: Distribution) -> Tensor:
            z = rule(q)
            self.append((q, z))
            return z

        return sample

    def log_prob(self) -> Tensor:
        """log q(z) of the whole run per example, [..., B]."""
        return torch.as_tensor(sum(q.log_prob(z).sum(-1) for q, z in self))

    def log_prob_per_node(self) -> Tensor:
        """log q(z) of each node per example, [..., B, nodes]."""
        return torch.stack([q.log_prob(z).sum(-1) for q, z in self], -1)


def changed(program: Program, change: Callable[[Distribution], Distribution]) -> Program:
    """The program with `change(q)` in the place of each node q.

    >>> q = gslib.Bernoulli(torch.zeros(4, 3))
    >>> certain = lambda q: gslib.Bernoulli(q.logits + 99)
    >>> run(changed(lambda sample: sample(q).sum(-1), certain), lambda q: q.sample())
    tensor([3., 3., 3., 3.])
    """
    return lambda sample: program(lambda q: sample(change(q)))


def run(
    program: Program, rule: Sampler, trace: Trace | None = None, *, first: Trace | None = None
) -> Tensor:
    """The loss of one run that draws each node by `rule`, noted in `trace`; ValueError unless it is
    one per example, and of as many nodes as the `first` run, where there was one.

    >>> q = gslib.Bernoulli(torch.zeros(4, 3))  # four examples of three fair coins
    >>> run(lambda sample: sample(q).sum(-1), lambda q: q.mean)
    tensor([1.5000, 1.5000, 1.5000, 1.5000])
    >>> run(lambda sample: sample(q).mean(), lambda q: q.mean)
    Traceback (most recent call last):
    ValueError: the program returned (), but needs one loss per example, with the leading axes ...
    """
    trace = Trace() if trace is None else trace
    f = program(trace.recording(rule))
    if not trace:
        raise ValueError("the program never called its sampler; draw each node with z = sample(q)")
    if first is not None and len(trace) != len(first):
        got = f"got {len(trace)} instead of {len(first)} in the second run"
        raise ValueError(f"a program must call its sampler for the same nodes in every run, {got}")
    wanted = torch.broadcast_shapes(*[z.shape[: z.ndim - q.event_ndim] for q, z in trace])
    if not isinstance(f, Tensor) or f.shape != wanted:
        got = shown(f) if isinstance(f, Tensor) else type(f).__name__
        needs = f"needs one loss per example, with the leading axes {shown(wanted)} of its node"
        raise ValueError(f"the program returned {got}, but {needs}; do not average inside it")
    check_floating("the program's loss", f)
    return f
