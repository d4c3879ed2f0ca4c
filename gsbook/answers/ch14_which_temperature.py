"""Exercises of chapter 14, Which temperature?"""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
TAUS = fixed(0.1, 0.3, 1.0, 3.0)
BIAS, NOISE = fixed(0.05, 0.2, 0.5, 0.9), fixed(8.0, 3.0, 1.0, 0.2)

EXERCISES["ex-temperature-error"] = Exercise(
    right=lambda taus, bias, noise, n: taus[(bias**2 + noise**2 / n).argmin()],
    given=[(TAUS, BIAS, NOISE, n) for n in (2, 30, 100, 100_000)],
    wrong={
        "Averaging n draws divides the variance by n, not the standard deviation.": lambda taus, bias, noise, n: (
            taus[(bias**2 + (noise / n) ** 2).argmin()]
        ),
        "The bias counts, too: no average makes it smaller.": lambda taus, bias, noise, n: taus[
            noise.argmin()
        ],
        "The noise counts, too, divided by n as a variance.": lambda taus, bias, noise, n: taus[
            bias.argmin()
        ],
        "Squares add up: bias squared, and the variance over n.": lambda taus, bias, noise, n: taus[
            (bias + noise / n**0.5).argmin()
        ],
        "Give the temperature, not its place in the list.": lambda taus, bias, noise, n: (
            bias**2 + noise**2 / n
        ).argmin(),
    },
)
EXERCISES["ex-temperature-line"] = Exercise(
    right=lambda t, start, end, steps: start + (end - start) * min(1.0, t / steps),
    given=[(0, 1.0, 0.5, 100), (50, 5.0, 0.5, 100), (100, 1.0, 0.1, 100), (300, 1.0, 0.5, 100)],
    wrong={
        "After the last step of the line it goes on falling, below zero in the end.": lambda t, start, end, steps: (
            start + (end - start) * t / steps
        ),
        "It starts at `end` and goes to `start`.": lambda t, start, end, steps: (
            end + (start - end) * min(1.0, t / steps)
        ),
        "That is a straight line of the logarithm. It falls faster at first.": lambda t, start, end, steps: (
            start * (end / start) ** min(1.0, t / steps)
        ),
    },
)
PI = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
F = torch.tensor([[4.0, 1.0, 2.0], [3.0, 5.0, 0.0]])
EXERCISES["ex-temperature-local"] = Exercise(
    right=lambda pi, F: pi * (F - (pi * F).sum(-1, keepdim=True)),
    given=[(PI, F)],
    wrong={
        "That is the slope in the probabilities. The logits move all of them at once.": lambda pi, F: (
            F
        ),
        "Subtract the mean loss of the unit, weighted by its probabilities.": lambda pi, F: pi * F,
        "The mean has to be weighted by the probabilities.": lambda pi, F: (
            pi * (F - F.mean(-1, keepdim=True))
        ),
        "The mean is over the classes of one unit, not over all units.": lambda pi, F: (
            pi * (F - (pi * F).sum())
        ),
        "The sign is turned: a class with less than the mean loss has a negative slope.": lambda pi, F: (
            -pi * (F - (pi * F).sum(-1, keepdim=True))
        ),
    },
)
