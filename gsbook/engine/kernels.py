"""Products with a matrix that is mostly zeros, for the CPU: built once from kernels.cpp, put in the
place of dense ones.

Nine of ten entries of one-hot samples are zero, as are 87 in 100 binary pixels; a dense product
multiplies them all.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import warnings
from pathlib import Path

import torch
from torch import fx

SOURCE = Path(__file__).with_name("kernels.cpp")
CLASSES = 5  # from so many classes on, one-hot samples are sparse enough
MANY = 500  # rows, from which sums pay for binary samples, too, half of which are ones
WIDTH = 16  # numbers that are added at once: a narrower product stays dense
loaded: list[bool] = []  # once tried: whether this process has the library
op = torch.ops.aten
# What leaves a tensor's entries as they are, or only moves them; the first argument is the tensor.
MOVES = {
    op.view.default,
    op.reshape.default,
    op._unsafe_view.default,
    op.alias.default,
    op.detach.default,
    op.slice.Tensor,
    op.unsqueeze.default,
    op.expand.default,
    op.clone.default,
}


def load(folder: Path, compiler: str) -> bool:
    """Make torch.ops.gsbook.rows and .columns available, building them into `folder` if need be;
    whether that worked.

    rows(bias, x, w) is bias + x @ w and columns(x, g) is x^T @ g, for float32 x [E, B, D] that may
    hold any numbers, fast if most are 0, and w and g with rows of `WIDTH` numbers or more.
    one_hot_max(x) marks the first maximum of each row of x [..., K].
    """
    if loaded:
        return loaded[0]
    flags = ["-O3", "-march=native", "-std=c++20", "-shared", "-fPIC", "-fno-math-errno", "-w"]
    about = repr(
        (SOURCE.read_text(encoding="utf-8"), flags, compiler, torch.__version__, _processor())
    )
    path = folder / f"kernels-{hashlib.sha256(about.encode()).hexdigest()[:16]}.so"
    try:
        if not path.exists():
            _build(path, compiler, flags)
        torch.ops.load_library(path)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        warnings.warn(
            f"dense products stand in for sparse ones: {said.strip()[-500:]}", stacklevel=2
        )
        loaded.append(False)
        return False
    torch.library.register_fake(
        "gsbook::rows", lambda bias, x, w: x.new_empty(*x.shape[:2], w.shape[2])
    )
    torch.library.register_fake(
        "gsbook::columns", lambda x, g: g.new_empty(x.shape[0], x.shape[2], g.shape[2])
    )
    torch.library.register_fake("gsbook::one_hot_max", lambda x: torch.empty_like(x))
    loaded.append(True)
    return True


def _build(path: Path, compiler: str, flags: list[str]) -> None:
    from torch.utils.cpp_extension import include_paths, library_paths

    path.parent.mkdir(parents=True, exist_ok=True)
    places = [f"-I{p}" for p in include_paths()] + [f"-L{p}" for p in library_paths()]
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        command = [compiler, *flags, str(SOURCE), "-o", temporary, *places, "-lc10", "-ltorch_cpu"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _processor() -> str:
    """What -march=native depends on, as far as it can be told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return torch.backends.cpu.get_cpu_capability()
    return next((line for line in lines if line.startswith("flags")), "")


def use(graph: fx.GraphModule) -> int:
    """Put the sparse products where a factor is known to be sparse: pixels kept as bytes, one-hot
    samples, many binary ones. How many."""
    count = 0
    for node in graph.graph.nodes:
        new = None
        if node.op != "call_function" or not _single(node):
            continue
        if node.target is op.baddbmm.default and _wide(node) and not node.kwargs:
            bias, x, w = node.args
            if _sparse(x):
                new = torch.ops.gsbook.rows.default, node.args
            elif _binary(x):  # oneDNN adds the bias last: so do these two, with the same bits
                with graph.graph.inserting_before(node):
                    zero = graph.graph.call_function(op.zeros_like.default, (bias,))
                    product = graph.graph.call_function(torch.ops.gsbook.rows.default, (zero, x, w))
                new = op.add.Tensor, (product, bias)
        if node.target is op.bmm.default and node.args[0].target is op.transpose.int:
            factor, *axes = node.args[0].args
            if sorted(a % 3 for a in axes) == [1, 2] and _sparse(factor) and _wide(node):
                new = torch.ops.gsbook.columns.default, (factor, node.args[1])
        if node.target is op.scatter.value and (top := _maximum_of(node)) is not None:
            new = torch.ops.gsbook.one_hot_max.default, (top,)
        if new:
            with graph.graph.inserting_before(node):
                found = graph.graph.call_function(*new)
            found.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(found)
            graph.graph.erase_node(node)
            count += 1
    graph.recompile()
    return count


def _single(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _wide(node: fx.Node) -> bool:
    return node.meta["val"].shape[-1] >= WIDTH


def _maximum_of(node: fx.Node) -> fx.Node | None:
    """The x of a scatter that writes 1 at the arg max of x over the last axis, into zeros."""
    zeros, axis, index, value = node.args
    last = node.meta["val"].ndim - 1
    if value != 1 or axis % (last + 1) != last or zeros.target is not op.zeros_like.default:
        return None
    if index.target is not op.argmax.default or index.args[1:] not in ((-1, True), (last, True)):
        return None
    x = index.args[0]
    return x if _single(x) else None


def _sparse(node: fx.Node) -> bool:
    """Whether a node's values are known to be mostly zeros. Speed depends on it, numbers do not."""
    if node.op != "call_function":
        return False
    if node.target is op._to_copy.default:
        return node.args[0].meta["val"].dtype == torch.uint8
    if node.target in (op.scatter.value, torch.ops.gsbook.one_hot_max.default):
        return node.meta["val"].shape[-1] >= CLASSES
    if node.target is op.add.Tensor:
        one, other = node.args
        return _sparse(one) and _zero(other)
    return node.target in MOVES and _sparse(node.args[0])


def _binary(node: fx.Node) -> bool:
    """Whether a node holds many rows of zeros and ones, made of a comparison."""
    while node.op == "call_function" and node.target in MOVES:
        node = node.args[0]
    return (
        node.target is op._to_copy.default
        and node.args[0].meta["val"].dtype == torch.bool
        and node.meta["val"].shape[1] >= MANY
    )


def _zero(node: fx.Node) -> bool:
    """Whether a node is x - x.detach() or zeros."""
    if node.target is op.sub.Tensor:
        one, other = (_source(a) for a in node.args[:2])
        return one is other
    return node.target in (op.zeros_like.default, op.zeros.default) or (
        node.target in (op.alias.default, op.detach.default) and _zero(node.args[0])
    )


def _source(node):
    while isinstance(node, fx.Node) and node.target in (op.alias.default, op.detach.default):
        node = node.args[0]
    return node
