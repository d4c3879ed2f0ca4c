"""Exercises of chapter 2, Discrete choices."""

from __future__ import annotations

import torch

from gsbook.answers.shared import ONE_HOT, SOFT, fixed
from gsbook.exercise import Exercise
from gslib import Categorical

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-choices-1"] = Exercise(
    right=lambda units, classes: classes**units,
    given=[(200, 2), (20, 10)],
    wrong={
        "That adds up the classes. A joint state is one choice of class for every unit at once.": lambda units, classes: (
            units * classes
        ),
        "Each unit multiplies the number of states by its classes, not the other way round.": lambda units, classes: (
            units**classes
        ),
    },
    same=lambda a, b: a == b,
)


TWICE = torch.eye(3)[fixed([0, 1], [2, 0])][:, :, None]  # [2, 2, 1, 3]: two samples of each node


def _look(answer, scores, wrong):
    samplers = lambda q: ONE_HOT, lambda q: SOFT, lambda q: q.mean, lambda q: TWICE
    return [answer(sample, scores, wrong) for sample in samplers]


EXERCISES["ex-choices-2"] = Exercise(
    right=lambda sample, scores, wrong: (
        sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :] * wrong
    ).sum(-1),
    given=[(fixed(0.1, 0.7, -0.4), fixed([0.0, 1.0, 1.0], [1.0, 0.0, 1.0]))],
    ask=_look,
    wrong={
        "One loss for each picture: do not average inside the program.": lambda sample, scores, wrong: (
            (sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :] * wrong).sum(-1).mean()
        ),
        "A soft sample has no index. Select by a product with z, not by its arg max.": lambda sample, scores, wrong: (
            wrong[
                range(len(wrong)),
                sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :].argmax(-1),
            ]
        ),
        "A sample may have further axes in front: take its unit by z[..., 0, :].": lambda sample, scores, wrong: (
            (sample(Categorical(scores.expand(len(wrong), 1, 3)))[:, 0] * wrong).sum(-1)
        ),
        "The loss must use what `sample` gives back; this uses the probabilities.": lambda sample, scores, wrong: (
            (scores.softmax(-1) * wrong).sum(-1)
        ),
    },
)
EXERCISES["ex-choices-3"] = Exercise(
    right=lambda h, u: ((u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()).mean() / (2 * h),
    given=[
        (fixed(0.5)[0], torch.linspace(0.01, 0.99, 50)),
        (fixed(0.1)[0], torch.linspace(0.01, 0.99, 50)),
    ],
    wrong={
        "From -h to h the logit moves by 2h.": lambda h, u: (
            ((u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()).mean() / h
        ),
        "Divide the difference by the length of the nudge.": lambda h, u: (
            (u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()
        ).mean(),
        "The sign is turned: up minus down.": lambda h, u: (
            ((u < (-h).sigmoid()).float() - (u < h.sigmoid()).float()).mean() / (2 * h)
        ),
    },
)
EXERCISES["ex-choices-4"] = Exercise(
    right=lambda p, c: p * (1 - p) * 2 * (p - c),
    given=[(0.7, 0.45), (0.2, 0.1)],
    wrong={
        "This is the exact slope. Straight-through has the slope f'(z) at the sample in place of f(1) - f(0).": lambda p, c: (
            p * (1 - p) * (1 - 2 * c)
        ),
        "Straight-through multiplies by the slope of the probability, p (1 - p).": lambda p, c: (
            2 * (p - c)
        ),
        "The slope of (z - c)² brings a factor 2.": lambda p, c: p * (1 - p) * (p - c),
    },
)
EXERCISES["ex-choices-5"] = Exercise(
    right=lambda z1, z2, phi: -(z1 + 2 * z2 - phi / 2),
    given=[(1.0, 0.0, 2.0), (1.0, 1.0, 0.5)],
    wrong={
        "The inner function also has a slope: phi is divided by -2.": lambda z1, z2, phi: (
            2 * (z1 + 2 * z2 - phi / 2)
        ),
        "Mind the sign: phi is subtracted inside the square.": lambda z1, z2, phi: (
            z1 + 2 * z2 - phi / 2
        ),
    },
)
