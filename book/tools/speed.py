"""The measured part of the page on speed: a table for each machine that was measured."""

from __future__ import annotations

import json
from html import escape

from markup import table
from repository import ROOT

FILE = ROOT / "results" / "benchmarks" / "training.json"
WAYS = {  # of the benchmark -> what the page calls them
    "torchvision, 1 thread": "PyTorch loop on torchvision's data set",
    "usual, 1 thread": "PyTorch loop, `nn.Module`, images in one tensor",
    "jax": "JAX, one program of 100 steps",
    "gslib, E = 1": "this engine, one run",
    "gslib, E = 3": "this engine, three runs side by side",
    "gslib, E = 6": "this engine, six runs side by side",
    "products": "the five dense products of a step, nothing else",
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
            f"**{escape(name)}**, {about['gflops_per_core']:.0f} GFLOP/s a core measured, torch "
            f"{escape(about['torch'])}, JAX {escape(str(about['jax']))}, {escape(about['date'])}. "
            "Processor time of one step of one run, on one core:\n"
        )
        parts += [f"{kind.capitalize()} VAE\n\n{rows(one)}" for kind, one in nodes.items()]
        parts += [evaluation(kind, one) for kind, one in nodes.items()]
    return "\n".join(parts)


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
        f"A bound of the {kind.capitalize()} VAE with {found['samples']:,} discrete samples takes "
        f"{found['microseconds_per_sample']:.2f} microseconds an image and sample, "
        f"{found['seconds_for_10000']:.0f} seconds for 10,000 images, and "
        f"{found['peak_bytes'] / 1e9:.2f} GB.\n"
    )
