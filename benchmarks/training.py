"""Time a training step of the discrete VAE, the engine against what else one would pick: python
benchmarks/training.py

Every way to train runs in processes of its own, and the ways take turns, so that whatever else the
machine does meets all of them; each number is a median over the turns, and each ratio the median of
the ratios within a turn. Ratios are of CPU time, which other work on the machine disturbs least.
The unit is a *model-step*: one update of one model with one batch of 100. An ensemble of E does E
of them at once.

    usual        DataLoader over a TensorDataset, nn.Module, F.gumbel_softmax (for a Bernoulli unit
                 one logit and a sigmoid), binary_cross_entropy_with_logits, torch.optim.SGD
    torchvision  the same, but the DataLoader takes torchvision's MNIST with ToTensor: one picture
                 at a time
    tensors      the same model and optimiser, batches taken from a tensor, without a DataLoader
    jax          the same model in JAX, jit over lax.scan of 100 steps, one thread; the extra
                 `benchmark` installs it
    gslib        gsbook.experiments.table1.train.Ensemble with E members, one thread a process, one
                 or more processes at once
    products     only the five matrix products of a step, dense, one thread a process

Then the evaluation of one trained model (10,000 images, m = 1000) is timed on a part of it and
extrapolated. With --json the results of this machine take their place in a file beside those of
others.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

BATCH, PIXELS, UNITS = 100, 784, 200
LOOPS = ("usual", "torchvision", "tensors")
BASES = ("usual", "torchvision", "jax", "products")
CHUNK, EVERY = 10, 120  # model-steps between two looks at the clock; the engine notes losses there
EVALUATED, IMAGES, SAMPLES = (50, 250), 10_000, 1000
SCAN = 100  # steps of one call in JAX


def usual(node: str, threads: int, source: str):
    """The loop that most public code has; yields after every CHUNK steps. source: of its batches,
    one of LOOPS."""
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
                z = F.gumbel_softmax(logits, tau=tau).flatten(1)
                log_q, log_p = logits.log_softmax(-1), prior.log_softmax(-1)
                kl = (log_q.exp() * (log_q - log_p)).sum((-2, -1))
            else:  # two classes need one logit and one logistic number
                u = torch.rand_like(logits).clamp(1e-7, 1 - 1e-7)
                z = ((logits + u.logit()) / tau).sigmoid()
                kl = logits.sigmoid() * (logits - prior) - F.softplus(logits) + F.softplus(prior)
                kl = kl.sum(-1)
            nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)
            return (nll + kl).mean()

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


def gslib(node: str, members: int, model: str = "vae", estimator: str = "gumbel_softmax"):
    """The engine, as a long run uses it; yields after every EVERY model-steps, with a point of the
    learning curve."""
    if importlib.util.find_spec("gslib.experiment"):  # the first edition's, see cells.py
        from gslib.experiment.config import Config
        from gslib.experiment.run import prepare_process
        from gslib.experiment.train import Ensemble
    else:
        from gsbook.engine.machine import prepare_process
        from gsbook.experiments.table1.config import Config
        from gsbook.experiments.table1.train import Ensemble

    prepare_process()
    images = pixels().byte()
    data = {"train": images, "valid": images[:BATCH], "test": images[:BATCH]}
    every = max(1, EVERY // members)
    options = dict(lr=1e-3, steps=10**9, eval_every=every, batch=BATCH, anneal_rate=1e-5)
    ensemble = Ensemble(
        [Config(model, node, estimator, seed=s, **options) for s in range(members)], data
    )
    for _ in ensemble.advance(10**9):
        yield every * members


def in_jax(node: str):
    """The same in JAX; yields after every SCAN steps, which one call of compiled code takes."""
    if hasattr(
        os, "sched_setaffinity"
    ):  # its flags leave it a second thread, whose CPU time counts
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax
    import jax.numpy as jnp

    def loss(p, x, key, tau):
        logits, prior = x @ p["encoder"] + p["encoder_bias"], p["prior"]
        if node == "categorical":
            logits, prior = logits.reshape(-1, 20, 10), prior.reshape(20, 10)
            log_q, log_p = jax.nn.log_softmax(logits), jax.nn.log_softmax(prior)
            noise = jax.random.gumbel(key, logits.shape)
            z = jax.nn.softmax((logits + noise) / tau).reshape(len(x), -1)
            kl = (jnp.exp(log_q) * (log_q - log_p)).sum((-2, -1))
        else:
            z = jax.nn.sigmoid((logits + jax.random.logistic(key, logits.shape)) / tau)
            softplus = jax.nn.softplus
            kl = jax.nn.sigmoid(logits) * (logits - prior) - softplus(logits) + softplus(prior)
            kl = kl.sum(-1)
        out = z @ p["decoder"] + p["decoder_bias"]
        return ((jax.nn.softplus(out) - x * out).sum(-1) + kl).mean()

    def step(carry, i):
        p, velocity, key, images, order = carry
        key, now = jax.random.split(key)
        rows = jax.lax.dynamic_slice(order, (i * BATCH,), (BATCH,))
        value, slope = jax.value_and_grad(loss)(p, images[rows].astype(jnp.float32), now, 1.0)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + 1e-3 * g, velocity, slope)
        p = jax.tree.map(lambda w, v: w - v, p, velocity)
        return (p, velocity, key, images, order), value

    @jax.jit
    def scan(carry):
        return jax.lax.scan(step, carry, jnp.arange(SCAN))

    images, key = jnp.asarray(pixels().byte().numpy()), jax.random.key(0)
    shapes = {"encoder": (PIXELS, UNITS), "decoder": (UNITS, PIXELS)}
    shapes |= {"encoder_bias": (UNITS,), "decoder_bias": (PIXELS,), "prior": (UNITS,)}
    p = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    for name in ("encoder", "decoder"):
        p[name] = 0.08 * (2 * jax.random.uniform(key, shapes[name]) - 1)
    carry = (p, jax.tree.map(jnp.zeros_like, p), key, images, jnp.arange(len(images)))
    while True:
        carry, values = scan(carry)
        values.block_until_ready()
        carry = (*carry[:4], jax.random.permutation(carry[2], len(images)))
        yield SCAN


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
    """As many random black and white pixels as the training set has: time does not depend on what
    they show."""
    import torch

    return (torch.rand(50_000, PIXELS, generator=torch.Generator().manual_seed(0)) < 0.13).float()


def evaluation(node: str) -> dict:
    """CPU time and peak memory of the m-sample bound on a part of the test set, in this process."""
    from gsbook.engine.bound import mean_bound
    from gsbook.engine.machine import prepare_process
    from gsbook.engine.step import usable
    from gslib.models import DiscreteVAE

    prepare_process()
    model, images = DiscreteVAE(node, ensemble=1), pixels().byte()
    ndim = 4 if node == "categorical" else 3

    mode = "eager" if usable("compiled") else "compiled"

    def seconds(n: int) -> tuple[float, float]:
        start, cpu = time.perf_counter(), time.process_time()
        mean_bound(
            model, model.bound, images[:n], SAMPLES, seeds=[0], use="time", ndim=ndim, mode=mode
        )
        return time.perf_counter() - start, time.process_time() - cpu

    first = seconds(EVALUATED[0])  # compiles, if nothing was kept
    few, many = (min(seconds(n)[1] for _ in range(3)) for n in EVALUATED)
    each = (many - few) / (EVALUATED[1] - EVALUATED[0])  # what preparation takes falls out
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if platform.system() == "Darwin" else 1024
    )
    return {
        "images": EVALUATED[1],
        "samples": SAMPLES,
        "mode": mode,
        "first_seconds": first[0],
        "microseconds_per_sample": 1e6 * each / SAMPLES,
        "seconds_for_10000": each * IMAGES,
        "peak_bytes": peak,
    }


def work(pipe, way: Callable, arguments: tuple) -> None:
    """A process that trains for as long as it is told; answers its model-steps per second, and the
    CPU seconds of each."""
    chunks = way(*arguments)
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
        f"{source}{name}": [(usual, (node, threads, source))]
        for source in LOOPS
        for threads, name in ((0, ""), (1, ", 1 thread"))
    }
    if importlib.util.find_spec("jax"):
        found["jax"] = [(in_jax, (node,))]
    else:
        print("JAX is not installed and is left out; the extra `benchmark` brings it\n")
    for n, e in product(processes, members):
        found[f"gslib, E = {e}" + (f", {n} processes" if n > 1 else "")] = [(gslib, (node, e))] * n
    return found | {
        "products" + (f", {n} processes" if n > 1 else ""): [(products, ())] * n
        for n in sorted({1, *processes})
    }


def measure(contestants: dict[str, list[tuple]], repeats: int, seconds: float) -> tuple[dict, dict]:
    """Per way and turn: model-steps per second of all its processes, and CPU seconds per
    model-step."""
    # JAX reads these when it starts; the others do not know them.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    context = multiprocessing.get_context("spawn")
    workers = {label: [] for label in contestants}
    for label, tasks in contestants.items():
        for task in tasks:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, *task), daemon=True)
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
    """Per way the medians of model-steps per second and of the CPU time of one (of all threads
    together), and how many times less CPU time it takes than each of BASES: the median of the
    ratios within a turn, and their range."""
    rows = []
    for label, values in costs.items():
        row = {
            "way": label,
            "cores": cores[label],
            "steps_per_second": statistics.median(speeds[label]),
            "cpu_ms_per_step": 1000 * statistics.median(values),
        }
        for base in BASES:
            if base in costs:
                ratios = sorted(b / v for v, b in zip(values, costs[base], strict=True))
                row[f"times_{base}"] = statistics.median(ratios)
                row[f"times_{base}_range"] = [ratios[0], ratios[-1]]
        rows.append(row)
    return rows


def machine() -> dict:
    """What the numbers depend on besides the code."""
    import torch

    from gsbook.engine.machine import environment, prepare_process

    found, threads = environment(torch.device("cpu")), torch.get_num_threads()
    prepare_process()
    a, b, seconds = torch.rand(1000, 1000), torch.rand(1000, 1000), []
    for _ in range(20):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return {
        "cpu": found["device"],
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gflops_per_core": round(2 / min(seconds)),
        "cores": os.cpu_count(),
        "default_threads": threads,
        "torch": found["torch"],
        "jax": importlib.metadata.version("jax") if importlib.util.find_spec("jax") else None,
        "python": found["python"],
        "load_before": round(os.getloadavg()[0], 1),
        "date": datetime.date.today().isoformat(),
    }


def table(rows: list[dict]) -> str:
    """The rows as text, a line each."""
    bases = [b for b in BASES if f"times_{b}" in rows[0]]
    head = f"{'':<27}{'cores':>5}{'model-steps/s':>15}{'CPU ms':>8}"
    lines = [head + "".join(f"{f'x {b} (range)':>25}" for b in bases)]
    for row in rows:
        line = f"{row['way']:<27}{row['cores']:>5}{row['steps_per_second']:>15.0f}"
        line += f"{row['cpu_ms_per_step']:>8.2f}"
        for base in bases:
            low, high = row[f"times_{base}_range"]
            line += f"{row[f'times_{base}']:>12.2f} ({low:.2f}-{high:.2f})".rjust(25)
        lines.append(line)
    return "\n".join(lines)


def keep(path: Path, about: dict, node: str, result: dict) -> None:
    """Put this machine's results for a node into the file, beside other machines' and the other
    node's."""
    from gsbook import files

    name = f"{about['cpu']}, {about['instructions']}, {about['cores']} cores"
    with files.lock(path):
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        kept.setdefault(name, {})[node] = {"machine": about, **result}
        files.write(path, (json.dumps(kept, indent=1) + "\n").encode())


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
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # settings stay in that process
        about = pool.apply(machine)
    print(
        f"{about['cpu']} ({about['instructions']}, {about['gflops_per_core']} GFLOP/s a core), "
        f"{about['cores']} cores, torch {about['torch']}, "
        f"jax {about['jax']}, load {about['load_before']}\n"
        f"VAE ({args.node}), batch {BATCH}, Gumbel-Softmax, float32, median of "
        f"{args.repeats} turns\n"
    )
    contestants = ways(args.node, args.members, args.processes)
    cores = {
        label: about["default_threads"] if label in LOOPS else len(tasks)
        for label, tasks in contestants.items()
    }
    rows = summary(*measure(contestants, args.repeats, args.seconds), cores)
    print(table(rows))
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # its peak memory is its own
        bound = pool.apply(evaluation, (args.node,))
    print(
        f"\nEvaluation with m = {SAMPLES}, one thread, {bound['mode']}: "
        f"{bound['microseconds_per_sample']:.2f} us of CPU per image and sample, "
        f"{bound['seconds_for_10000']:.0f} s for {IMAGES:,} images, after a preparation that took "
        f"{bound['first_seconds']:.1f} s at most; peak memory {bound['peak_bytes'] / 1e9:.2f} GB"
    )
    if args.json:
        result = {"batch": BATCH, "repeats": args.repeats, "rows": rows, "evaluation": bound}
        keep(args.json, about, args.node, result)


if __name__ == "__main__":
    main()
