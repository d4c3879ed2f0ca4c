"""What the benchmarks write: beside what was there, and whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABOUT = {"cpu": "a", "instructions": "b", "cores": 2}


@pytest.fixture
def keep(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import training

    return training.keep


def test_results_stand_beside_those_of_other_machines_and_nodes(keep, tmp_path):
    path = tmp_path / "training.json"
    keep(path, ABOUT, "bernoulli", {"rows": 1})
    keep(path, ABOUT | {"cores": 4}, "bernoulli", {"rows": 2})
    keep(path, ABOUT, "categorical", {"rows": 3})
    keep(path, ABOUT, "bernoulli", {"rows": 4})
    kept = json.loads(path.read_text())
    rows = {name: {node: found["rows"] for node, found in of.items()} for name, of in kept.items()}
    assert rows == {
        "a, b, 2 cores": {"bernoulli": 4, "categorical": 3},
        "a, b, 4 cores": {"bernoulli": 2},
    }


def test_what_cannot_be_written_leaves_the_file_as_it_was(keep, tmp_path):
    path = tmp_path / "training.json"
    keep(path, ABOUT, "bernoulli", {"rows": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        keep(path, ABOUT, "categorical", {"rows": object()})
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_a_part_of_the_cells_does_not_replace_them_all(tmp_path):
    first = tmp_path / "gslib" / "experiment"
    first.mkdir(parents=True)
    (first / "train.py").touch()
    command = [sys.executable, "benchmarks/cells.py", "--first", str(tmp_path)]
    command += ["--estimators", "st", "--json", str(tmp_path / "cells.json")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "leave --estimators out" in result.stderr
