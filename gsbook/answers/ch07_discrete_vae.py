"""Exercises of chapter 7, A discrete VAE."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise, is_blank
from gslib import Categorical, kl

EXERCISES: dict[str, Exercise] = {}
UNITS = fixed([[0.5, 1.0, 0.0], [-1.0, 0.3, 2.0]], [[0.2, 0.1, 0.0], [1.0, -0.5, 0.4]])  # [2, 2, 3]
EXERCISES["ex-vae-1"] = Exercise(
    right=lambda q: math.log(q.logits.shape[-1]) - q.entropy(),
    given=[(Categorical(UNITS),), (Categorical(fixed([[0.3, -1.0, 2.0, 0.4]])),)],
    wrong={
        "Write out the KL with p = 1/K: log K is missing.": lambda q: -q.entropy(),
        "The more the encoder is in doubt, the less the code costs: look at the sign.": lambda q: (
            q.entropy()
        ),
        "That is the price of certainty only; doubt makes the code cheaper.": lambda q: (
            torch.full_like(q.entropy(), math.log(q.logits.shape[-1]))
        ),
    },
)
EXERCISES["ex-vae-2"] = Exercise(
    right=lambda q, p, z: (q.log_prob(z) - p.log_prob(z)).sum(-1),
    given=[
        (Categorical(UNITS), Categorical(torch.zeros(2, 2, 3)), torch.eye(3)[fixed([2, 0], [1, 1])])
    ],
    wrong={
        "The sign is turned: the KL is the mean of log q - log p.": lambda q, p, z: (
            p.log_prob(z) - q.log_prob(z)
        ).sum(-1),
        "One number per image: sum over the units of the code.": lambda q, p, z: (
            q.log_prob(z) - p.log_prob(z)
        ),
        "Sum over the units. A mean is smaller by their number.": lambda q, p, z: (
            q.log_prob(z) - p.log_prob(z)
        ).mean(-1),
        "This is the analytic KL; here the sample z should enter.": lambda q, p, z: kl(q, p).sum(
            -1
        ),
    },
)
EXERCISES["ex-vae-3"] = Exercise(
    right=lambda loss, divergence: loss - divergence.sum(-1),
    given=[(fixed(120.0, 90.0), fixed([1.0, 2.0, 0.5], [0.2, 0.1, 3.0]))],
    wrong={
        "This is the correct loss; the KL is still in it.": lambda loss, divergence: (
            loss + 0 * divergence.sum(-1)
        ),
        "This counts the KL twice.": lambda loss, divergence: loss + divergence.sum(-1),
        "Take away the KL of all units of an image: sum, do not average.": lambda loss, divergence: (
            loss - divergence.mean(-1)
        ),
        "One loss per image: sum over units, not over images.": lambda loss, divergence: (
            loss - divergence.sum()
        ),
    },
)


def _ask_classes(answer, images, n):
    found = answer(images, n)
    if is_blank(found):
        return found
    again = answer(images, n)
    classes, chosen = found // 100, set(found.tolist())
    return len(found), len(chosen), set(classes.tolist()), set(again.tolist()) == chosen


EXERCISES["ex-vae-4"] = Exercise(
    right=lambda images, n: images[torch.randperm(len(images))[:n]],
    given=[(torch.arange(1000), 200)],  # an "image" is its number, its hundreds are its class
    ask=_ask_classes,
    wrong={
        "The split may be sorted by class: then its first images are all alike.": lambda images, n: (
            images[:n]
        ),
        "The last images of a sorted split are no better than the first.": lambda images, n: images[
            -n:
        ],
        "This returns another number of images than was asked for.": lambda images, n: images,
        "Some images come twice. Choose without putting back.": lambda images, n: images[
            torch.randint(len(images), (n,))
        ],
        "That is every so-many-th image, and no chance in it.": lambda images, n: images[
            :: len(images) // n
        ],
    },
)
