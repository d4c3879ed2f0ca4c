"""Runs that share samples and noise with an earlier one, and runs that hold several samples."""

import torch
from torch import Tensor

from gslib.distributions import Distribution
from gslib.functional import Uniform, noise_like
from gslib.program import Draw, Program, Sampler, Trace, run


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
    first: list[int] = []  # axes of the first node

    def several(q: Distribution) -> Tensor:
        first.append(q.logits.ndim - q.event_ndim)
        nodes = [type(q)(x) for x in q.logits] if first[-1] > first[0] else [q] * k
        return torch.stack([sample(node) for node in nodes])

    return several
