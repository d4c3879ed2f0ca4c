"""Checks of what comes in. Those of values run eagerly and step aside where no value can be
read.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

_enabled = ContextVar("gslib_checks", default=True)


@contextmanager
def unchecked() -> Iterator[None]:
    """Skip value checks inside: each costs a pass over the tensor and, on a GPU, a
    synchronisation.
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def ends(x: Any, dim: int | None = None) -> tuple[float, float] | None:
    """The smallest and the largest value, of the maxima along `dim` if one is given; NaN, where
    there is one, is both. None where checks are switched off or no value can be read.
    """
    if torch.compiler.is_compiling() or not _enabled.get():
        return None
    try:
        with torch.no_grad():
            x = x if dim is None else x.amax(dim)
            low, high = torch.stack(x.aminmax()).tolist() if isinstance(x, Tensor) else (x, x)
            return float(low), float(high)
    except RuntimeError:  # under vmap, on meta, fake and empty tensors no value can be read
        return None


def wrong_shape(name: str, x: Tensor, remedy: str) -> ValueError:
    return ValueError(f"{name} has shape {tuple(x.shape)}; {remedy}")


def check_tensor(name: str, x: Any) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}; make it one")


def check_floating(name: str, x: Any) -> None:
    check_tensor(name, x)
    if not x.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {x.dtype}; call .float() first")


def check_logits(logits: Any, dim: int | None = None) -> None:
    """Raise on NaN and infinities; along `dim`, -inf masks a class, but not every class of a
    row.
    """
    check_floating("logits", logits)
    n, shape = logits.ndim, tuple(logits.shape)
    if dim is not None and not -n <= dim < n:
        raise IndexError(f"dim {dim} is out of range of logits {shape}: {-n} to {n - 1}")
    if dim is not None and shape[dim] == 0:
        raise ValueError(f"logits {shape} have no class along dim {dim}; give one or more")
    found = ends(logits, dim)
    if not found or all(map(math.isfinite, found)):
        return
    bad = logits.isnan() | logits.isinf() & ((logits > 0) | (dim is None))
    if count := int(bad.sum()):
        kind = f"{'infinite' if dim is None else '+inf'} value(s), shape {shape}"
        raise ValueError(f"logits hold {count} NaN or {kind}; check the loss and learning rate")
    rows = f"{(logits.amax(dim) == -torch.inf).sum()} row(s) of logits {shape}"
    raise ValueError(f"{rows} are -inf in every class; leave at least one class unmasked")


def check_positive(name: str, value: Any, like: Tensor, remedy: str = "try 1") -> None:
    """Raise unless `value` is a positive number, or a tensor of them that broadcasts from the
    left.
    """
    if isinstance(value, Tensor) and not fits(value.shape[::-1], like.shape[::-1]):
        raise wrong_shape(name, value, f"it must broadcast from the left to {tuple(like.shape)}")
    check_inside(name, value, math.ulp(0.0), math.inf, remedy, "be positive and finite")


def check_tau(tau: Any, logits: Tensor) -> None:
    """The same for a temperature, which must also leave (logits + noise) / tau finite."""
    check_positive("tau", tau, logits, "anneal it to 0.1, say: at zero it is sample()'s arg max")
    if (found := ends(tau)) and found[0] < 1:
        size = max(map(abs, ends(logits.nan_to_num(neginf=0)) or (0.0,)))
        wide = torch.promote_types(logits.dtype, torch.float32)
        if (size + 1000) / found[0] > torch.finfo(wide).max:
            given = f"logits of size {size:g} / tau = {found[0]:g}"
            raise ValueError(f"{given} overflow {wide}; subtract each row's maximum, or raise tau")


def check_value(name: str, value: Any, shape: Sequence[int], events: int) -> None:
    """Raise unless the last `events` axes of `value` are those of `shape`; leading axes
    broadcast.
    """
    check_tensor(name, value)
    pairs = zip(value.shape[::-1], shape[::-1], strict=False)
    meet = all(n == m or 1 in (n, m) for n, m in pairs)
    if not meet or value.shape[-events:] != shape[-events:]:
        raise wrong_shape(name, value, f"it must broadcast to {tuple(shape)}, last {events} equal")


def check_rows(name: str, value: Tensor, events: int, f: Tensor) -> None:
    """Raise unless `value`, whose last `events` axes are a node's, has one row for each loss: a
    slope of a shared row is already summed over the losses.
    """
    if value.shape[: value.ndim - events] != f.shape:
        raise wrong_shape(name, value, f"expand the node to a row for each loss, {tuple(f.shape)}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def fits(shape: Sequence[int], into: Sequence[int]) -> bool:
    """Whether a tensor of the one shape broadcasts to the other, aligned on the right."""
    pairs = zip(shape[::-1], into[::-1], strict=False)
    return len(shape) <= len(into) and all(n in (1, m) for n, m in pairs)


def check_inside(name: str, x: Any, low: float, high: float, remedy: str, rule: str = "") -> None:
    """Raise unless every value is a number, finite, and lies in [low, high]."""
    if not isinstance(x, (int, float, Tensor)):
        raise TypeError(f"{name} must be a number or a tensor, got {type(x).__name__}; {remedy}")
    at = ends(x)
    if at and not (low <= at[0] <= at[1] <= high and all(map(math.isfinite, at))):
        given = " to ".join(dict.fromkeys(f"{end:g}" for end in at))
        rule = rule or f"lie in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must {rule}, got {given}; {remedy}")
