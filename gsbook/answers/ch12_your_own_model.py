"""Exercises of chapter 12, Your own model."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import LOGITS, SOFT
from gsbook.exercise import Exercise
from gslib import Categorical

EXERCISES: dict[str, Exercise] = {}


def _nll(scores, target):
    return -(scores.log_softmax(-1) * target).sum(-1)


EXERCISES["ex-own-1"] = Exercise(
    right=lambda q: (
        math.log(q.logits.shape[-1]) - Categorical(q.mean.mean(0).log()).entropy().sum()
    ),
    given=[(Categorical(LOGITS),)],
    wrong={
        "The number is right, but it still has an axis: a penalty is one number.": lambda q: (
            math.log(q.logits.shape[-1]) - Categorical(q.mean.mean(0).log()).entropy()
        ),
        "That is the mean of the entropies: it asks each picture to be undecided. Average the probabilities first.": lambda q: (
            math.log(q.logits.shape[-1]) - q.entropy().mean()
        ),
        "An even use should cost 0: the entropy is subtracted from log K.": lambda q: (
            Categorical(q.mean.mean(0).log()).entropy().sum()
        ),
        "Lower should mean more even: the sign is turned.": lambda q: (
            Categorical(q.mean.mean(0).log()).entropy().sum() - math.log(q.logits.shape[-1])
        ),
    },
)
EXERCISES["ex-own-2"] = Exercise(
    right=lambda z, answers: (z @ answers).squeeze(-2),
    given=[(SOFT, torch.arange(24.0).view(2, 3, 4) ** 2)],
    wrong={
        "A soft sample has no index, and an index no slope: use a product with z.": lambda z, answers: (
            answers[range(len(answers)), z[..., 0, :].argmax(-1)]
        ),
        "There is an axis too many: the sample has one unit, whose axis should go.": lambda z, answers: (
            z @ answers
        ),
        "Each specialist's answer is weighted, but they are not added up: sum over the specialists.": lambda z, answers: (
            z.mT * answers
        ),
        "That sums over the digits. The specialists stand in the axis before.": lambda z, answers: (
            z.mT * answers
        ).sum(-1),
    },
)
EXERCISES["ex-own-3"] = Exercise(
    right=lambda pi, scores, target: (pi * _nll(scores, target[:, None])).sum(-1),
    given=[(SOFT[:, 0], torch.arange(24.0).sin().view(2, 3, 4), torch.eye(4)[[1, 3]])],
    wrong={
        "This mixes the answers and then takes the loss: the relaxed model, not the discrete one.": lambda pi, scores, target: (
            _nll((pi[:, None] @ scores)[:, 0], target)
        ),
        "This is the loss of the likeliest specialist; a draw may choose another one.": lambda pi, scores, target: (
            _nll(scores[range(len(pi)), pi.argmax(-1)], target)
        ),
        "The specialists are not equally likely: weight their losses with pi.": lambda pi, scores, target: (
            _nll(scores, target[:, None]).mean(-1)
        ),
        "One loss per picture: do not average over pictures.": lambda pi, scores, target: (
            (pi * _nll(scores, target[:, None])).sum(-1).mean()
        ),
    },
)
