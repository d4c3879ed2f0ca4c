"""The sparse products against dense ones in float64, on all paths through the kernel."""

import os
from pathlib import Path

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from gsbook import files
from gsbook.engine import kernels, step
from gslib import Bernoulli, Categorical
from gslib._checks import unchecked
from gslib.functional import stream


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or files.cache_folder() / "compiled"
    if step.usable("compiled") or not kernels.load(Path(folder), step.compiler()):
        pytest.skip("there is no C++ compiler on this machine")


def sparse(*shape, density=0.13):
    generator = stream("sparse", *shape)
    values = torch.randn(shape, generator=generator)
    return values * (torch.rand(shape, generator=generator) < density)


@pytest.mark.parametrize("width", [16, 20, 23, 24, 200, 208, 392, 784])
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize(
    ("members", "count", "inner"), [(1, 30, 784), (2, 30, 200), (1, 600, 17), (1, 30, 3)]
)
def test_products(members, count, inner, ones, width):
    """With many rows, too, for which parts of the other factor are copied."""
    x, generator = sparse(members, count, inner), stream("dense", inner, width)
    x = (x != 0).float() if ones else x
    w = torch.randn(members, inner, width, generator=generator)
    bias = torch.randn(members, 1, width, generator=generator)
    g = torch.randn(members, count, width, generator=generator)
    exact = bias.double() + x.double() @ w.double()
    torch.testing.assert_close(
        torch.ops.gsbook.rows(bias, x, w), exact.float(), rtol=1e-5, atol=1e-5
    )
    exact = x.double().mT @ g.double()
    found = torch.ops.gsbook.columns(x, g)
    torch.testing.assert_close(found, exact.float(), rtol=1e-5, atol=2e-5)


def test_a_part_of_wider_rows():
    wide, w = sparse(2, 30, 80), torch.randn(2, 40, 24, generator=stream("part"))
    bias, g = torch.zeros(2, 1, 24), torch.randn(2, 30, 24, generator=stream("g"))
    part = wide[..., 40:]
    op = torch.ops.gsbook
    assert torch.equal(op.rows(bias, part, w), op.rows(bias, part.contiguous(), w))
    assert torch.equal(op.columns(part, g), op.columns(part.contiguous(), g))
    assert torch.equal(op.rows(bias, part.mT.contiguous().mT, w), op.rows(bias, part, w))


def test_narrow_rows_are_refused_and_left_to_dense_products():
    x, w, bias = sparse(1, 4, 40), torch.ones(1, 40, 15), torch.zeros(1, 1, 15)
    with pytest.raises(RuntimeError, match="rows of at least 16 numbers are added, got 15"):
        torch.ops.gsbook.rows(bias, x, w)
    narrow = lambda x, w, bias: torch.baddbmm(bias, x.float(), w)  # noqa: E731
    assert traced(narrow, (x != 0).byte(), w, bias)[1] == 0


def test_not_a_number_comes_through_and_no_other_row_sees_it():
    x, w = sparse(1, 4, 40), torch.ones(1, 40, 24)
    x[0, 2, 5] = torch.nan
    out = torch.ops.gsbook.rows(torch.zeros(1, 1, 24), x, w)
    assert out.isnan().all(-1).tolist() == [[False, False, True, False]]
    grad = torch.ops.gsbook.columns(x, torch.ones(1, 4, 24))
    assert grad.isnan().all(-1).nonzero().tolist() == [[0, 5]]
    w[0, 5, 1] = torch.inf
    x[0, :, 5] = torch.tensor([1.0, 0, -1, 0])
    out = torch.ops.gsbook.rows(torch.zeros(1, 1, 24), x, w)
    assert out[0, :, 1].isinf().tolist() == [True, False, True, False]


@pytest.mark.parametrize("k", [2, 3, 10, 16, 17, 40])
def test_first_maximum(k):
    x = torch.randint(5, (50, 6, k), generator=stream("ties", k)).float()  # many ties
    x[0, 0, :], x[1, 0, k // 2], x[2, 0, 1:] = -torch.inf, torch.nan, -torch.inf
    found = torch.ops.gsbook.one_hot_max(x)
    assert torch.equal(found, torch.zeros_like(x).scatter(-1, x.argmax(-1, keepdim=True), 1))


def traced(function, *inputs):
    with unchecked():
        graph = make_fx(function)(*inputs)
    count = kernels.use(graph)
    return graph, count, [n.target for n in graph.graph.nodes if n.op == "call_function"]


def test_pixels_and_one_hot_samples_are_found_in_a_trace():
    pixels = (sparse(1, 12, 40) != 0).byte()
    w, bias = torch.randn(1, 40, 30), torch.zeros(1, 1, 30)

    def function(pixels, w, bias):
        hidden = torch.baddbmm(bias, pixels.float(), w)
        z = Categorical(hidden.unflatten(-1, (6, 5))).sample(uniform=lambda like: like.sigmoid())
        out = torch.baddbmm(bias[..., :17], z.flatten(-2), w[:, :30, :17])
        return out, torch.bmm(pixels.float().transpose(1, 2), z.flatten(-2))

    graph, count, targets = traced(function, pixels, w, bias)
    assert count == 4
    op = torch.ops.gsbook
    for new, times in ((op.rows, 2), (op.columns, 1), (op.one_hot_max, 1)):
        assert targets.count(new.default) == times
    with unchecked():
        pairs = zip(graph(pixels, w, bias), function(pixels, w, bias), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected)


def test_what_is_dense_or_wide_stays():
    x, w, bias = torch.rand(1, 12, 40), torch.randn(1, 40, 30), torch.zeros(1, 1, 30)
    dense = lambda x, w, bias: torch.baddbmm(bias, x, w)  # noqa: E731
    assert traced(dense, x, w, bias)[1] == 0
    bytes_as_double = lambda x, w, bias: torch.baddbmm(bias, x.double(), w)  # noqa: E731
    assert traced(bytes_as_double, x.byte(), w.double(), bias.double())[1] == 0


@pytest.mark.parametrize(("count", "found"), [(kernels.MANY - 1, 0), (kernels.MANY, 1)])
def test_many_binary_samples_are_found_in_a_trace(count, found):
    generator = stream("binary", count)
    w, bias = (torch.randn(1, n, 24, generator=generator) for n in (40, 1))
    u = torch.rand(1, count, 40, generator=generator)

    def function(u, w, bias):
        z = Bernoulli(torch.zeros_like(u)).sample(uniform=lambda like: u)
        return torch.baddbmm(bias, z, w)

    graph, replaced, targets = traced(function, u, w, bias)
    assert replaced == targets.count(torch.ops.gsbook.rows.default) == found
    exact = bias.double() + (u > 0.5).double() @ w.double()
    with unchecked():
        torch.testing.assert_close(graph(u, w, bias), exact.float(), rtol=1e-5, atol=1e-5)
