"""What every trainer shares: the learning curve, the loop between its points, and noise by
member."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gslib._checks import unchecked


@dataclass
class Curve:
    """A run's learning curve: steps, and mean losses in nats at each.

    >>> Curve(step=[100], train=[205.5])
    Curve(step=[100], train=[205.5], valid=[], test=[])
    """

    step: list[int] = field(default_factory=list)
    train: list[float | None] = field(default_factory=list)
    valid: list[float | None] = field(default_factory=list)
    test: list[float | None] = field(default_factory=list)


def advance(trainer, steps: int, eval_every: int) -> Iterator[int]:
    """Train up to the given number of steps in all; yields after each point of the curve, where
    state can be saved.

    trainer: has `step`, `seconds`, `train_to(step)` and `record()`, which adds a point.
    """
    while trainer.step < steps:
        stop = min(steps, trainer.step + eval_every - trainer.step % eval_every)
        started = time.perf_counter()
        with unchecked():
            trainer.train_to(stop)
            trainer.record()
        trainer.seconds += time.perf_counter() - started
        yield trainer.step


def device_noise(device: torch.device, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A `uniform` that draws where the model is, seeded by a generator's seed."""
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(generator.initial_seed())
    return lambda like: torch.empty_like(like).uniform_(generator=generator)
