"""How the autoencoder learns, and what becomes of its codes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gsbook import data as digits
from gsbook.engine.run import Curve, advance, device_noise
from gsbook.experiments.quantised.config import METHODS, POSITIONS, Quantised
from gsbook.experiments.quantised.model import QuantisedAutoencoder, uniform
from gslib.divergences import kl
from gslib.estimators import ESTIMATORS
from gslib.functional import stream

DECAY = 0.99  # of the moving averages of a code's use, and of what chose it
DEAD = 1.0  # a code that is used less often than this in a batch, on average, begins anew
FORGOTTEN = 1e-5  # a code of less use stays where it was: its average has no digits left
WATCHED = 500  # validation images of a point of the curve
SLICE = 500  # images that are evaluated at once


@dataclass
class CodeCurve(Curve):
    """A learning curve: the method's own loss in training, -log p(x | code) on validation images
    (valid), both in nats, and how many codes these have in use.

    >>> CodeCurve(step=[5], used=[60])
    CodeCurve(step=[5], train=[], valid=[], test=[], used=[60])
    """

    used: list[int] = field(default_factory=list)


def load_data(images: int | None = None) -> tuple[dict[str, Tensor], dict]:
    """({split: [n, 784] uint8}, {"source", "sha256", "images"}): the digits of the paper."""
    return digits.splits(digits.binarized_mnist, images)


class QuantisedRun:
    """A run in training: an ensemble of one.

    Args:
        configs: one config. data: {split: [n, 784] uint8}. device: where to train.

    >>> images = torch.randint(0, 2, (20, 784), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> list(QuantisedRun([Quantised("vq", 1e-3, batch=5, eval_every=1)], data).advance(2))
    [1, 2]
    """

    def __init__(self, configs: list[Quantised], data: dict[str, Tensor], *, device="cpu"):
        (self.config,), self.configs, self.step = configs, configs, 0
        self.method = METHODS[self.config.method]
        self.device = torch.device(device)
        self.data = {name: split.to(self.device) for name, split in data.items()}
        self.model = QuantisedAutoencoder(self.config).to(self.device)
        learning = [p for n, p in self.model.named_parameters() if not self.averaged(n)]
        self.adam = torch.optim.Adam(learning, lr=self.config.lr, foreach=True)
        # How often a batch uses each code [K], and the sum of what chose it [K, D], on average.
        share = self.config.batch * POSITIONS / self.config.codes
        self.counts = torch.full((self.config.codes,), share, device=self.device)
        self.sums = self.model.book.detach() * share
        self.curves = [CodeCurve()]
        self.diverged: list[int | None] = [None]
        self.seconds = 0.0
        self._loss = torch.zeros((), device=self.device)

    def averaged(self, name: str) -> bool:
        return name == "book" and self.method.average

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.config.eval_every)

    def train_to(self, stop: int) -> None:
        self._loss.zero_()
        count = stop - self.step
        while self.step < stop:
            x = self.batch()
            if self.method.estimator is None:
                loss, codes, h = self.model.vq_loss(x, learn_book=not self.method.average)
            else:
                loss = self.surrogate(x)
            self.model.zero_grad()
            loss.mean().backward()
            self.adam.step()
            if self.method.estimator is None:
                self.count(codes, h)
            self._loss += loss.detach().mean()
            self.step += 1
        self._loss /= count

    def batch(self) -> Tensor:
        """The pictures of this step, [B, 784]."""
        train, noise = self.data["train"], stream("batch", self.config.seed, self.step)
        picks = torch.randint(len(train), (self.config.batch,), generator=noise)
        return train[picks.to(self.device)].float()

    def noise(self, use: str):
        """A `uniform` for this step."""
        return device_noise(self.device, stream(use, self.config.seed, self.step))

    def surrogate(self, x: Tensor) -> Tensor:
        """What a posterior descends at this step, [B]."""
        estimator = ESTIMATORS[self.method.estimator or ""]
        options = {"tau": self.config.tau(self.step)} if estimator.schedule == "tau" else {}
        program = self.model.program(x, self.method.pays)
        return estimator(program, uniform=self.noise("noise"), **options)

    @torch.no_grad()
    def count(self, codes: Tensor, h: Tensor) -> None:
        """Who used which code, and what follows: averages become vectors, dead codes restart.

        Averages: van den Oord et al. 2017, appendix. Restarts: Dhariwal et al. 2020, a code whose
        average use is below `DEAD` takes a feature of this batch, drawn at random.
        """
        codes, h, book = codes.flatten(), h.flatten(0, 1), self.model.book
        used = torch.bincount(codes, minlength=len(book)).to(h.dtype)
        chose = torch.zeros_like(self.sums).index_add_(0, codes, h)
        self.counts.mul_(DECAY).add_(used, alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(chose, alpha=1 - DECAY)
        if self.method.restart and len(dead := (self.counts < DEAD).nonzero().squeeze(1)):
            noise = stream("restart", self.config.seed, self.step)
            picks = torch.randint(len(h), (len(dead),), generator=noise)
            self.counts[dead] = DEAD
            self.sums[dead] = DEAD * h[picks.to(self.device)]
            book[dead] = h[picks.to(self.device)]
        if self.method.average:
            alive = (self.counts > FORGOTTEN).unsqueeze(1)
            book.copy_(torch.where(alive, self.sums / self.counts.unsqueeze(1), book))

    def record(self) -> None:
        figures = self.figures(self.data["valid"][:WATCHED])
        curve, loss = self.curves[0], float(self._loss)
        if self.diverged[0] is None and not math.isfinite(loss + figures["nll"]):
            self.diverged[0] = self.step
        curve.step.append(self.step)
        for name, value in (("train", loss), ("valid", figures["nll"])):
            getattr(curve, name).append(round(value, 3) if math.isfinite(value) else None)
        curve.used.append(int(figures["used"]))

    @torch.no_grad()
    def figures(self, images: Tensor) -> dict[str, float]:
        """Figures of the codes on some images.

        nll: -log p(x | code) in nats, of the likeliest or nearest codes. rate: what these codes
        cost a reader who knows how frequent each is at each position, in nats. used: codes in use.
        perplexity: of the codes, all positions together; K if all are equally frequent.
        kl: to the uniform prior, in nats; of a nearest code log K at each position. bound: kl, and
        what a code leaves open that is drawn from the posterior, or the nearest.
        """
        found = [self.slice(x.float(), number) for number, x in enumerate(images.split(SLICE))]
        nll, kls, left, codes = (torch.cat(one) for one in zip(*found, strict=True))
        shares = frequencies(codes, self.config.codes)
        together = shares.mean(0)
        return {
            "nll": float(nll.double().mean()),
            "rate": float(torch.special.entr(shares).sum()),
            "used": float((together > 0).sum()),
            "perplexity": float(torch.special.entr(together).sum().exp()),
            "kl": float(kls.double().mean()),
            "bound": float((left + kls).double().mean()),
        }

    def slice(self, x: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(nll, kl, what a drawn code leaves open, each [B], and the codes [B, 49]) of one slice of
        the images."""
        model, posterior = self.model, self.method.estimator is not None
        codes = model.codes(x, posterior)
        nll = model.nll(x, model.book[codes])
        if not posterior:
            return nll, torch.full_like(nll, POSITIONS * self.config.nats), nll, codes
        q, noise = model.node(x), stream("bound", self.config.seed, number)
        drawn = q.sample(uniform=device_noise(self.device, noise))
        return nll, kl(q, uniform(q)).sum(-1), model.nll(x, drawn @ model.book), codes

    def states(self) -> list[dict[str, Tensor]]:
        """What a checkpoint holds."""
        named = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for number, moments in self.adam.state_dict()["state"].items():
            named |= {f"adam.{number}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        named |= {"counts": self.counts, "sums": self.sums}
        return [{k: v.detach().contiguous().clone() for k, v in named.items()}]

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from saved states."""
        (named,) = states
        self.model.load_state_dict(part(named, "model."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part(named, "adam.").items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = value
        self.adam.load_state_dict({**self.adam.state_dict(), "state": moments})
        with torch.no_grad():
            self.counts.copy_(named["counts"])
            self.sums.copy_(named["sums"])
        self.step = step


def frequencies(codes: Tensor, count: int) -> Tensor:
    """How often each of the codes [n, 49] stands at each position, as shares, [49, K]."""
    at = codes.T + count * torch.arange(codes.shape[1], device=codes.device).unsqueeze(1)
    found = torch.bincount(at.flatten(), minlength=count * codes.shape[1])
    return found.view(-1, count).double() / len(codes)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
