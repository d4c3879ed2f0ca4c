"""Exercises of chapter 11, Learning with few labels."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-few-labels-belief"] = Exercise(
    right=lambda losses: (-losses).softmax(-1),
    given=[(fixed([2.0, 0.5, 3.0], [1.0, 1.5, 0.5]),)],
    wrong={
        "The class with the smaller loss explains the image better: look at the sign.": lambda losses: (
            losses.softmax(-1)
        ),
        "All belief in the best class gives away the reward for doubt.": lambda losses: torch.eye(
            losses.shape[-1]
        )[losses.argmin(-1)],
        "These are the logarithms of the beliefs.": lambda losses: (-losses).log_softmax(-1),
        "Beliefs add up to 1: divide by their sum.": lambda losses: (-losses).exp(),
    },
)
EXERCISES["ex-few-labels-classes"] = Exercise(
    right=lambda r, D, I, G: (r * (D + I + G) - D) / (I + G),
    given=[(5.0, 4.0, 3.0, 6.0), (10.0, 1.0, 1.0, 1.0)],
    wrong={
        "That would be so if the classifier ran once for each class, too. It runs once in both.": lambda r, D, I, G: (
            r
        ),
        "The classifier's own run is part of what you pay: subtract D.": lambda r, D, I, G: (
            r * (D + I + G) / (I + G)
        ),
        "That is the ratio of the costs with r classes. Solve it for the number of classes.": lambda r, D, I, G: (
            (D + r * (I + G)) / (D + I + G)
        ),
    },
)
EXERCISES["ex-few-labels-alpha"] = Exercise(
    right=lambda share, N, n: share * N / n,
    given=[(0.1, 50_000, 100), (0.3, 60_000, 3_000)],
    wrong={
        "An average over n images gives each of them the weight 1/n.": lambda share, N, n: (
            share * N
        ),
        "N and n are exchanged: fewer labels make each of them count more.": lambda share, N, n: (
            share * n / N
        ),
        "That is the plain list, as if the bounds were averages, too. They are sums here.": lambda share, N, n: (
            share
        ),
    },
)


def _number(found) -> float:
    """A Python, NumPy or torch number; NaN for anything else."""
    try:
        return float(found)
    except (TypeError, ValueError):
        return math.nan


EXERCISES["ex-few-labels-best"] = Exercise(
    right=1.163,  # the mean of the largest of five standard normal numbers
    wrong={
        "Each run alone is right on average, but the best of five was picked for its luck.": 0.0,
        "That is the distance from the worst of the five to the best.": 2.326,
        "That is the largest of five signs of luck without their direction: bad luck is not picked.": 1.569,
    },
    same=lambda a, b: abs(_number(a[0]) - b[0]) < 0.05,
)
