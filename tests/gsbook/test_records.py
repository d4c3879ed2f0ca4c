"""Records: whole lines, checked when they are read, and known to be stale when their code is."""

import json
import math
import os

import pytest
from helpers import ABOUT

from gsbook.records import EQUIVALENT, Records


def record(key="k", cell="vae-bernoulli-st", code="c", **changes):
    return {
        "key": key,
        "cell": cell,
        "config": {"lr": 0.1, "seed": 0},
        "diverged": None,
        "valid_bound": 1.5,
        "test": {"nll": 2.5},
        "curve": {"step": [1]},
        "code": code,
        "data": ABOUT,
    } | changes


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results" / "table1")


def test_records_round_trip_sorted_one_line_each(records):
    assert records.all() == []
    assert records.cell("vae-bernoulli-st") == {}
    runs = [record("b"), record("a", valid_bound=None), record("c", cell="sbn-bernoulli-st")]
    records.add(runs)
    assert list(records.cell("vae-bernoulli-st").values()) == [runs[1], runs[0]]
    assert [r["key"] for r in records.all()] == ["c", "a", "b"]
    lines = (records.folder / "vae-bernoulli-st.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
    assert all(line.endswith("}\n") for line in lines)
    records.add([record("a", valid_bound=9.0)])
    assert records.cell("vae-bernoulli-st")["a"]["valid_bound"] == 9.0
    assert len(records.all()) == 3
    assert {p.suffix for p in records.folder.iterdir()} == {".jsonl"}


def test_nan_is_never_written(records):
    records.add([record("a")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.add([record("b", valid_bound=math.nan)])
    assert [r["key"] for r in records.all()] == ["a"]


def test_records_are_written_as_a_whole_or_not_at_all(records, monkeypatch):
    records.add([record("a")])
    before = (records.folder / "vae-bernoulli-st.jsonl").read_bytes()
    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:

            def fail(*_):
                raise OSError("disk full")

            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                records.add([record("b")])
        assert [p.name for p in records.folder.iterdir()] == ["vae-bernoulli-st.jsonl"]
        assert (records.folder / "vae-bernoulli-st.jsonl").read_bytes() == before
    assert (records.folder / "vae-bernoulli-st.jsonl").stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("line", ['{"key": "b", "ce', "", "3", '{"cell": "x"}'])
def test_a_damaged_line_is_named_with_its_remedy(records, line):
    records.add([record("a")])
    path = records.folder / "vae-bernoulli-st.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(
        ValueError, match=r"vae-bernoulli-st.jsonl line 2 is no record .*version control, or delete"
    ):
        records.all()


def test_frame(records):
    records.add([record("a"), record("b", test=None, config={"lr": 0.2, "seed": 1})])
    frame = records.frame()
    assert list(frame["key"]) == ["a", "b"]
    assert list(frame["lr"]) == [0.1, 0.2]
    assert frame["nll"].iloc[0] == 2.5
    assert math.isnan(frame["nll"].iloc[1])
    assert frame["curve"].iloc[0] == {"step": [1]}
    assert Records(records.folder / "none").frame().empty


def test_stale_records_are_flagged_and_listed_ones_are_not(records, tmp_path, jobs):
    now = records_module.code_hash()
    records.add(
        [record("now", code=now), record("old", code="1" * 64), record("listed", code="2" * 64)]
    )
    assert records.stale() == ["listed", "old"]
    reasons = {"2" * 64: "a variable was renamed"}
    (records.folder.parent / records_module.EQUIVALENT).write_text(json.dumps(reasons))
    assert records.stale() == ["old"]
    assert records.equivalent() == reasons
