"""Cells in training side by side, each a captured step on a stream of its own."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gsbook import files
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.step import usable
from gsbook.engine.workers import records_of
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.plan import TABLE1
from gsbook.experiments.table1.train import Ensemble
from gsbook.gpu.back import RECORDS, REPORT, pack_states, tar
from gsbook.gpu.session import Session, cells_of, finals, precision

STREAMS = 14  # at most; torch itself has 32, and gives one out twice after that
SAY = 15.0  # seconds between two lines of progress


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
        cells = [c for c in cells_of(self.session.scale) if c in self.modes and c.startswith(row)]
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
