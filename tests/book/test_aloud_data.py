"""The networks of the figure that reads aloud: what the page gets against what was kept."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gsbook.__main__ import main
from gsbook.experiments.reading.config import Reading
from gsbook.experiments.reading.model import ReadingAloud, spell
from gsbook.weights import load_model, stamp
from gsbook.words import Word, split_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import aloud  # noqa: E402
from interactive import script  # noqa: E402

SCRIPT = (ROOT / "book" / "_static" / "aloud.js").read_text(encoding="utf-8")


def stand_in(folder, method):
    """A network of random weights, kept as `python -m gsbook keep` does."""
    config = Reading(method, lr=1e-3, seed=4)
    weights = ReadingAloud(seed=4).state_dict()
    weights = {name: (2 * value).half() for name, value in weights.items()}
    about = {"key": config.key, "config": json.dumps(config.to_dict())}
    about["sha256"] = stamp(about, weights)
    path = Path(folder, f"reading-{method}.safetensors")
    save_file(weights, path, metadata=about)
    return path


@pytest.fixture(scope="module", params=["random", "kept"])
def paths(request, tmp_path_factory):
    if request.param == "random":
        return {"soft": stand_in(tmp_path_factory.mktemp("weights"), "soft")}
    if not aloud.kept():
        pytest.skip("no weights of reading aloud are kept yet")
    return aloud.kept()


@torch.no_grad()
def test_the_network_of_the_page_is_the_one_that_was_kept(paths):
    data = json.loads(script("gsAloud", aloud.aloud(paths)).partition("??= ")[2].rstrip(";\n"))
    letters = spell([Word(word, ()) for word in (*aloud.STILL, "gumbel", "softmax")]).letters
    for method, path in paths.items():
        model, config = load_model(path)
        assert data["models"][method]["steps"] == config.steps
        ours, theirs = (
            net.read(letters, soft=method == "soft")[1][:, 0]
            for net in (aloud.network(data, method), model)
        )
        assert (ours - theirs).abs().max() < 0.05  # eight bits


def test_weights_that_differ_from_their_sha256_are_refused(tmp_path):
    path = stand_in(tmp_path, "soft")
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its SHA-256 is not the one that it was kept with"):
        load_model(path)


def test_without_weights_there_is_a_picture_that_says_so(tmp_path):
    assert aloud.aloud({}) is None
    assert script("gsAloud", None) == "window.gsAloud ??= null;\n"
    aloud.draw_aloud(None, tmp_path / "none.svg")
    assert (tmp_path / "none.svg").stat().st_size > 0


def test_the_still_picture_is_drawn(tmp_path, paths):
    aloud.draw_aloud(aloud.aloud(paths), tmp_path / "still.svg")
    assert (tmp_path / "still.svg").read_text().count("<svg") == 1


def test_words_that_are_offered_were_never_trained_on():
    offered = re.findall(r'"(\w+)"', re.search(r"WORDS = \[(.*?)\]", SCRIPT)[1])
    assert {split_of(word) for word in (*offered, *aloud.STILL)} == {"test"}


def test_the_commands_that_the_page_names_are_there(tmp_path, capsys):
    run, keep = re.findall(r"<code>python -m gsbook ([^<]+)</code>", SCRIPT)
    assert run == "run reading --budget laptop"
    assert main([*keep.split(), "--results", str(tmp_path)]) != 0
    assert "gumbel_softmax has no finished final run" in capsys.readouterr().err
