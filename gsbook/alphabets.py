"""Characters of eight alphabets, each drawn by twenty people: the two small sets of Omniglot.

Sources, in this order, each checked by SHA-256:

1. `omniglot/images_background_small{1,2}.zip` in the folder that GSLIB_DATA names or in the cache
   folder (GSLIB_CACHE);
2. a download (never with GSLIB_OFFLINE=1), kept in the cache folder; a failed one is not repeated
   for ten minutes;
3. digits in their place: 20 made-up drawers, and every digit an alphabet of one character. They
   let everything run, and are good for no result.

A drawing of 105 x 105 pixels gets a white margin up to 112 x 112; of each 4 x 4 pixels the ink is
counted. A pixel of the 28 x 28 is 1 where a quarter of them or more is ink. Nothing is drawn by
chance: strokes two pixels wide would fall to pieces, and noise that no model can learn would stand
in every loss.

Licence of the drawings: MIT, (c) 2015 Brenden Lake. Source: Lake, Salakhutdinov and Tenenbaum,
Science 350, 2015.
"""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsbook import data, files

NAMES = ("images_background_small1.zip", "images_background_small2.zip")
SHA256 = dict(
    zip(
        NAMES,
        (
            "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
            "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
        ),
        strict=True,
    )
)
COMMIT = "32aee47094f15296299b761dcaa01400b90c60d5"  # of the data set's repository
MIRRORS = (
    f"https://raw.githubusercontent.com/brendenlake/omniglot/{COMMIT}/python/",
    f"https://cdn.jsdelivr.net/gh/brendenlake/omniglot@{COMMIT}/python/",
)
SOURCE = "omniglot"
NEW = ("drawers", "alphabets")  # what is new in the validation and test sets
DRAWERS = {"train": range(1, 15), "valid": range(15, 17), "test": range(17, 21)}
# Alphabets that are kept out of training, and what stands for them among digits.
HELD_OUT = {"valid": ("Early Aramaic", "digit 8"), "test": ("Sanskrit", "digit 9")}
INK = 4  # of the 16 pixels that become one: so many are a stroke


class Drawings(NamedTuple):
    """n drawings, alphabet by alphabet, character by character, drawer by drawer.

    >>> found = drawings()
    >>> found.ink.shape[1], len(found.alphabet) == len(found.ink)
    (784, True)
    """

    ink: Tensor  # [n, 784] uint8, 0 to 16
    alphabet: tuple[str, ...]  # the name of each one's alphabet
    character: Tensor  # [n], 0, 1, … through all alphabets
    drawer: Tensor  # [n], 1 to 20, within an alphabet
    source: str  # "omniglot", or that of the digits in their place
    about: str  # a line on it

    def of(self, alphabet: str) -> Tensor:
        """Which drawings are of an alphabet, [n] bool."""
        return torch.tensor([name == alphabet for name in self.alphabet])

    @property
    def names(self) -> list[str]:
        """The alphabets, sorted."""
        return sorted(set(self.alphabet))


def drawings() -> Drawings:
    """All drawings: 4,840 of 242 characters in eight alphabets."""
    return _load(*files.data_folders(), files.offline())


def binary(split: str, new: str = "drawers") -> Tensor:
    """Binary characters [n, 784] uint8 of a split, with the attributes `source` and `sha256`.

    split: "train", "valid" or "test". new: what they have that training has not, "drawers" (3,388,
    484 and 968 images of all alphabets) or "alphabets" (3,560, 440 and 840, of all drawers).

    >>> binary("test").shape[1], binary("test").max().item()
    (784, 1)
    """
    for value, known in ((split, DRAWERS), (new, NEW)):
        if value not in known:
            raise ValueError(f"{value!r} is unknown; choose one of {', '.join(known)}")
    found = drawings()
    images = (found.ink >= INK).to(torch.uint8)[members(found, split, new)]
    images.source = found.source
    images.sha256 = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    return images


def members(found: Drawings, split: str, new: str) -> Tensor:
    """Which drawings belong to a split, [n] bool."""
    if new == "drawers":
        return torch.isin(found.drawer, torch.tensor(list(DRAWERS[split])))
    held = {name: part for part, names in HELD_OUT.items() for name in names}
    return torch.tensor([held.get(name, "train") == split for name in found.alphabet])


@functools.cache
def _load(folder: Path, cache: Path, offline: bool) -> Drawings:
    archives = {
        name: files.read_first((folder, cache), f"omniglot/{name}", sha256)
        for name, sha256 in SHA256.items()
    }
    missing = ""
    if None in archives.values():
        note = cache / "omniglot.download-failed"
        found, missing = files.attempt(lambda: _download(cache / "omniglot"), note, offline)
        archives = found or archives
    if None in archives.values():
        stand_in = _digits(missing)
        print(stand_in.about)
        return stand_in
    return read([content for content in archives.values() if content is not None])


def read(archives: list[bytes]) -> Drawings:
    """The drawings of zip files whose images are called SET/ALPHABET/characterNN/NNNN_DRAWER.png.
    One that stands in two of them is taken once."""
    from PIL import Image

    found: dict[tuple, np.ndarray] = {}
    for archive in archives:
        with zipfile.ZipFile(io.BytesIO(archive)) as content:
            for path in content.namelist():
                if not path.endswith(".png"):
                    continue
                _, alphabet, character, name = path.split("/")
                key = (alphabet.replace("_", " "), character, int(name[-6:-4]))
                if key not in found:
                    found[key] = ~np.asarray(Image.open(io.BytesIO(content.read(path))))
    keys = sorted(found)
    characters = sorted({key[:2] for key in keys})
    ink = count_ink(np.stack([found[key] for key in keys]))
    return Drawings(
        torch.from_numpy(ink),
        tuple(key[0] for key in keys),
        torch.tensor([characters.index(key[:2]) for key in keys]),
        torch.tensor([key[2] for key in keys]),
        SOURCE,
        f"gsbook.alphabets: {len(keys):,} drawings of {len(characters)} characters",
    )


def count_ink(images: np.ndarray) -> np.ndarray:
    """Of images [n, 105, 105], True where there is ink, the ink in each 4 x 4 pixels, [n, 784]
    uint8.

    >>> count_ink(np.ones((1, 105, 105), bool)).reshape(28, 28)[1, :2]
    array([ 4, 16], dtype=uint8)
    """
    padded = np.pad(images, ((0, 0), (3, 4), (3, 4)))
    blocks = padded.reshape(-1, 28, 4, 28, 4).sum((2, 4), dtype=np.uint8)
    return blocks.reshape(-1, 784)


def _digits(missing: str) -> Drawings:
    """4,000 digits as if each were an alphabet, drawn by 20 people in turn."""
    grey, labels = data.subset(data.mnist("train"), 4000)
    order = labels.argsort(stable=True)
    return Drawings(
        (grey[order] // 16 + (grey[order] == 255)).to(torch.uint8),
        tuple(f"digit {label}" for label in labels[order].tolist()),
        labels[order],
        torch.arange(4000) % 20 + 1,
        f"digits, {data.mnist('train').source}",
        f"gsbook.alphabets: Omniglot is missing ({missing}), and digits stand in its place: good "
        f"for a first run, not for results. By hand: put {' and '.join(SHA256)} from "
        f"{MIRRORS[0]} into a folder as omniglot/… and name that folder in GSLIB_DATA",
    )


def _download(folder: Path) -> dict[str, bytes]:
    errors, found = [], {}
    for mirror in MIRRORS:
        try:
            for name, sha256 in SHA256.items():
                if name in found:
                    continue
                content = files.download(mirror + name)
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise ValueError(f"{name} is not the published one (SHA-256)")
                files.store(folder / name, content)
                found[name] = content
            return found
        except Exception as error:  # mirrors fail in many ways, and each means: the next one
            errors.append(f"{mirror.split('/')[2]}: {error}")
    raise ConnectionError("; ".join(errors))
