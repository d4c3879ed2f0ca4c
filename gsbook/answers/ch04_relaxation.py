"""Exercises of chapter 4, Relaxing it."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-relaxation-flat"] = Exercise(
    right=1.0,
    wrong={
        "At one half the density is shaped like a U.": 0.5,
        "At 2 it is a bell: samples crowd in the middle.": 2.0,
        "At temperature 0 the samples are discrete: all of them sit at the ends.": 0.0,
    },
)
EXERCISES["ex-relaxation-mean"] = Exercise(
    right=lambda r: r * math.log(r) / (r - 1) ** 2 - 1 / (r - 1),
    given=[(0.25,), (3.0,)],
    wrong={
        "This is the class probability. The mean of a relaxed sample is pulled towards one half.": lambda r: (
            1 / (1 + r)
        ),
        "This is the mean of the other entry: r is the second probability over the first.": lambda r: (
            1 - (r * math.log(r) / (r - 1) ** 2 - 1 / (r - 1))
        ),
    },
)


def _entropy(y):
    return -(y * y.log()).sum()


EXERCISES["ex-relaxation-tau"] = Exercise(
    right=lambda y, tau: -y / tau * (y.log() + _entropy(y)),
    given=[(fixed(0.6, 0.3, 0.1), 0.7)],
    wrong={
        "The largest entry falls when the temperature rises: look at the sign in front.": lambda y, tau: (
            y / tau * (y.log() + _entropy(y))
        ),
        "The entropy has a minus of its own, H = -sum y log y.": lambda y, tau: (
            -y / tau * (y.log() - _entropy(y))
        ),
        "Where has the temperature gone?": lambda y, tau: -y * (y.log() + _entropy(y)),
    },
)
EXERCISES["ex-relaxation-hot"] = Exercise(
    right=lambda s, tau: 1 / s.shape[-1] + (s - s.mean(-1, keepdim=True)) / (s.shape[-1] * tau),
    given=[(fixed([0.3, -1.0, 2.0], [1.5, 0.2, 0.1]), 20.0), (fixed([0.3, -1.0, 2.0, 0.4]), 20.0)],
    wrong={
        "The entries must sum to 1: the deviation has to be centred.": lambda s, tau: (
            1 / s.shape[-1] + s / (s.shape[-1] * tau)
        ),
        "The softmax divides by a sum of K terms; the deviation needs 1/K as well.": lambda s, tau: (
            1 / s.shape[-1] + (s - s.mean(-1, keepdim=True)) / tau
        ),
        "This is the limit itself. The next term is proportional to 1/tau.": lambda s, tau: (
            torch.full_like(s, 1 / s.shape[-1])
        ),
    },
)
