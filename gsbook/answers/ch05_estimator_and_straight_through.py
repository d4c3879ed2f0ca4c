"""Exercises of chapter 5, The estimator and straight-through."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import LOGITS, gradients
from gsbook.exercise import Exercise, is_blank
from gslib import Categorical

EXERCISES: dict[str, Exercise] = {}


def _ask_counting(answer, program):
    notes = []
    value = program(lambda q: answer(q, notes))
    return ... if is_blank(value) else (value, notes)


def _count(value, note):
    def answer(q, entropies):
        entropies.append(note(q))
        return value(q)

    return answer


EXERCISES["ex-estimator-1"] = Exercise(
    right=_count(lambda q: q.sample(), lambda q: q.entropy().sum().item()),
    given=[(lambda sample: sample(Categorical(LOGITS.flatten(0, 1))),)],  # two units
    ask=_ask_counting,
    wrong={
        "The program must go on with a sample; you have returned the probabilities.": _count(
            lambda q: q.mean, lambda q: q.entropy().sum().item()
        ),
        "Nothing was noted: append the entropy to the list.": lambda q, entropies: q.sample(),
        "A node may have several units: sum their entropies to one number.": _count(
            lambda q: q.sample(), lambda q: q.entropy()
        ),
    },
)
EXERCISES["ex-estimator-2"] = Exercise(
    right=lambda c: ((1 - c) ** 4 - c**4, 2 * ((1 - c) ** 3 - c**3)),
    given=[(0.2,), (0.7,)],
    wrong={
        "The two are exchanged: Gumbel-Softmax adds up the slopes all the way, straight-through sees the ends.": lambda c: (
            2 * ((1 - c) ** 3 - c**3),
            (1 - c) ** 4 - c**4,
        ),
        "The trapezoid rule takes the average of the two slopes, not their sum.": lambda c: (
            (1 - c) ** 4 - c**4,
            4 * ((1 - c) ** 3 - c**3),
        ),
        "The slope of (z - c)⁴ at z = 0 is negative for c > 0: mind its sign.": lambda c: (
            (1 - c) ** 4 - c**4,
            2 * ((1 - c) ** 3 + c**3),
        ),
    },
)


def _ask_straight_through(answer, hard, soft):
    found = gradients(lambda soft: answer(hard, soft), [soft])
    return found if is_blank(found) else (bool((found[0] == hard).all()), *found)


EXERCISES["ex-estimator-3"] = Exercise(
    right=lambda hard, soft: hard + (soft - soft.detach()),
    given=[(torch.eye(3).repeat(400, 1), torch.linspace(0.01, 0.98, 3600).view(1200, 3))],
    ask=_ask_straight_through,
    wrong={
        "The value is right and the gradient is gone: only the second soft may be detached.": lambda hard, soft: (
            hard + (soft - soft).detach()
        ),
        "The gradient is right, but rounding has changed the value: some rows are not exactly one-hot. Mind the brackets.": lambda hard, soft: (
            hard + soft - soft.detach()
        ),
        "The value is soft: the program would see mixtures.": lambda hard, soft: soft,
    },
)
EXERCISES["ex-estimator-4"] = Exercise(
    right=lambda rate, every: math.ceil(math.log(2) / rate / every) * every,
    given=[(1e-4, 500), (1e-5, 500)],
    wrong={
        "The schedule moves only every so many steps: the arrival is a multiple of that.": lambda rate, every: (
            math.log(2) / rate
        ),
        "Rounded down, the schedule has not arrived yet: take the next multiple.": lambda rate, every: (
            math.floor(math.log(2) / rate / every) * every
        ),
        "The logarithm of one half is negative; the number of steps is not.": lambda rate, every: (
            math.ceil(math.log(0.5) / rate / every) * every
        ),
    },
)


def _same_load(a, b):
    if isinstance(a[0], bool):
        return False
    load = float(a[0])
    return load == b[0] or (b[0] == 6.0 and (0 <= load <= 1 or 5 <= load < math.inf))


EXERCISES["ex-estimator-5"] = Exercise(
    right=6.0,
    same=_same_load,
    wrong={
        "That is the old load: a mixture of 2 and 5 grams beats every single weight.": 3.6,
        "The weight of 2 grams fits, but so does a mixture of 1 and 5 grams.": 2.0,
        "Between the weights a mixture fits better than any of them. Look outside their range.": 3.0,
    },
)
