"""Exercises of chapter 20, Units that die."""

from __future__ import annotations

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}

POSTERIORS = fixed([0.7, 0.2, 0.1], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1])


def _divergences(q, p):
    return (q * (q / p).log()).sum(-1)


EXERCISES["ex-dead-said"] = Exercise(
    right=lambda q: _divergences(q, q.mean(0)).mean(),
    given=[(POSTERIORS,)],
    wrong={
        "The weights of the logarithm are those of the image, q, not those of the mean.": lambda q: (
            _divergences(q.mean(0), q).mean()
        ),
        "That adds up the images: take the mean over them.": lambda q: _divergences(
            q, q.mean(0)
        ).sum(),
        "That is the divergence from a uniform prior, not from the mean of q.": lambda q: (
            _divergences(q, torch.full_like(q, 1 / q.shape[-1])).mean()
        ),
        "That is the entropy of the mean; what is left of it with the image is to be subtracted.": lambda q: (
            torch.special.entr(q.mean(0)).sum()
        ),
        "That is negative. The fraction stands upside down.": lambda q: (
            -_divergences(q, q.mean(0)).mean()
        ),
    },
)
SILENT = fixed(0.6, 0.2, 0.1, 0.1)

EXERCISES["ex-dead-price"] = Exercise(
    right=lambda pi: (pi * (pi * len(pi)).log()).sum(),
    given=[(SILENT,)],
    wrong={
        "That is the entropy. The divergence is what it lacks of log K.": lambda pi: (
            torch.special.entr(pi).sum()
        ),
        "That is negative; a divergence never is.": lambda pi: -(pi * (pi * len(pi)).log()).sum(),
        "The uniform prior is missing: it gives each class 1 / K.": lambda pi: (
            pi * pi.log()
        ).sum(),
        "That is the dearest case, of one class alone.": lambda pi: torch.tensor(
            float(len(pi))
        ).log(),
        "Each class counts by its probability: weigh the logarithms by pi.": lambda pi: (
            (pi * len(pi)).log().mean()
        ),
    },
)
IMAGES = fixed([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0])

EXERCISES["ex-dead-bias"] = Exercise(
    right=lambda images: images.mean(0).clamp(0.001, 0.999).logit(),
    given=[(IMAGES,)],
    wrong={
        "That is the frequency itself. The sigmoid comes after the bias, so undo it.": lambda images: (
            images.mean(0).clamp(0.001, 0.999)
        ),
        "A pixel that is never set, or always, gets an infinite bias: limit the frequencies.": lambda images: (
            images.mean(0).logit()
        ),
        "That is the logarithm of the frequency. The odds divide it by 1 - p.": lambda images: (
            images.mean(0).clamp(0.001, 0.999).log()
        ),
        "That is one number for all pixels. Take the mean over the images alone.": lambda images: (
            images.mean().clamp(0.001, 0.999).logit().expand(images.shape[-1])
        ),
        "The sign is reversed: a pixel that is mostly set needs a positive bias.": lambda images: (
            -images.mean(0).clamp(0.001, 0.999).logit()
        ),
    },
)
