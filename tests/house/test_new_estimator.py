"""A new estimator is one function in a file and one row: graded, trained, recorded and drawn, while
every record of the others stays what it was and Table 1 keeps its columns."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FUNCTION = '''"""Leave-one-out, with two samples."""

import torch

from gslib.estimators.score_function import sf


def leave_one_out(program, *, uniform=None):
    """The score function with the loss of a second sample as its baseline: unbiased; two runs."""
    with torch.no_grad():
        other = program(lambda q: q.sample(uniform=uniform))
    return sf(program, baseline=other, uniform=uniform)
'''
IMPORT = "from gslib.estimators.leave_one_out import leave_one_out\n"
ROW = '    leave_one_out=Estimator(leave_one_out, "Leave-one-out"),\n'

LOOK = """
import json
from gsbook.experiments import EXPERIMENTS
from gsbook.experiments.table1.config import CELLS, COLUMNS
from gsbook.experiments.table2 import speed
from gsbook.places import results_folder
from gsbook.reader import plots

opened = {name: row.records for name, row in EXPERIMENTS.items()} | {"speed": speed.records}
changed = {}
for name, records in opened.items():
    found = records(results_folder() / name)
    changed[name] = {run["key"]: found.changed(run) for run in found.all()}
looks = {name: [str(plots.COLORS[name]), plots.MARKERS[name]] for name in plots.LABELS}
print(json.dumps({"changed": changed, "columns": COLUMNS, "cells": CELLS, "looks": looks}))
"""

USE = """
import json, sys
from pathlib import Path
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import torch
import gslib
from gsbook.engine.experiment import EvaluationSize
from gsbook.engine.workers import run_job
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.plan import TABLE1
from gsbook.reader import plots
from dataclasses import replace

assert gslib.check("leave_one_out", samples=20_000).unbiased
images = torch.randint(0, 2, (20, 784), dtype=torch.uint8)
about = {"source": "random", "sha256": {"train": "0"}, "images": None}
splits = dict.fromkeys(("train", "valid", "test"), images)
toy = replace(TABLE1, load_data=lambda n: (splits, about))
config = Config("vae", "bernoulli", "leave_one_out", 1e-3, steps=1, batch=10, eval_every=1)
size = EvaluationSize(samples=2, valid_samples=2)
(record,) = run_job(toy, [config], size, True, checkpoints=Path("states"))
records = toy.records("mine")
records.add([record])
assert records.is_current(records.all()[0])
assert "gslib.estimators.leave_one_out" in record["code"]
figure, ax = plt.subplots()
ax.plot([0, 1], [0, 1], **plots.estimator_style("leave_one_out"))
ax.legend()
figure.savefig("drawn.svg")
print(ax.get_legend().texts[0].get_text())
"""


def run(code, folder):
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    environment.pop("GSLIB_RESULTS", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the repository, and what is known of its records and looks before the change."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("gslib", "gsbook", "results"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = json.loads(run(LOOK, folder))
    (folder / "gslib" / "estimators" / "leave_one_out.py").write_text(FUNCTION)
    table = folder / "gslib" / "estimators" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("    exact=Estimator(") == text.count("\nfrom gslib.program") == 1
    text = text.replace("    exact=Estimator(", f"{ROW}    exact=Estimator(")
    text = text.replace("from gslib.program", f"{IMPORT}from gslib.program")
    table.write_text(text, encoding="utf-8")
    return folder, before


@pytest.fixture(scope="module")
def after(copied):
    return json.loads(run(LOOK, copied[0]))


def test_it_is_graded_trained_recorded_and_drawn(copied):
    folder, _ = copied
    assert run(USE, folder) == "Leave-one-out"
    assert "Leave-one-out" in (folder / "drawn.svg").read_text()


def test_no_record_turns_stale_and_table_1_keeps_its_columns(copied, after):
    _, before = copied
    empty = {name for name, keys in before["changed"].items() if not keys}
    assert not any((ROOT / "results" / name).exists() for name in empty)  # nothing has run
    assert after["changed"] == before["changed"]
    assert (after["columns"], after["cells"]) == (before["columns"], before["cells"])
    assert len(after["columns"]) == 7
    assert len(after["cells"]) == 28


def test_it_looks_like_no_other(copied, after):
    before, looks = copied[1], after["looks"]
    assert {k: v for k, v in looks.items() if k != "leave_one_out"} == before["looks"]
    markers = [marker for _, marker in looks.values()]
    assert len(set(markers)) == len(markers)
