"""Time a bound by many samples, and say where its time goes: python benchmarks/evaluation.py

Trained weights of the book (results/weights) are evaluated on 50 test digits with m = 1000 discrete
samples of each, by ways that take turns in one process of one thread. Each number is a median over
the turns of CPU time, and each ratio the median of the ratios within a turn.

    plain     gslib's own bound, operation by operation, with torch's random numbers: how the engine
              evaluated before its steps were compiled
    engine    `gsbook.engine.bound`, compiled, as long runs are evaluated
    samples   of that, the noise and the samples
    product   the samples with the decoder's weights, as sums of rows
    dense     the same product as a dense one, which the engine spares
    pixels    the likelihood of the pixels, from their logits

The parts are compiled and timed alone; what they leave of `engine` is the encoder, log p(z)/q(z|x)
and the sum over samples. With --json the results of this machine take their place in a file beside
those of others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from training import keep, machine

from gsbook.engine import bound
from gsbook.engine.machine import prepare_process
from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import compiled, usable
from gsbook.experiments import TABLE1
from gsbook.experiments.table1.config import MODELS
from gsbook.weights import load_model, weights_file
from gslib._checks import unchecked
from gslib.functional import stream
from gslib.models.layers import nll, repeated

NODES = ("bernoulli", "categorical")
IMAGES, SAMPLES = 50, 1000
AT_ONCE = bound.ROWS // IMAGES  # samples of one call


def ways(node: str) -> tuple[dict[str, Callable[[], object]], dict]:
    """Label -> one call, for AT_ONCE samples of each image, and what they have in common."""
    prepare_process()
    lone, config = load_model(weights_file(f"vae-{node}-gumbel_softmax"))
    model = MODELS[config.model](node, ensemble=1)
    model.load_state_dict({name: value[None] for name, value in lone.state_dict().items()})
    x = TABLE1.load_data(images=IMAGES)[0]["test"]
    ndim, generator, calls = 4 if node == "categorical" else 3, stream("evaluation"), []
    real = bound.prepared
    with mock.patch.object(bound, "prepared", lambda *a: calls.append(real(*a)) or calls[0]):
        start = time.perf_counter()
        bound.mean_bound(
            model, model.bound, x, SAMPLES, seeds=[0], use="time", ndim=ndim, mode="compiled"
        )
        about = {"first_seconds": time.perf_counter() - start}
    # In KiB, as Linux counts; taken before the other ways have been here.
    about["peak_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    batch, key, part = x.float()[None], keys("time", [0]), torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        q = model.posterior(batch)
        z = model.flat(repeated(q, AT_ONCE).sample())
        logits = model.decoder(z)
    about["share_of_ones"] = z.mean().item()
    bias, weight = model.decoder.bias.detach(), model.decoder.weight.detach()
    zero, loss = torch.zeros_like(bias), torch.empty(1, AT_ONCE, IMAGES)

    def samples(own, key, part, out):
        rows = repeated(type(q)(own), AT_ONCE)
        out.copy_(model.flat(rows.sample(uniform=Noise(key, part, ndim=ndim))))
        part.add_(1)

    def pixels(logits, x, out):
        out.copy_(nll(logits, x.float(), AT_ONCE))

    own = q.logits.detach()
    draw, weigh = (
        compiled(samples, [own, key, part, z.clone()]),
        compiled(pixels, [logits, x[None], loss]),
    )
    out, dense = z.clone(), torch.empty_like(logits)
    one = dict(uniform=lambda like: torch.rand(like.shape, generator=generator), chunk=bound.ROWS)
    return {
        "plain": lambda: model.bound(batch, AT_ONCE, **one),
        "engine": calls[0],
        "samples": lambda: draw(own, key, part, out),
        "product": lambda: torch.ops.gsbook.rows(zero, z, weight),
        "dense": lambda: torch.baddbmm(bias, z, weight, out=dense),
        "pixels": lambda: weigh(logits, x[None], loss),
    }, about


def measure(node: str, turns: int, calls: int) -> dict:
    """Medians in microseconds per image and sample, the ratio of plain to engine, and its range."""
    contestants, about = ways(node)
    spent: dict[str, list[float]] = {label: [] for label in contestants}
    with unchecked(), torch.no_grad():
        for turn in range(turns + 1):  # the first warms up
            for label in list(contestants)[:: 1 if turn % 2 else -1]:
                start = time.process_time()
                for _ in range(calls):
                    contestants[label]()
                seconds = (time.process_time() - start) / calls
                if turn:
                    spent[label].append(1e6 * seconds / IMAGES / AT_ONCE)
    ratios = sorted(a / b for a, b in zip(spent["plain"], spent["engine"], strict=True))
    return about | {
        "images": IMAGES,
        "samples": SAMPLES,
        "turns": turns,
        "microseconds": {label: statistics.median(values) for label, values in spent.items()},
        "times_plain": statistics.median(ratios),
        "times_plain_range": [ratios[0], ratios[-1]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--calls", type=int, default=50, help="of one way in one turn")
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    if reason := usable("compiled"):
        parser.error(f"the engine cannot compile here: {reason}")
    context = multiprocessing.get_context("spawn")
    for node in NODES:  # each node in a process of its own: peak memory is its own
        with context.Pool(1) as pool:
            about = pool.apply(machine)
        with context.Pool(1) as pool:
            found = pool.apply(measure, (node, args.turns, args.calls))
        low, high = found["times_plain_range"]
        print(
            f"{about['cpu']} ({about['instructions']}), load {about['load_before']}, {node}: "
            f"{found['times_plain']:.2f} times plain ({low:.2f} to {high:.2f}); microseconds "
            + ", ".join(f"{k} {v:.2f}" for k, v in found["microseconds"].items())
            + f"; peak memory {found['peak_bytes'] / 1e9:.2f} GB"
        )
        if args.json:
            keep(args.json, about, node, found)


if __name__ == "__main__":
    main()
