"""The measured part of the page on speed: a table for each machine that was measured."""

from __future__ import annotations

import json
from statistics import fmean

from markup import plain, table
from repository import ROOT

FILE = ROOT / "results" / "benchmarks" / "training.json"
BOUNDS = ROOT / "results" / "benchmarks" / "evaluation.json"
CELLS = ROOT / "results" / "benchmarks" / "cells.json"
AIM = 3  # times as fast as operation by operation: what was asked of the evaluation
FASTER = 1.6  # times as fast as the first edition's engine, on average over cells: what was asked
EARNED = 1.25  # times as slow without it: a kernel then saves a fifth of the step
WAYS = {  # of the benchmark -> what the page calls them
    "torchvision, 1 thread": "PyTorch loop on torchvision's data set",
    "usual, 1 thread": "PyTorch loop, `nn.Module`, images in one tensor",
    "jax": "JAX, one program of 100 steps",
    "gslib, E = 1": "this engine, one run",
    "gslib, E = 3": "this engine, three runs side by side",
    "gslib, E = 6": "this engine, six runs side by side",
    "products": "the five dense products of a step, nothing else",
}
PARTS = {  # of the other benchmark
    "plain": "operation by operation, as `gslib` itself does it",
    "engine": "this engine, compiled",
    "samples": "of that: noise and samples",
    "product": "of that: samples times the decoder's weights, as sums of rows",
    "pixels": "of that: likelihood of 784 pixels",
    "rest": "of that: all else",
    "dense": "the dense product, which the engine spares",
}
KERNELS = {
    "rows": "sums of rows, forwards",
    "columns": "sums of rows, for weights' gradients",
    "one_hot_max": "one-hot samples in one pass",
}
ROWS = {
    f"{model}-{node}-st": f"{title} ({short})"
    for model, title in (("sbn", "SBN"), ("vae", "VAE"))
    for node, short in (("bernoulli", "Bern."), ("categorical", "Cat."))
}


def page() -> str:
    """Markdown."""
    if not FILE.exists():
        return "It is not measured yet: `python benchmarks/training.py` does it.\n"
    machines = json.loads(FILE.read_text(encoding="utf-8"))
    parts = []
    for name, nodes in machines.items():
        about = next(iter(nodes.values()))["machine"]
        parts.append(
            f"**{plain(name)}**, {about['gflops_per_core']:.0f} GFLOP/s a core measured, torch "
            f"{plain(about['torch'])}, JAX {plain(str(about['jax']))}, {plain(about['date'])}. "
            "Processor time of one step of one run, on one core:\n"
        )
        parts += [f"{kind.capitalize()} VAE\n\n{rows(one)}" for kind, one in nodes.items()]
        parts += [evaluation(kind, one) for kind, one in nodes.items()]
    return "\n".join(parts)


def bounds() -> str:
    """Where the time of a bound by many samples goes, and whether the aim is reached, in
    Markdown."""
    if not BOUNDS.exists():
        return "It is not measured yet: `python benchmarks/evaluation.py` does it.\n"
    parts = []
    for name, nodes in json.loads(BOUNDS.read_text(encoding="utf-8")).items():
        about = next(iter(nodes.values()))["machine"]
        times = {}
        for kind, one in nodes.items():
            spent = one["microseconds"]
            rest = spent["engine"] - sum(spent[part] for part in ("samples", "product", "pixels"))
            times[kind] = spent | {"rest": max(rest, 0.0)}
        head = ["Microseconds an image and sample", *map(name_of, nodes)]
        lines = [
            [said, *(f"{spent[part]:.2f}" for spent in times.values())]
            for part, said in PARTS.items()
        ]
        parts.append(
            f"**{plain(name)}**, torch {plain(about['torch'])}, {plain(about['date'])}, with "
            f"{about['load_before']:.1f} processes at work on {about['cores']} cores when it "
            f"began:\n\n{table(head, lines)}\n"
            + " ".join(aim(kind, one) for kind, one in nodes.items())
            + "\n"
        )
    return "\n".join(parts)


def against_itself() -> str:
    """The step of every cell against the first edition's, and without each kernel, in Markdown."""
    if not CELLS.exists():
        return "It is not measured yet: `python benchmarks/cells.py` does it.\n"
    parts = []
    for name, kept in json.loads(CELLS.read_text(encoding="utf-8")).items():
        about, cells = kept["cells"]["machine"], kept["cells"]["cells"]
        times = {cell["cell"]: cell["first"]["times"] for cell in cells}
        mean, slowest = fmean(times.values()), min(times, key=times.__getitem__)
        parts.append(
            f"**{plain(name)}**, {plain(about['date'])}, {about['load_before']:.1f} processes "
            f"at work when it began. Over {len(cells)} cells a step is on average {mean:.2f} times "
            f"as fast as the first edition's, {times[slowest]:.2f} times in the cell that gained "
            f"least ({plain(slowest)}). An average of {FASTER} was the aim, and no cell slower: "
            f"{'reached' if mean >= FASTER and min(times.values()) >= 1 else 'missed'}. Without "
            "one of the kernels a step of straight-through takes so many times as long:\n"
        )
        ablated = [cell for cell in cells if "rows" in cell]
        kernels = [key for key in ablated[0] if key in KERNELS] if ablated else []
        lines = [[KERNELS[k], *(f"{one[k]['times']:.2f}" for one in ablated)] for k in kernels]
        parts.append(table(["Without", *(ROWS[one["cell"]] for one in ablated)], lines))
        earn = [k for k in kernels if max(one[k]["times"] for one in ablated) >= EARNED]
        parts.append(
            f"A kernel saves a fifth of the step where that is {EARNED} or more: "
            f"{', '.join(KERNELS[k] for k in earn) or 'none'}.\n"
        )
    return "\n".join(parts)


def name_of(kind: str) -> str:
    """The name of a kind of model within a sentence: Bernoulli was a person."""
    return f"{'Bernoulli' if kind == 'bernoulli' else kind} VAE"


def aim(kind: str, one: dict) -> str:
    """Whether the aim is reached, or by how much it is missed and what stands in the way."""
    times, (low, high) = one["times_plain"], one["times_plain_range"]
    said = (
        f"The bound of the {name_of(kind)} is {times:.2f} times ({low:.2f} to {high:.2f}) as fast "
        f"as operation by operation, in {one['peak_bytes'] / 1e9:.2f} GB; {AIM} was the aim, which "
        "is "
    )
    if times >= AIM:
        return said + "reached."
    spent = one["microseconds"]
    share = spent["product"] / spent["engine"]
    return said + (
        f"missed by {AIM - times:.2f}. {share:.0%} of its time is the product: "
        f"{one['share_of_ones']:.0%} of the samples are ones."
    )


def rows(measured: dict) -> str:
    """The ways of one benchmark, slowest first as they were run, each with its ratio to JAX."""
    lines = []
    for row in measured["rows"]:
        if row["way"] in WAYS:
            low, high = row["times_jax_range"]
            ratio = f"{row['times_jax']:.2f} ({low:.2f} to {high:.2f})"
            lines.append([WAYS[row["way"]], f"{row['cpu_ms_per_step']:.2f}", ratio])
    return table(["Way", "ms a step", "times JAX"], lines)


def evaluation(kind: str, measured: dict) -> str:
    found = measured["evaluation"]
    return (
        f"A bound of the {name_of(kind)} with {found['samples']:,} discrete samples takes "
        f"{found['microseconds_per_sample']:.2f} microseconds an image and sample, "
        f"{found['seconds_for_10000']:.0f} seconds for 10,000 images, and "
        f"{found['peak_bytes'] / 1e9:.2f} GB.\n"
    )
