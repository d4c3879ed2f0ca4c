"""The files of the book as text: what tests of notebooks, pages and tools share."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
BUILT = shutil.ignore_patterns(
    ".venv",
    ".git",
    "_build",
    "build",
    "dist",
    "mutants",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "*.egg-info",
    ".ipynb_checkpoints",
)
TEXT = {
    "",
    ".bib",
    ".cff",
    ".css",
    ".ipynb",
    ".js",
    ".json",
    ".md",
    ".py",
    ".svg",
    ".toml",
    ".txt",
    ".yml",
}


def source_files(root):
    made = re.compile(
        r"\.venv|\.git|_?build|dist|mutants|__pycache__|\..*_cache|\.hypothesis|.*\.egg-info|\.ipynb_checkpoints"
    )
    for path in root.rglob("*"):
        if (
            path.suffix in TEXT
            and path.is_file()
            and not any(map(made.fullmatch, path.relative_to(root).parts))
        ):
            yield path


def cells(path, kind):
    """The cells of one kind that a person wrote, as (metadata, text)."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind and not {"setup", "colab"} & set(
            cell["metadata"].get("tags", [])
        ):
            yield cell["metadata"], "".join(cell["source"])


def code_lines(text):
    return [line for line in text.splitlines() if line.strip()]


def run_tool(root, *arguments, tool="book/tools/notebooks.py"):
    return subprocess.run(
        [sys.executable, str(root / tool), *arguments], capture_output=True, text=True, check=False
    )


def setup_cell():
    """The generated cell, which is the same in each notebook."""
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    return next(
        "".join(c["source"]) for c in notebook["cells"] if "setup" in c["metadata"].get("tags", [])
    )
