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

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gsbook import files
from gsbook.engine.machine import environment, prepare_process
from gsbook.experiments.table1.plan import TABLE1
from gsbook.gpu.back import REPORT, unpack
from gsbook.gpu.check import check
from gsbook.gpu.lanes import Lanes
from gsbook.gpu.session import FULL, TOY, Scale, Session


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
    out.mkdir(parents=True, exist_ok=True)  # before minutes of training, not after
    if not files.writable(out):
        raise PermissionError(f"{out} takes no new files; correct its permissions or --out")
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
