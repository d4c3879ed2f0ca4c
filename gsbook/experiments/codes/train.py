"""How codes are learned, and the figures they are judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gsbook.engine.run import Curve, advance, device_noise
from gsbook.experiments.codes.config import FITTED, OWN, Codes
from gsbook.experiments.codes.kmeans import product, residual
from gsbook.experiments.codes.model import CodedTable
from gsbook.experiments.codes.table import Places, Table, films_table, words_table
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS
from gslib.functional import stream
from gslib.program import run

TOGETHER = ("lr", "seed")  # what members of one ensemble may differ in
WATCHED = 500  # validation places of a point of the curve
COMPARED = 1_000  # rows whose neighbours are compared
NEAREST = 10  # answers that count, and neighbours


@dataclass
class CodeCurve(Curve):
    """A learning curve: the method's own loss in training, what is lost of the rows in per cent
    (valid), and NDCG at 10 in per cent (ndcg).

    >>> CodeCurve(step=[5], ndcg=[8.5])
    CodeCurve(step=[5], train=[], valid=[], test=[], ndcg=[8.5])
    """

    ndcg: list[float | None] = field(default_factory=list)


def load_words(images: int | None = None) -> tuple[dict[str, Table], dict]:
    """({"table"}, {"source", "sha256", "images"}): the words of the King James Bible.

    images: how many places of validation and test, drawn in a fixed way; None: all.
    """
    return _about(*words_table(), "kjv", images)


def load_films(images: int | None = None) -> tuple[dict[str, Table], dict]:
    """The same of the films of MovieLens 100K."""
    return _about(*films_table(), "ml-100k", images)


def _about(table: Table, sha256: str, source: str, images: int | None):
    places = dict(table.places)
    for name in ("valid", "test") if images is not None else ():
        places[name] = places[name].part(images)
    table = Table(table.names, table.rows, table.contexts, table.log_share, places)
    return {"table": table}, {"source": source, "sha256": {"train": sha256}, "images": images}


class CodesRun:
    """E runs in training, or fitted at once where k-means does it.

    Args:
        configs: runs that differ in `TOGETHER` only. data: as `load_words` gives. device: where to
            train.
    """

    def __init__(self, configs: list[Codes], data: dict[str, Table], *, device="cpu"):
        self.configs, self.first, self.step = configs, configs[0], 0
        self.device, self.table = torch.device(device), data["table"]
        self.seeds = [c.seed for c in configs]
        rows = self.table.rows
        self.middle = rows.mean(0)
        self.scale = (rows - self.middle).square().sum(-1).mean().sqrt()
        self.x = ((rows - self.middle) / self.scale).to(self.device)  # of length 1 on average
        first = self.first
        sizes = dict(choices=first.choices, options=first.options, size=rows.shape[1])
        self.model = CodedTable(**sizes, seeds=self.seeds).to(self.device)
        self.fixed: Tensor | None = None  # codes that do not learn, [E, n, M]
        weights = dict(self.model.named_parameters())
        if first.method in OWN:
            weights = {"books": self.model.books}
        self.adam = Adam(weights, torch.tensor([c.lr for c in configs], device=device))
        row = ESTIMATORS.get(first.method)
        self.baseline: Baseline | None = None
        if row is not None and row.baseline:
            self.baseline = Baseline(normalise=False, ensemble=len(configs)).to(self.device)
        self.curves = [CodeCurve() for _ in configs]
        self.diverged: list[int | None] = [None] * len(configs)
        self.seconds = 0.0
        self._losses = torch.zeros(len(configs), device=device)

    def fit(self) -> None:
        """Codes and books by k-means."""
        how = product if self.first.method == "product" else residual
        shape = self.first.choices, self.first.options
        found = [how(self.x.cpu(), *shape, seed) for seed in self.seeds]
        self.fixed = torch.stack([codes for codes, _ in found]).to(self.device)
        with torch.no_grad():
            self.model.books.copy_(torch.stack([books for _, books in found]))

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of steps in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        self._losses.zero_()
        count = stop - self.step
        if self.step == 0 and self.first.method in OWN and self.first.method != "table":
            self.fit()
        while self.step < stop:
            if self.first.method not in FITTED:
                loss = self.objective(self.noise("noise")).mean(1)
                self.model.zero_grad()
                loss.sum().backward()
                self.adam.step(self.first.rate(self.step))
                if self.baseline is not None:
                    self.baseline.update()
                self._losses += loss.detach()
            self.step += 1
        self._losses /= count

    def noise(self, use: str):
        """A `uniform` for tensors [..., E, B, M, K] at this step: each member's numbers are its
        own."""
        parts = [device_noise(self.device, stream(use, s, self.step)) for s in self.seeds]

        def uniform(like: Tensor) -> Tensor:
            found = [u(x) for u, x in zip(parts, like.unbind(like.ndim - 4), strict=True)]
            return torch.stack(found, like.ndim - 4)

        return uniform

    def objective(self, noise) -> Tensor:
        """What the method descends at this step, [E, B]."""
        first, table = self.first, self.table
        count = len(table.rows) if first.aim == "row" else len(table.places["train"].hidden)
        picks = torch.stack(
            [
                torch.randint(count, (first.batch,), generator=stream("batch", s, self.step))
                for s in self.seeds
            ]
        )
        if first.aim == "row":
            rows = picks.to(self.device)
            program = self.model.row_loss(self.x[rows])
        else:
            train = table.places["train"]
            rows = train.hidden[picks].to(self.device)
            queries = table.query(train.around[picks]).to(self.device)
            program = self.model.task_loss(self.x[rows], queries, self.scale.to(self.device))
        if self.fixed is not None:
            own = torch.arange(len(rows), device=self.device).unsqueeze(1)
            z = one_hot(self.fixed[own, rows], first.options).to(self.x.dtype)
            return run(program, lambda q: z)
        estimator, options = ESTIMATORS[first.method], {}
        if estimator.schedule == "tau":
            options["tau"] = first.tau(self.step)
        if self.baseline is not None:
            options["baseline"] = self.baseline
        return estimator(program, uniform=noise, **options)

    @torch.no_grad()
    def codes(self) -> Tensor:
        """The codes of all rows, [E, n, M]: the likeliest option of each choice."""
        if self.fixed is not None:
            return self.fixed
        return self.model.node(self.x.expand(len(self.configs), -1, -1)).logits.argmax(-1)

    @torch.no_grad()
    def rebuilt(self, codes: Tensor) -> Tensor:
        """The rows that codes [E, n, M] stand for, as the task knows them, [E, n, D]. The table
        itself where the method is "table"."""
        if self.first.method == "table":
            return self.table.rows.expand(len(self.configs), -1, -1)
        x = self.model.rebuild(one_hot(codes, self.first.options).to(self.x.dtype))
        return x.cpu() * self.scale + self.middle

    def record(self) -> None:
        places = self.table.places["valid"].part(WATCHED)
        for e, rows in enumerate(self.rebuilt(self.codes())):
            curve, loss = self.curves[e], float(self._losses[e])
            lost, ndcg = self.lost(rows), answers(self.table, rows, places)["ndcg"]
            if self.diverged[e] is None and not math.isfinite(loss + lost):
                self.diverged[e] = self.step
            curve.step.append(self.step)
            for name, value in (("train", loss), ("valid", lost), ("ndcg", ndcg)):
                getattr(curve, name).append(round(value, 4) if math.isfinite(value) else None)

    def lost(self, rows: Tensor) -> float:
        """Per cent of the rows' variance that is lost where these stand for them."""
        return 100 * float((rows - self.table.rows).square().sum(-1).mean() / self.scale**2)

    def evaluate(self, *splits: str) -> list[dict[str, dict[str, float]]]:
        """Figures of each member on the places of some splits, in per cent.

        error: of the rows' variance that is lost. hit, ndcg: see `answers`. neighbours: of the ten
        nearest rows of a row, how many stay among its ten nearest. used: of the M K options, how
        many any row has. alone: of the rows, how many have a code of their own. entropy: of the
        choices over the rows, in bits, of M log2 K at most. Only hit and ndcg differ by split.
        """
        found, codes = [], self.codes()
        compared = min(COMPARED, min(len(self.table.places[s].hidden) for s in splits))
        for e, rows in enumerate(self.rebuilt(codes)):
            shared = {"error": self.lost(rows)}
            shared["neighbours"] = kept_neighbours(self.table.rows, rows, compared)
            used = {"used": 100.0, "alone": 100.0, "entropy": 32.0 * rows.shape[1]}
            if self.first.method != "table":
                used = use_of_codes(codes[e].cpu(), self.first.options)
            found.append(
                {s: shared | used | answers(self.table, rows, self.table.places[s]) for s in splits}
            )
        return found

    def states(self) -> list[dict[str, Tensor]]:
        """Each member's tensors: what a checkpoint holds."""
        named = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"adam.{k}": v for k, v in self.adam.state().items()}
        if self.baseline is not None:
            named |= {f"baseline.{k}": v for k, v in self.baseline.state_dict().items()}
        if self.fixed is not None:
            named["fixed"] = self.fixed
        return [{k: v[e].contiguous().clone() for k, v in named.items()} for e in self.members()]

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from saved states."""
        named = {k: torch.stack([s[k] for s in states]).to(self.device) for k in states[0]}
        self.model.load_state_dict(part(named, "model."))
        self.adam.load(part(named, "adam."), step)
        if self.baseline is not None:
            self.baseline.load_state_dict(part(named, "baseline."))
        self.fixed = named.get("fixed")
        self.step = step

    def members(self) -> range:
        return range(len(self.configs))


class Adam:
    """Adam for weights [E, ...] whose members have rates of their own (Kingma and Ba 2015)."""

    def __init__(self, weights: dict[str, Tensor], lr: Tensor, betas=(0.9, 0.999), eps=1e-8):
        self.weights, self.lr, self.betas, self.eps, self.count = weights, lr, betas, eps, 0
        self.first = {name: torch.zeros_like(w) for name, w in weights.items()}
        self.second = {name: torch.zeros_like(w) for name, w in weights.items()}

    @torch.no_grad()
    def step(self, share: float) -> None:
        """One step, with this share of the rates."""
        self.count += 1
        a, b = self.betas
        for name, w in self.weights.items():
            first, second = self.first[name], self.second[name]
            first.mul_(a).add_(w.grad, alpha=1 - a)
            second.mul_(b).addcmul_(w.grad, w.grad, value=1 - b)
            size = (second / (1 - b**self.count)).sqrt_().add_(self.eps)
            rate = (share * self.lr / (1 - a**self.count)).view(-1, *(1,) * (w.ndim - 1))
            w.sub_(rate * first / size)

    def state(self) -> dict[str, Tensor]:
        moments = (("first", self.first), ("second", self.second))
        return {f"{kind}.{name}": m for kind, parts in moments for name, m in parts.items()}

    def load(self, state: dict[str, Tensor], count: int) -> None:
        """Continue from what `state` gave after `count` steps."""
        self.first, self.second = part(state, "first."), part(state, "second.")
        self.count = count


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def answers(table: Table, rows: Tensor, places: Places) -> dict[str, float]:
    """How well rows [n, D] do at places, in per cent. hit: of the places, how many have the missing
    row among the ten best. ndcg: the same, where the r-th of the ten counts 1 / log2(1 + r)."""
    rank = torch.cat([ranks(table, rows, some) for some in batches(places)])
    gain = (1 / (rank + 2).log2()) * (rank < NEAREST)
    return {"hit": 100 * float((rank < NEAREST).float().mean()), "ndcg": 100 * float(gain.mean())}


def batches(places: Places, size: int = 1_000) -> Iterator[Places]:
    for rows in torch.arange(len(places.hidden)).split(size):
        yield Places(*(field[rows] for field in places))


def ranks(table: Table, rows: Tensor, places: Places) -> Tensor:
    """How many rows score higher than the missing one, [P]; half of those that score the same."""
    scores = table.scores(rows, places)
    own = scores.gather(1, places.hidden.unsqueeze(1))
    above, equal = (scores > own).sum(1), (scores == own).sum(1) - 1
    return torch.where(own.squeeze(1).isnan(), float(len(rows)), above + equal / 2)


def kept_neighbours(before: Tensor, after: Tensor, compared: int = COMPARED) -> float:
    """Of the ten nearest rows of a row, by the cosine, how many stay, in per cent: a mean over some
    rows that are the same ones everywhere."""
    some = torch.randperm(len(before), generator=stream("neighbours"))[:compared]
    near = [nearest(rows, some) for rows in (before, after)]
    same = (near[0].unsqueeze(2) == near[1].unsqueeze(1)).any(2)
    return 100 * float(same.float().mean())


def nearest(rows: Tensor, some: Tensor, count: int = NEAREST) -> Tensor:
    """The rows nearest to some of the rows, by the cosine, [some, count]."""
    unit = torch.nn.functional.normalize(rows, dim=-1)
    alike = unit[some] @ unit.T
    alike[torch.arange(len(some)), some] = -torch.inf
    return alike.topk(count, -1).indices


def use_of_codes(codes: Tensor, options: int) -> dict[str, float]:
    """Of codes [n, M], see `CodesRun.evaluate`."""
    shares = one_hot(codes, options).double().mean(0)  # [M, K]
    _, counts = codes.unique(dim=0, return_counts=True)
    return {
        "used": 100 * float((shares > 0).double().mean()),
        "alone": 100 * float((counts == 1).sum() / len(codes)),
        "entropy": float(torch.special.entr(shares).sum() / math.log(2)),
    }
