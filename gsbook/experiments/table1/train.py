"""Training many runs as one program: the leading ensemble axis holds learning rates, seeds and
schedules.

Everything random is a function of the run's seed and the position in training, so that a member's
numbers do not depend on its company, and a run that is stopped at a checkpoint and taken up again
gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from gsbook import data as digits
from gsbook.engine.noise import Noise, keys
from gsbook.engine.run import Curve, advance
from gsbook.engine.step import Step, best_mode
from gsbook.experiments.table1.config import MODELS, Config
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS

TOGETHER = ("lr", "seed", "anneal_rate", "steps")  # what members of one ensemble may differ in


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({split: uint8 tensor}, {"source", "sha256", "images"}): the binarised digits and what
    identifies them.

    >>> data, about = load_data(images=100)
    >>> len(data["valid"]), len(data["test"]), about["images"]
    (100, 100, 100)
    """
    return digits.splits(digits.binarized_mnist, images)


def build_model(configs: list[Config], size=None, data: int = 784):
    """The untrained ensemble [E, ...] of these configs, which differ in learning rate, seed and
    schedule at most.

    >>> configs = [Config("vae", "bernoulli", "st", lr=lr) for lr in (1e-3, 1e-4)]
    >>> build_model(configs).encoder.weight.shape
    torch.Size([2, 784, 200])
    """
    first = configs[0]
    kind = MODELS[first.model]
    options = dict(size=size, ensemble=len(configs), seeds=[c.seed for c in configs], data=data)
    if first.model == "vae":
        options |= dict(learned_prior=first.learned_prior, sampled_kl=first.kl == "sampled")
    return kind(first.node, **options)


class Ensemble:
    """E runs in training: model, baseline, step and curves, with one `advance` for all.

    Args:
        configs: runs that differ in `TOGETHER` only (one model, node, estimator, batch size).
        data: dict of uint8 tensors "train", "valid", "test", each [n, D].
        device: where to train. size: of the nodes, default the paper's.
        mode: how a step is run (see `gsbook.engine.step`); by default what suits runs of this
            length here.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> options = dict(eval_every=2, batch=10)
    >>> configs = [Config("vae", "bernoulli", "st", lr=lr, **options) for lr in (1e-3, 1e-4)]
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
        images, pixels = self.data["train"].shape
        if self.first.batch > images:
            raise ValueError(
                f"a batch of {self.first.batch} is more than the {images} training images; take a "
                f"smaller batch, Config(..., batch={images}) at most"
            )
        self.per_epoch = images // self.first.batch
        self.model = build_model(configs, size, pixels).to(self.device)
        if self.first.data_bias:
            layer = self.model.decoder if self.first.model == "vae" else self.model.output
            mean = self.data["train"].float().mean(0).clamp(1e-3, 1 - 1e-3).logit()
            layer.bias.data += mean[-layer.bias.shape[-1] :]
        self._row = ESTIMATORS[self.first.estimator]
        self._schedule = torch.ones(len(configs), device=self.device)
        self._values: list[float] = []
        if self._row.schedule == "slope":
            self.model.slope, self.model.slope_form = self._schedule, self.first.slope_form
        self.training = self._build_step(pixels if self.first.model == "vae" else pixels // 2, mode)
        self.curves = [Curve() for _ in configs]
        self.diverged: list[int | None] = [None] * len(configs)
        self.seconds = 0.0

    def _build_step(self, inputs: int, mode: str | None) -> Step:
        """inputs: how many pixels the model, and so the baseline's network, is given."""
        shared, row = self.first, self._row
        # `form` of DARN is the field darn_form; a model that carries the slope has changed its
        # nodes already.
        options = {name: getattr(shared, f"{shared.estimator}_{name}") for name in row.options}
        return Step(
            self.model,
            lambda x: partial(self.model.loss, x),
            partial(row.inner or row, **options),
            self.data["train"],
            seeds=self.seeds,
            lr=torch.tensor([c.lr for c in self.configs], device=self.device),
            batch=shared.batch,
            momentum=shared.momentum,
            baseline=self._make_baseline(inputs),
            sees=lambda x: x[..., :inputs],
            schedules={"tau": self._schedule} if row.schedule == "tau" else {},
            mode=mode or best_mode(shared.steps, self.device),
        )

    def _make_baseline(self, inputs: int) -> Baseline | None:
        if self._row.baseline is None:
            return None
        network = self._row.baseline == "input"
        return Baseline(
            inputs if network else None,
            moving_average=network or self.first.centre,
            normalise=self.first.normalise != "none",
            signal_alone=self.first.normalise == "signal",
            ensemble=len(self.configs),
            seeds=self.seeds,
            lr=self.first.baseline_lr,
        ).to(self.device)

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        while self.step < stop:
            self.training.run(min(stop, self._anneal()) - self.step)
            self.step = self.training.number

    def _anneal(self) -> int:
        """Bring the members' temperatures or slopes up to the present step; returns the step at
        which they change next."""
        sloped = self._row.schedule == "slope"
        every = self.per_epoch if sloped else self.first.anneal_every
        values = [
            c.slope(self.step, self.per_epoch) if sloped else c.tau(self.step) for c in self.configs
        ]
        if values != self._values:
            self._values = values
            self._schedule.copy_(torch.tensor(values))
        return self.step + every - self.step % every

    def noise(self, use: str, part: int = 0) -> Noise:
        """The `uniform` of one use outside training: a function of the members' seeds, the use,
        and the part of it."""
        return Noise(keys(use, self.seeds, device=self.device), part, ndim=self.training.ndim)

    def record(self) -> None:
        """Add a point to the curves."""
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
        """Mean loss with one discrete sample per image, [E]: for the VAE the single-sample bound,
        negated."""
        total = torch.zeros(len(self.configs), dtype=torch.float64, device=self.device)
        for i, part in enumerate(images.split(batch)):
            noise = self.noise(f"curve {self.step}", i)
            x = part.float().expand(len(self.configs), -1, -1)
            total += self.model.loss(x, lambda q, u=noise: q.sample(uniform=u)).sum(-1)
        return total / len(images)

    def states(self) -> list[dict[str, Tensor]]:
        """Each member's tensors, without the ensemble axis: what a saved state holds."""
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
    free = set(TOGETHER)
    for c in configs[1:]:
        for name, value in c.to_dict().items():
            if name not in free and value != getattr(configs[0], name):
                raise ValueError(
                    f"runs of one ensemble may differ in {', '.join(sorted(free))} only, but "
                    f"{name} is "
                    f"{getattr(configs[0], name)!r} and {value!r}; train them apart"
                )


def train(
    configs: list[Config], data: dict | None = None, *, size=None, progress: bool = True
) -> Ensemble:
    """Train an ensemble in this process and return it: its `model` holds all members, `curves`
    their losses.

    configs: as for `Ensemble`. data: as `load_data` gives, by default everything. size: of the
    nodes. No record is kept.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> config = Config("vae", "bernoulli", "st", lr=1e-3, steps=4, eval_every=2, batch=10)
    >>> train([config], data, size=(8,), progress=False).curves[0].step
    [2, 4]
    """
    from tqdm import tqdm

    data = load_data()[0] if data is None else data
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ensemble = Ensemble(configs, data, device=device, size=size)
    with tqdm(total=max(c.steps for c in configs), unit="step", disable=not progress) as bar:
        for step in ensemble.advance(bar.total):
            bar.update(step - bar.n)
    return ensemble
