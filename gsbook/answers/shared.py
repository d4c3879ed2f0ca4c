"""Arguments and comparisons that exercises of several chapters share."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.exercise import is_blank


def gradients(answer, parameters: list[Tensor], *given):
    """The value of answer(*parameters, *given) and its slopes, None where there is none."""
    leaves = [p.clone().requires_grad_() for p in parameters]
    value = answer(*leaves, *given)
    if is_blank(value):
        return value
    slopes = [None] * len(leaves)
    if value.requires_grad:
        slopes = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return value.detach(), ["no slope" if s is None else s for s in slopes]


def fixed(*values) -> Tensor:
    return torch.tensor(values)


LOGITS = fixed([[0.5, 1.0, 0.0]], [[-1.0, 0.3, 2.0]])  # [2, 1, 3]
COINS = fixed([0.4, -0.6, 0.9])
ONE_HOT = torch.eye(3)[[2, 0]][:, None]  # [2, 1, 3]
SOFT = fixed([[0.2, 0.5, 0.3]], [[0.7, 0.1, 0.2]])  # [2, 1, 3]


def t_factor(n):
    from scipy import stats

    return stats.t.ppf(0.975, n)
