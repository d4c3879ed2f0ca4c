"""Exercises of chapter 16, Reading aloud."""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

LOG_Q = fixed([0.7, 0.2, 0.1], [0.1, 0.3, 0.6]).log()
LOSSES = fixed([0.5, 2.0, 4.0], [3.0, 0.2, 1.0])
SCORES, LETTERS = fixed([0.5, 1.0, 2.0], [-1.0, 0.3, 0.0]), torch.tensor([[3, 5, 0], [7, 0, 0]])

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-aloud-likelihood"] = Exercise(
    right=lambda log_q, f: -(log_q - f).logsumexp(-1),
    given=[(LOG_Q, LOSSES)],
    wrong={
        "That is the mean of the losses, which a sampler descends. The sum over letters belongs inside the logarithm.": lambda log_q, f: (
            (log_q.exp() * f).sum(-1)
        ),
        "This is log p. A loss is its negative.": lambda log_q, f: (log_q - f).logsumexp(-1),
        "The letters are not equally likely: each term has its weight q.": lambda log_q, f: (
            -(-f).logsumexp(-1)
        ),
        "f is -log p(sound | letter), so its sign turns in the exponent.": lambda log_q, f: (
            -(log_q + f).logsumexp(-1)
        ),
    },
)
EXERCISES["ex-aloud-mask"] = Exercise(
    right=lambda scores, letters: scores.masked_fill(letters == 0, -torch.inf).softmax(-1),
    given=[(SCORES, LETTERS)],
    wrong={
        "A score of 0 is a score like any other: exp(0) is 1.": lambda scores, letters: (
            scores.masked_fill(letters == 0, 0.0).softmax(-1)
        ),
        "What is left does not add up to 1: mask before the softmax, not behind it.": lambda scores, letters: (
            scores.softmax(-1) * (letters != 0)
        ),
        "The places without a letter still get a share.": lambda scores, letters: scores.softmax(
            -1
        ),
    },
)
EXERCISES["ex-aloud-posterior"] = Exercise(
    right=lambda log_q, f: (log_q - f).softmax(-1),
    given=[(LOG_Q, LOSSES)],
    wrong={
        "That is where the network looked before the sound was known.": lambda log_q, f: (
            log_q.exp()
        ),
        "Bayes' rule also weighs with q, the belief before the sound.": lambda log_q, f: (
            -f
        ).softmax(-1),
        "A letter that explains the sound well has a small loss: look at the sign.": lambda log_q, f: (
            (log_q + f).softmax(-1)
        ),
        "Beliefs add up to 1: divide by their sum.": lambda log_q, f: (log_q - f).exp(),
    },
)
EXERCISES["ex-aloud-slope"] = Exercise(
    right=lambda log_q, f: log_q.exp() - (log_q - f).softmax(-1),
    given=[(LOG_Q, LOSSES)],
    wrong={
        "The sign: a letter whose belief rises when the sound is heard should get a higher score, so the slope of the loss is negative there.": lambda log_q, f: (
            (log_q - f).softmax(-1) - log_q.exp()
        ),
        "That is the slope of the mean loss, which the score function estimates.": lambda log_q, f: (
            log_q.exp() * (f - (log_q.exp() * f).sum(-1, keepdim=True))
        ),
        "That is the belief after the sound. What was believed before has to be taken into account.": lambda log_q, f: (
            (log_q - f).softmax(-1)
        ),
    },
)
