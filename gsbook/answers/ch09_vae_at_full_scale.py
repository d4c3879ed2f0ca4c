"""Exercises of chapter 9, The discrete VAE at full scale."""

from __future__ import annotations

import math

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-vae-full-cooling"] = Exercise(
    right=lambda t, rate: max(0.5, math.exp(-rate * (t // 500 * 500))),
    given=[(20_000, 1e-5), (20_000, 1e-4), (5_700, 1e-4)],
    wrong={
        "The temperature has a floor of 0.5.": lambda t, rate: math.exp(-rate * (t // 500 * 500)),
        "The schedule moves every 500 steps and holds its value in between.": lambda t, rate: max(
            0.5, math.exp(-rate * t)
        ),
        "The floor is a maximum of the two, not a minimum.": lambda t, rate: min(
            0.5, math.exp(-rate * (t // 500 * 500))
        ),
    },
)
PAIR = -math.log(1 / (1 + math.exp(-5)) * (1 / (1 + math.exp(5))))
EXERCISES["ex-vae-full-toy"] = Exercise(
    right=(2 * math.log(2), PAIR),
    wrong={
        "Hot and cold are exchanged: a hot sample sits at one half.": (PAIR, 2 * math.log(2)),
        "There are two pixels, and each costs log 2.": (math.log(2), PAIR),
        "A cold sample is a choice, and then the loss is that of the discrete model.": (
            2 * math.log(2),
            0.0,
        ),
    },
)
EXERCISES["ex-vae-full-samples"] = Exercise(
    right=lambda log_w: math.log(len(log_w)) - log_w.logsumexp(0),
    given=[(fixed([-3.0, -5.0], [-1.0, -9.0], [-4.0, -4.5]),)],
    wrong={
        "That is the mean of the logarithms. Average the weights first, then take the logarithm.": lambda log_w: (
            -log_w.mean(0)
        ),
        "A sum is not a mean: divide by m.": lambda log_w: -log_w.logsumexp(0),
        "That is the bound; its negative is asked for.": lambda log_w: (
            log_w.logsumexp(0) - math.log(len(log_w))
        ),
    },
)
