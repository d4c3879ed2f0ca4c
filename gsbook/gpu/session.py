"""What is trained on one GPU, and the call in which it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch

from gsbook.engine.experiment import EvaluationSize
from gsbook.experiments.table1.choices import leader
from gsbook.experiments.table1.config import COLUMNS, Config
from gsbook.experiments.table1.plan import BUDGETS
from gsbook.experiments.table1.results import results

PACKING = 20.0  # seconds that are kept for writing what comes back


@dataclass(frozen=True)
class Scale:
    """What is trained, and how thoroughly it is checked and measured before."""

    rows: tuple[str, ...]
    steps: int
    eval_every: int
    batch: int
    seeds: int
    size: EvaluationSize
    checked: int  # steps in which both devices must agree
    timed: int  # steps of one measurement
    members: tuple[int, ...]  # sizes of ensembles that are measured


FULL = Scale(
    rows=("vae-categorical", "sbn-bernoulli", "sbn-categorical", "vae-bernoulli"),
    steps=BUDGETS["paper"].steps,
    eval_every=BUDGETS["paper"].eval_every,
    batch=100,
    seeds=BUDGETS["paper"].seeds,
    size=BUDGETS["paper"].size,
    checked=10,
    timed=200,
    members=(3, 12, 48),
)
TOY = Scale(
    rows=("sbn-bernoulli",),
    steps=12,
    eval_every=4,
    batch=10,
    seeds=2,
    size=EvaluationSize(images=20, samples=5, valid_samples=3),
    checked=2,
    timed=1,
    members=(1, 2),
)


@dataclass
class Session:
    """One call of the command: where it runs, until when, and what it found out."""

    out: Path
    scale: Scale
    device: torch.device
    mode: str  # of a step, see `gsbook.engine.step`
    tf32: bool  # whether products in training may be rounded to TF32
    fused: bool  # whether a step that Triton compiles is timed, too
    until: float  # when to stop, by `clock`
    clock: Callable[[], float] = time.monotonic
    report: dict = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def left(self) -> float:
        """Seconds until it has to pack; 0 once it was told to end."""
        return 0.0 if self.stop.is_set() else max(0.0, self.until - PACKING - self.clock())

    def wait(self) -> float:
        """The time, after everything that the device was given is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.clock()


def cells_of(scale: Scale) -> list[str]:
    return [f"{row}-{name}" for row in scale.rows for name in COLUMNS]


@cache
def finals(cell: str, scale: Scale) -> list[Config]:
    """The final runs of a cell: the rate and schedule of the paper's lists that led the search in
    the book's records, with every seed."""
    best = leader(cell, BUDGETS["paper"], results())
    size = dict(steps=scale.steps, eval_every=scale.eval_every, batch=scale.batch)
    return [replace(best, seed=seed, **size) for seed in range(scale.seeds)]


@contextmanager
def precision(tf32: bool) -> Iterator[None]:
    """Capture with, or without, products in TF32; whatever comes after has none."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
