"""Exercises of chapter 8, Structured prediction."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import COINS, t_factor
from gsbook.exercise import Exercise
from gslib import Bernoulli

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-sbn-1"] = Exercise(
    right=lambda q: q.mean,
    given=[(Bernoulli(COINS),)],
    wrong={
        "This still draws: ask for the mean of the distribution.": lambda q: q.sample(),
        "These are logits; the next layer expects probabilities.": lambda q: q.logits,
        "Rounding makes a choice again. The mean itself is wanted.": lambda q: q.mean.round(),
    },
)
EXERCISES["ex-sbn-2"] = Exercise(
    right=lambda draws: draws.std(0).mean(-1),
    given=[(torch.linspace(0, 1, 24).view(4, 2, 3) ** 2,)],
    wrong={
        "That is the scatter over pixels of each answer. Doubt is the scatter over draws.": lambda draws: (
            draws.std(-1).mean(0)
        ),
        "Average over pixels first and the differences between draws cancel.": lambda draws: (
            draws.mean(-1).std(0)
        ),
        "One number per image: average over its pixels.": lambda draws: draws.std(0),
        "Divide by one less than the number of draws, as `std` of torch does by itself.": lambda draws: (
            draws.std(0, correction=0).mean(-1)
        ),
    },
)


def _seeds(spread, difference, width):
    return next(n for n in range(2, 1000) if width(n, spread) < difference)


EXERCISES["ex-sbn-3"] = Exercise(
    right=lambda spread, difference: _seeds(
        spread, difference, lambda n, s: t_factor(2 * n - 2) * s * math.sqrt(2 / n)
    ),
    given=[(0.3, 0.5), (0.3, 0.2), (1.0, 0.5)],
    wrong={
        "With few seeds the factor of Student's distribution is well above 1.96.": lambda spread, difference: (
            _seeds(spread, difference, lambda n, s: 1.96 * s * math.sqrt(2 / n))
        ),
        "Both means scatter: the difference needs the factor root 2.": lambda spread, difference: (
            _seeds(spread, difference, lambda n, s: t_factor(2 * n - 2) * s / math.sqrt(n))
        ),
        "Two groups of n seeds leave 2n - 2 degrees of freedom.": lambda spread, difference: _seeds(
            spread, difference, lambda n, s: t_factor(n - 1) * s * math.sqrt(2 / n)
        ),
    },
)
EXERCISES["ex-sbn-4"] = Exercise(
    right={"config", "code", "data", "device", "capability", "torch"},
    wrong={
        "The settings are not enough: the same settings may run with other code, on other images, on another machine.": {
            "config"
        },
        "Another version of PyTorch may add up in another order.": {
            "config",
            "code",
            "data",
            "device",
            "capability",
        },
        "Another kind of processor may add up in another order.": {
            "config",
            "code",
            "data",
            "torch",
        },
        "One name covers processors with and without some instructions, and they round otherwise.": {
            "config",
            "code",
            "data",
            "device",
            "torch",
        },
        "How long a run took and when it ran do not change its numbers.": {
            "config",
            "code",
            "data",
            "device",
            "capability",
            "torch",
            "minutes",
            "date",
        },
    },
)
