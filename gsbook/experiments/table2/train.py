"""How a run of Table 2 trains, and the figures it is judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gsbook import data as digits
from gsbook.engine.run import Curve, advance, device_noise
from gsbook.experiments.table2.config import METHODS, FewLabels
from gslib._checks import unchecked
from gslib.estimators import ESTIMATORS
from gslib.functional import stream
from gslib.models import SemiSupervisedVAE

CURVE_IMAGES = 1000  # of validation, in the learning curves


@dataclass
class LabelCurve(Curve):
    """A learning curve with the accuracy on validation, in per cent.

    >>> LabelCurve(step=[100], accuracy=[91.5])
    LabelCurve(step=[100], train=[], valid=[], test=[], accuracy=[91.5])
    """

    accuracy: list[float] = field(default_factory=list)


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({split: (grey images, labels)}, {"source", "sha256", "images"}): MNIST itself, since labels
    are needed.

    >>> data, about = load_data(images=100)
    >>> data["test"].images.shape, data["test"].labels.shape
    (torch.Size([100, 784]), torch.Size([100]))
    """
    return digits.splits(digits.mnist, images)


def labelled_rows(labels: Tensor, each: int, seed: int) -> Tensor:
    """Indices of `each` images of every class among labels [n], a choice of its own per seed,
    sorted.

    >>> labels = torch.arange(100) % 10
    >>> labels[labelled_rows(labels, each=2, seed=0)].bincount()
    tensor([2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    order = torch.randperm(len(labels), generator=stream("labels", seed))
    chosen = [order[labels[order] == k][:each] for k in labels.unique().tolist()]
    short = [len(c) for c in chosen if len(c) < each]
    if short:
        raise ValueError(
            f"{each} labelled images of each class are wanted, but a class has "
            f"{short[0]}; take fewer"
        )
    return torch.cat(chosen).sort().values


def binarise(images: Tensor, uniform) -> Tensor:
    """Grey images [n, 784] uint8 -> binary float32: a pixel is 1 with probability grey / 255, drawn
    anew at every call.

    >>> binarise(torch.tensor([[0, 255]], dtype=torch.uint8), torch.rand_like)
    tensor([[0., 1.]])
    """
    grey = images.float()
    return (uniform(grey) * 255 < grey).float()


class FewLabelsRun:
    """A run in training. Convolutions have no ensemble axis, so it holds one member.

    Args: configs: one `FewLabels`. data: as `load_data` gives. device: where to train.

    >>> digits = digits.Labelled(torch.zeros(40, 784, dtype=torch.uint8), torch.arange(40) % 10)
    >>> sizes = dict(labels=2, batch=10, labelled_batch=10, eval_every=1)
    >>> config = FewLabels("gumbel_softmax", alpha=1.0, **sizes)
    >>> list(FewLabelsRun([config], dict.fromkeys(("train", "valid", "test"), digits)).advance(2))
    [1, 2]
    """

    def __init__(self, configs: list[FewLabels], data: dict, *, device="cpu"):
        (config,) = configs
        self.configs, self.first, self.step = configs, config, 0
        self.device = torch.device(device)
        self.data = {
            n: digits.Labelled(s.images.to(self.device), s.labels.to(self.device))
            for n, s in data.items()
        }
        train = data["train"]
        self.rows = labelled_rows(train.labels, config.labels, config.seed)
        if config.batch > len(train.images) or config.labelled_batch > len(self.rows):
            raise ValueError(
                f"batch {config.batch} or labelled_batch {config.labelled_batch} is larger "
                f"than its set: there are {len(train.images)} images, {len(self.rows)} of them "
                "labelled; take a smaller one"
            )
        self.model = SemiSupervisedVAE(
            config.classes, style=config.style, channels=config.channels, seed=config.seed
        )
        self.model.to(self.device)
        supervised = METHODS[config.method] is None
        self.weights = list((self.model.class_network if supervised else self.model).parameters())
        self.optimizer = torch.optim.Adam(self.weights, lr=config.lr, foreach=True)
        self.averaged = self._averaged() if config.average else None
        self.curves, self.diverged, self.seconds = [LabelCurve()], [None], 0.0
        self._losses = torch.zeros(1, device=self.device)
        self._orders: dict[str, tuple[int, Tensor]] = {}

    def _averaged(self) -> AveragedModel:
        # After n steps it keeps n / (n + 10) at most, or the first weights would stay for long.
        def update(averaged: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
            keep = min(self.first.average, float(count) / (float(count) + 10))
            torch._foreach_lerp_(averaged, weights, 1 - keep)

        return AveragedModel(self.model, multi_avg_fn=update)

    @property
    def judged(self) -> SemiSupervisedVAE:
        """The model that is evaluated: with the averaged weights, where they are kept."""
        return self.model if self.averaged is None else self.averaged.module

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        noise = self.noise("noise")
        self._losses.zero_()
        count = stop - self.step
        while self.step < stop:
            self._update(self.batch(), noise)
            self.step += 1
        self._losses /= count

    def _rows(self, name: str, of: int, size: int) -> Tensor:
        """The next `size` of `of` indices, from a shuffling of its own per epoch."""
        epoch, position = divmod(self.step, of // size)
        if self._orders.get(name, (None,))[0] != epoch:
            self._orders[name] = (
                epoch,
                torch.randperm(of, generator=stream("order", name, self.first.seed, epoch)),
            )
        return self._orders[name][1][position * size : (position + 1) * size]

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Grey images without labels, grey images with labels, one-hot labels."""
        train, c = self.data["train"], self.first
        with_labels = self.rows[self._rows("labelled", len(self.rows), c.labelled_batch)]
        images, labels = (
            train.images[with_labels.to(self.device)],
            train.labels[with_labels.to(self.device)],
        )
        y = torch.eye(c.classes, device=self.device)[labels]
        return (
            train.images[self._rows("unlabelled", len(train.images), c.batch).to(self.device)],
            images,
            y,
        )

    def _update(self, batch: tuple[Tensor, Tensor, Tensor], noise) -> None:
        loss = self.objective(batch, noise)
        self.optimizer.zero_grad()
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = self.first.rate(self.step)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        self._losses += loss.detach()

    def objective(self, batch: tuple[Tensor, Tensor, Tensor], noise) -> Tensor:
        """Equation 11, negated, in nats: mean U of the unlabelled images plus mean L - alpha log
        q(y|x) of the labelled."""
        images, labelled, y = batch
        x, c = binarise(labelled, noise), self.first
        loss = c.alpha * self.model.classification(x, y).mean()
        estimator = METHODS[c.method]
        if estimator is None:
            return loss
        tempered = ESTIMATORS[estimator].schedule == "tau"
        options = {"tau": c.tau(self.step)} if tempered else {}
        program = partial(self.model.unlabelled, binarise(images, noise), uniform=noise)
        surrogate = ESTIMATORS[estimator](program, uniform=noise, **options)
        return loss + self.model.labelled(x, y, uniform=noise).mean() + surrogate.mean()

    def noise(self, use: str):
        """A `uniform` for one use at this step, drawn where the model is."""
        return device_noise(self.device, stream(use, self.first.seed, self.step))

    def record(self) -> None:
        curve, found = self.curves[0], self.evaluate(self.data["valid"], "curve", CURVE_IMAGES)
        loss = float(self._losses[0])
        bound = (
            0.0 if METHODS[self.first.method] is None else found["elbo"]
        )  # without the generative half there is none
        if self.diverged[0] is None and not math.isfinite(loss + bound):
            self.diverged[0] = self.step
        curve.step.append(self.step)
        for name, value in (
            ("train", loss),
            ("valid", -found["elbo"]),
            ("accuracy", found["accuracy"]),
        ):
            getattr(curve, name).append(round(value, 4) if math.isfinite(value) else None)

    @torch.no_grad()
    def evaluate(
        self, split: digits.Labelled, use: str, images: int | None = None
    ) -> dict[str, float]:
        """elbo: -U in nats by marginalisation, whatever the method (equation 10). single: the same
        with one discrete sample of y (equation 9). accuracy: of arg max q(y|x), in per cent. Seed
        and step fix how images are binarised: alike for all methods, not at all points of a curve.
        """
        noise = self.noise(use)
        picked = torch.arange(len(split.images))
        if images is not None:  # a fixed part, since a file may be sorted by class
            picked = torch.randperm(len(split.images), generator=stream("part"))[:images]
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        with unchecked():
            for rows in picked.to(self.device).split(100):
                x = binarise(split.images[rows], noise)
                program = partial(self.judged.unlabelled, x, uniform=noise)
                hits = self.judged.posterior(x).logits.squeeze(-2).argmax(-1) == split.labels[rows]
                sums = (
                    ESTIMATORS["exact"](program),
                    program(lambda q: q.sample(uniform=noise)),
                    -hits.double(),
                )
                totals -= torch.stack([value.double().sum() for value in sums])
        elbo, single, hits = (totals / len(picked)).tolist()
        if METHODS[self.first.method] is None:  # its generative half was never trained
            elbo = single = math.nan
        return {"elbo": elbo, "single": single, "accuracy": 100 * hits}

    def states(self) -> list[dict[str, Tensor]]:
        """The run's tensors, of the one member: what a checkpoint holds."""
        state = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        if self.averaged is not None:
            state |= {f"average.{k}": v for k, v in self.averaged.state_dict().items()}
        return [{k: v.contiguous().clone() for k, v in state.items()}]

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from a saved state."""
        (state,) = states
        parts = {"model.": self.model, "average.": self.averaged}
        for prefix, module in parts.items():
            if module is not None:
                found = {k: v for k, v in state.items() if k.startswith(prefix)}
                module.load_state_dict({k.removeprefix(prefix): v for k, v in found.items()})
        saved: dict[int, dict] = {}
        for name, value in state.items():
            if name.startswith("adam."):
                _, i, moment = name.split(".")
                saved.setdefault(int(i), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": saved})
        self.step, self._orders = step, {}
