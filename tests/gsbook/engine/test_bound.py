"""Bounds by many samples: every sample has noise of its own, and none counts twice."""

import pytest
import torch
from torch import nn

from gsbook.engine.bound import mean_bound
from gsbook.engine.noise import Noise, keys


def weights(x, m, *, uniform, chunk):
    """log (1/m) sum_i w_i for weights that are the noise itself, [E, B]."""
    return uniform(x.new_empty(m, *x.shape[:2], 1)).squeeze(-1).mean(0).log()


@pytest.mark.parametrize(("samples", "at_once", "size"), [(60, 20, 50), (14, 14, 50), (1, 1, 500)])
def test_a_bound_is_over_samples_that_are_all_different(samples, at_once, size):
    images, seeds = torch.zeros(70, 4, dtype=torch.uint8), [3, 8]
    found = mean_bound(nn.Module(), weights, images, samples, seeds=seeds, use="test", ndim=3)
    part, logs = 0, []
    for images_here in [size] * (70 // size) + [70 % size]:
        drawn = []
        for _ in range(samples // at_once):
            uniform = Noise(keys("test", seeds), part, ndim=3)
            drawn.append(uniform(torch.empty(at_once, 2, size, 1)))
            part += 1
        logs.append(torch.cat(drawn).double().mean(0).log()[:, :images_here, 0])
    expected = torch.cat(logs, 1).mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == torch.float64


@pytest.mark.parametrize(
    ("images", "samples", "reason"),
    [
        (torch.rand(3, 4), 5, "uint8 with n > 0, got .* torch.float32; binarise"),  # would be black
        (torch.zeros(0, 4, dtype=torch.uint8), 5, r"n > 0, got \(0, 4\)"),
        (torch.zeros(4, dtype=torch.uint8), 5, r"\[n, D\]"),
        (torch.zeros(3, 4, dtype=torch.uint8), 0, "samples must be an integer of at least 1"),
    ],
)
def test_what_has_no_bound_is_refused(images, samples, reason):
    with pytest.raises(ValueError, match=reason):
        mean_bound(nn.Module(), weights, images, samples, seeds=[0], use="test", ndim=3)
