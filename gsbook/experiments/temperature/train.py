"""Table 1's training with another temperature: learned, of two minds, or averaged over noise."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from gsbook.engine.step import Step, best_mode
from gsbook.experiments.table1 import train as table1
from gslib.distributions import Categorical
from gslib.divergences import kl, relaxed_kl
from gslib.estimators import ESTIMATORS, gumbel_softmax, st_gumbel_softmax
from gslib.functional import Number, Uniform, bernoulli_nll, noise_like, straight_through
from gslib.models import DiscreteVAE
from gslib.program import Program, Sampler, run

TOGETHER, load_data = table1.TOGETHER, table1.load_data
LEAST, LARGEST = 0.05, 20.0  # a learned temperature stays between them


def loss(model: DiscreteVAE, x: Tensor, sample: Sampler, divergence=kl) -> Tensor:
    """The model's loss with a divergence of the caller's, [..., B]: a program of its sampler.

    >>> model = DiscreteVAE(data=16, size=(2, 3))
    >>> loss(model, torch.zeros(5, 16), lambda q: q.mean).shape
    torch.Size([5])
    """
    q = model.posterior(x)
    z = sample(q)
    return bernoulli_nll(model.decoder(model.flat(z)), x) + divergence(q, model.prior()).sum(-1)


def relaxed_twice(program: Program, *, tau: Number, uniform: Uniform = None) -> Tensor:
    """Gumbel-Softmax with the divergence of the *relaxed* posterior and prior at one temperature: a
    bound for the relaxed model. program: `loss` of a model and images.

    Source: Maddison, Mnih, Teh 2017 (arXiv:1611.00712), where each of the two has its temperature.

    >>> model = DiscreteVAE(data=16, size=(2, 3))
    >>> relaxed_twice(partial(loss, model, torch.zeros(5, 16)), tau=0.5).shape
    torch.Size([5])
    """
    drawn: list[Tensor] = []

    def draw(q: Categorical) -> Tensor:
        drawn.append(q.relaxed_logits(tau, uniform=uniform))
        return drawn[-1].exp()

    found = partial(program, divergence=lambda q, p: relaxed_kl(q, p, drawn[-1], tau))
    return run(found, draw)


def two_temperatures(
    program: Program, *, tau: Number, backward: float, uniform: Uniform = None
) -> Tensor:
    """Relaxed samples at tau, with the gradient of those of the same noise at `backward`.

    >>> q = Categorical(torch.zeros(4, 2, 3))
    >>> two_temperatures(lambda sample: sample(q)[..., 0].sum(-1), tau=0.1, backward=1.0).shape
    torch.Size([4])
    """

    def draw(q: Categorical) -> Tensor:
        u = noise_like(q.logits, uniform)
        forward = q.relaxed_sample(tau, uniform=lambda _: u)
        way_back = q.relaxed_sample(backward, uniform=lambda _: u)
        return straight_through(forward.detach(), way_back)

    return run(program, draw)


class Ensemble(table1.Ensemble):
    """Table 1's trainer with these temperatures; members share all but seed, rate and steps.

    >>> from gsbook.experiments.temperature.config import Config
    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> config = Config(learned="unit", relaxed_kl=True, batch=10, eval_every=2)
    >>> ensemble = Ensemble([config], data, size=(4, 3), mode="eager")
    >>> list(ensemble.advance(4)), ensemble.tau().shape
    ([2, 4], torch.Size([1, 1, 4, 1]))
    """

    def _build_step(self, inputs: int, mode: str | None) -> Step:
        shared = self.first
        learned = bool(shared.learned)
        if learned:
            units = self.model.size[0] if shared.learned == "unit" else 1
            value = torch.full((len(self.configs), 1, units, 1), math.log(shared.start))
            self.model.log_tau = nn.Parameter(value.to(self.device))
        program = partial(loss, self.model) if shared.relaxed_kl else self.model.loss
        return Step(
            self.model,
            lambda x: partial(program, x),
            self.learned_estimator if learned else self.estimator,
            self.data["train"],
            seeds=self.seeds,
            lr=torch.tensor([c.lr for c in self.configs], device=self.device),
            batch=shared.batch,
            momentum=shared.momentum,
            schedules={} if learned else {"tau": self._schedule},
            mode=mode or best_mode(shared.steps, self.device),
        )

    def estimator(self, program: Program, *, tau: Number, uniform: Uniform = None) -> Tensor:
        """What these runs take for a gradient: program, temperature -> surrogate."""
        shared = self.first
        if shared.relaxed_kl:
            return relaxed_twice(program, tau=tau, uniform=uniform)
        return self.reconstruction(program, tau=tau, uniform=uniform)

    def learned_estimator(self, program: Program, *, uniform: Uniform = None) -> Tensor:
        tau = self.model.log_tau.clamp(math.log(LEAST), math.log(LARGEST)).exp()
        return self.estimator(program, tau=tau, uniform=uniform)

    def reconstruction(self, program: Program, *, tau: Number, uniform: Uniform = None) -> Tensor:
        """The same for a program in which no relaxed divergence stands."""
        shared = self.first
        if shared.draws:
            rao = ESTIMATORS["gumbel_rao"]
            return rao(program, tau=tau, k=shared.draws, uniform=uniform)
        if shared.backward:
            options = dict(tau=tau, backward=shared.backward)
            return two_temperatures(program, **options, uniform=uniform)
        if shared.estimator == "st_gumbel_softmax":
            return st_gumbel_softmax(program, tau=tau, uniform=uniform)
        return gumbel_softmax(program, tau=tau, uniform=uniform)

    @torch.no_grad()
    def tau(self) -> Tensor:
        """The temperatures at the present step, [E, 1, 1 or N, 1]."""
        if self.first.learned:
            return self.model.log_tau.clamp(math.log(LEAST), math.log(LARGEST)).exp()
        now = [c.tau(self.step) for c in self.configs]
        return torch.tensor(now, device=self.device).view(-1, 1, 1, 1)
