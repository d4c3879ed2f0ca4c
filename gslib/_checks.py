"""Checks of what comes in. Those of values run eagerly and step aside where no value can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
_enabled: ContextVar[bool] = ContextVar("gslib_checks", default=True)


@contextmanager
def unchecked() -> Iterator[None]:
    """Skip value checks inside: each costs a pass over the tensor and, on a GPU, a synchronisation."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def look(ask: Callable[[], T]) -> T | None:
    """What `ask` reads off a tensor; None where that is switched off or impossible."""
    if torch.compiler.is_compiling() or not _enabled.get():
        return None
    try:
        with torch.no_grad():
            return ask()
    except RuntimeError:  # under vmap, on meta and on fake tensors no value can be read
        return None


def check_floating(name: str, x: Any) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor, got {type(x).__name__}; "
            "wrap the values in torch.tensor(...)"
        )
    if not x.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {x.dtype}; call .float() first")


def check_logits(logits: Any, dim: int | None = None) -> None:
    """Raise on NaN and infinities; along `dim`, -inf masks a class, but not every class of a row."""
    check_floating("logits", logits)
    shape = tuple(logits.shape)
    if dim is not None and not -logits.ndim <= dim < logits.ndim:
        raise IndexError(
            f"dim {dim} is out of range for logits of shape {shape}; "
            f"use a dim from {-logits.ndim} to {logits.ndim - 1}"
        )
    if dim is not None and logits.shape[dim] == 0:
        raise ValueError(f"logits of shape {shape} have no class along dim {dim}; give one or more")
    if not logits.numel():
        return

    def clear() -> bool:  # one sum clears the good case: NaN and infinities survive it
        if dim is None:
            return math.isfinite(torch.sub(*logits.aminmax()).item())
        return math.isfinite(logits.amax(dim).sum().item())

    if look(clear) is not False:
        return
    bad = logits.isnan() | logits.isinf() & ((logits > 0) | (dim is None))
    if count := int(bad.sum()):
        kind = "infinite" if dim is None else "+inf"
        raise ValueError(
            f"logits hold {count} NaN or {kind} value(s) (shape {shape}); look at the loss and "
            "the learning rate that produced them, or clamp logits of certain events"
        )
    if dim is not None and (rows := int((logits.amax(dim) == -torch.inf).sum())):
        raise ValueError(
            f"{rows} row(s) of logits are -inf in every class (shape {shape}, dim {dim}); "
            "leave at least one class unmasked"
        )


def check_positive(name: str, value: Any, like: Tensor) -> None:
    """Raise unless `value` is a positive number, or a tensor of them that broadcasts from the left."""
    if not isinstance(value, (int, float, Tensor)):
        raise TypeError(f"{name} must be a number or a tensor, got {type(value).__name__}")
    if isinstance(value, Tensor) and not fits(value.shape[::-1], like.shape[::-1]):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}, which does not broadcast from the left "
            f"to {tuple(like.shape)}; give one number, or one per ensemble member, [E]"
        )
    ends = look(lambda: _ends(value))
    if ends and not 0 < ends[0] <= ends[1] < math.inf:
        shown = value.tolist() if isinstance(value, Tensor) else value
        raise ValueError(f"{name} must be positive and finite, got {shown}")


def check_tau(tau: Any, logits: Tensor) -> None:
    """The same for a temperature, which must also leave (logits + noise) / tau finite."""
    try:
        check_positive("tau", tau, logits)
    except ValueError as error:
        remedy = "anneal it to a small value such as 0.1, not to zero"
        raise ValueError(f"{error}; {remedy} (tau = 0 is the arg max: use sample())") from None
    ends = look(lambda: _ends(tau))
    if not ends or ends[0] >= 1 or not logits.numel():
        return
    size = look(lambda: max(map(abs, _ends(logits.nan_to_num(neginf=0)))))
    wide = torch.promote_types(logits.dtype, torch.float32)
    if size is not None and (size + 1000) / ends[0] > torch.finfo(wide).max:
        raise ValueError(
            f"logits of size {size:g} divided by tau = {ends[0]:g} overflow {wide}; "
            "subtract each row's maximum from its logits, or take a larger tau"
        )


def check_value(name: str, value: Any, shape: tuple[int, ...], events: int) -> None:
    """Raise unless the last `events` axes of `value` are those of `shape`; leading axes broadcast."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    try:
        torch.broadcast_shapes(value.shape, shape)
        matches = value.shape[-events:] == shape[-events:]
    except RuntimeError:
        matches = False
    if not matches:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}, which does not broadcast with {tuple(shape)}; "
            f"its last {events} axes must match"
        )


def fits(shape: Sequence[int], into: Sequence[int]) -> bool:
    """Whether a tensor of the one shape broadcasts to the other, aligned on the right."""
    pairs = zip(shape[::-1], into[::-1], strict=False)
    return len(shape) <= len(into) and all(n in (1, m) for n, m in pairs)


def check_inside(name: str, x: Tensor, low: float, high: float, remedy: str) -> None:
    """Raise unless every value lies in [low, high]."""
    ends = look(lambda: _ends(x)) if x.numel() else None
    if ends and not low <= ends[0] <= ends[1] <= high:
        raise ValueError(
            f"{name} must lie in [{low:g}, {high:g}], got values from {ends[0]:g} to {ends[1]:g}; "
            + remedy
        )


def _ends(x: float | Tensor) -> tuple[float, float]:
    """The smallest and the largest value; NaN, where there is one, is both."""
    if not isinstance(x, Tensor):
        return float(x), float(x)
    low, high = x.aminmax()
    return float(low), float(high)
