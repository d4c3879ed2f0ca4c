"""The command for one GPU. None is here: its path runs on the CPU, and what a CUDA graph forbids is
looked for on torch's meta device, which has shapes and no numbers."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from helpers import without_times
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gsbook.__main__ import main
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.workers import Stopped
from gsbook.experiments.table1.config import CELLS, COLUMNS, Config, parse_cell
from gsbook.experiments.table1.plan import TABLE1, reading
from gsbook.experiments.table1.train import Ensemble
from gsbook.gpu import back, check, lanes, session
from gsbook.gpu.command import run

ROW = session.TOY.rows[0]


@pytest.fixture(scope="module", autouse=True)
def _embedded(tmp_path_factory):
    """Small real data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GSLIB_DATA", raising=False)
        patch.setenv("GSLIB_OFFLINE", "1")
        patch.setenv("GSLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class OffDevice(TorchDispatchMode):
    """Notes what a CUDA graph cannot hold: tensors of the CPU with axes, and copies to or from it.
    A value that the host reads raises by itself, since there is none."""

    def __init__(self):
        super().__init__()
        self.found, self.operations = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        self.operations += 1
        if any(t.device.type == "cpu" and t.ndim for t in tensors):
            self.found.append(str(function))
        return out


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_stays_on_its_device(cell):
    model, node, estimator = parse_cell(cell)
    data = {k: torch.zeros(40, 784, dtype=torch.uint8) for k in ("train", "valid", "test")}
    options = dict(lr=1e-3, batch=10, **reading(model, estimator))
    configs = [Config(model, node, estimator, seed=seed, **options) for seed in (0, 1)]
    step = Ensemble(configs, data, device="meta", mode="eager").training
    with OffDevice() as seen:
        step._step(*step.state.values(), step.images)
    assert seen.operations > 100
    assert not seen.found


def test_the_watch_sees_a_copy():
    with OffDevice() as seen:
        torch.ones(3, device="meta") + torch.ones(3).to("meta")
    assert "aten._to_copy.default" in seen.found


def stop_after(patch, calls):
    """Have the time be up when it was asked for so many times."""
    asked = iter(range(10**6))
    patch.setattr(session.Session, "left", lambda self: 100.0 if next(asked) < calls else 0.0)


def records_in(out, tmp_path):
    back.take(out, tmp_path / out.name / "records", tmp_path / out.name / "states")
    return without_times(TABLE1.records(tmp_path / out.name / "records"))


def test_two_calls_give_what_one_gives(tmp_path, monkeypatch, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["gpu", "--out", str(whole)]) == 0
    said = capsys.readouterr().out
    assert f"finished rows: {ROW};" in said
    assert "7 cells agree with the CPU" in said
    with monkeypatch.context() as patch:
        stop_after(patch, 16)
        cells = run(parts, 9.0)["cells"]
    outcomes = [cells[f"{ROW}-{name}"] for name in COLUMNS]
    assert "finished" in outcomes
    assert any(outcome.startswith("stopped at ") for outcome in outcomes)
    assert "waits" in outcomes
    # The second call with threads, as on a GPU.
    monkeypatch.setattr(lanes.Lanes, "measure_lanes", lambda self: (3, 0.01))
    report = run(parts, 9.0)
    assert report["finished"] == [ROW]
    assert report["earlier"]["cells"] == cells
    assert cells[f"{ROW}-sf"] == "finished"
    assert f"{ROW}-sf" not in report["cells"]  # and not run again
    assert records_in(parts, tmp_path) == records_in(whole, tmp_path)
    assert len(list(parts.iterdir())) <= back.FILES

    assert main(["gpu", "--out", str(whole)]) == 0
    assert "nothing is left to do" in capsys.readouterr().out


def test_what_is_wrong_is_left_out(tmp_path, monkeypatch, capsys):
    """A cell whose steps are not the CPU's, and one that cannot be captured."""
    right = check.trained

    def broken(call, cell, data, device, mode):
        found = right(call, cell, data, device, "eager")
        if device == call.device and cell.endswith("-st"):
            found["losses"] = found["losses"] * 1.1
        if device == call.device and cell.endswith("-darn") and mode != "eager":
            raise RuntimeError("operation not permitted when stream is capturing")
        return found

    monkeypatch.setattr(check, "trained", broken)
    monkeypatch.setattr(check, "noise_difference", lambda device: 0.0)
    data = {name: split for name, split in TABLE1.load_data(20)[0].items()}
    cpu = torch.device("cpu")
    call = session.Session(tmp_path, session.TOY, cpu, "captured", False, False, until=1e9)
    modes = check.check(call, data)
    assert modes.keys() == {f"{ROW}-{name}" for name in COLUMNS} - {f"{ROW}-st"}
    assert modes[f"{ROW}-darn"] == "eager"
    assert modes[f"{ROW}-sf"] == "captured"
    said = capsys.readouterr().out
    assert f"WRONG {ROW}-st" in said
    assert f"SLOW {ROW}-darn" in said

    monkeypatch.setattr(check, "product_error", lambda call: 3e-4)  # as TF32 would have
    with pytest.raises(Stopped, match="nothing was trained"):
        check.check(call, data)


def test_distance():
    a = {"w": torch.ones(3, dtype=torch.float64), "still": torch.zeros(2, dtype=torch.float64)}
    assert check.distance(a, {k: v.clone() for k, v in a.items()}) == 0
    assert check.distance(a, a | {"w": 1.1 * a["w"]}) == pytest.approx(0.1)
    assert check.distance(a, a | {"still": a["still"] + 1}) > 1e5
    assert check.distance(a, a | {"w": a["w"] * float("nan")}) == float("inf")


def test_few_files_come_back(tmp_path, monkeypatch):
    store = Checkpoints(TABLE1, {}, tmp_path / "work" / "states")
    for i in range(20):
        path = store.folder / "a" / f"{i:02}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10_000))
    monkeypatch.setattr(back, "LARGEST", 25_000)
    left_out = back.pack_states(tmp_path / "out", store)
    assert len(left_out) == 20 - 2 * 7
    files = list((tmp_path / "out").iterdir())
    assert len(files) == 7
    back.unpack(tmp_path / "out", tmp_path / "back")
    assert len(list(tmp_path.glob("back/states/a/*"))) == 14


def test_take_refuses(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"records\.tar does not exist"):
        back.take(tmp_path, tmp_path / "records")
    small = replace(session.TOY, steps=4, seeds=1, members=(1,))
    out = tmp_path / "out"
    monkeypatch.setattr(session, "COLUMNS", ("st",))
    run(out, 9.0, scale=small)
    good = tmp_path / "good"
    assert back.take(out, good, tmp_path / "states").startswith("1 runs are in")
    assert "1 of them in place of an older one" in back.take(out, good, tmp_path / "states")
    [record] = TABLE1.records(good).all()
    other = TABLE1.records(tmp_path / "other")
    other.add([record | {"data": record["data"] | {"sha256": {"train": "0" * 64}}}])
    with pytest.raises(ValueError, match="was trained on other data, 'embedded-5000'"):
        back.take(out, tmp_path / "other")
    monkeypatch.setattr("gsbook.records.code_of", lambda modules: {"gslib.models": "new"})
    with pytest.raises(ValueError, match=r"is of other code than the present, in gslib\.models"):
        back.take(out, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_a_folder_that_takes_nothing_is_told_before_the_minutes(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["gpu", "--out", str(tmp_path / "file"), "--minutes", "0"]) == 2
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_take_refuses_an_archive_that_is_not_whole(tmp_path, damage):
    (tmp_path / "a.txt").write_text("x" * 2000)
    whole = back.tar([tmp_path / "a.txt"], tmp_path)
    content = {"cut": whole[:700], "garbage": b"no archive" * 99, "empty": whole}[damage]
    (tmp_path / back.RECORDS).write_bytes(content)
    with pytest.raises(ValueError, match=r"is no whole archive|holds no record"):
        back.take(tmp_path, tmp_path / "records")
    assert not (tmp_path / "records").exists()


BARE = """
import sys
has = {"torch", "torchgen", "functorch", "numpy", "safetensors", "gslib", "gsbook"}
has |= {"filelock", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec"}  # torch's own
has |= {"typing_extensions", "packaging", "triton", "nvidia", "setuptools", "_distutils_hack"}
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in has | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Bare())
from gsbook.__main__ import parser
import os
from gsbook import data, files
parser().parse_args(["gpu", "--out", "x"])
del os.environ["GSLIB_CACHE"]
assert files.cache_folder().name == "gumbel-softmax-book"
print("no more was needed")
"""


def test_torch_numpy_and_safetensors_are_enough():
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True)
    assert "no more was needed" in done.stdout, done.stderr[-2000:]
