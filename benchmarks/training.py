"""Time a training step of the discrete VAE, gslib's engine against the usual PyTorch loop: python benchmarks/training.py

Every way to train runs in processes of its own, and the ways take turns, so that whatever else the machine does meets all
of them; each number is a median over the turns, and each ratio the median of the ratios within a turn. Even so it needs an
idle machine: the two threads of the usual loop wait for each other, and on a busy one it looks far slower than it is.
The unit is a *model-step*: one update of one model with one batch of 100. An ensemble of E does E of them at once.

    usual        DataLoader over a TensorDataset, nn.Module, F.gumbel_softmax, binary_cross_entropy_with_logits,
                 torch.optim.SGD
    torchvision  the same, but the DataLoader takes torchvision's MNIST with ToTensor: one picture at a time
    tensors      the same model and optimiser, batches taken from a tensor, without a DataLoader
    gslib        gsbook.experiments.table1.train.Ensemble with E members, one thread a process, one or more processes at once
    products     only the five matrix products of a step, one thread a process

Then the evaluation of one trained model (10,000 images, m = 1000) is timed on a part of it and extrapolated.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from itertools import product
from pathlib import Path

BATCH, PIXELS, UNITS = 100, 784, 200
LOOPS = ("usual", "torchvision", "tensors")
CHUNK, EVERY = (
    10,
    120,
)  # model-steps between two looks at the clock; for the engine, which records its losses there
EVALUATED, IMAGES, SAMPLES = 100, 10_000, 1000


def usual(node: str, threads: int, source: str):
    """The loop that most public code has; yields after every CHUNK steps. source: of its batches, one of LOOPS."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    from torchvision import datasets, transforms

    class Digits(datasets.MNIST):
        """torchvision's data set, with pictures of ours in place of its files."""

        def __init__(self, images):
            self.data, self.targets = (
                (255 * images).byte().unflatten(1, (28, 28)),
                torch.zeros(len(images), dtype=int),
            )
            self.transform, self.target_transform = transforms.ToTensor(), None

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(PIXELS, UNITS), nn.Linear(UNITS, PIXELS)
            self.prior = nn.Parameter(torch.zeros(UNITS))

        def forward(self, x, tau):
            logits, prior = self.encoder(x), self.prior
            if node == "categorical":
                logits, prior = logits.view(-1, 20, 10), prior.view(20, 10)
            else:  # a Bernoulli variable is a softmax over two classes
                logits, prior = (torch.stack([v, torch.zeros_like(v)], -1) for v in (logits, prior))
            y = F.gumbel_softmax(logits, tau=tau)
            log_q, log_p = logits.log_softmax(-1), prior.log_softmax(-1)
            z = y.flatten(1) if node == "categorical" else y[..., 0]
            nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)
            return (nll + (log_q.exp() * (log_q - log_p)).sum((-2, -1))).mean()

    if threads:
        torch.set_num_threads(threads)
    images = pixels()
    model = VAE()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def batches():
        if source == "usual":
            for (x,) in DataLoader(TensorDataset(images), batch_size=BATCH, shuffle=True):
                yield x
        elif source == "torchvision":
            for x, _ in DataLoader(Digits(images), batch_size=BATCH, shuffle=True):
                yield (x.flatten(1) > 0.5).float()
        else:
            for rows in torch.randperm(len(images)).split(BATCH):
                yield images[rows]

    step, total = 0, 0.0
    while True:
        for x in batches():
            loss = model(x, 1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            step += 1
            if step % CHUNK == 0:
                yield CHUNK


def gslib(node: str, members: int, estimator: str = "gumbel_softmax"):
    """The engine, as a long run uses it; yields after every EVERY model-steps, with a point of the learning curve."""
    from gsbook.engine.machine import prepare_process
    from gsbook.experiments.table1.config import Config
    from gsbook.experiments.table1.train import Ensemble

    prepare_process()
    images = pixels().byte()
    data = {"train": images, "valid": images[:BATCH], "test": images[:BATCH]}
    every = max(1, EVERY // members)
    options = dict(lr=1e-3, steps=10**9, eval_every=every, batch=BATCH, anneal_rate=1e-5)
    ensemble = Ensemble(
        [Config("vae", node, estimator, seed=s, **options) for s in range(members)], data
    )
    for _ in ensemble.advance(10**9):
        yield every * members


def products():
    """Only what no implementation can leave out: the five matrix products of a step."""
    import torch

    from gsbook.engine.machine import prepare_process

    prepare_process()
    x, z, d, e = (torch.rand(BATCH, n) for n in (PIXELS, UNITS, PIXELS, UNITS))
    encoder, decoder = torch.rand(PIXELS, UNITS), torch.rand(UNITS, PIXELS)
    while True:
        for _ in range(CHUNK):
            x @ encoder, z @ decoder, z.T @ d, d @ decoder.T, x.T @ e
        yield CHUNK


def pixels():
    """As many random black and white pixels as the training set has: time does not depend on what they show."""
    import torch

    return (torch.rand(50_000, PIXELS, generator=torch.Generator().manual_seed(0)) < 0.13).float()


def evaluation(node: str) -> dict:
    """Seconds and peak memory of the m-sample bound on a part of the test set, in this process."""
    import torch

    from gsbook.engine.machine import prepare_process
    from gslib.models import DiscreteVAE

    prepare_process()
    model, x = DiscreteVAE(node), pixels()[:EVALUATED]
    start, cpu = time.perf_counter(), time.process_time()
    for part in torch.split(x, 50):
        model.bound(part, SAMPLES)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if platform.system() == "Darwin" else 1024
    )
    return {
        "images": EVALUATED,
        "samples": SAMPLES,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "seconds_for_10000": seconds * IMAGES / EVALUATED,
        "peak_bytes": peak,
    }


WAYS = {"usual": usual, "gslib": gslib, "products": products}


def work(pipe, kind: str, arguments: tuple) -> None:
    """A process that trains for as long as it is told; answers its model-steps per second, and the CPU seconds of each."""
    chunks = WAYS[kind](*arguments)
    next(chunks)  # warm up
    pipe.send(None)
    while (seconds := pipe.recv()) is not None:
        done, start, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            done += next(chunks)
        pipe.send((done / (time.perf_counter() - start), (time.process_time() - cpu) / done))


def ways(node: str, members: list[int], processes: list[int]) -> dict[str, list[tuple]]:
    """Label -> what each of its processes does."""
    found = {
        f"{source}{name}": [("usual", (node, threads, source))]
        for source in LOOPS
        for threads, name in ((0, ""), (1, ", 1 thread"))
    }
    for n, e in product(processes, members):
        found[f"gslib, E = {e}" + (f", {n} processes" if n > 1 else "")] = [
            ("gslib", (node, e))
        ] * n
    return found | {
        "products" + (f", {n} processes" if n > 1 else ""): [("products", ())] * n
        for n in {1, *processes}
    }


def measure(contestants: dict[str, list[tuple]], repeats: int, seconds: float) -> tuple[dict, dict]:
    """Per way and turn: model-steps per second of all its processes, and CPU seconds per model-step."""
    context = multiprocessing.get_context("spawn")
    workers = {label: [] for label in contestants}
    for label, tasks in contestants.items():
        for kind, arguments in tasks:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, kind, arguments), daemon=True)
            process.start()
            workers[label].append((ours, process))
    for pairs in workers.values():
        for pipe, _ in pairs:
            pipe.recv()  # ready
    speeds, costs = ({label: [] for label in contestants} for _ in range(2))
    for turn in range(repeats):
        for label in list(contestants)[:: 1 if turn % 2 else -1]:
            for pipe, _ in workers[label]:
                pipe.send(seconds)
            answers = [pipe.recv() for pipe, _ in workers[label]]
            speeds[label].append(sum(speed for speed, _ in answers))
            costs[label].append(statistics.fmean(cost for _, cost in answers))
    for pairs in workers.values():
        for pipe, process in pairs:
            pipe.send(None)
            process.join()
    return speeds, costs


def summary(speeds: dict, costs: dict, cores: dict) -> list[dict]:
    """Per way the median speed, the median ratios to the two loops with a DataLoader, the CPU time of a step (of all
    threads together: the figure that other work on the machine disturbs least), and the time that a step takes of the
    cores it has, in units of what the five products take of one core."""
    rows = []
    for label, values in speeds.items():
        row = {
            "way": label,
            "cores": cores[label],
            "steps_per_second": statistics.median(values),
            "ms_per_step": 1000 / statistics.median(values),
            "cpu_ms_per_step": 1000 * statistics.median(costs[label]),
        }
        for base in ("usual", "torchvision"):
            ratios = sorted(v / b for v, b in zip(values, speeds[base], strict=True))
            row |= {
                f"times_{base}": statistics.median(ratios),
                f"times_{base}_range": [ratios[0], ratios[-1]],
            }
        floors = [cores[label] * p / v for v, p in zip(values, speeds["products"], strict=True)]
        rows.append(row | {"products_per_core": statistics.median(floors)})
    return rows


def machine() -> dict:
    """What the numbers depend on besides the code."""
    import torch

    from gsbook.engine.machine import environment

    found = environment(torch.device("cpu"))
    return {
        "cpu": found["device"],
        "cores": os.cpu_count(),
        "default_threads": torch.get_num_threads(),
        "torch": found["torch"],
        "python": found["python"],
        "load_before": round(os.getloadavg()[0], 1),
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--node", choices=("bernoulli", "categorical"), default="bernoulli")
    parser.add_argument(
        "--members", type=int, nargs="+", default=[1, 3, 6], help="ensemble sizes E"
    )
    parser.add_argument(
        "--processes",
        type=int,
        nargs="+",
        default=[1, 2],
        help="numbers of processes of the engine",
    )
    parser.add_argument("--repeats", type=int, default=9, help="turns")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one way in one turn")
    parser.add_argument("--json", type=Path, help="also write the table here")
    args = parser.parse_args()
    about = machine()
    print(
        f"{about['cpu']}, {about['cores']} cores, torch {about['torch']}, {about['default_threads']} threads by default, "
        f"load {about['load_before']}"
    )
    print(
        f"VAE ({args.node}), batch {BATCH}, Gumbel-Softmax, float32, median of {args.repeats} interleaved turns\n"
    )
    contestants = ways(args.node, args.members, args.processes)
    cores = {
        label: about["default_threads"] if label in LOOPS else len(tasks)
        for label, tasks in contestants.items()
    }
    rows = summary(*measure(contestants, args.repeats, args.seconds), cores)
    print(
        f"{'':<27}{'cores':>5}{'model-steps/s':>15}{'ms':>7}{'CPU ms':>8}{'times usual (range)':>23}"
        f"{'times torchvision (range)':>28}{'products a core':>17}"
    )
    for row in rows:
        ratios = (
            f"{row[f'times_{b}']:.2f} ({low:.1f}-{high:.1f})"
            for b in ("usual", "torchvision")
            for low, high in [row[f"times_{b}_range"]]
        )
        print(
            "{:<27}{:>5}{:>15.0f}{:>7.2f}{:>8.2f}{:>23}{:>28}{:>17.2f}".format(
                row["way"],
                row["cores"],
                row["steps_per_second"],
                row["ms_per_step"],
                row["cpu_ms_per_step"],
                *ratios,
                row["products_per_core"],
            )
        )
    with multiprocessing.get_context("spawn").Pool(
        1
    ) as pool:  # a fresh process, whose peak memory is its own
        bound = pool.apply(evaluation, (args.node,))
    print(
        f"\nEvaluation with m = {SAMPLES}, one thread: {bound['seconds']:.2f} s for {EVALUATED} images "
        f"({bound['cpu_seconds']:.2f} s of CPU), extrapolated to {bound['seconds_for_10000']:.0f} s for {IMAGES:,}; "
        f"peak memory {bound['peak_bytes'] / 1e9:.2f} GB"
    )
    if args.json:
        result = {
            "machine": about,
            "node": args.node,
            "batch": BATCH,
            "repeats": args.repeats,
            "rows": rows,
            "evaluation": bound,
        }
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
