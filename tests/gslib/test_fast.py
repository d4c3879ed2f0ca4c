"""The quick forms of known functions against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from gslib import _fast
from gslib._fast import bernoulli_nll, softplus

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
dtype_table = pytest.mark.parametrize("dtype", DTYPES, ids=str)
POINTS = torch.cat([torch.linspace(-30, 30, 601), torch.tensor([-1e4, -100.0, 100.0, 1e4])])


@pytest.mark.parametrize("classes", [2, 15, 16, 40])
def test_softmax_and_log_softmax_are_torchs(classes):
    x = (torch.randn(7, classes, dtype=torch.float64) * 10).requires_grad_()
    for name in ("softmax", "log_softmax"):
        ours, theirs = getattr(_fast, name)(x), getattr(torch, name)(x, -1)
        torch.testing.assert_close(ours, theirs)
        weights = torch.randn_like(x)
        gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
        torch.testing.assert_close(*gradients)


def test_softplus_is_torchs():
    x = POINTS.clone().requires_grad_()
    torch.testing.assert_close(softplus(x), F.softplus(x), rtol=1e-6, atol=2e-7)
    (ours,), (theirs,) = (torch.autograd.grad(f(x).sum(), x) for f in (softplus, F.softplus))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert torch.autograd.gradcheck(
        softplus, torch.randn(9, dtype=torch.float64, requires_grad=True)
    )
    assert torch.autograd.gradgradcheck(
        softplus, torch.randn(9, dtype=torch.float64, requires_grad=True)
    )


@pytest.mark.parametrize("pixels", [1, 97, 784])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_bernoulli_nll_is_binary_cross_entropy(pixels, scale):
    logits, x = (
        (torch.randn(5, pixels) * scale).requires_grad_(),
        (torch.rand(5, pixels) < 0.4).float(),
    )
    expected = F.binary_cross_entropy_with_logits(
        logits.double(), x.double(), reduction="none"
    ).sum(-1)
    ours = bernoulli_nll(logits, x)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,), (reference,) = (torch.autograd.grad(y.sum(), logits) for y in (ours, expected))
    torch.testing.assert_close(gradient, reference, rtol=1e-5, atol=1e-6)


@dtype_table
def test_bernoulli_nll_in_every_type(dtype):
    logits = (
        (torch.randn(5, 784) * 0.1).to(dtype).requires_grad_()
    )  # sigmoids near 1/2: their product is the smallest
    x = (torch.rand(5, 784) < 0.4).to(dtype)
    expected = F.binary_cross_entropy_with_logits(
        logits.double(), x.double(), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(bernoulli_nll(logits, x).double(), expected, rtol=1e-5, atol=0)
    bernoulli_nll(logits, x).sum().backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()
