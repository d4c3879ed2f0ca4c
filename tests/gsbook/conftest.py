"""The runner's settings, which are global, for one test each."""

import pytest
import torch
from digit_files import fake, server, world  # noqa: F401, fixtures for all tests here

from gsbook.engine.machine import prepare_process


@pytest.fixture(autouse=True)
def _settings():
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    prepare_process()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
