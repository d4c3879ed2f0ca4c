"""Exercises of chapter 13, Ten years later."""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}

EXERCISES["ex-later-1"] = Exercise(
    right=lambda f: f - (f.sum(0) - f) / (len(f) - 1),
    given=[(fixed([1.0, 5.0], [4.0, 5.5], [2.0, -1.0]),), (fixed([1.0], [3.0]),)],
    wrong={
        "That is the mean of all, the loss itself among them: leave it out.": lambda f: (
            f - f.mean(0)
        ),
        "The mean runs over the examples of the batch: it should run over the k samples of one.": (
            lambda f: f - (f.sum(1, keepdim=True) - f) / max(f.shape[1] - 1, 1)
        ),
        "Divide the sum of the others by their number, k - 1.": lambda f: (
            f - (f.sum(0) - f) / len(f)
        ),
    },
)


def _pairs(pi):
    return pi[:, None] * pi / (1 - pi[:, None])


EXERCISES["ex-later-2"] = Exercise(
    right=lambda p: max(p, 1 - p),
    given=[(0.3,), (0.5,), (0.9,)],
    wrong={
        "That is the probability of one such pair; the weight is what independent coins give, over it.": (
            lambda p: min(p, 1 - p)
        ),
        "That is what independent coins give; divide by the probability of the coupled pair.": (
            lambda p: p * (1 - p)
        ),
        "The quotient is turned: independent over coupled.": lambda p: 1 / max(p, 1 - p),
    },
)
EXERCISES["ex-later-3"] = Exercise(
    right=lambda p, s0, s1: p * (1 - p) * (s0 + s1) / 2,
    given=[(0.3, 1.0, 2.0), (0.8, -0.5, 0.7)],
    wrong={
        "That is straight-through: each slope counts as often as it is drawn.": lambda p, s0, s1: (
            p * (1 - p) * (p * s1 + (1 - p) * s0)
        ),
        "Each outcome has to be weighted by its probability.": lambda p, s0, s1: (
            (1 - p) * s1 / 2 + p * s0 / 2
        ),
        "The gradient is for the logit, so p (1 - p) has to appear.": lambda p, s0, s1: (
            (s0 + s1) / 2
        ),
    },
)
EXERCISES["ex-later-4"] = Exercise(
    right=lambda pi: pi + _pairs(pi).sum(0) - _pairs(pi).diagonal(),
    given=[(fixed(0.4, 0.25, 0.2, 0.1, 0.05),), (torch.full((4,), 0.25),)],
    wrong={
        "That is with replacement: after the first draw the others share what is left.": lambda pi: (
            1 - (1 - pi) ** 2
        ),
        "A thing cannot follow itself: leave the pairs (j, j) out.": lambda pi: (
            pi + _pairs(pi).sum(0)
        ),
        "The second place alone: the first counts, too.": lambda pi: (
            _pairs(pi).sum(0) - _pairs(pi).diagonal()
        ),
    },
)
