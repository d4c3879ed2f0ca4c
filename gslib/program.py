"""A stochastic program is a function of its sampler; all that an estimator needs of it is here::

    Sampler   = Callable[[Distribution], Tensor]  one call per stochastic node, in a fixed order
    Program   = Callable[[Sampler], Tensor]       the loss per example, [..., B]
    Estimator = Callable[..., Tensor]             (program, *, ...) -> surrogate, [..., B]

The surrogate's value is the loss, its gradient is the estimate, for every parameter of the program
at once. Four rules make a program work with every estimator: it is pure (no dropout, no running
statistics), it calls `sample` once per node in a fixed order, it accepts soft samples (a product
with a matrix, not a table look-up), and it returns one loss per example, without averaging, all of
its nodes having the batch's leading axes: a 1 where the batch shares a node.

Below are the run of a program and its trace, the tape of a run that others share samples and noise
with, and the sampler of a run that holds several.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gslib._checks import check_count, check_floating
from gslib.distributions import Distribution, sharpened
from gslib.functional import Number, Uniform, noise_like

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
        found = [q.log_prob(z).sum(-1) for q, z in self]
        if len({x.ndim for x in found if x.ndim}) > 1:  # [k] would be added to other rows of [k, B]
            raise _axes([x.shape for x in found])
        return torch.as_tensor(sum(found))

    def log_prob_per_node(self) -> Tensor:
        """log q(z) of each node per example, [..., B, nodes]."""
        return torch.stack([q.log_prob(z).sum(-1) for q, z in self], -1)


def _axes(found: list[torch.Size]) -> ValueError:
    axes = " and ".join(str(tuple(shape)) for shape in dict.fromkeys(found))
    return ValueError(f"nodes of one run have leading axes {axes}; give a shared one logits[None]")


def changed(program: Program, change: Callable[[Distribution], Distribution]) -> Program:
    """The program with `change(q)` in the place of each node q.

    >>> q = gslib.Bernoulli(torch.zeros(4, 3))
    >>> certain = lambda q: gslib.Bernoulli(q.logits + 99)
    >>> run(changed(lambda sample: sample(q).sum(-1), certain), lambda q: q.sample())
    tensor([3., 3., 3., 3.])
    """
    return lambda sample: program(lambda q: sample(change(q)))


def sloped(program: Program, slope: Number = 1.0) -> Program:
    """The program with `sharpened(q, slope)` in the place of each node q.

    >>> q = gslib.Bernoulli(torch.tensor([[0.25]]))
    >>> run(sloped(lambda sample: sample(q).sum(-1), 2.0), lambda q: q.mean)
    tensor([0.7500])
    """
    return changed(program, lambda q: sharpened(q, slope))


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
        raise ValueError(f"sample the same nodes in each run: first {len(first)}, now {len(trace)}")
    found = [z.shape[: z.ndim - q.event_ndim] for q, z in trace]
    try:
        wanted = torch.broadcast_shapes(*found)
    except RuntimeError:
        raise _axes(found) from None
    if not isinstance(f, Tensor) or f.shape != wanted:
        got = str(tuple(f.shape)) if isinstance(f, Tensor) else type(f).__name__
        needs = f"needs one loss per example, with the leading axes {tuple(wanted)} of its node"
        raise ValueError(f"the program returned {got}, but {needs}; do not average inside it")
    check_floating("the program's loss", f)
    return f


def fixed(u: Tensor) -> Uniform:
    """A `uniform` that hands out these numbers, the same ones along new leading axes.

    >>> noise_like(torch.zeros(2, 2), fixed(torch.tensor([0.1, 0.9])))
    tensor([[0.1000, 0.9000],
            [0.1000, 0.9000]])
    """
    return lambda like: u.expand(like.shape)


class Tape(Trace):
    """A trace that also keeps the uniform noise of each node, so that its run can be replayed.

    Args:
        uniform: makes the noise. draw: (q, noise) -> a sample, by default `q.sample`'s.

    >>> q = gslib.Bernoulli(torch.zeros(4, 2))
    >>> program, tape = lambda sample: sample(q).sum(-1), Tape()
    >>> f = run(program, tape.sample, tape)
    >>> tape.rerun(program, 0, 1 - tape[0][1]) + f  # the other state of each coin
    tensor([2., 2., 2., 2.])
    """

    def __init__(self, uniform: Uniform = None, draw: Draw | None = None):
        super().__init__()
        self.uniform, self.noise = uniform, list[Tensor]()
        self.draw = draw or (lambda q, u: q.sample(uniform=fixed(u)))

    def sample(self, q: Distribution) -> Tensor:
        """The sampler of the first run."""
        self.noise.append(noise_like(q.logits, self.uniform))
        return self.draw(q, self.noise[-1])

    def rerun(self, program: Program, i: int, z: Tensor, below: Draw | None = None) -> Tensor:
        """The loss of another run: nodes above node i keep their samples, node i gets z, nodes
        below are drawn anew, by `below`, from the noise they had.
        """
        trace, below = Trace(), below or self.draw

        def node(q: Distribution) -> Tensor:
            j = len(trace)
            if j <= i:
                return self[j][1] if j < i else z
            return below(q, self.noise[j]) if j < len(self) else q.mean

        return run(program, node, trace, first=self)


def stacked(sample: Sampler, k: int) -> Sampler:
    """The sampler that draws k samples of each node by `sample` and stacks them in front,
    [k, ..., B, N(, K)]: one run of the program then holds k runs.

    A node below carries that axis already; its slices are drawn one by one. The program must let
    leading axes through.

    >>> q = gslib.Bernoulli(torch.zeros(4, 2))
    >>> run(lambda sample: sample(q).sum(-1), stacked(lambda q: q.sample(), 3)).shape
    torch.Size([3, 4])
    """
    check_count("k", k)
    first: list[int] = []  # axes of the first node

    def several(q: Distribution) -> Tensor:
        first.append(q.logits.ndim - q.event_ndim)
        nodes = [type(q)(x) for x in q.logits] if first[-1] > first[0] else [q] * k
        return torch.stack([sample(node) for node in nodes])

    return several
