"""Training with an estimator after 2017: Table 1's ensemble, with settings and another loss."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from gsbook.engine.step import Step, best_mode
from gsbook.experiments.later.config import Config
from gsbook.experiments.table1.train import Ensemble, build_model
from gslib._checks import unchecked
from gslib.estimators import ESTIMATORS, multi_sample
from gslib.program import Program

TINY = {"bernoulli": (2,), "categorical": (2, 2)}  # sizes of nodes, where runs are counted


def estimate(program: Program, *, config: Config, **options):
    """The surrogate of a config's loss by its estimator."""
    target = multi_sample(program, config.bound) if config.bound > 1 else program
    return ESTIMATORS[config.estimator](target, **config.settings, **options)


def evaluations(config: Config) -> int:
    """How often the program is evaluated for each example of a step, counted on a small model;
    several samples in one run count as so many.

    >>> evaluations(Config("sbn", "bernoulli", "rebar", lr=1e-3))
    5
    """
    one = replace(config, seed=0)
    x = torch.zeros(1, 1, 4)
    model, count = build_model([one], TINY[config.node], x.shape[-1]), []

    def program(sample):
        loss = model.loss(x, sample)
        count.append(loss.numel())
        return loss

    with unchecked():
        estimate(program, config=one)
    return sum(count)


class Later(Ensemble):
    """E runs in training, as in Table 1.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> config = Config("vae", "bernoulli", "disarm", lr=1e-3, eval_every=2, batch=10)
    >>> list(Later([config], data, size=(8,), mode="eager").advance(4))
    [2, 4]
    """

    first: Config

    def _build_step(self, inputs: int, mode: str | None) -> Step:
        self._row = replace(self._row, function=partial(estimate, config=self.first))
        # A step of several evaluations is worth compiling sooner, and then a run that is cut short
        # at equal cost has the same bits as the one that goes on.
        steps = self.first.steps * evaluations(self.first)
        return super()._build_step(inputs, mode or best_mode(steps, self.device))
