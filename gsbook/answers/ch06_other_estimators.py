"""Exercises of chapter 6, The other estimators."""

from __future__ import annotations

from gsbook.answers.shared import COINS, fixed, gradients
from gsbook.exercise import Exercise
from gslib import Bernoulli
from gslib.estimators import ESTIMATORS
from gslib.functional import zero_valued
from gslib.program import Trace

EXERCISES: dict[str, Exercise] = {}


def _ask_estimator(answer, theta, w):
    def surrogate(theta, w):
        return answer(lambda sample: ((sample(Bernoulli(theta)) * w).sum(-1) - 0.2) ** 2)

    return gradients(surrogate, [theta, w])


def _score(signal):
    def answer(program):
        trace = Trace()
        f = program(trace.recording(lambda q: q.sample()))
        return signal(f, trace.log_prob())

    return answer


EXERCISES["ex-others-1"] = Exercise(
    right=lambda program: ESTIMATORS["sf"](program),
    given=[(COINS.repeat(20, 1), fixed(1.0, -0.7, 0.4).repeat(20, 1))],
    ask=_ask_estimator,
    wrong={
        "The signal is a weight, not a path: detach f in the product.": _score(
            lambda f, log_q: f + zero_valued(f * log_q)
        ),
        "The value is no longer the loss: wrap the score term in zero_valued.": _score(
            lambda f, log_q: f + f.detach() * log_q
        ),
        "Parameters in the loss itself need the term f, too.": _score(
            lambda f, log_q: zero_valued(f.detach() * log_q)
        ),
        "Loss times score is already the gradient: look at the sign.": _score(
            lambda f, log_q: f - zero_valued(f.detach() * log_q)
        ),
    },
)
EXERCISES["ex-others-2"] = Exercise(
    right=lambda f, s, q: (q * f * s**2).sum() / (q * s**2).sum(),
    given=[
        (fixed(0.0, 1.0), fixed(-0.9, 0.1), fixed(0.1, 0.9)),
        (fixed(2.0, 3.0), fixed(-0.4, 0.6), fixed(0.6, 0.4)),
    ],
    wrong={
        "That is the mean loss: good, but not the best. Outcomes with a large score count more.": lambda f, s, q: (
            (q * f).sum()
        ),
        "Divide by the mean of the squared score.": lambda f, s, q: (q * f * s**2).sum(),
        "Each outcome counts with its probability q.": lambda f, s, q: (
            (f * s**2).sum() / (s**2).sum()
        ),
    },
)
EXERCISES["ex-others-3"] = Exercise(
    right={"sf"},
    wrong={
        "MuProp uses f(z) - f(zbar): the constant cancels.": {"sf", "muprop"},
        "DARN in its form at the sample uses the slope of f only.": {"sf", "darn"},
        "MuProp uses a difference of losses and DARN a slope: a constant cancels in both.": {
            "sf",
            "darn",
            "muprop",
        },
        "One of them multiplies the score by the whole loss.": set(),
    },
)
EXERCISES["ex-others-4"] = Exercise(
    right=lambda z, p, slope: slope * (1 - p) / 2 if z == 1 else slope * p / 2,
    given=[(1, 0.7, 3.0), (0, 0.7, 0.4)],
    wrong={
        "The trapezoid rule takes one half of each end.": lambda z, p, slope: (
            slope * (1 - p) if z == 1 else slope * p
        ),
        "The two outcomes are exchanged: divide by the probability of the z that was drawn.": lambda z, p, slope: (
            slope * p / 2 if z == 1 else slope * (1 - p) / 2
        ),
        "This is plain straight-through; it gives every draw the same factor.": lambda z, p, slope: (
            slope * p * (1 - p)
        ),
    },
)
