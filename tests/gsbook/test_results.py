"""The records of this repository: fresh, whole, and of the real digits."""

import json
import math
import shutil
from dataclasses import asdict

import pytest

from gsbook import code
from gsbook.engine.workers import missing_runs
from gsbook.experiments import CHOICES, EXPERIMENTS
from gsbook.experiments.table1.train import load_data
from gsbook.experiments.table2 import speed
from gsbook.places import results_folder
from gsbook.records import EQUIVALENT

# SHA-256 of the pixels of the Larochelle and Murray files, a byte each.
PIXELS = {
    "train": "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a",
    "valid": "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e",
    "test": "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86",
}


FOLDERS = sorted({path.parent.name for path in results_folder().glob("*/*.jsonl")})
OPENED = {name: row.records for name, row in EXPERIMENTS.items()} | {"speed": speed.records}
PAPERS = "larochelle-murray"
FIXED = (
    "table1",
    "choices",
    "readings",
    "later",
    "challenge",
    "mistakes",
    "temperature",
    "quantised",
)
SOURCES = dict.fromkeys(FIXED, PAPERS)
SOURCES |= {"poles": "CartPole-v1", "reading": "cmudict", "codes": "kjv", "films": "ml-100k"}
SOURCES |= {"alphabets": f"omniglot, {PAPERS}"}


def committed(name):
    return OPENED[name](results_folder() / name)


def test_every_folder_of_records_is_looked_at():
    assert set(FOLDERS) <= set(OPENED)
    assert all(committed(name).all() for name in FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_committed_records_are_not_stale(name):
    stale = committed(name).stale_keys()
    assert not stale, (
        f"{len(stale)} records of {name} are of older code; run them again, or tell in "
        f"results/{EQUIVALENT} to which newer hash theirs is equal, and why"
    )


def test_equivalences_have_two_ends_and_a_reason():
    known = json.loads((results_folder() / EQUIVALENT).read_text())
    assert set(known) <= {"runs", "modules"}
    entries = list(known.get("runs", {}).items())
    for hashes in known.get("modules", {}).values():
        entries += hashes.items()
    for then, entry in entries:
        assert len(then) in (0, 12, 64)  # "": a module that came later
        assert entry["equals"]
        assert entry["equals"] != then
        assert len(entry["why"]) > 20


def test_what_doubles_a_sample_makes_all_that_stand_on_it_stale(tmp_path, monkeypatch):
    """Of records of the present code exactly those; of committed ones, none passes for fresh."""
    fresh = {}
    for name in set(FOLDERS):
        fresh[name] = OPENED[name](tmp_path / name)
        old = committed(name)
        fresh[name].add([r | {"code": code.code_of(old.modules(r))} for r in old.all()])
        assert fresh[name].stale_keys() == []
    shutil.copy(results_folder() / EQUIVALENT, tmp_path)
    original, path, pathwise = code.source, tmp_path / "pathwise.py", "gslib.estimators.pathwise"
    text = original(pathwise).read_text(encoding="utf-8")
    doubled = "def gumbel_softmax(*a, **k):\n    return 2 * single(*a, **k)\n\n\ndef single("
    path.write_text(text.replace("def gumbel_softmax(", doubled, 1), encoding="utf-8")
    monkeypatch.setattr(code, "source", lambda name: path if name == pathwise else original(name))
    monkeypatch.setattr(code, "STARTED", math.inf)  # as if it had always been so
    code.read.cache_clear()
    try:
        for name in set(FOLDERS):
            runs = fresh[name].all()
            standing = [r for r in runs if pathwise in code.code_of(fresh[name].modules(r))]
            assert fresh[name].stale_keys() == [r["key"] for r in standing]
            assert standing or name == "mistakes", "its sampler is a line of its own"
            assert {r["key"] for r in standing} <= set(committed(name).stale_keys())
    finally:
        code.read.cache_clear()


@pytest.mark.parametrize("name", sorted(set(FOLDERS) - {"speed"}))
def test_committed_records_are_whole_and_of_the_real_digits(name):
    experiment = EXPERIMENTS[name]
    size = asdict(experiment.budgets["laptop"].size)
    for path in sorted((results_folder() / name).glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        runs = [json.loads(line) for line in lines]
        assert [json.dumps(r, allow_nan=False) for r in runs] == lines
        assert [r["key"] for r in runs] == sorted({r["key"] for r in runs})
        for r in runs:
            config = experiment.config(**r["config"])
            assert (r["key"], r["cell"], path.stem) == (config.key, config.cell, config.cell)
            assert r["data"]["images"] == r["evaluation"]["images"] == size["images"]
            assert r["data"]["source"] == SOURCES.get(name, "mnist")
            papers = r["data"]["source"] == PAPERS
            assert not papers or r["data"]["sha256"].items() >= PIXELS.items()
            assert r["evaluation"] == size
            every, steps = config.eval_every, r["curve"]["step"]
            assert steps == list(range(every, config.steps + 1, every))
    if load_data()[1]["source"] == "larochelle-murray":
        assert load_data()[1]["sha256"] == PIXELS


def test_choices_can_be_priced_with_any_budget_beside_the_committed_records():
    """Their test images differ from one budget to the next, and no error comes of it."""
    for name, budget in CHOICES.budgets.items():
        records = committed("choices")
        about = {"sha256": {"train": PIXELS["train"]}, "source": "larochelle-murray"}
        for cell in CHOICES.cells:
            configs, test = next(CHOICES.plan(cell, budget, records))
            missing = missing_runs(CHOICES, configs, test, records, budget.size, about)
            assert name != "paper" or missing == configs


def test_speed_of_older_code_says_so():
    frame = speed.speed(committed("speed"))
    assert frame.attrs["stale"] == len(committed("speed").stale_keys())
