"""Saved states: taken up to the last bit, and never used unless they are what was written."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import (
    ABOUT,
    NODE_SIZES,
    TINY,
    InThisProcess,
    all_of,
    config,
    differing,
    execute,
    once,
    toy1,
    trained,
    without_times,
)
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from gsbook import code, files
from gsbook.engine.checkpoints import Checkpoints, checksum, read
from gsbook.experiments.table1.config import CELLS, parse_cell
from gsbook.experiments.table1.train import Ensemble


def store_in(folder):
    return Checkpoints(toy1(), ABOUT, folder)


@pytest.mark.parametrize("cell", CELLS)
def test_continued_from_a_checkpoint_equals_uninterrupted(tmp_path, cell):
    model, node, estimator = parse_cell(cell)
    configs = [
        config(model, node, estimator, lr, seed=s, anneal_rate=0.01, steps=20, slope_rate=0.5)
        for lr, s in ((1e-2, 0), (1e-3, 1))
    ]
    store = store_in(tmp_path)
    store.save(trained(configs))
    longer = [replace(c, steps=40) for c in configs]
    assert [store.step(c) for c in longer] == [20, 20]
    resumed = Ensemble(longer, TINY, size=NODE_SIZES[node])
    store.load(resumed)
    assert resumed.step == 20
    for _ in resumed.advance(40):
        pass
    straight = trained(longer)
    for e in (0, 1):
        assert differing(resumed.states()[e], straight.states()[e]) == []
        assert all_of(resumed, e)[1:] == all_of(straight, e)[1:]
        assert resumed.curves[e].step == [10, 20, 30, 40]


def test_evaluation_after_loading_a_finished_run_is_the_same(tmp_path):
    c = config(estimator="annealed_st", slope_rate=0.5)
    ensemble, store = trained([c]), store_in(tmp_path)
    store.save(ensemble)
    loaded = Ensemble([c], TINY, size=(4,))
    store.load(loaded)
    assert all_of(loaded, 0)[1:] == all_of(ensemble, 0)[1:]


def test_members_saved_at_different_steps_are_brought_together(tmp_path):
    """A kill between two members' files."""
    configs = [config(lr=lr, steps=40) for lr in (1e-2, 1e-3, 1e-4)]
    straight = execute(tmp_path / "straight", once(configs))
    store = store_in(tmp_path / "killed" / "checkpoints")
    store.save(trained(configs[:2], size=(200,), steps=20))
    store.save(trained(configs[2:], size=(200,), steps=10))
    pool = InThisProcess()
    again = execute(tmp_path / "killed", once(configs), executor=pool)
    assert without_times(again) == without_times(straight)
    assert sorted(map(len, pool.ran)) == [1, 2]


def test_one_ensemble_is_never_loaded_from_different_steps(tmp_path):
    configs = [config(lr=lr, steps=40) for lr in (1e-2, 1e-3)]
    store = store_in(tmp_path)
    store.save(trained(configs[:1], steps=20))
    store.save(trained(configs[1:], steps=10))
    with pytest.raises(ValueError, match=r"saved at different steps: \{10, 20\}"):
        store.load(Ensemble(configs, TINY, size=(4,)))


def test_members_of_which_one_is_gone_begin_anew(tmp_path):
    configs, store = [config(lr=lr) for lr in (1e-2, 1e-3)], store_in(tmp_path)
    store.save(trained(configs))
    store.path(configs[1]).unlink()
    fresh = Ensemble(configs, TINY, size=(4,))
    store.load(fresh)
    assert fresh.step == 0


def test_checkpoints_beyond_or_off_the_runs_path_are_not_used(tmp_path):
    store = store_in(tmp_path)
    ensemble = trained([config(steps=25)])
    store.save(ensemble)
    # 25 is no multiple of eval_every: a longer run has no point of its curve there.
    assert [store.step(config(steps=s)) for s in (25, 40, 20)] == [25, 0, 0]
    assert store.state(config(steps=40)) is None
    assert differing(store.state(config(steps=25)), ensemble.states()[0]) == []
    assert store.step(config(steps=25, seed=1)) == 0


def test_a_shorter_run_leaves_the_state_of_a_longer_one(tmp_path):
    store, long = store_in(tmp_path), config(steps=40)
    store.save(trained([long], steps=30))
    store.save(trained([config(steps=20)], steps=20))
    assert [store.step(long), store.step(config(steps=20))] == [30, 0]
    store.save(trained([long]))
    assert store.step(long) == 40


def test_checkpoints_belong_to_one_code_and_one_data_set(tmp_path, monkeypatch):
    c = config()
    changes = ({}, {"images": 9}, {"images": 10}, {"sha256": {"train": "x" * 64}})
    stores = [Checkpoints(toy1(), ABOUT | change, tmp_path) for change in changes]
    paths = [store.path(c) for store in stores]
    monkeypatch.setattr(code, "code_of", lambda modules: {"gslib.functional": "f" * 12})
    paths.append(stores[0].path(c))
    assert len(set(paths)) == 5
    assert len({path.name for path in paths}) == 1


def test_saved_states_and_data_sets_share_one_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GSLIB_CACHE", str(tmp_path))
    assert Checkpoints(toy1(), ABOUT).folder == tmp_path / "checkpoints"
    monkeypatch.delenv("GSLIB_CACHE")
    assert Checkpoints(toy1(), ABOUT).folder.parent == files.cache_folder()
    assert files.cache_folder().name == "gumbel-softmax-book"


# Damage. A file that is proved to be another than was written is set aside; whatever else happens
# says nothing about it.


def cut(keep):
    return lambda content: content[:keep]


def flipped(place):
    """One bit in the metadata (place 100) or in the last tensor."""
    return lambda content: (
        content[: place % len(content)]
        + bytes([content[place] ^ 1])
        + content[place % len(content) + 1 :]
    )


def zeroed(content):
    return content[: len(content) * 2 // 3] + bytes(len(content) - len(content) * 2 // 3)


def unmarked(content):
    return save_tensors(load_tensors(content))


def of_another_run(content):
    """A good file under a wrong name."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        store = store_in(Path(folder))
        store.save(trained([config(steps=40, seed=7)], size=(200,), steps=20))
        return store.path(config(steps=40, seed=7)).read_bytes()


def with_other_metadata(content):
    """The step is changed, the tensors are not."""
    assert content.count(b'\\"step\\": 20') == 1
    return content.replace(b'\\"step\\": 20', b'\\"step\\": 10')


def huge(content):
    """A header that promises more than any machine has."""
    return (2**62).to_bytes(8, "little") + content[8:]


DAMAGES = {
    "empty": cut(0),
    "five bytes": cut(5),
    "half the header": cut(300),
    "one byte short": cut(-1),
    "a bit of the header": flipped(100),
    "a bit of a tensor": flipped(-1),
    "zeros at the end": zeroed,
    "all zeros": lambda content: bytes(len(content)),
    "other metadata": with_other_metadata,
    "no metadata": unmarked,
    "another run's": of_another_run,
    "a huge header": huge,
    "text": lambda content: b"<html>We have moved.</html>",
    "longer": lambda content: content + b"more",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_set_aside_and_the_run_starts_anew(tmp_path, damage):
    c = config(steps=40)
    straight = execute(tmp_path / "straight", once([c]))
    store = store_in(tmp_path / "damaged" / "checkpoints")
    store.save(trained([c], size=(200,), steps=20))
    path = store.path(c)
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{path.name} is not used: .*, and the run starts anew"):
        assert store.step(c) == 0
    assert path.with_name(f"{path.name}.corrupt").read_bytes() == content
    assert without_times(execute(tmp_path / "damaged", once([c]))) == without_times(straight)


def test_a_missing_state_is_no_damage(tmp_path, recwarn):
    assert store_in(tmp_path).step(config()) == 0
    assert store_in(tmp_path).state(config()) is None
    assert list(recwarn) == []


@pytest.mark.parametrize(
    "error", [MemoryError(), PermissionError(13, "denied"), OSError(5, "Input/output error")]
)
def test_a_state_that_cannot_be_read_now_stays_where_it_is(tmp_path, monkeypatch, error):
    store, c = store_in(tmp_path), config()
    store.save(trained([c]))
    with monkeypatch.context() as patch:

        def fail(self):
            raise error

        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(type(error)):
            store.step(c)
    assert store.step(c) == 20
    assert [p.name for p in store.path(c).parent.iterdir()] == [store.path(c).name]


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import torch
from gsbook.engine.checkpoints import read
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (16 << 20), -1))
try:
    read(Path(sys.argv[1]), "big")
except (MemoryError, OSError) as error:
    print("not now")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_too_little_memory_is_no_damage(tmp_path):
    state = {"weights": torch.zeros(16 << 20)}  # 64 MB
    text = json.dumps({"trajectory": "big"})
    metadata = {"run": text, "sha256": checksum(text, state)}
    (tmp_path / "big").write_bytes(save_tensors(state, metadata=metadata))
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, tmp_path / "big"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "not now\n", done.stderr
    assert read(tmp_path / "big", "big")[1]["weights"].shape == (16 << 20,)


def test_a_save_on_a_full_disk_leaves_the_last_state(tmp_path, monkeypatch):
    store, c = store_in(tmp_path), config(steps=40)
    store.save(trained([c], steps=10))
    before = store.path(c).read_bytes()
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(trained([c], steps=20))
    assert store.path(c).read_bytes() == before
    assert store.step(c) == 10
    assert [p.name for p in store.path(c).parent.iterdir()] == [store.path(c).name]
