"""What a choice among K classes costs, with its slopes: python benchmarks/classes.py

Ways to choose take turns, so that whatever else the machine does meets all of them. Times are the
processor's, of one thread, median over the turns; memory is what autograd keeps from the way there
for the way back. The result goes to results/benchmarks/classes.json, by machine.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from gsbook import files
from gsbook.engine.machine import capability, cores, prepare_process, processor
from gsbook.experiments.table2.speed import held_for_backward
from gslib.distributions import Categorical
from gslib.functional import perturb

FILE = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "classes.json"
CLASSES = (10, 100, 1000, 10_000, 100_000)
BATCH, WIDTH = 10, 64  # choices at once; numbers in a row of the table that a choice looks up


def drawn(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The index of a drawn class and its log-probability, each [B, 1], by one uniform number."""
    log_p = logits.log_softmax(-1)
    u = torch.rand(len(logits), 1)
    k = (log_p.detach().exp().cumsum(-1)[:, :-1] < u).sum(-1, keepdim=True)
    return k, log_p.gather(-1, k)


def gumbel_max(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by the arg max over noise of every class."""
    k = perturb(logits.detach()).argmax(-1, keepdim=True)
    return k, logits.log_softmax(-1).gather(-1, k)


def ways(classes: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Name -> a choice of BATCH indices among so many classes, as a number to differentiate."""
    logits = torch.randn(BATCH, classes, requires_grad=True)
    table = torch.randn(classes, WIDTH, requires_grad=True)

    def relaxed() -> torch.Tensor:
        return Categorical(logits[:, None]).relaxed_sample(1.0)[:, 0]

    def look_up() -> torch.Tensor:
        k, log_p = drawn(logits)
        return log_p.sum() + F.embedding(k, table, sparse=True).sum()

    weights = torch.randn(classes)
    return {
        "relaxed": lambda: relaxed() @ weights,
        "torch": lambda: F.gumbel_softmax(logits) @ weights,
        "torch, hard": lambda: F.gumbel_softmax(logits, hard=True) @ weights,
        "drawn": lambda: drawn(logits)[1],
        "drawn, Gumbel-max": lambda: gumbel_max(logits)[1],
        "relaxed, look-up": lambda: relaxed() @ table,
        "drawn, look-up": look_up,
    }


def milliseconds(way: Callable[[], torch.Tensor], calls: int) -> float:
    """Processor time of one call with its slopes, mean over so many in a row."""
    start = time.process_time()
    for _ in range(calls):
        way().sum().backward()
    return 1000 * (time.process_time() - start) / calls


def measure(classes: int, repeats: int) -> list[dict]:
    """A row for each way: median milliseconds, their range, and bytes held for the way back."""
    found = ways(classes)
    calls = {
        name: max(1, round(10 / max(0.01, milliseconds(way, 2)))) for name, way in found.items()
    }
    times: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(repeats):
        for name in found if turn % 2 else reversed(found):
            times[name].append(milliseconds(found[name], calls[name]))
    return [
        {
            "classes": classes,
            "way": name,
            "ms": round(statistics.median(times[name]), 5),
            "ms_range": [round(end(times[name]), 5) for end in (min, max)],
            "bytes": held_for_backward(way),
        }
        for name, way in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="turns of all ways")
    options = parser.parse_args()
    prepare_process()
    torch.manual_seed(0)
    rows = [row for classes in CLASSES for row in measure(classes, options.repeats)]
    machine = {
        "cpu": processor(),
        "instructions": capability(),
        "cores": cores(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }
    measured = {"machine": machine, "batch": BATCH, "width": WIDTH, "repeats": options.repeats}
    name = f"{machine['cpu']}, {machine['instructions']}, {machine['cores']} cores"
    with files.lock(FILE):
        known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        text = json.dumps(known | {name: measured | {"rows": rows}}, indent=1)
        files.write(FILE, (text + "\n").encode())
    for row in rows:
        print(f"{row['classes']:8,} {row['way']:18} {row['ms']:9.3f} ms {row['bytes']:12,} bytes")


if __name__ == "__main__":
    main()
