"""Records: whole lines, checked when they are read, and known to be stale when their code is."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from helpers import ABOUT

from gsbook.code import code_of
from gsbook.records import EQUIVALENT, Records, check_numbers, check_record, check_run, read_config


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


def files_of(records):
    """But for the locks."""
    return sorted(path.name for path in records.folder.glob("[!.]*"))


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results" / "table1")


def test_records_round_trip_sorted_one_line_each(records):
    assert records.all() == list(records.runs_of("vae-bernoulli-st")) == []
    runs = [record("b"), record("a", valid_bound=None), record("c", cell="sbn-bernoulli-st")]
    records.add(runs)
    assert list(records.runs_of("vae-bernoulli-st").values()) == [runs[1], runs[0]]
    assert [r["key"] for r in records.all()] == ["c", "a", "b"]
    lines = (records.folder / "vae-bernoulli-st.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
    assert all(line.endswith("}\n") for line in lines)
    records.add([record("a", valid_bound=9.0)])
    assert records.runs_of("vae-bernoulli-st")["a"]["valid_bound"] == 9.0
    assert len(records.all()) == 3
    assert files_of(records) == ["sbn-bernoulli-st.jsonl", "vae-bernoulli-st.jsonl"]


def test_what_was_checked_once_is_checked_again_when_it_or_the_check_differs(records):
    records.add([record("a")])
    records.runs_of("vae-bernoulli-st")["a"]["test"]["nll"] = 0.0  # the caller's own
    assert records.runs_of("vae-bernoulli-st") == {"a": record("a")}
    with pytest.raises(ValueError, match="it lacks 'loss'"):
        Records(records.folder, lambda run: run["loss"]).runs_of("vae-bernoulli-st")
    path, other = map(records.path, ("vae-bernoulli-st", "sbn-bernoulli-st"))
    other.write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="it belongs to the cell 'vae-bernoulli-st'"):
        records.runs_of(other.stem)
    path.write_text(path.read_text().replace("2.5", "NaN"))
    with pytest.raises(ValueError, match="NaN is no JSON"):
        records.runs_of("vae-bernoulli-st")


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
        assert files_of(records) == ["vae-bernoulli-st.jsonl"]
        assert (records.folder / "vae-bernoulli-st.jsonl").read_bytes() == before
    assert (records.folder / "vae-bernoulli-st.jsonl").stat().st_mode & 0o444 == 0o444


def test_frame(records):
    records.add([record("a"), record("b", test=None, config={"lr": 0.2, "seed": 1})])
    frame = records.frame()
    assert list(frame["key"]) == ["a", "b"]
    assert list(frame["lr"]) == [0.1, 0.2]
    assert not {"config", "test"} & set(frame)  # their entries are columns
    assert frame["nll"].fillna(-1).tolist() == [2.5, -1]
    assert frame["curve"].iloc[0] == {"step": [1]}
    assert Records(records.folder / "none").frame().empty


# What is refused, with file, line and remedy


GOOD = json.dumps(record("b"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"key": "b", "ce', "Unterminated string"),
        (GOOD[:-1], "delimiter|Expecting"),
        ("", "Expecting value"),
        ("3", "a record is a JSON object, this is 3"),
        ("[" * 100_000, "recursion"),
        ('{"cell": "x"}', "it lacks 'key'"),
        (GOOD.replace('"cell": "vae', '"cell": "sbn'), "belongs to the cell 'sbn-bernoulli-st'"),
        (GOOD.replace('"key": "b"', '"key": "a"'), "the key a stands twice"),
        (
            GOOD.replace('"key": "b"', '"key": "b", "key": "c"'),
            r"(?<=\()a name stands twice in it\)",
        ),
        (GOOD.replace('"nll": 2.5', '"nll": 2.5, "nll": 1.5'), "a name stands twice in it"),
        (GOOD.replace('"key": "b"', '"key": 7'), "key is 7"),
        (GOOD.replace("2.5", "NaN"), "NaN is no JSON"),
        (GOOD.replace("2.5", "-Infinity"), "-Infinity is no JSON"),
        (GOOD.replace('"code": "c"', '"code": null'), "code is None"),
        (GOOD[:-1] + ', "device": ["EPYC"]}', r"device is \['EPYC'\], which is no text"),
        (GOOD.replace("vae", "v\u00e4e").encode("latin-1"), "utf-8"),
        (b"\x00" * 40, "Expecting value"),
    ],
)
def test_a_damaged_line_is_named_with_its_remedy(records, line, reason):
    records.add([record("a")])
    path = records.folder / "vae-bernoulli-st.jsonl"
    path.write_bytes(path.read_bytes() + (line if isinstance(line, bytes) else line.encode()))
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(
        ValueError,
        match=rf"vae-bernoulli-st.jsonl line 2 is no record \(.*({reason}).*control, "
        "or delete the line and run its config again$",
    ):
        records.all()
    with pytest.raises(ValueError, match="line 2 is no record"):
        records.add([record("c")])  # nothing is written over what may be mended


def test_a_last_line_without_its_end_is_whole(records):
    records.add([record("a")])
    path = records.path("vae-bernoulli-st")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [r["key"] for r in records.all()] == ["a"]
    records.add([record("b")])
    assert [r["key"] for r in records.all()] == ["a", "b"]


def test_a_line_separator_within_a_text_ends_no_line(records):
    path = records.path("vae-bernoulli-st")
    path.parent.mkdir(parents=True)
    text = json.dumps(record("a", device="one\u2028two"), ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    assert records.all()[0]["device"] == "one\u2028two"


@pytest.mark.parametrize(
    "value", ["61.5", math.nan, math.inf, 10**400, True, [1.0], {"nll": 1}, -0.1]
)
def test_figures_are_finite_numbers_not_below_the_lowest(value):
    with pytest.raises((ValueError, OverflowError)):
        check_numbers({"nll": value}, lowest=0.0)
    check_numbers({"nll": None, "single": 0, "accuracy": 3.5}, lowest=0.0)


@pytest.mark.parametrize(
    ("names", "value", "kind"),
    [
        (("data", "evaluation", "curve", "valid", "test"), [1], "object"),
        (("data", "evaluation", "curve", "valid"), None, "object"),  # a test may not have been
        (("device", "capability", "torch", "python", "matmul_precision", "date"), 3, "text"),
    ],
)
def test_every_part_of_a_record_is_of_its_kind(names, value, kind):
    check_record(record(test=None), "vae-bernoulli-st")
    for name in names:
        with pytest.raises(
            ValueError, match=rf"^{name} is .*{re.escape(str(value))}, which is no {kind}"
        ):
            check_record(record(**{name: value}), "vae-bernoulli-st")


def test_what_stands_behind_a_figure_that_is_missing_is_checked_too():
    with pytest.raises(ValueError, match="single is 'low', which is no finite number"):
        check_numbers({"nll": None, "single": "low"})


@dataclass(frozen=True)
class Toy:
    """A config, as `read_config` and `check_run` know them."""

    cell: str
    lr: float
    sizes: tuple[int, ...] = (4,)
    steps: int = 10
    key = "toy_key"


def test_a_config_is_read_with_fields_of_any_type():
    settings = {"cell": "toy", "lr": 1, "sizes": [2, 3]}
    assert read_config(Toy, settings) == Toy("toy", 1, [2, 3])
    with pytest.raises(ValueError, match=r"lacks, or has beyond the known, cell, lr, width$"):
        read_config(Toy, {"width": 3})


TRAINED = {
    "key": "toy_key",
    "cell": "toy",
    "data": {"source": "random", "sha256": {"train": "0"}},
    "evaluation": {"images": None, "samples": 3, "valid_samples": 2},
    "diverged": None,
    "test": {"nll": 1.0},
    "curve": {"step": [5, 10], "train": [2.0, 1.0], "test": []},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        # As late as at the last step.
        {"diverged": 10, "test": None, "curve": {"step": [5, 10], "train": [2.0, None]}},
        {"evaluation": TRAINED["evaluation"] | {"images": 20}},
        {"curve": {"step": [10], "train": [1.0], "valid": [None], "test": [1.5]}},  # labels alone
    ],
)
def test_a_run_that_can_be_is_taken(changes):
    check_run(TRAINED | changes, Toy("toy", 0.1), ("nll",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"diverged": 11}, "diverged is 11, which is no step of its"),
        ({"evaluation": TRAINED["evaluation"] | {"samples": None}}, "samples .* None, which is no"),
        ({"evaluation": TRAINED["evaluation"] | {"images": "all"}}, "images of its .* 'all'"),
        ({"curve": {"step": [5, 10], "train": []}}, "2 steps and 0 of train"),
        ({"curve": {"step": [5, 10], "test": [1.0]}}, "2 steps and 1 of test"),
        ({"cell": "other"}, "its key is not the one of its config, toy_key"),
    ],
)
def test_a_run_that_cannot_be_is_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        check_run(TRAINED | changes, Toy("toy", 0.1), ("nll",))


# Several writers


WRITER = """
import sys
from gsbook.records import Records
folder, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for i in range(40):
    key = f"{name}-{i}"
    Records(folder).add([{"key": key, "cell": "toy", "code": {}, "config": {}}])
"""


def test_writers_at_once_lose_nothing(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writers = [subprocess.Popen([*command, name], **pipes) for name in "abc"]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    keys = {f"{name}-{i}" for name in "abc" for i in range(40)}
    assert Records(tmp_path).runs_of("toy").keys() == keys
    assert sorted(p.name for p in tmp_path.glob("[!.]*")) == ["toy.jsonl"]


# Fresh or stale


MODULES = ("gslib.program", "gslib.functional")


def standing_on(folder):
    return Records(folder, modules=lambda run: MODULES)


def write_equivalent(records, **known):
    records.folder.parent.mkdir(parents=True, exist_ok=True)
    (records.folder.parent / EQUIVALENT).write_text(json.dumps(known))


def test_stale_runs_are_listed_with_what_changed(records):
    records = standing_on(records.folder)
    now = code_of(MODULES)
    records.add(
        [
            record("now", code=now),
            record("old", code=now | {"gslib.functional": "0" * 12}),
            record("lacks one", code={k: v for k, v in now.items() if k != "gslib.program"}),
            record("knows more", code=now | {"gslib.gone": "0" * 12}),
            record("an old hash", code="1" * 64),
        ]
    )
    assert records.stale_keys() == ["an old hash", "lacks one", "old"]
    runs = records.runs_of("vae-bernoulli-st")
    assert records.changed(runs["old"]) == ["gslib.functional"]
    assert records.changed(runs["lacks one"]) == ["gslib.program"]
    assert records.changed(runs["an old hash"]) == sorted(now)
    assert records.is_current(runs["knows more"])


def test_an_equivalence_has_two_ends(records):
    """It counts while it leads to the present code, and no longer."""
    records = standing_on(records.folder)
    now = code_of(MODULES)
    run = record("old", code=now | {"gslib.functional": "a" * 12})
    records.add([run])
    end = now["gslib.functional"]
    for known, current in [
        ({"a" * 12: {"equals": end}}, True),
        ({"a" * 12: {"equals": "b" * 12}, "b" * 12: {"equals": end}}, True),
        ({"a" * 12: {"equals": "b" * 12}}, False),
        ({"a" * 12: {"equals": "a" * 12}}, False),  # a circle leads nowhere
        ({"a" * 12: {"equals": "b" * 12}, "b" * 12: {"equals": "a" * 12}}, False),
        ({"b" * 12: {"equals": end}}, False),
        ({}, False),
    ]:
        write_equivalent(records, modules={"gslib.functional": known})
        assert records.is_current(run) == current, known
    write_equivalent(records, modules={"gslib.program": {"a" * 12: {"equals": end}}})
    assert not records.is_current(run), "it is another module's"


def test_a_module_that_came_later_may_be_what_others_held(records):
    records = standing_on(records.folder)
    later = code_of(MODULES)
    end = later.pop("gslib.program")
    run = record("old", code=later)
    records.add([run])
    assert records.changed(run) == ["gslib.program"]
    write_equivalent(records, modules={"gslib.program": {"": {"equals": end}}})
    assert records.is_current(run)
    write_equivalent(records, modules={"gslib.program": {"": {"equals": "b" * 12}}})
    assert records.changed(run) == ["gslib.program"]


def test_an_old_hash_of_all_code_leads_through_its_modules(records):
    records = standing_on(records.folder)
    now, run = code_of(MODULES), record("old", code="2" * 64)
    then = now | {"gslib.functional": "a" * 12}
    write_equivalent(records, runs={"2" * 64: {"equals": then, "why": ""}})
    assert records.changed(run) == ["gslib.functional"]
    write_equivalent(
        records,
        runs={"2" * 64: {"equals": then, "why": ""}},
        modules={"gslib.functional": {"a" * 12: {"equals": now["gslib.functional"]}}},
    )
    assert records.is_current(run)


def test_a_run_equal_in_distribution_stands_in_tables_and_no_new_run_goes_on_from_it(records):
    records = standing_on(records.folder)
    equal, run = {"equals": code_of(MODULES), "why": ""}, record("old", code="2" * 64)
    for entry, in_every_bit in ((equal, True), (equal | {"in": "distribution"}, False)):
        write_equivalent(records, runs={"2" * 64: entry})
        assert records.is_current(run)
        assert records.changed(run) == []
        assert records.is_current(run, exactly=True) == in_every_bit
    assert records.changed(run, exactly=True) == sorted(code_of(MODULES))
    assert records.is_current(record("new", code=code_of(MODULES)), exactly=True)


def test_each_run_is_asked_for_the_code_of_its_own_numbers(records):
    records = Records(records.folder, modules=lambda run: [run["config"]["stands on"]])
    old = code_of(["gslib.functional"]) | {"gslib.program": "0" * 12}
    runs = [record(name, code=old, config={"stands on": name}) for name in MODULES]
    records.add(runs)
    assert records.stale_keys() == ["gslib.program"]


def test_records_without_modules_cannot_say(records):
    records.add([record("a")])
    with pytest.raises(ValueError, match="opened without `modules`"):
        records.stale_keys()
