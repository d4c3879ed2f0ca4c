"""Exercises of chapter 18, Other alphabets, deeper networks."""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}

IMAGES = torch.arange(2 * 4 * 6).view(2, 4, 6) ** 2 / 100.0


def _shrink(images, k):
    n, height, width = images.shape
    return images.view(n, height // k, k, width // k, k).mean((2, 4))


EXERCISES["ex-alphabets-shrink"] = Exercise(
    right=_shrink,
    given=[(IMAGES, 2)],
    wrong={
        "That is the sum over each block. The mean divides it by the number of its pixels.": lambda images, k: (
            _shrink(images, k) * k * k
        ),
        "That takes one pixel of each block and forgets the others.": lambda images, k: images[
            :, ::k, ::k
        ],
        "A block has k pixels across and k down: divide by k * k.": lambda images, k: (
            _shrink(images, k) * k
        ),
        "The pixels of a row come first in memory: split each axis into blocks by itself.": lambda images, k: (
            images.reshape(len(images), images.shape[1] // k, images.shape[2] // k, k * k).mean(-1)
        ),
        "That is the largest pixel of each block, not their mean.": lambda images, k: images.view(
            len(images), images.shape[1] // k, k, -1, k
        ).amax((2, 4)),
    },
)
GREY = fixed([0.5, 0.9, 0.2], [0.1, 0.3, 0.6])


def _coins(p):
    return -(p * p.log() + (1 - p) * (1 - p).log())


EXERCISES["ex-alphabets-floor"] = Exercise(
    right=lambda p: _coins(p).sum(-1).mean(),
    given=[(GREY,)],
    wrong={
        "A coin can also show 0: that side has its term, too.": lambda p: (
            -(p * p.log()).sum(-1).mean()
        ),
        "That is negative. A loss is the negated logarithm.": lambda p: -_coins(p).sum(-1).mean(),
        "That is per pixel. An image is all of its coins.": lambda p: _coins(p).mean(),
        "That adds up all images: take the mean over them.": lambda p: _coins(p).sum(),
        "That is the entropy of the average grey. A model that knew each image's would do better.": lambda p: (
            _coins(p.mean(0)).sum()
        ),
        "Nats have the natural logarithm: those are bits.": lambda p: (
            _coins(p).sum(-1).mean() / torch.tensor(2.0).log()
        ),
    },
)
FIRST = fixed(1.0, 4.0, 2.0, 3.0)
SECOND = fixed(10.0, 30.0, 40.0, 20.0)


def _agree(a, b):
    i, j = torch.triu_indices(len(a), len(a), offset=1)
    return ((a[i] - a[j]).sign() == (b[i] - b[j]).sign()).float()


EXERCISES["ex-alphabets-pairs"] = Exercise(
    right=lambda a, b: _agree(a, b).mean(),
    given=[(FIRST, SECOND), (FIRST, -FIRST)],
    wrong={
        "That is Kendall's coefficient: the share in the same order less the share in the reverse.": lambda a, b: (
            2 * _agree(a, b).mean() - 1
        ),
        "That is the share in the reverse order.": lambda a, b: 1 - _agree(a, b).mean(),
        "That is how many pairs there are: divide by their number.": lambda a, b: _agree(
            a, b
        ).sum(),
        "An estimator is no pair with itself: leave i = j out.": lambda a, b: (
            ((a[:, None] - a).sign() == (b[:, None] - b).sign()).float().mean()
        ),
        "That is the share of estimators with the same rank in both. Compare pairs.": lambda a, b: (
            (a.argsort().argsort() == b.argsort().argsort()).float().mean()
        ),
    },
)


def _moves(slopes, rate, *, corrected=True, sign=-1, squared=True, root=True):
    m = v = 0.0
    found = []
    for t, g in enumerate(slopes, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (g * g if squared else abs(g))
        mean = m / (1 - 0.9**t) if corrected else m
        square = v / (1 - 0.999**t) if corrected else v
        found.append(sign * rate * mean / ((square**0.5 if root else square) + 1e-8))
    return found


EXERCISES["ex-alphabets-adam"] = Exercise(
    right=_moves,
    given=[([2.0, -1.0, 0.5], 0.1)],
    wrong={
        "Both means start at 0 and are too small at first: divide each by 1 - beta^t.": lambda slopes, rate: (
            _moves(slopes, rate, corrected=False)
        ),
        "A step goes downhill, against the slope.": lambda slopes, rate: _moves(
            slopes, rate, sign=1
        ),
        "Divide by the root of the mean square, which has the size of a slope.": lambda slopes, rate: (
            _moves(slopes, rate, root=False)
        ),
        "The second mean is that of the squares.": lambda slopes, rate: _moves(
            slopes, rate, squared=False
        ),
        "That is SGD. Adam divides by the size of the slopes.": lambda slopes, rate: [
            -rate * g for g in slopes
        ],
    },
)
