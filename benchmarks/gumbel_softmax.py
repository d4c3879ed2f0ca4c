"""Time gslib's gumbel_softmax against torch's on the CPU, side by side: python
benchmarks/gumbel_softmax.py

The two take turns, so that whatever else the machine does meets both; each number is a median over
the turns, and the ratio is the median of the ratios of neighbouring turns. Exits with status 1 if
ours is slower on a shape of 2,000 or more elements; below that, the fixed cost of a call counts,
and ours looks at its arguments before it draws.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from gslib.functional import gumbel_softmax

SHAPES = [
    (100, 20, 10),
    (100, 200, 2),
    (64, 1000),
    (1000, 20, 10),
    (20, 50257),
    (128, 10),
    (16, 10),
]


def seconds(function, logits, hard: bool, backward: bool, calls: int) -> float:
    """Mean time of one call over `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        y = function(logits, tau=0.7, hard=hard)
        if backward:
            torch.autograd.grad(y, logits, logits)
    return (time.perf_counter() - start) / calls


def compare(shape, hard: bool, backward: bool, repeats: int) -> tuple[float, float, float]:
    """Median seconds of torch and of gslib, and the median ratio torch / gslib."""
    logits = torch.randn(shape, requires_grad=backward)
    both = (F.gumbel_softmax, gumbel_softmax)
    once = max(seconds(f, logits, hard, backward, 3) for f in both)
    calls = max(1, int(0.01 / once))
    turns = []
    for turn in range(repeats):
        times = {
            f: seconds(f, logits, hard, backward, calls) for f in (both if turn % 2 else both[::-1])
        }
        turns.append([times[f] for f in both])
    theirs, ours = (statistics.median(t) for t in zip(*turns, strict=True))
    return theirs, ours, statistics.median(t / o for t, o in turns)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=31, help="turns per row")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {args.threads} thread(s), float32, "
        f"median of {args.repeats} interleaved turns"
    )
    print(
        f"{'shape':<16}{'samples':<9}{'pass':<18}{'torch us':>10}{'gslib us':>10}"
        f"{'torch / gslib':>15}"
    )
    slower = 0
    for shape in SHAPES:
        for hard in (False, True):
            for backward in (False, True):
                theirs, ours, ratio = compare(shape, hard, backward, args.repeats)
                slower += ratio < 1 and math.prod(shape) >= 2000
                label = "forward, backward" if backward else "forward"
                print(
                    f"{'x'.join(map(str, shape)):<16}{'hard' if hard else 'soft':<9}{label:<18}"
                    f"{theirs * 1e6:>10.1f}{ours * 1e6:>10.1f}{ratio:>15.2f}",
                    flush=True,
                )
    print(
        "from 2,000 elements on, gslib is "
        + (f"slower in {slower} row(s)" if slower else "faster in every row")
    )
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
