"""Numbers and tables that the tests of nodes share."""

import math

import pytest
import torch

N = 50_000
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
dtype_table = pytest.mark.parametrize("dtype", DTYPES, ids=str)
INF = math.inf


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


LOGITS = tensor(0.3, -1.2, 0.8)


def logit_grid(tau):
    return torch.linspace(-45, 45, 200_001, dtype=torch.float64) / tau
