"""Weights beside the records."""

import json
import math
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from helpers import ABOUT, TINY, WIDE, config, execute, once, toy1, trained
from safetensors import safe_open
from safetensors.torch import save

from gsbook import weights
from gsbook.experiments import ALPHABETS
from gsbook.experiments.alphabets.config import Config as Deeper
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table2.config import FewLabels
from gsbook.places import results_folder


@pytest.fixture
def kept(tmp_path):
    """A file of weights as `keep` writes it."""
    records = execute(tmp_path, once([RUN]), experiment=toy1(HALVES))
    with use(HALVES):
        yield weights.keep(RUN.cell, records, checkpoints=tmp_path / "checkpoints")


HALVES = {name: split.repeat(1, 49) for name, split in TINY.items()}
RUN = config("sbn", lr=1e-3)


@contextmanager
def use(data):
    """`keep` opens the experiment itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "TABLE1", toy1(data))
        yield


@pytest.mark.parametrize("estimator", ["st", "annealed_st"])
def test_kept_weights_give_the_trained_model_back(tmp_path, estimator):
    configs = [config("sbn", estimator=estimator, lr=1e-3, seed=s, slope_rate=0.5) for s in (0, 1)]
    records = execute(tmp_path, once(configs), experiment=toy1(HALVES))
    folder = tmp_path / "checkpoints"
    with use(HALVES):
        path = weights.keep(configs[0].cell, records, checkpoints=folder)
        assert path == tmp_path / "weights" / f"{configs[0].cell}.safetensors"
        model, found = weights.load_model(path)
        assert found == configs[0]
        ensemble = trained([configs[0]], HALVES, size=(200,))
        x = HALVES["test"].float()
        expected = ensemble.model.loss(x.unsqueeze(0), lambda q: q.mean)[0]
        torch.testing.assert_close(model.loss(x, lambda q: q.mean), expected, rtol=1e-3, atol=1e-2)
        shutil.rmtree(folder)
        with pytest.raises(
            FileNotFoundError,
            match=r"saved state of .* is not on this machine; delete its line .* run `py",
        ):
            weights.keep(configs[0].cell, records, checkpoints=folder)
        with pytest.raises(ValueError, match="vae-bernoulli-sf has no finished final run"):
            weights.keep("vae-bernoulli-sf", records)


def test_kept_weights_of_other_networks(tmp_path):
    data = dict.fromkeys(("drawers", "digits"), WIDE)
    experiment = replace(ALPHABETS, load_data=lambda images: (data, ABOUT | {"images": images}))
    short = dict(steps=4, batch=8, eval_every=2)
    run = Deeper("vae", "categorical", "annealed_st", lr=1e-3, network="conv", **short)
    records = execute(tmp_path, once([run]), experiment=experiment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "ALPHABETS", experiment)
        patch.setitem(weights.PREFIXES, "alphabets-", experiment)
        name = f"alphabets-{run.cell}"
        path = weights.keep(name, records, checkpoints=tmp_path / "checkpoints")
        assert path == weights.weights_file(name, tmp_path / "weights")
    model, found = weights.load_model(path)
    assert found == run
    assert len(model.encoder) == 5
    assert model.reconstruct(WIDE["test"].float()).shape == WIDE["test"].shape


def rewritten(path, *, tensors=lambda t: t, metadata=lambda m: m):
    with safe_open(path, framework="pt") as file:
        about = dict(file.metadata())
        found = {k: file.get_tensor(k) for k in file.keys()}
    path.write_bytes(save(tensors(found), metadata=metadata(about)))


def configured(**changes):
    """Metadata of another config, with its right key."""

    def change(about):
        settings = json.loads(about["config"]) | changes
        kind = FewLabels if "method" in settings else Config
        return about | {"config": json.dumps(settings), "key": kind(**settings).key}

    return change


def wide(about):
    c = FewLabels("gumbel_softmax", 1.0, classes=2_000_000)
    return {"config": json.dumps(c.to_dict()), "key": c.key}


HOSTILE = {
    "no metadata": (dict(metadata=lambda m: None), "metadata lack the config"),
    "no key": (dict(metadata=lambda m: {"config": m["config"]}), "metadata lack the config"),
    "another key": (dict(metadata=lambda m: m | {"key": "x"}), "key x is not the one of its"),
    "no JSON": (dict(metadata=lambda m: m | {"config": "{"}), "Expecting"),
    "a list": (dict(metadata=lambda m: m | {"config": "[]"}), "no attribute"),
    "an unknown field": (
        dict(metadata=lambda m: m | {"config": json.dumps(json.loads(m["config"]) | {"x": 1})}),
        "beyond the known, x",
    ),
    "another model": (dict(metadata=configured(model="vae")), "Missing key"),
    "too wide": (dict(metadata=wide), "wider than 10,000 units"),
    "no weights": (dict(tensors=lambda t: {}), "Missing key"),
    "a weight too many": (dict(tensors=lambda t: t | {"x": torch.ones(1)}), "Unexpected key"),
    "another shape": (dict(tensors=lambda t: {k: v[:1] for k, v in t.items()}), "size mismatch"),
    "NaN": (dict(tensors=lambda t: {k: v * math.nan for k, v in t.items()}), "not finite"),
    "infinite": (dict(tensors=lambda t: {k: v + math.inf for k, v in t.items()}), "not finite"),
    "bits flipped": (dict(tensors=lambda t: {k: v * 0 for k, v in t.items()}), "SHA-256 is not"),
    "no SHA-256": (
        dict(metadata=lambda m: {k: v for k, v in m.items() if k != "sha256"}),
        "SHA-256 is not",
    ),
    "another slope": (dict(metadata=lambda m: m | {"slope": "2.0"}), "SHA-256 is not"),
    "a slope of text": (dict(metadata=lambda m: m | {"slope": "steep"}), "could not convert"),
    "an infinite slope": (dict(metadata=lambda m: m | {"slope": "inf"}), "slope is inf"),
    "a slope below 1": (dict(metadata=lambda m: m | {"slope": "-3"}), "slope is -3"),
}


@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_weights_that_are_not_ours_are_refused(kept, change, reason):
    rewritten(kept, **change)
    with pytest.raises(
        ValueError, match=rf"(?s){kept.name} holds no weights .*{reason}.*restore it"
    ):
        weights.load_model(kept)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", (2**62).to_bytes(8, "little") + b"{}", bytes(100)],
    ids=["empty", "a page", "a huge header", "zeros"],
)
def test_files_that_are_no_weights_are_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match=r"w holds no weights .* restore it"):
        weights.load_model(tmp_path / "w")


def test_a_truncated_file_is_refused(kept):
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ValueError, match="holds no weights"):
        weights.load_model(kept)


def test_missing_weights_are_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        weights.load_model(tmp_path / "none")


def test_all_kept_weights_of_the_book_load():
    paths = sorted((results_folder() / "weights").iterdir())
    assert paths
    for path in paths:
        _, found = weights.load_model(path)
        assert weights.weights_file(path.stem, path.parent) == path
        assert path.stem.endswith(found.cell)
