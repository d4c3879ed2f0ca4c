"""Exercises of chapter 1, Learning from data."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-learning-1"] = Exercise(
    right=lambda eta, x: 1 - 2 * eta * (x**2).mean(),
    given=[(0.3, fixed(0.5, -1.0, 2.0))],
    wrong={
        "The slope of a square brings a factor 2.": lambda eta, x: 1 - eta * (x**2).mean(),
        "Square each x first, then average; not the other way round.": lambda eta, x: (
            1 - 2 * eta * x.mean() ** 2
        ),
        "The loss is a mean over pictures; you have taken the sum.": lambda eta, x: (
            1 - 2 * eta * (x**2).sum()
        ),
        "Gradient descent goes against the slope: look at the sign.": lambda eta, x: (
            1 + 2 * eta * (x**2).mean()
        ),
    },
)
EXERCISES["ex-learning-2"] = Exercise(
    right=lambda theta, z: torch.sigmoid(theta) - z,
    given=[(fixed(0.7), 0.0), (fixed(0.7), 1.0)],
    wrong={
        "This is the slope of log p(z). The loss has a minus in front.": lambda theta, z: (
            z - torch.sigmoid(theta)
        ),
        "This is the belief alone; what happened is missing.": lambda theta, z: (
            torch.sigmoid(theta) + 0 * z
        ),
    },
)
EXERCISES["ex-learning-3"] = Exercise(
    right=lambda W1, b1, W2, b2: (W1 @ W2, b1 @ W2 + b2),
    given=[
        (
            torch.arange(6.0).view(2, 3),
            fixed(1.0, -1.0, 2.0),
            torch.arange(6.0).view(3, 2),
            fixed(0.5, 1.0),
        )
    ],
    wrong={
        "The first constants b1 pass through the second layer, too.": lambda W1, b1, W2, b2: (
            W1 @ W2,
            b2,
        ),
        "The second constants b2 are missing.": lambda W1, b1, W2, b2: (W1 @ W2, b1 @ W2),
    },
)
EXERCISES["ex-learning-4"] = Exercise(
    right={"b2"},
    wrong={
        "The slope of W2 is a product with the hidden results. What are these if W1 and b1 are zero?": {
            "W2",
            "b2",
        },
        "Something learns: the outputs' own constants need no path through a zero.": set(),
        "What reaches W1 and b1 has to pass W2, which is zero.": {"W1", "b1", "W2", "b2"},
    },
)
EXERCISES["ex-learning-5"] = Exercise(
    right=lambda said, happened: -(happened * math.log(said) + (1 - happened) * math.log(1 - said)),
    given=[(0.7, 0.6), (0.2, 0.5)],
    wrong={
        "These are bits, from the logarithm to the base 2. A nat belongs to the natural one.": lambda said, happened: (
            -(happened * math.log2(said) + (1 - happened) * math.log2(1 - said))
        ),
        "Dry days cost something, too.": lambda said, happened: -happened * math.log(said),
        "Said and happened are exchanged: the logarithm belongs to what was said.": lambda said, happened: (
            -(said * math.log(happened) + (1 - said) * math.log(1 - happened))
        ),
        "A cost is positive: the logarithm of a probability needs a minus.": lambda said, happened: (
            happened * math.log(said) + (1 - happened) * math.log(1 - said)
        ),
    },
)
