"""The measured part of the page on clusters."""

from __future__ import annotations

import json

from markup import plain, table
from repository import ROOT

FILE = ROOT / "results" / "benchmarks" / "cluster.json"


def page() -> str:
    """What the whole grid of Table 1 costs on few and on many workers, from measured steps."""
    if not FILE.exists():
        return "It is not measured yet: `python benchmarks/cluster.py` does it.\n"
    found = json.loads(FILE.read_text(encoding="utf-8"))
    rows = [
        [
            f"{row['workers']}",
            f"{row['hours']:,.1f}",
            f"{row['efficiency']:.0%}",
            f"{row['held_core_hours']:,.0f}",
        ]
        for row in found["rows"]
    ]
    steps = [cell["ms"] for cell in found["cells"].values()]
    way = "compiled" if found["mode"] == "compiled" else "not compiled"
    return (
        f"{found['runs']} runs of {found['steps']:,} steps, one to a job, and their "
        f"evaluation on all images, on workers of one core ({plain(found['machine']['device'])}, "
        f"{plain(found['machine']['capability'])}). A step of one run takes {min(steps):.1f} to "
        f"{max(steps):.1f} ms there ({way}). Jobs go to whoever is free, the longest first; "
        "efficiency is the part of the workers' time that is work.\n\n"
        + table(["Workers", "Hours", "Efficiency", "Core-hours"], rows)
        + "\n`python benchmarks/cluster.py` measures it again on your machine.\n"
    )
