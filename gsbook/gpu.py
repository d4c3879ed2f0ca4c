"""Whole rows of Table 1 on one GPU, within some minutes and without a network.

    python -m gsbook gpu --minutes 9 --out DIR     check, train, evaluate; again with DIR: go on
    python -m gsbook take DIR                      put what came back into results/

One process holds everything: each cell is an ensemble over seeds whose step is captured as a CUDA
graph, and several cells train at once, each on a stream of its own. All graphs are captured before
any thread starts, for nothing else may use the device meanwhile. Products are those of float32, not
of TF32, unless training alone is allowed them. Without a GPU the same path runs on the CPU, at a
toy size.
"""

from __future__ import annotations

import io
import json
import math
import queue
import signal
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from gsbook import files
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.experiment import EvaluationSize
from gsbook.engine.machine import environment, prepare_process
from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import usable
from gsbook.engine.workers import Stopped, records_of
from gsbook.experiments.table1.choices import leader
from gsbook.experiments.table1.config import COLUMNS, Config
from gsbook.experiments.table1.evaluate import valid_bound
from gsbook.experiments.table1.plan import BUDGETS, TABLE1
from gsbook.experiments.table1.results import results
from gsbook.experiments.table1.train import Ensemble

FILES, LARGEST = 8, 29_000_000  # of what comes back: how many files, and bytes of one
RECORDS, REPORT = "records.tar", "report.json"
PACKING = 20.0  # seconds that are kept for writing what comes back
# Relative difference of what a few steps change: a bit that rounding flips makes some 1e-3 in one
# tensor, noise or a schedule that is wrong makes 1.
CLOSE = 3e-2
STREAMS = 14  # at most; torch itself has 32, and gives one out twice after that
SAY = 15.0  # seconds between two lines of progress


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


def run(
    out: Path,
    minutes: float,
    *,
    tf32: bool = False,
    fused: bool = False,
    device: str | None = None,
    scale: Scale | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict:
    """Check this machine, train as many rows as fit, and write records and states to `out`.

    tf32: whether training, never evaluation, may round products to TF32. fused: whether to time
    one step that Triton compiles as well, which takes a minute. Returns the report.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cuda = device.type == "cuda"
    scale = scale or (FULL if cuda else TOY)
    mode = "captured" if cuda else "eager"
    session = Session(out, scale, device, mode, tf32, fused, clock() + 60 * minutes, clock)
    prepare_process(precision="highest")
    with ending(session), tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        unpack(out, work)
        if (work / REPORT).exists():
            session.report["earlier"] = json.loads((work / REPORT).read_text())
        data, about = TABLE1.load_data(scale.size.images)
        data = {name: split.to(device) for name, split in data.items()}
        session.report |= {"device": environment(device), "toy": scale is TOY, "tf32": tf32}
        print(f"{session.report['device']}, {minutes:g} minutes", flush=True)
        modes = check(session, data)
        lanes = Lanes(session, data, about, work, modes)
        try:
            lanes.run()
        finally:
            lanes.pack()
    return session.report


@contextmanager
def ending(session: Session) -> Iterator[None]:
    """Have a request to end (SIGTERM) stop the training, so that its state still comes back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: session.stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- what is trained


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


# --- is this device right?


def check(session: Session, data: dict[str, Tensor]) -> dict[str, str]:
    """Cell -> the mode in which its steps are right here. Cells that are right in none are left
    out, and the report says so."""
    started = session.clock()
    found: dict = {"noise": noise_difference(session.device), "product": product_error(session)}
    print(f"noise differs from the CPU's by {found['noise']:.1e} at most", flush=True)
    print(f"products differ from float64 by {found['product']:.1e}, relatively", flush=True)
    if found["noise"] > 2**-22 or found["product"] > 1e-5:
        raise Stopped(
            f"this device's noise or products are not those of the CPU ({found}): its numbers "
            "would be of another experiment; nothing was trained"
        )
    part = {name: split[:2000].cpu() for name, split in data.items()}
    part |= {name: part[name][:20] for name in ("valid", "test")}
    modes = {}
    for cell in cells_of(session.scale):
        found[cell] = {}
        expected = trained(session, cell, part, "cpu", "eager")
        for mode in dict.fromkeys((session.mode, "eager")):
            try:
                got = trained(session, cell, part, session.device, mode)
                found[cell][mode] = distance(expected, got)
            except Exception as error:  # of any kind: the next mode may do
                found[cell][mode] = f"{type(error).__name__}: {error}"[:300]
                continue
            if found[cell][mode] < CLOSE:
                modes[cell] = mode
                break
        else:
            print(f"WRONG {cell}: {found[cell]}; it is left out", flush=True)
        if cell in modes and modes[cell] != session.mode:
            print(f"SLOW {cell}: {found[cell]}", flush=True)
    seconds = session.wait() - started
    worst = max((found[c][m] for c, m in modes.items()), default=math.nan)
    print(
        f"{len(modes)} cells agree with the CPU, the worst within {worst:.1e} "
        f"({seconds:.0f} seconds)",
        flush=True,
    )
    session.report["check"] = found | {"seconds": seconds}
    return modes


def noise_difference(device: torch.device) -> float:
    """The largest difference of the noise of two members on this device and on the CPU."""
    place = torch.tensor([3, 70_000])
    both = [
        Noise(keys("noise", [0, 1], device=d), place.to(d), ndim=3)(torch.zeros(2, 50, 200).to(d))
        for d in (torch.device("cpu"), device)
    ]
    return float((both[0] - both[1].cpu()).abs().max())


def product_error(session: Session) -> float:
    """The relative error of a product of float32 matrices, which TF32 would make 1,000 times as
    large."""
    a, b = (torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(0))).unbind()
    exact = a.double() @ b.double()
    got = (a.to(session.device) @ b.to(session.device)).cpu().double()
    return float((got - exact).norm() / exact.norm())


def trained(session: Session, cell: str, data: dict, device, mode: str) -> dict[str, Tensor]:
    """What a few steps change, and what they lead to: tensors on the CPU."""
    configs = [replace(c, batch=session.scale.batch) for c in finals(cell, session.scale)[:2]]
    trainer = Ensemble(configs, data, device=device, mode=mode)
    before = trainer.training.kept()
    trainer.train_to(session.scale.checked)
    after = trainer.training.kept()
    change = {name: value.double() - before[name].double() for name, value in after.items()}
    change["losses"] = trainer.training.losses().cpu().double()
    change["bound"] = valid_bound(trainer, 5).cpu().double()
    return change


def distance(expected: dict[str, Tensor], got: dict[str, Tensor]) -> float:
    """The largest relative difference of two sets of tensors, infinite where one is not finite."""
    worst, least = 0.0, 1e-6 * max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        error = float((got[name] - value).norm() / value.norm().clamp(min=least))
        worst = max(worst, error) if math.isfinite(error) else math.inf
    return worst


# --- training


@dataclass
class Lane:
    """A cell in training on a stream of its own."""

    cell: str
    stream: object | None
    trainer: Ensemble | None = None
    outcome: str = "waits"

    def on(self):
        """The context in which its work is given to the device."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)


class Lanes:
    """All cells that fit, several at once."""

    def __init__(self, session: Session, data, about: dict, work: Path, modes: dict[str, str]):
        self.session, self.data, self.about, self.modes = session, data, about, modes
        self.records = TABLE1.records(work / TABLE1.name)
        self.store = Checkpoints(TABLE1, about, work / "states")
        self.lanes: list[Lane] = []
        self.failed: dict[str, str] = {}
        self.evaluation = 0.0  # seconds of one cell, alone
        self.lock = threading.Lock()
        cuda = session.device.type == "cuda"
        self.streams = [torch.cuda.Stream() for _ in range(STREAMS)] if cuda else [None]

    def run(self) -> None:
        session = self.session
        waiting = {row: self.missing(row) for row in session.scale.rows}
        waiting = {row: cells for row, cells in waiting.items() if cells}
        if not waiting or not session.left():
            print("nothing is left to do" if not waiting else "no time is left", flush=True)
            return
        first, *others = waiting
        self.measure_members(waiting[first][0])
        self.prepare(waiting[first])
        at_once, per_step = self.measure_lanes()
        seconds = {row: self.estimate(row, cells, per_step) for row, cells in waiting.items()}
        fit, total = [first], seconds[first]
        for row in others:
            total += seconds[row]
            if total < session.left() or session.left() > sum(seconds[r] for r in fit):
                fit.append(row)
        for row in waiting:
            print(
                f"{row}: {len(waiting[row])} cells, about {seconds[row]:.0f} seconds"
                + ("" if row in fit else "; not in this call"),
                flush=True,
            )
        print(f"{session.left():.0f} seconds are left", flush=True)
        session.report["estimates"] = seconds
        for row in fit[1:]:
            self.prepare(waiting[row])
        self.train(at_once)

    def missing(self, row: str) -> list[str]:
        """The cells of a row that have no finished record yet and are right here."""
        cells = [f"{row}-{name}" for name in COLUMNS if f"{row}-{name}" in self.modes]
        done = {
            cell
            for cell in cells
            if {c.key for c in finals(cell, self.session.scale)}
            <= {k for k, r in self.records.runs_of(cell).items() if self.records.is_current(r, exactly=True)}
        }
        return [cell for cell in cells if cell not in done]

    def build(self, configs: list[Config], mode: str) -> Ensemble:
        """An ensemble with its step captured, taken up where it was saved."""
        trainer = TABLE1.trainer(configs, self.data, device=self.session.device, mode=mode)
        self.store.load(trainer)
        with precision(self.session.tf32):
            trainer.training.prepare()
        return trainer

    def prepare(self, cells: list[str]) -> None:
        """Lanes for these cells; what is captured here runs on the same stream later."""
        self.session.wait()  # what the default stream wrote is there for all others
        for cell in cells:
            lane = Lane(cell, self.streams[len(self.lanes) % len(self.streams)])
            try:
                with lane.on():
                    lane.trainer = self.build(finals(cell, self.session.scale), self.modes[cell])
            except Exception as error:
                self.failed[cell] = f"failed: {type(error).__name__}: {error}"[:300]
                print(f"FAILED {cell}: {self.failed[cell]}", flush=True)
                continue
            self.lanes.append(lane)

    def measure_members(self, cell: str) -> None:
        """Steps a second against the size of an ensemble, alone; and the time of an evaluation."""
        session, table = self.session, []
        config = finals(cell, session.scale)[0]
        tried = [(members, self.modes[cell]) for members in session.scale.members]
        if session.fused and not usable("fused", session.device):
            tried.append((session.scale.seeds, "fused"))
        for members, mode in tried:
            configs = [replace(config, seed=seed) for seed in range(members)]
            started = session.wait()
            trainer = TABLE1.trainer(configs, self.data, device=session.device, mode=mode)
            with precision(session.tf32):
                trainer.training.prepare()
            ready = session.wait() - started
            rate = session.scale.timed / self.time_of([lambda t=trainer: self.some_steps(t)])
            row = {"members": members, "mode": mode, "ready": ready, "steps": rate}
            table.append(row | {"cell": cell, "member_steps": rate * members})
            print(
                f"{cell}, {members} members, {mode}: ready in {ready:.1f} seconds, "
                f"{rate:.0f} steps a second, {rate * members:.0f} of members",
                flush=True,
            )
            if (members, mode) == tried[0]:
                part = {name: split[:100] for name, split in self.data.items()}
                trainer.data, whole = part, trainer.data
                TABLE1.evaluate(trainer, replace(session.scale.size, samples=2), True)  # warm
                spent = self.time_of(
                    [lambda t=trainer: TABLE1.evaluate(t, session.scale.size, True)]
                )
                self.evaluation = spent * len(whole["test"]) / len(part["test"])
        session.report["members"] = table

    def measure_lanes(self) -> tuple[int, float]:
        """(how many cells to train at once, seconds of a step of all of them): of the numbers that
        are tried, the one with the most steps of cells a second. The steps count."""
        lanes, table = [lane for lane in self.lanes if self.is_training(lane)], []
        for n in sorted({1, (len(lanes) + 1) // 2, len(lanes)} - {0}):
            tasks = [lambda one=lane: self.some_steps(one.trainer, one) for lane in lanes[:n]]
            seconds = self.time_of(tasks) / self.session.scale.timed
            table.append({"cells": n, "seconds": seconds, "per_second": n / seconds})
            print(f"{n} cells at once: {n / seconds:.0f} steps of cells a second", flush=True)
        self.session.report["at_once"] = table
        best = max(table, key=lambda row: row["per_second"], default=None)
        if best is None:
            return 1, 0.0
        if self.session.device.type == "cpu":
            return 1, 1 / best["per_second"]
        return best["cells"], 1 / best["per_second"]

    def estimate(self, row: str, cells: list[str], per_step: float) -> float:
        """Seconds for cells of a row, from the time of a cell's step in company."""
        steps = sum(self.session.scale.steps - self.saved(cell) for cell in cells)
        return steps * per_step + len(cells) * self.evaluation

    def saved(self, cell: str) -> int:
        return min(self.store.step(c) for c in finals(cell, self.session.scale))

    def is_training(self, lane: Lane) -> bool:
        """Whether steps can be timed without reaching a point of its curve."""
        scale, step = self.session.scale, lane.trainer.step
        return step < scale.steps and scale.eval_every - step % scale.eval_every > 3 * scale.timed

    def some_steps(self, trainer: Ensemble, lane: Lane | None = None) -> None:
        with lane.on() if lane else nullcontext():
            trainer.train_to(trainer.step + self.session.scale.timed)

    def time_of(self, tasks: list[Callable[[], object]]) -> float:
        """Seconds of tasks that run at once, each in a thread where there are several."""
        started = self.session.wait()
        if len(tasks) == 1 or self.session.device.type == "cpu":
            for task in tasks:
                task()
        else:
            threads = [threading.Thread(target=task) for task in tasks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return max(1e-9, self.session.wait() - started)

    def train(self, at_once: int) -> None:
        """Train and evaluate all lanes, in order, so many at once, until time is up."""
        lanes: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self.lanes:
            lanes.put(lane)

        def work() -> None:
            while self.session.left():
                try:
                    lane = lanes.get_nowait()
                except queue.Empty:
                    return
                try:
                    with lane.on():
                        self.finish(lane)
                except Exception as error:
                    lane.outcome = f"failed: {type(error).__name__}: {error}"[:300]
                    print(f"FAILED {lane.cell}: {lane.outcome}", flush=True)

        if at_once == 1:
            work()
            return
        threads = [threading.Thread(target=work) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            until = time.monotonic() + SAY
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            self.say()

    def finish(self, lane: Lane) -> None:
        """Train a cell to its end and evaluate it, or save where it stands."""
        trainer, scale, session = lane.trainer, self.session.scale, self.session
        lane.outcome = "trains"
        for _ in trainer.advance(scale.steps):
            if not session.left():
                break
        if trainer.step < scale.steps or session.left() < self.evaluation:
            lane.outcome = f"stopped at {trainer.step}"
            return
        started = session.clock()
        figures = TABLE1.evaluate(trainer, scale.size, True)
        trainer.seconds += session.clock() - started
        runs = records_of(TABLE1, trainer, figures, scale.size, self.about, session.device)
        training = {"matmul_precision": "high" if session.tf32 else "highest"}
        self.records.add([run | training for run in runs])
        lane.outcome = "finished"
        with self.lock:  # what is finished comes back even if this call is killed
            self.pack_records()
        nats = ", ".join(f"{run['test']['nll'] or math.nan:.2f}" for run in runs)
        print(f"{lane.cell}: {nats} nats", flush=True)

    def say(self) -> None:
        busy = [lane for lane in self.lanes if lane.outcome == "trains"]
        lines = [f"{lane.cell} {lane.trainer.step:,}" for lane in busy]
        print(f"{self.session.left():.0f} seconds left; {'; '.join(lines)}", flush=True)

    def pack(self) -> None:
        """Save every lane, and write all of it to `out`."""
        self.session.wait()
        for lane in self.lanes:
            if not lane.outcome.startswith("failed") and lane.trainer.step > 0:
                if lane.trainer.step % self.session.scale.eval_every == 0:
                    self.store.save(lane.trainer)
        report, scale = self.session.report, self.session.scale
        wrong = set(cells_of(scale)) - self.modes.keys()
        report["cells"] = dict.fromkeys(wrong, "failed: its steps are not the CPU's")
        report["cells"] |= {lane.cell: lane.outcome for lane in self.lanes} | self.failed
        report["finished"] = [
            row
            for row in scale.rows
            if not self.missing(row) and not any(cell.startswith(row) for cell in wrong)
        ]
        report["left_out"] = pack_states(self.session.out, self.store)
        self.pack_records()
        print(f"finished rows: {', '.join(report['finished']) or 'none'}; {self.session.out}")

    def pack_records(self) -> None:
        """Write records and report to `out`."""
        work = self.records.folder.parent
        text = json.dumps(self.session.report, indent=1, default=str)
        files.write(work / REPORT, (text + "\n").encode())
        bundle = [work / REPORT, *sorted(self.records.folder.glob("*.jsonl"))]
        files.write(self.session.out / RECORDS, tar(bundle, work))


# --- what comes back


def pack_states(out: Path, store: Checkpoints) -> list[str]:
    """Write saved states to a few files; returns the names of those that did not fit."""
    work = store.folder.parent
    parts: list[list[Path]] = [[]]
    size = 0
    for path in sorted(store.folder.glob("*/*.safetensors")):
        needed = path.stat().st_size + 2048  # its header, and what fills a block
        if size + needed > LARGEST:
            parts.append([])
            size = 0
        parts[-1].append(path)
        size += needed
    for number, part in enumerate(parts[: FILES - 1], 1):
        if part:
            files.write(out / f"states-{number}.tar", tar(part, work))
    return [path.name for part in parts[FILES - 1 :] for path in part]


def tar(paths: list[Path], root: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in paths:
            archive.add(path, path.relative_to(root))
    return buffer.getvalue()


def unpack(out: Path, work: Path) -> None:
    """What an earlier call wrote, as files again."""
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as archive:
            archive.extractall(work, filter="data")


def take(out: Path, folder: Path, checkpoints: Path | None = None) -> str:
    """Add brought-back records to a folder of records, and states to the saved ones; says what
    was added.

    Raises:
        FileNotFoundError: there is nothing to take. ValueError: a record that cannot be, is of
        other code than the present, or on other data than the folder's.
    """
    if not (out / RECORDS).exists():
        raise FileNotFoundError(
            f"{out / RECORDS} does not exist; name the folder that `python -m gsbook gpu` wrote to"
        )
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        unpack(out, work)
        found = TABLE1.records(work / TABLE1.name).all()  # each is checked as it is read
        mine = TABLE1.records(folder)
        data = {run["data"]["sha256"]["train"] for run in mine.all()}
        for run in found:
            if changed := mine.changed(run, exactly=True):
                raise ValueError(
                    f"{run['key']} is of other code than the present, in {', '.join(changed)}: "
                    "check out the version that made it, or run it again"
                )
            if data and run["data"]["sha256"]["train"] not in data:
                raise ValueError(
                    f"{run['key']} was trained on other data, {run['data']['source']!r}; give its "
                    "records a folder of their own (--results)"
                )
        known = {run["key"] for run in mine.all()}
        again = sum(run["key"] in known for run in found)
        mine.add(found)
        target = checkpoints or Checkpoints(TABLE1, {}).folder
        states = sorted((work / "states").glob("*/*.safetensors"))
        for path in states:
            files.write(target / path.relative_to(work / "states"), path.read_bytes())
    return (
        f"{len(found)} runs are in {folder}, {again} of them in place of an older one; "
        f"{len(states)} states are in {target}"
    )
