"""Training with a mistake: Table 1's ensemble with one line changed."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gsbook import data as digits
from gsbook.engine.step import Step
from gsbook.experiments.mistakes.config import Mistaken
from gsbook.experiments.mistakes.lines import MISTAKES
from gsbook.experiments.table1.train import Ensemble
from gslib.program import run


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({split: uint8 tensor}, {"source", "sha256", "images"}): the binary digits, and as
    "grey_train" and "grey_valid" the grey ones that one mistake trains on.

    >>> data, about = load_data(images=100)
    >>> len(data["valid"]), len(data["grey_valid"])
    (100, 100)
    """
    data, about = digits.splits(digits.binarized_mnist, images)
    grey, known = digits.splits(digits.mnist, images)
    for name in ("train", "valid"):
        data[f"grey_{name}"] = grey[name].images
        about["sha256"][f"grey_{name}"] = known["sha256"][name]
    return data, about


class MistakenEnsemble(Ensemble):
    """Runs of Table 1 that share a mistake. Curves hold what the mistaken code prints ("train"),
    and the loss of the correct model with its weights ("valid", "test").

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> names = ("train", "valid", "test", "grey_train", "grey_valid")
    >>> kind = dict(model="vae", node="categorical", estimator="gumbel_softmax", mistake="no_kl")
    >>> config = Mistaken(lr=1e-3, batch=10, eval_every=2, **kind)
    >>> options = dict(size=(2, 3), mode="eager")
    >>> list(MistakenEnsemble([config], dict.fromkeys(names, images), **options).advance(4))
    [2, 4]
    """

    def __init__(self, configs: list[Mistaken], data: dict[str, Tensor], **options):
        self.lines = MISTAKES[configs[0].mistake]
        if self.lines.grey:
            data = data | {"train": data["grey_train"]}
        super().__init__(configs, data, **options)

    def _build_step(self, inputs: int, mode: str | None) -> Step:
        step = super()._build_step(inputs, mode)
        step.program = lambda x: partial(self.lines.loss, self.model, self.pixels(x))
        step.estimator = self._estimate
        return step

    def _estimate(self, program, *, tau: Tensor, uniform) -> Tensor:
        return run(program, lambda q: self.lines.sample(q, tau, uniform))

    def pixels(self, x: Tensor) -> Tensor:
        """What the mistaken code takes for pixels, of images as the data have them."""
        return x / 255 if self.lines.grey else x

    def printed(self, images: Tensor, part: int = 0) -> Tensor:
        """The loss that the mistaken code prints for a batch [B, D], per image, [E, B]. part: of
        the noise."""
        tau = torch.tensor([c.tau(self.step) for c in self.configs], device=self.device)
        x = self.pixels(images.float()).expand(len(self.configs), -1, -1)
        program = partial(self.lines.loss, self.model, x)
        return self._estimate(program, tau=tau, uniform=self.noise("printed", part))
