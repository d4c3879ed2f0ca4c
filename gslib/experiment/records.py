"""Records: one line of JSON per run, written here and nowhere else, and read back as a table."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import tempfile
from functools import cache
from pathlib import Path

import torch

import gslib

PACKAGE = Path(gslib.__file__).parent
# What can alter a number of a run. The rest (plots, plans, checks, verdicts) can change without making records stale.
NUMERIC = (
    "functional.py",
    "distributions.py",
    "program.py",
    "baselines.py",
    "_fast.py",
    "divergences.py",
    "models/layers.py",
    "models/vae.py",
    "models/sbn.py",
    "estimators",
    "experiment/config.py",
    "experiment/train.py",
    "experiment/evaluate.py",
)
FEW_LABELS = (
    "functional.py",
    "distributions.py",
    "program.py",
    "_fast.py",
    "models/layers.py",
    "models/semisupervised.py",
    "estimators",
    "experiment/train.py",
    "experiment/few_labels.py",
)
EQUIVALENT = "equivalent_code.json"  # in the results folder: hashes of older code that gives the same numbers, with reasons


@cache
def code_hash(modules: tuple[str, ...] = NUMERIC) -> str:
    """SHA-256 over the syntax trees, without docstrings, of the modules that can alter numbers.

    >>> len(code_hash())
    64
    """
    places = [PACKAGE / name for name in modules]
    paths = [
        p for place in places for p in (sorted(place.glob("*.py")) if place.is_dir() else [place])
    ]
    trees = [
        (p.relative_to(PACKAGE).as_posix(), _canonical(ast.parse(p.read_text(encoding="utf-8"))))
        for p in paths
    ]
    return hashlib.sha256(repr(trees).encode()).hexdigest()


def few_labels_hash() -> str:
    """The same for runs of Table 2.

    >>> few_labels_hash() == code_hash()
    False
    """
    return code_hash(FEW_LABELS)


def _canonical(node):
    """A syntax tree as nested tuples, without docstrings, positions and the empty fields that differ between Pythons."""
    if isinstance(node, list):
        return tuple(
            _canonical(n)
            for n in node
            if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
        )
    if not isinstance(node, ast.AST):
        return node
    return (
        type(node).__name__,
        *((k, _canonical(v)) for k, v in ast.iter_fields(node) if v is not None and v != []),
    )


def environment(device: torch.device) -> dict:
    """What the numbers of a run may depend on besides its config, code and data.

    >>> sorted(environment(torch.device("cpu")))
    ['device', 'matmul_precision', 'python', 'threads', 'torch']
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file as a whole, or leave it as it was.

    >>> write_atomically(Path("a", "new", "folder", "file"), b"all or nothing")
    >>> Path("a", "new", "folder", "file").read_bytes()
    b'all or nothing'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Records:
    """The runs of one folder of results, a file of JSON lines per cell, sorted by key so that differences are readable.

    Args: folder: such as results/table1. It need not exist.

    >>> records = Records("results/mine")
    >>> records.add([{"key": "toy_steps=5", "cell": "toy", "code": code_hash()}])
    >>> list(records.cell("toy")), records.stale()
    (['toy_steps=5'], [])
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def cell(self, name: str) -> dict[str, dict]:
        """The finished runs of a cell, by key."""
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            return {}
        runs = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                run = json.loads(line)
                runs[run["key"]] = run
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} line {number} is no record ({error}); restore the file from version control, or "
                    "delete the line and run its config again"
                ) from None
        return runs

    def add(self, runs: list[dict]) -> None:
        """Write finished runs, replacing those of the same key."""
        for name in {run["cell"] for run in runs}:
            merged = self.cell(name) | {run["key"]: run for run in runs if run["cell"] == name}
            lines = [json.dumps(merged[key], allow_nan=False) for key in sorted(merged)]
            write_atomically(self.folder / f"{name}.jsonl", ("\n".join(lines) + "\n").encode())

    def all(self) -> list[dict]:
        """Every run of the folder."""
        return [
            run
            for path in sorted(self.folder.glob("*.jsonl"))
            for run in self.cell(path.stem).values()
        ]

    def frame(self):
        """A pandas DataFrame, a row per run: config, test figures, valid_bound, code, minutes and the curve (a dict)."""
        import pandas as pd

        rows = [
            {
                **run["config"],
                **(run["test"] or {}),
                **{k: v for k, v in run.items() if k not in ("config", "test")},
            }
            for run in self.all()
        ]
        return pd.DataFrame(rows)

    def stale(self) -> list[str]:
        """Keys of runs whose code hash is neither a present one nor listed, with a reason, as equivalent."""
        known = {code_hash(), few_labels_hash(), *self.equivalent()}
        return [run["key"] for run in self.all() if run["code"] not in known]

    def equivalent(self) -> dict[str, str]:
        """Hashes of older code that is known to give the same numbers, each with its reason."""
        path = self.folder.parent / EQUIVALENT
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
