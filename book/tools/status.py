"""The status page: what each chapter took in this build, and the versions that it was tested with.

    python book/tools/status.py     run every chapter as a test, and note the result (make tested)

Results stand in results/tested.json, one entry for each pair of a Python and a torch. Only what was
run is listed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

import markup
from docutils import nodes
from repository import ROOT

FILE = ROOT / "results" / "tested.json"
PAGE = "book/status"
VERSIONS = ("torch", "numpy", "matplotlib", "pandas", "scipy")
PLACE = "run time of "  # a literal that the run time of this build replaces


def code(name: str) -> list[str]:
    """The cells of code of a chapter that are not empty."""
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    return [source for source in sources if source.strip()]


def sha256(name: str) -> str:
    """Hash of a chapter's code, which says whether it is what was tested: a mended word is not a
    change."""
    return hashlib.sha256(json.dumps(code(name)).encode()).hexdigest()


def said(result: dict | None, name: str) -> str:
    """12 s, passed; of a chapter that has changed since, that alone."""
    if not result:
        return "–"
    if result["sha256"] != sha256(name):
        return "changed since"
    return f"{result['seconds']:.0f} s, {'passed' if result['passed'] else 'FAILED'}"


def tested() -> list[dict]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []


def environment() -> dict:
    """What this process runs in, and today's date."""
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
        "system": f"{platform.system()} {platform.machine()}",
        "budget": os.environ.get("GSLIB_BUDGET", "smoke"),
        "date": datetime.date.today().isoformat(),
    }


def page() -> str:
    """The two tables of the page, in Markdown."""
    found = tested()
    head = ["Chapter", "Cells of code", "This build"]
    head += [
        markup.plain(f"Python {run['python']}, torch {run['versions']['torch']}") for run in found
    ]
    rows = []
    for name in markup.chapters():
        results = [said(run["chapters"].get(name), name) for run in found]
        rows.append([markup.chapter_link(name), len(code(name)), f"`{PLACE}{name}`", *results])
    environments = [
        [where, e["python"], *(e["versions"][name] for name in VERSIONS), e["system"], e["date"]]
        for where, e in [("this build", environment()), *(("test", run) for run in found)]
    ]
    environments = [[*map(markup.plain, line)] for line in environments]
    columns = ["", "Python", *VERSIONS, "System", "Date"]
    text = markup.table(head, rows)
    return text + "\n## The environments\n\n" + markup.table(columns, environments)


# --- in the book


def fill(app, doctree, docname):
    """Put in the run times of this build, which are known when all chapters have run."""
    if docname != PAGE:
        return
    from myst_nb.sphinx_ext import NbMetadataCollector

    for place in list(doctree.findall(nodes.literal)):
        if place.astext().startswith(PLACE):
            chapter = f"notebooks/{place.astext().removeprefix(PLACE)}"
            ran = (NbMetadataCollector.get_exec_data(app.env, chapter) or {}).get("runtime")
            place.replace_self(nodes.Text("–" if ran is None else f"{ran:.0f} s"))


def note_read(app, env, names):
    """A page that nothing changed is not written again: the PDF would be older than it."""
    read = any(name.startswith("notebooks/") for name in names)
    app.chapters_were_read = read and PAGE in env.found_docs


def setup(app):
    app.connect("doctree-resolved", fill)
    app.connect("env-before-read-docs", note_read)
    app.connect("env-updated", lambda app, env: [PAGE] * app.chapters_were_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- testing


def run(name: str) -> dict:
    """Run one chapter as a test: whether all its cells ran, and in how many seconds."""
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-cell-timeout=600"]
    start = time.monotonic()
    done = subprocess.run([*command, f"notebooks/{name}.ipynb"], cwd=ROOT, check=False)
    seconds = round(time.monotonic() - start, 1)
    return {"passed": done.returncode == 0, "seconds": seconds, "sha256": sha256(name)}


def main() -> int:
    entry = environment() | {"chapters": {name: run(name) for name in markup.chapters()}}
    kept = [
        old
        for old in tested()
        if (old["python"], old["versions"]["torch"])
        != (entry["python"], entry["versions"]["torch"])
    ]
    text = json.dumps([*kept, entry], indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
    return 0 if all(chapter["passed"] for chapter in entry["chapters"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
