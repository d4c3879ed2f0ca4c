"""Training many runs as one program: the leading ensemble axis holds learning rates, seeds and schedules.

Everything random is a function of the run's seed and the position in training, so that a member's numbers do not depend
on its company, and a run that is stopped at a checkpoint and taken up again gives the same numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import Step, best_mode
from gslib._checks import unchecked
from gslib._checks import unchecked
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS
from gslib.experiment.config import TEMPERED, Config
from gslib.models import DiscreteVAE, StochasticBinaryNetwork


def build_model(configs: list[Config], size=None, data: int = 784):
    """The untrained ensemble [E, ...] of these configs, which differ in learning rate, seed and schedule at most.

    >>> build_model([Config("vae", "bernoulli", "st", lr=lr) for lr in (1e-3, 1e-4)]).encoder.weight.shape
    torch.Size([2, 784, 200])
    """
    first = configs[0]
    kind = DiscreteVAE if first.model == "vae" else StochasticBinaryNetwork
    options = dict(size=size, ensemble=len(configs), seeds=[c.seed for c in configs], data=data)
    if first.model == "vae":
        options |= dict(learned_prior=first.learned_prior, sampled_kl=first.kl == "sampled")
    return kind(first.node, **options)


@dataclass
class Curve:
    """A run's learning curve: steps, and mean losses in nats at each.

    >>> Curve(step=[100], train=[205.5])
    Curve(step=[100], train=[205.5], valid=[], test=[])
    """

    step: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)


class Ensemble:
    """E runs in training: model, baseline, step and curves, with one `advance` for all.

    Args:
        configs: runs that differ in lr, seed, anneal_rate and steps only (one model, node, estimator, batch size).
        data: dict of uint8 tensors "train", "valid", "test", each [n, D].
        device: where to train. size: of the nodes, default the paper's.
        mode: how a step is run (see `gsbook.engine.step`); by default what suits runs of this length here.

    >>> data = dict.fromkeys(("train", "valid", "test"), torch.randint(0, 2, (20, 16), dtype=torch.uint8))
    >>> configs = [Config("vae", "bernoulli", "st", lr=lr, eval_every=2, batch=10) for lr in (1e-3, 1e-4)]
    >>> list(Ensemble(configs, data, size=(8,), mode="eager").advance(4))
    [2, 4]
    """

    def __init__(
        self,
        configs: list[Config],
        data: dict[str, Tensor],
        *,
        device="cpu",
        size=None,
        mode: str | None = None,
    ):
        _check_compatible(configs)
        self.configs, self.first, self.step = configs, configs[0], 0
        self.device = torch.device(device)
        self.data = {name: split.to(self.device) for name, split in data.items()}
        self.seeds = [c.seed for c in configs]
        pixels = self.data["train"].shape[1]
        self.model = build_model(configs, size, pixels).to(self.device)
        if self.first.data_bias:
            layer = self.model.decoder if self.first.model == "vae" else self.model.output
            mean = self.data["train"].float().mean(0).clamp(1e-3, 1 - 1e-3).logit()
            layer.bias.data += mean[-layer.bias.shape[-1] :]
        self.baseline = self._make_baseline(pixels)
        name, schedules = self.first.estimator, {}
        if name in TEMPERED:
            schedules["tau"] = torch.ones(len(configs), device=self.device)
        if name == "annealed_st":
            schedules["slope"] = self.model.slope = torch.ones(len(configs), device=self.device)
        fixed = {"form": self.first.darn_form} if name == "darn" else {}
        seen = pixels if self.first.model == "vae" else pixels // 2
        self.training = Step(
            self.model,
            lambda x: partial(self.model.loss, x),
            partial(ESTIMATORS[name], **fixed),
            self.data["train"],
            seeds=self.seeds,
            lr=torch.tensor([c.lr for c in configs], device=self.device),
            batch=self.first.batch,
            momentum=self.first.momentum,
            baseline=self.baseline,
            sees=lambda x: x[..., :seen],
            schedules=schedules,
            mode=mode or best_mode(self.first.steps, self.device),
        )
        self._schedules, self._values = schedules, None
        self.curves = [Curve() for _ in configs]
        self.diverged: list[int | None] = [None] * len(configs)
        self.seconds = 0.0

    def _make_baseline(self, pixels: int) -> Baseline | None:
        options = dict(ensemble=len(self.configs), seeds=self.seeds, lr=self.first.baseline_lr)
        if self.first.estimator == "sf":
            inputs = pixels if self.first.model == "vae" else pixels // 2
            return Baseline(inputs, **options).to(self.device)
        if self.first.estimator in ("darn", "muprop"):
            return Baseline(moving_average=False, **options).to(self.device)
        return None

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve, where state can be saved."""
        every = self.first.eval_every
        while self.step < steps:
            stop = min(steps, self.step + every - self.step % every)
            started = time.perf_counter()
            with unchecked():
                self._train_to(stop)
                self._record()
            self.seconds += time.perf_counter() - started
            yield self.step

    def _train_to(self, stop: int) -> None:
        while self.step < stop:
            self.training.run(min(stop, self._anneal()) - self.step)
            self.step = self.training.number

    def _anneal(self) -> int:
        """Bring the members' temperatures or slopes up to the present step; the step at which they change next."""
        sloped = self.first.estimator == "annealed_st"
        per_epoch = max(1, len(self.data["train"]) // self.first.batch)
        every = per_epoch if sloped else self.first.anneal_every
        values = [
            c.slope(self.step, per_epoch) if sloped else c.tau(self.step) for c in self.configs
        ]
        if values != self._values:
            self._values = values
            for schedule in self._schedules.values():
                schedule.copy_(torch.tensor(values))
        return self.step + every - self.step % every

    def noise(self, use: str, part: int = 0) -> Noise:
        """The `uniform` of one use outside training: a function of the members' seeds, the use, and the part of it."""
        return Noise(keys(use, self.seeds, device=self.device), part, ndim=self.training.ndim)

    def _record(self) -> None:
        self._anneal()
        losses = [self.training.losses().double()]
        losses += [self.mean_loss(self.data[name]) for name in ("valid", "test")]
        for e, found in enumerate(torch.stack(losses).T.tolist()):  # one transfer
            curve = self.curves[e]
            if self.diverged[e] is None and not all(map(math.isfinite, found[:2])):
                self.diverged[e] = self.step
            curve.step.append(self.step)
            for name, number in zip(("train", "valid", "test"), found, strict=True):
                getattr(curve, name).append(round(number, 4) if math.isfinite(number) else None)

    @torch.no_grad()
    def mean_loss(self, images: Tensor, batch: int = 500) -> Tensor:
        """Mean loss with one discrete sample per image, [E]: for the VAE the single-sample bound, negated."""
        total = torch.zeros(len(self.configs), dtype=torch.float64, device=self.device)
        for i, part in enumerate(images.split(batch)):
            noise = self.noise(f"curve {self.step}", i)
            x = part.float().expand(len(self.configs), -1, -1)
            total += self.model.loss(x, lambda q, u=noise: q.sample(uniform=u)).sum(-1)
        return total / len(images)

    def states(self) -> list[dict[str, Tensor]]:
        """Each member's tensors, without the ensemble axis: what a checkpoint holds."""
        kept = self.training.kept()
        return [{k: v[e] for k, v in kept.items()} for e in range(len(self.configs))]

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from members' states at one common step."""
        self.training.load({k: torch.stack([s[k] for s in states]) for k in states[0]}, step)
        self.step = step
        self._anneal()


def _check_compatible(configs: list[Config]) -> None:
    if not configs:
        raise ValueError("an ensemble needs at least one config")
    free = {"lr", "seed", "anneal_rate", "steps"}
    for c in configs[1:]:
        for name, value in c.to_dict().items():
            if name not in free and value != getattr(configs[0], name):
                raise ValueError(
                    f"runs of one ensemble may differ in {', '.join(sorted(free))} only, but {name} is "
                    f"{getattr(configs[0], name)!r} and {value!r}; train them apart"
                )
