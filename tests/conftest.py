"""One thread, one seed per test, and property tests that draw the same examples on every run."""

import os
import shutil
import tempfile
from pathlib import Path

import alone
import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("book", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("book")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "slow: takes more than a few seconds (deselect with -m 'not slow')"
    )
    torch.set_num_threads(1)  # sums are then added in one order, so equal inputs give equal bits
    if alone.FOLDER not in os.environ:  # else this is a worker, and the folder its controller's
        config.alone = Path(tempfile.mkdtemp(prefix="gslib-alone-"))
        alone.announce(config.alone)


def pytest_unconfigure(config):
    if hasattr(config, "alone"):
        shutil.rmtree(config.alone, ignore_errors=True)
        del os.environ[alone.FOLDER]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)  # the runner sets it, and property tests draw denormal numbers
