"""Exercises of the page Reading tensor code."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.answers.shared import fixed, gradients
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}


def _by_class(guess: Tensor, truth: Tensor, K: int) -> Tensor:
    member = torch.eye(K)[truth]
    return ((guess == truth).float()[:, None] * member).sum(0) / member.sum(0)


EXERCISES["ex-tensors-1"] = Exercise(
    right=_by_class,
    given=[(torch.tensor([0, 1, 1, 2, 2, 0]), torch.tensor([0, 1, 2, 2, 2, 1]), 3)],
    wrong={
        "This is one number for all classes together; the sum should run down the columns only.": (
            lambda guess, truth, K: (guess == truth).float().mean()
        ),
        "Divide by the examples of the class, not by all examples.": lambda guess, truth, K: (
            (guess == truth).float()[:, None] * torch.eye(K)[truth]
        ).mean(0),
        "These are shares of the answers; asked are the examples that are of the class.": (
            lambda guess, truth, K: (
                ((guess == truth).float()[:, None] * torch.eye(K)[guess]).sum(0)
                / torch.eye(K)[guess].sum(0)
            )
        ),
    },
)
EXERCISES["ex-tensors-2"] = Exercise(
    right=lambda a, b: ((a[:, None] - b) ** 2).sum(-1),
    given=[(fixed([0.0, 1.0], [2.0, 2.0]), fixed([1.0, 1.0], [0.0, 3.0], [2.0, -1.0]))],
    wrong={
        "These are the distances; their squares are asked for.": lambda a, b: torch.cdist(a, b),
        "The axes are exchanged: rows belong to a, columns to b.": lambda a, b: (
            (b[:, None] - a) ** 2
        ).sum(-1),
        "The last axis, of the coordinates, has to be summed away.": lambda a, b: (
            (a[:, None] - b) ** 2
        ),
    },
)
EXERCISES["ex-tensors-3"] = Exercise(
    right=lambda forward, backward: forward.detach() + (backward - backward.detach()),
    given=[(fixed(2.0, -1.0),)],
    ask=lambda answer, w: gradients(lambda w: answer(w**3, 5 * w), [w]),
    wrong={
        "The slope of forward comes through as well: detach it.": lambda forward, backward: (
            forward + (backward - backward.detach())
        ),
        "Nothing is left of the slope: detach one of the two, not their difference.": (
            lambda forward, backward: forward.detach() + (backward - backward).detach()
        ),
        "Value and slope are exchanged.": lambda forward, backward: (
            backward.detach() + (forward - forward.detach())
        ),
    },
)
