"""Table 1's ensemble on other images, with other networks and with Adam."""

from __future__ import annotations

import hashlib
from functools import partial

import torch
from torch import Tensor

from gsbook import alphabets
from gsbook import data as digits
from gsbook.engine.step import Step, best_mode
from gsbook.experiments.alphabets.config import Config
from gsbook.experiments.alphabets.model import deepen
from gsbook.experiments.table1 import train as table1

TOGETHER = table1.TOGETHER
SOONER = 5  # compiled from a fifth of the steps on that a lone run needs
DECAYS, EPSILON = (0.9, 0.999), 1e-8  # of Adam, as its authors have them


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({data set: {split: uint8 tensor}}, what identifies them all).

    >>> data, about = load_data(images=100)
    >>> list(data), len(data["drawers"]["test"])
    (['drawers', 'alphabets', 'digits'], 100)
    """
    read = {new: partial(alphabets.binary, new=new) for new in alphabets.NEW}
    read |= {"digits": digits.binarized_mnist}
    found = {name: digits.splits(one, images) for name, one in read.items()}
    abouts = [about for _, about in found.values()]
    about = {
        "source": ", ".join(dict.fromkeys(one["source"] for one in abouts)),
        "sha256": {
            split: hashlib.sha256(
                "".join(one["sha256"][split] for one in abouts).encode()
            ).hexdigest()
            for split in abouts[0]["sha256"]
        },
        "images": images,
    }
    return {name: data for name, (data, _) in found.items()}, about


class Deeper(table1.Ensemble):
    """E runs in training, as in Table 1. data: as `load_data` gives them.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = {"drawers": dict.fromkeys(("train", "valid", "test"), images)}
    >>> options = dict(network="conv", optimiser="adam", eval_every=2, batch=10)
    >>> config = Config("vae", "categorical", "st", lr=1e-3, **options)
    >>> list(Deeper([config], data, size=(4, 3), mode="eager").advance(4))
    [2, 4]
    """

    first: Config

    def __init__(self, configs: list[Config], data: dict[str, dict[str, Tensor]], **options):
        super().__init__(configs, data[configs[0].data], **options)

    def _build_step(self, inputs: int, mode: str | None) -> Step:
        deepen(self.model, self.first.network, self.seeds).to(self.device)
        # These runs are short and many, and members of an ensemble share what is compiled.
        mode = mode or best_mode(SOONER * self.first.steps, self.device)
        step = super()._build_step(inputs, mode)
        return AdamStep(step) if self.first.optimiser == "adam" else step


class AdamStep(Step):
    """A step that is Adam's where `plain` would be SGD's (Kingma and Ba 2015, algorithm 1).

    The plain step, at rate 1 and without momentum, leaves the gradient in `velocity`; what it did
    to the weights is put back before Adam takes its own.
    """

    def __init__(self, plain: Step):
        self.__dict__ |= vars(plain)
        self.momentum = 0.0
        self.state["rate"], self.state["lr"] = self.state["lr"], torch.ones_like(self.state["lr"])
        for name in self.trained:
            for moment in ("first", "second"):  # kept as velocities are
                self.state[f"velocity.{moment}.{name}"] = torch.zeros_like(self.state[name])

    def _step(self, *tensors: Tensor) -> None:
        state = dict(zip(self.state, tensors[:-1], strict=True))
        before = {name: state[name].clone() for name in self.trained}
        super()._step(*tensors)
        with torch.no_grad():
            for name in self.trained:
                slope = state[f"velocity.{name}"]
                first, second = (state[f"velocity.{m}.{name}"] for m in ("first", "second"))
                for moment, value, decay in zip(
                    (first, second), (slope, slope**2), DECAYS, strict=True
                ):
                    moment.mul_(decay).add_(value * (1 - decay))
                shape = (-1, *(1,) * (slope.ndim - 1))
                count, rate = (state[n].to(slope.dtype).view(shape) for n in ("step", "rate"))
                mean, square = (
                    moment / (1 - decay**count)
                    for moment, decay in zip((first, second), DECAYS, strict=True)
                )
                state[name].copy_(before[name] - rate * mean / (square.sqrt() + EPSILON))
