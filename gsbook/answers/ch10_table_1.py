"""Exercises of chapter 10, Table 1."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed, t_factor
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}


def _spread(values, ddof):
    return torch.tensor(values, dtype=torch.float64).std(correction=ddof).item()


EXERCISES["ex-table-1-interval"] = Exercise(
    right=lambda values: t_factor(len(values) - 1) * _spread(values, 1) / math.sqrt(len(values)),
    given=[([61.2, 60.8, 61.6],), ([1.0, 2.0, 4.0, 4.5],)],
    wrong={
        "1.96 is for a known spread. Three seeds leave it uncertain: take Student's factor.": lambda values: (
            1.96 * _spread(values, 1) / math.sqrt(len(values))
        ),
        "This divides the squares by n. For a spread from a sample divide by n - 1 (ddof=1).": lambda values: (
            t_factor(len(values) - 1) * _spread(values, 0) / math.sqrt(len(values))
        ),
        "The mean scatters less than one run: divide by the root of n.": lambda values: (
            t_factor(len(values) - 1) * _spread(values, 1)
        ),
        "Student's factor has n - 1 degrees of freedom.": lambda values: (
            t_factor(len(values)) * _spread(values, 1) / math.sqrt(len(values))
        ),
    },
)


def _signs(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    i, j = torch.triu_indices(len(values), len(values), 1)
    return (values[i] - values[j]).sign()


def _kendall(a, b, pairs):
    a, b = _signs(a), _signs(b)
    return ((a * b).sum() / pairs(a, b)).item()


EXERCISES["ex-table-1-kendall"] = Exercise(
    right=lambda a, b: _kendall(a, b, lambda a, b: ((a != 0).sum() * (b != 0).sum()).sqrt()),
    given=[([3.0, 1.0, 2.0, 5.0], [2.0, 1.0, 2.0, 4.0]), ([1.0, 2.0, 3.0], [3.0, 1.0, 2.0])],
    wrong={
        "Tied pairs do not count in the denominator.": lambda a, b: _kendall(
            a, b, lambda a, b: len(a)
        ),
        "Each pair once: you have divided by twice as many.": lambda a, b: _kendall(
            a, b, lambda a, b: 2 * len(a)
        ),
    },
)
EXERCISES["ex-table-1-two"] = Exercise(
    right=lambda p, q: -(torch.outer(q, q) * (((p / q)[:, None] + p / q) / 2).log()).sum(),
    given=[(fixed(0.7, 0.2, 0.1), fixed(0.5, 0.3, 0.2))],
    wrong={
        "First the mean of the two weights, then the logarithm: this is the loss with m = 1.": (
            lambda p, q: -(q * (p / q).log()).sum()
        ),
        "The two weights are averaged, so their sum is divided by 2.": lambda p, q: (
            -(torch.outer(q, q) * ((p / q)[:, None] + p / q).log()).sum()
        ),
        "A loss is the negative of the logarithm.": lambda p, q: (
            torch.outer(q, q) * (((p / q)[:, None] + p / q) / 2).log()
        ).sum(),
        "Pairs are drawn from the encoder, so q weights them, not p.": lambda p, q: (
            -(torch.outer(p, p) * (((p / q)[:, None] + p / q) / 2).log()).sum()
        ),
    },
)
EXERCISES["ex-table-1-law"] = Exercise(
    right=lambda x, y, z: (x * z - y**2) / (x + z - 2 * y),
    given=[(118.0, 113.0, 110.0), (3.0, 2.0, 1.5)],
    wrong={
        "The curve goes on falling after the last point.": lambda x, y, z: z,
        "This goes on with the last fall; but each fall is smaller than the one before.": (
            lambda x, y, z: 2 * z - y
        ),
        "The sign is turned: check it with 3, 2, 1.5, which end at 1.": lambda x, y, z: (
            (y**2 - x * z) / (x + z - 2 * y)
        ),
    },
)
EXERCISES["ex-table-1-fooled"] = Exercise(
    right=0.025,
    wrong={
        "Five per cent of the intervals miss 0, but only half of them on the claimed side.": 0.05,
        "That is how often the interval does hold 0.": 0.95,
    },
)
