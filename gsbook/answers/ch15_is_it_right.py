"""Exercises of chapter 15, Is your Gumbel-Softmax right?"""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
P = fixed(0.1, 0.2, 0.3, 0.4)

EXERCISES["ex-right-1"] = Exercise(
    right=lambda p: p.softmax(-1),
    given=[(P,), (fixed(0.7, 0.2, 0.1),)],
    wrong={
        "These are the shares that were wanted. What does the function take the numbers for?": (
            lambda p: p
        ),
        "It adds noise to what it is given as it stands; it takes no logarithm first.": (
            lambda p: p.log()
        ),
        "Logits go through an exponential before they are normalised.": lambda p: p.exp(),
    },
)
EXERCISES["ex-right-2"] = Exercise(
    right=lambda N, K: N * (math.log(K) + 1 / K),
    given=[(20, 10), (8, 16)],
    wrong={
        "That is one unit; the divergence is summed over N of them.": (
            lambda N, K: math.log(K) + 1 / K
        ),
        "The right term is - log(1/K) = + log K, the wrong one - 1/K: what is the difference?": (
            lambda N, K: N * (math.log(K) - 1 / K)
        ),
        "The wrong code subtracts something as well: 1/K, for each unit.": (
            lambda N, K: N * math.log(K)
        ),
    },
)


def _samples() -> tuple:
    logits = fixed(1.0, -0.5, 0.2)
    return torch.rand(50, 3).log().neg().log().neg().add(logits).div(0.7).softmax(-1), logits, 0.7


with torch.random.fork_rng(devices=[]):
    torch.manual_seed(15)
    GIVEN = _samples()

EXERCISES["ex-right-3"] = Exercise(
    right=lambda y, logits, tau: tau * (y[:, 0] / y[:, 1]).log() - (logits[0] - logits[1]),
    given=[GIVEN],
    wrong={
        "The logarithm of a ratio of samples is divided by tau still: multiply it.": (
            lambda y, logits, tau: (y[:, 0] / y[:, 1]).log() - (logits[0] - logits[1])
        ),
        "The logits are in there, too: take their difference away.": (
            lambda y, logits, tau: tau * (y[:, 0] / y[:, 1]).log()
        ),
        "Samples are divided by a sum that all classes share; look at the logarithm of a ratio.": (
            lambda y, logits, tau: tau * y[:, 0].log() - logits[0]
        ),
        "Only what stands inside the division by tau is multiplied back: not the logits twice.": (
            lambda y, logits, tau: tau * ((y[:, 0] / y[:, 1]).log() - (logits[0] - logits[1]))
        ),
    },
)
EXERCISES["ex-right-4"] = Exercise(
    right=lambda p, draws: 1 - (1 - p) ** draws,
    given=[(0.01, 50), (1e-3, 2000)],
    wrong={
        "That is the mean number of them, which may pass 1.": lambda p, draws: p * draws,
        "That is the probability that all goes well.": lambda p, draws: (1 - p) ** draws,
        "That all of them are zero is not needed: one is enough.": lambda p, draws: p**draws,
    },
)
