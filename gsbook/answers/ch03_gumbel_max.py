"""Exercises of chapter 3, The Gumbel-max trick."""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise
from gslib.functional import gumbel

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-gumbel-max-clocks"] = Exercise(
    right=lambda logits, u: (-u.log() / logits.exp()).argmin(-1),
    given=[
        (
            fixed(0.5, 1.0, -0.7),
            torch.linspace(0.03, 0.97, 60)[torch.arange(60) * 7 % 60].view(20, 3),
        )
    ],
    wrong={
        "The clock that rings first wins: the smallest waiting time, not the largest.": lambda logits, u: (
            (-u.log() / logits.exp()).argmax(-1)
        ),
        "A fast clock waits shorter: divide by the rate, do not multiply.": lambda logits, u: (
            -u.log() * logits.exp()
        ).argmin(-1),
        "The rate is the exponential of the logit.": lambda logits, u: (-u.log() / logits).argmin(
            -1
        ),
    },
)
EXERCISES["ex-gumbel-max-top-two"] = Exercise(
    right=lambda pi, i, j: pi[i] * pi[j] / (1 - pi[i]),
    given=[(fixed(0.6, 0.3, 0.1), 0, 1), (fixed(0.6, 0.3, 0.1), 2, 0)],
    wrong={
        "This is drawing with replacement. Once i is taken, the others share the probability.": lambda pi, i, j: (
            pi[i] * pi[j]
        ),
        "Take i out of the pot, not j: i was drawn first.": lambda pi, i, j: (
            pi[i] * pi[j] / (1 - pi[j])
        ),
    },
)
EULER = 0.5772156649
EXERCISES["ex-gumbel-max-log-z"] = Exercise(
    right=lambda answers: answers.mean() - EULER,
    given=[(fixed(3.1, 4.2, 2.8, 5.0),)],
    wrong={
        "That is the estimate of maximum likelihood, and a better one. Here the mean of the answers is asked for.": lambda answers: (
            -(-answers).exp().mean().log()
        ),
        "The mean of a standard Gumbel is not 0: see the equation for its mean.": lambda answers: (
            answers.mean()
        ),
        "The answers lie too high by the mean of a Gumbel: subtract it.": lambda answers: (
            answers.mean() + EULER
        ),
        "The box has taken the maximum already; the answers need no log-sum-exp.": lambda answers: (
            answers.logsumexp(0)
        ),
    },
)
EXERCISES["ex-gumbel-max-rarest"] = Exercise(
    right=lambda smallest, largest: gumbel(largest) - gumbel(smallest),
    given=[(torch.tensor(torch.finfo(torch.float32).tiny), torch.tensor(1 - 2**-24))],
    wrong={
        "The rival has noise of its own, and it may be at the very bottom.": lambda smallest, largest: (
            gumbel(largest)
        ),
        "Which end of u gives the largest noise? Look at the sign.": lambda smallest, largest: (
            gumbel(smallest) - gumbel(largest)
        ),
        "These are uniform numbers. The noise is -log(-log u).": lambda smallest, largest: (
            largest - smallest
        ),
    },
)
