"""Training many runs as one program: the leading ensemble axis holds learning rates, seeds and schedules.

Everything random comes from streams named by the run's seed and the position in training, so that a member's numbers do
not depend on its company, and a run that is stopped at a checkpoint and taken up again gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from gsbook import data as digits
from gsbook.engine.run import Curve, advance, device_noise, member_noise
from gsbook.experiments.table1.config import MODELS, Config
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS
from gslib.functional import stream

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
    """The untrained ensemble [E, ...] of these configs, which differ in learning rate, seed and schedule at most.

    >>> build_model([Config("vae", "bernoulli", "st", lr=lr) for lr in (1e-3, 1e-4)]).encoder.weight.shape
    torch.Size([2, 784, 200])
    """
    first = configs[0]
    kind = MODELS[first.model]
    options = dict(size=size, ensemble=len(configs), seeds=[c.seed for c in configs], data=data)
    if first.model == "vae":
        options |= dict(learned_prior=first.learned_prior, sampled_kl=first.kl == "sampled")
    return kind(first.node, **options)


class Ensemble:
    """E runs in training: model, velocities, baselines and curves, with one `advance` for all.

    Args:
        configs: runs that differ in lr, seed, anneal_rate and steps only (one model, node, estimator, batch size).
        data: dict of uint8 tensors "train", "valid", "test", each [n, D].
        device: where to train. size: of the nodes, default the paper's.

    >>> data = dict.fromkeys(("train", "valid", "test"), torch.randint(0, 2, (20, 16), dtype=torch.uint8))
    >>> configs = [Config("vae", "bernoulli", "st", lr=lr, eval_every=2, batch=10) for lr in (1e-3, 1e-4)]
    >>> list(Ensemble(configs, data, size=(8,)).advance(4))
    [2, 4]
    """

    def __init__(self, configs: list[Config], data: dict[str, Tensor], *, device="cpu", size=None):
        _check_compatible(configs)
        self.configs, self.first, self.step = configs, configs[0], 0
        self.device = torch.device(device)
        self.data = {name: split.to(self.device) for name, split in data.items()}
        images, pixels = self.data["train"].shape
        if self.first.batch > images:
            raise ValueError(
                f"a batch of {self.first.batch} is more than the {images} training images; take a "
                f"smaller batch, Config(..., batch={images}) at most"
            )
        self.model = build_model(configs, size, pixels).to(self.device)
        if self.first.data_bias:
            layer = self.model.decoder if self.first.model == "vae" else self.model.output
            mean = self.data["train"].float().mean(0).clamp(1e-3, 1 - 1e-3).logit()
            layer.bias.data += mean[-layer.bias.shape[-1] :]
        self.baseline = self._make_baseline(pixels)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.velocity = [torch.zeros_like(p) for p in self.weights]
        self.lr = torch.tensor([c.lr for c in configs], device=self.device)
        self.curves = [Curve() for _ in configs]
        self.diverged: list[int | None] = [None] * len(configs)
        self.seconds = 0.0
        self._values: list[float] = []
        self._losses = torch.zeros(len(configs), device=self.device)
        self._orders: dict[tuple[int, int], Tensor] = {}

    def _make_baseline(self, pixels: int) -> Baseline | None:
        options = dict(
            ensemble=len(self.configs),
            seeds=[c.seed for c in self.configs],
            lr=self.first.baseline_lr,
        )
        kind = ESTIMATORS[self.first.estimator].baseline
        if kind == "input":
            return Baseline(pixels if self.first.model == "vae" else pixels // 2, **options).to(
                self.device
            )
        if kind == "signal":
            return Baseline(moving_average=False, **options).to(self.device)
        return None

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        noise = self.noise("noise")
        self._losses.zero_()
        count = stop - self.step
        while self.step < stop:
            self._update(self._batch(), noise)
            self.step += 1
        self._losses /= count

    def _update(self, x: Tensor, noise) -> None:
        row = ESTIMATORS[self.first.estimator]
        # A model that carries the slope has changed its nodes already.
        estimator = row.inner or row
        options = self._options(x)
        surrogate = estimator(partial(self.model.loss, x), uniform=noise, **options)
        loss = surrogate.mean(-1)  # [E]
        # The sum keeps members apart; scaling by each one's rate here spares a pass over the weights.
        slopes = torch.autograd.grad((loss * self.lr).sum(), self.weights)
        with torch.no_grad():
            torch._foreach_mul_(self.velocity, self.first.momentum)
            torch._foreach_add_(self.velocity, slopes)
            torch._foreach_sub_(self.weights, self.velocity)
            self._losses += loss
        if self.baseline is not None:
            self.baseline.update()

    def _options(self, x: Tensor) -> dict:
        """The estimator's hyperparameters at this step."""
        row, options = ESTIMATORS[self.first.estimator], {}
        self._anneal()
        if row.schedule == "tau":
            options["tau"] = self._schedule
        for name in row.options:  # `form` of DARN is the field darn_form
            options[name] = getattr(self.first, f"{self.first.estimator}_{name}")
        if row.baseline == "input":
            options["baseline"] = partial(
                self.baseline, x=x[..., : self.baseline.network[0].weight.shape[-2]]
            )
        elif self.baseline is not None:
            options["baseline"] = self.baseline
        return options

    def _anneal(self) -> None:
        """Bring the members' temperatures or slopes [E] up to the present step."""
        per_epoch = max(1, len(self.data["train"]) // self.first.batch)
        sloped = ESTIMATORS[self.first.estimator].schedule == "slope"
        values = [
            c.slope(self.step, per_epoch) if sloped else c.tau(self.step) for c in self.configs
        ]
        if values != self._values:
            self._values, self._schedule = values, torch.tensor(values, device=self.device)
            if sloped:
                self.model.slope = self._schedule

    def _batch(self) -> Tensor:
        """The next minibatch of each member, [E, B, D], from its own shuffling of the data."""
        n, size = len(self.data["train"]), self.first.batch
        per_epoch = n // size
        epoch, position = divmod(self.step, per_epoch)
        if position == 0 or not self._orders:
            seeds = {c.seed for c in self.configs}
            self._orders = {
                s: torch.randperm(n, generator=stream("order", s, epoch)) for s in seeds
            }
        rows = torch.cat(
            [self._orders[c.seed][position * size : (position + 1) * size] for c in self.configs]
        )
        return (
            self.data["train"]
            .index_select(0, rows.to(self.device))
            .float()
            .unflatten(0, (len(self.configs), size))
        )

    def noise(self, use: str) -> Callable[[Tensor], Tensor]:
        """A `uniform` for one use at this step: on the CPU each member's own stream, on an accelerator one for all."""
        if self.device.type != "cpu":
            return device_noise(self.device, stream(use, self.configs[0].seed, self.step))
        return member_noise([stream(use, c.seed, self.step) for c in self.configs])

    def record(self) -> None:
        self._anneal()
        valid, test = (self.mean_loss(self.data[name]) for name in ("valid", "test"))
        for e, curve in enumerate(self.curves):
            if self.diverged[e] is None and not (
                self._losses[e].isfinite() and valid[e].isfinite()
            ):
                self.diverged[e] = self.step
            curve.step.append(self.step)
            for name, value in (("train", self._losses[e]), ("valid", valid[e]), ("test", test[e])):
                number = float(value)
                getattr(curve, name).append(round(number, 4) if math.isfinite(number) else None)

    @torch.no_grad()
    def mean_loss(self, images: Tensor, batch: int = 500) -> Tensor:
        """Mean loss with one discrete sample per image, [E]: for the VAE the single-sample bound, negated."""
        noise = self.noise("curve")
        total = torch.zeros(len(self.configs), dtype=torch.float64, device=self.device)
        for part in images.split(batch):
            x = part.float().expand(len(self.configs), -1, -1)
            total += self.model.loss(x, lambda q: q.sample(uniform=noise)).sum(-1)
        return total / len(images)

    def state(self, e: int) -> dict[str, Tensor]:
        """Member e's tensors, without the ensemble axis: what a checkpoint holds."""
        state = {f"model.{k}": v[e] for k, v in self.model.state_dict().items() if k != "slope"}
        state |= {f"velocity.{i}": v[e] for i, v in enumerate(self.velocity)}
        if self.baseline is not None:
            state |= {
                f"baseline.{k}": v if v.ndim == 0 else v[e]
                for k, v in self.baseline.state_dict().items()
            }
        return {k: v.contiguous().clone() for k, v in state.items()}

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from members' states at one common step."""
        stacked = {k: torch.stack([s[k] for s in states]).to(self.device) for k in states[0]}
        with torch.no_grad():
            own = self.model.state_dict()
            for k in own:
                if k != "slope":
                    own[k].copy_(stacked[f"model.{k}"])
            for i, v in enumerate(self.velocity):
                v.copy_(stacked[f"velocity.{i}"])
            if self.baseline is not None:
                for k, v in self.baseline.state_dict().items():
                    v.copy_(
                        stacked[f"baseline.{k}"][0] if v.ndim == 0 else stacked[f"baseline.{k}"]
                    )
        self.step, self._orders = step, {}
        self._anneal()


def _check_compatible(configs: list[Config]) -> None:
    if not configs:
        raise ValueError("an ensemble needs at least one config")
    free = set(TOGETHER)
    for c in configs[1:]:
        for name, value in c.to_dict().items():
            if name not in free and value != getattr(configs[0], name):
                raise ValueError(
                    f"runs of one ensemble may differ in {', '.join(sorted(free))} only, but {name} is "
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
    data = load_data()[0] if data is None else data
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ensemble = Ensemble(configs, data, device=device, size=size)
    with tqdm(total=max(c.steps for c in configs), unit="step", disable=not progress) as bar:
        for step in ensemble.advance(bar.total):
            bar.update(step - bar.n)
    return ensemble
