"""How a run of reading aloud trains, and the figures it is judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial

import torch
from torch import Tensor

from gsbook import words
from gsbook.engine.run import Curve, advance, device_noise
from gsbook.experiments.reading.config import Reading
from gsbook.experiments.reading.model import Looks, ReadingAloud, Spelled, spell
from gslib._checks import unchecked
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS
from gslib.functional import stream
from gslib.program import run

CURVE_WORDS = 500  # of validation, in the learning curves
CHUNK = 500  # words that are evaluated at once


def load_data(images: int | None = None) -> tuple[dict[str, Spelled], dict]:
    """({split: words as numbers}, {"source", "sha256", "images"}): the dictionary.

    images: how many words of the validation and test sets, drawn in a fixed way; None: all.

    >>> data, about = load_data(images=100)
    >>> data["test"].letters.shape, data["test"].sounds.shape
    (torch.Size([100, 9]), torch.Size([100, 9]))
    """
    found = {split: words.pronunciations(split) for split in words.SPLITS}
    about = {
        "source": "cmudict",
        "sha256": {name: split.sha256 for name, split in found.items()},
        "images": images,
    }
    data = {name: _spelled(split) for name, split in found.items()}
    for name in ("valid", "test") if images is not None else ():
        data[name] = part(data[name], images)
    return data, about


@cache  # a worker has many runs
def _spelled(split: words.Words) -> Spelled:
    return spell(split)


def part(split: Spelled, size: int) -> Spelled:
    """Words of a split, the same ones on every machine; the dictionary's order is alphabetical."""
    rows = torch.randperm(len(split.letters), generator=stream("part"))[:size]
    return Spelled(split.letters[rows], split.sounds[rows])


class ReadingRun:
    """A run in training. Recurrent layers have no ensemble axis, so it holds one member.

    Args: configs: one `Reading`. data: as `load_data` gives. device: where to train.

    >>> words = spell([words.Word("phone", ("F", "OW", "N"))] * 8)
    >>> config = Reading("gumbel_softmax", lr=1e-3, batch=4, eval_every=1)
    >>> list(ReadingRun([config], dict.fromkeys(("train", "valid", "test"), words)).advance(2))
    [1, 2]
    """

    def __init__(self, configs: list[Reading], data: dict[str, Spelled], *, device="cpu"):
        (config,) = configs
        self.configs, self.first, self.step = configs, config, 0
        self.device = torch.device(device)
        self.data = {n: Spelled(*(t.to(self.device) for t in s)) for n, s in data.items()}
        if config.batch > len(data["train"].letters):
            raise ValueError(
                f"batch {config.batch} is larger than its set of {len(data['train'].letters)} "
                "words; take a smaller one"
            )
        sizes = dict(embedding=config.embedding, width=config.width, hidden=config.hidden)
        self.model = ReadingAloud(**sizes, seed=config.seed).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr, foreach=True)
        estimator = ESTIMATORS.get(config.method)
        self.baseline: Baseline | None = None
        if estimator is not None and estimator.baseline:
            # Letters that are read share their network with the looks, so the signal alone must
            # not be rescaled: no variance normalisation.
            self.baseline = Baseline(config.width, normalise=False, seeds=[config.seed])
            self.baseline.to(self.device)
        self.curves, self.diverged, self.seconds = [Curve()], [None], 0.0
        self._losses = torch.zeros((), device=self.device)
        self._order: tuple[int, Tensor] | None = None

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        noise = device_noise(self.device, stream("noise", self.first.seed, self.step))
        self._losses.zero_()
        count = stop - self.step
        while self.step < stop:
            loss = self.objective(self.model.looks(self.batch()), noise).mean()
            self.optimizer.param_groups[0]["lr"] = self.first.rate(self.step)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.baseline is not None:
                self.baseline.update()
            self._losses += loss.detach()
            self.step += 1
        self._losses /= count

    def batch(self) -> Spelled:
        """The next words, from a shuffling of its own per epoch."""
        train, size = self.data["train"], self.first.batch
        n = len(train.letters)
        epoch, position = divmod(self.step, n // size)
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(n, generator=stream("order", self.first.seed, epoch))
            self._order = epoch, order.to(self.device)
        rows = self._order[1][position * size : (position + 1) * size]
        return Spelled(train.letters[rows], train.sounds[rows])

    def objective(self, looks: Looks, noise) -> Tensor:
        """What the method descends, in nats, [R]: the surrogate of its estimator on the program
        `ReadingAloud.loss`, or one of the two that need no estimator."""
        method = self.first.method
        if method == "marginal":
            return self.model.nll(looks)
        program = partial(self.model.loss, looks)
        if method == "soft":
            return run(program, lambda q: q.mean)
        options = {}
        if ESTIMATORS[method].schedule == "tau":
            options["tau"] = self.first.tau(self.step)
        if self.baseline is not None:
            options["baseline"] = partial(self.baseline, x=looks.heard)
        return ESTIMATORS[method](program, uniform=noise, **options)

    def record(self) -> None:
        curve, loss = self.curves[0], float(self._losses)
        with torch.no_grad():
            looks = self.model.looks(part(self.data["valid"], CURVE_WORDS))
            found = float(self.nll(looks).mean())
        if self.diverged[0] is None and not math.isfinite(loss + found):
            self.diverged[0] = self.step
        curve.step.append(self.step)
        for name, value in (("train", loss), ("valid", found)):
            getattr(curve, name).append(round(value, 4) if math.isfinite(value) else None)

    def nll(self, looks: Looks) -> Tensor:
        """-log p of each sound, [R], for the model that the method trains: with the mean letter for
        soft attention, else the sum over looks."""
        if self.first.method == "soft":
            return run(partial(self.model.loss, looks), lambda q: q.mean)
        return self.model.nll(looks)

    @torch.no_grad()
    def evaluate(self, split: Spelled) -> dict[str, float]:
        """Figures in nats per sound (the end of a word is one), all of them exact sums.

        nll: -log p, as the function of that name has it. expected: the mean over looks of
        -log p(sound | look), which samplers descend. mean: with the mean letter, whatever the
        method. entropy: of a look. word_errors: per cent of words that are not read exactly as in
        the dictionary.
        """
        soft, totals, wrong = self.first.method == "soft", torch.zeros(5).double(), 0
        with unchecked():
            for rows in torch.arange(len(split.letters), device=self.device).split(CHUNK):
                batch = Spelled(split.letters[rows], split.sounds[rows])
                looks = self.model.looks(batch)
                program = partial(self.model.loss, looks)
                terms = (
                    self.nll(looks),
                    ESTIMATORS["exact"](program),
                    run(program, lambda q: q.mean),
                    looks.node.entropy().squeeze(-1),
                    torch.ones_like(looks.sound),
                )
                totals += torch.stack([t.double().sum() for t in terms]).cpu()
                said = self.model.read(batch.letters, soft=soft)[0]
                wrong += int((said != batch.sounds).any(-1).sum())
        nll, expected, mean, entropy = (totals[:-1] / totals[-1]).tolist()
        errors = 100 * wrong / len(split.letters)
        return dict(nll=nll, expected=expected, mean=mean, entropy=entropy, word_errors=errors)

    def states(self) -> list[dict[str, Tensor]]:
        """The run's tensors, of the one member: what a checkpoint holds."""
        state = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        if self.baseline is not None:
            state |= {f"baseline.{k}": v for k, v in self.baseline.state_dict().items()}
        return [{k: v.contiguous().clone() for k, v in state.items()}]

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from a saved state."""
        (state,) = states
        for name, module in (("model.", self.model), ("baseline.", self.baseline)):
            own = {k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}
            if module is not None:
                module.load_state_dict(own)
        saved: dict[int, dict] = {}
        for name, value in state.items():
            if name.startswith("adam."):
                _, i, moment = name.split(".")
                saved.setdefault(int(i), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": saved})
        self.step, self._order = step, None
