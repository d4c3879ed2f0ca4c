"""A table of codes: M choices among K take the place of a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gslib.distributions import Categorical
from gslib.functional import stream
from gslib.program import Program, Sampler


class CodedTable(nn.Module):
    r"""E networks that choose codes for rows, and the vectors that the codes stand for.

    A row x gets M choices z_1, …, z_M among K each. The row that comes back is the sum of one
    vector from each of M books, a K x D table:

    .. math:: \hat x = \sum_{m=1}^M z_m B_m, \qquad z_m \sim \mathrm{Cat}(\mathrm{logits}_m(x))

    Once trained, the network is thrown away: M numbers below K for each row stay, and the books.

    Args: choices: M. options: K. size: D of a row. seeds: one of each member.

    Source: Shu and Nakayama 2018 (arXiv:1711.01068): the sum, and one hidden layer of M K / 2 tanh
    units. Departure: their code takes the logarithm of a softplus as logits; ours are free.
    """

    def __init__(self, *, choices: int, options: int, size: int, seeds: list[int]) -> None:
        super().__init__()
        hidden, out = max(2, choices * options // 2), choices * options
        self.shape = choices, options
        spread = {
            "inner": ((size, hidden), 1.0),  # rows have length 1 on average
            "inner_bias": ((1, hidden), 0.0),
            "outer": ((hidden, out), hidden**-0.5),
            "outer_bias": ((1, out), 0.0),
            "books": ((out, size), (choices * size) ** -0.5),
        }
        for name, (shape, scale) in spread.items():
            drawn = [torch.randn(shape, generator=stream("codes", s, name)) * scale for s in seeds]
            setattr(self, name, nn.Parameter(torch.stack(drawn)))

    def node(self, x: Tensor) -> Categorical:
        """The choices for rows [E, B, D]: logits [E, B, M, K]."""
        hidden = (x @ self.inner + self.inner_bias).tanh()
        return Categorical((hidden @ self.outer + self.outer_bias).unflatten(-1, self.shape))

    def rebuild(self, z: Tensor) -> Tensor:
        """The rows that codes [..., E, B, M, K] stand for, [..., E, B, D]."""
        return z.flatten(-2) @ self.books

    def row_loss(self, x: Tensor) -> Program:
        """Squared distance between rows [E, B, D] and what comes back, [..., E, B]."""

        def loss(sample: Sampler) -> Tensor:
            return (x - self.rebuild(sample(self.node(x)))).square().sum(-1)

        return loss

    def task_loss(self, x: Tensor, queries: Tensor, scale: Tensor) -> Program:
        """-log of the probability, in nats, with which a row finds its own query [E, B, D] among
        those of the batch: [..., E, B].

        Each loss depends on the code of one row, as score functions need it. scale: of rows as the
        queries know them, whose mean is left out: it adds the same to all scores of one place.
        """

        def loss(sample: Sampler) -> Tensor:
            rows = self.rebuild(sample(self.node(x))) * scale
            return -(rows @ queries.mT).log_softmax(-1).diagonal(dim1=-2, dim2=-1)

        return loss
