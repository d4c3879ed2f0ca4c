"""Value checks that run eagerly and step aside where a value cannot be looked at (compile, vmap, the runner's step)."""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_enabled: ContextVar[bool] = ContextVar("gslib_checks", default=True)


@contextmanager
def unchecked():
    """Skip value checks inside the block: each costs a pass over the tensor and, on a GPU, a synchronisation."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def can_look(*values) -> bool:
    """Whether the values of these tensors may be inspected here and now."""
    if torch.compiler.is_compiling() or not _enabled.get():
        return False
    # torch offers no public question "am I under vmap?"; this is the one its own library asks.
    return not any(
        isinstance(v, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(v) for v in values
    )


def check_tau(tau) -> None:
    if can_look(tau):
        fine = (
            bool(((tau > 0) & tau.isfinite()).all())
            if isinstance(tau, Tensor)
            else 0 < tau < math.inf
        )
        if not fine:
            raise ValueError(
                f"tau must be positive and finite, got {_show(tau)}; anneal it to a small value such as 0.1, "
                "not to zero (tau = 0 is the arg max: use sample())"
            )


def check_logits(logits, dim: int | None = None) -> None:
    """Raise on something that is no floating tensor, on NaN and +inf, and, along `dim`, on a row of -inf only."""
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"logits must be a torch.Tensor, got {type(logits).__name__}; wrap the values in torch.tensor(...)"
        )
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}; call .float() first")
    if dim is not None:
        if not -logits.ndim <= dim < logits.ndim:
            raise IndexError(
                f"dim {dim} is out of range for logits of shape {tuple(logits.shape)}; "
                f"use a dim from {-logits.ndim} to {logits.ndim - 1}"
            )
        if logits.shape[dim] == 0:
            raise ValueError(
                f"logits of shape {tuple(logits.shape)} have no class along dim {dim}; give at least one"
            )
    if can_look(logits) and logits.numel():
        with torch.no_grad():
            # NaN and +inf both survive max, and a row's maximum tells a masked row. One sum clears the good case.
            top = logits.amax(dim) if dim is not None else logits.amax()
            if math.isfinite(top.sum().item()):
                return
            bad = ~(top < torch.inf)
            if bool(bad.any()):
                count = int((logits.isnan() | (logits == torch.inf)).sum())
                raise ValueError(
                    f"logits hold {count} NaN or +inf value(s) (shape {tuple(logits.shape)}); "
                    "look at the loss and the learning rate that produced them"
                )
            if dim is not None and bool((top == -torch.inf).any()):
                raise ValueError(
                    f"{int((top == -torch.inf).sum())} row(s) of logits are -inf in every class "
                    f"(shape {tuple(logits.shape)}, dim {dim}); leave at least one class unmasked"
                )


def check_value(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Raise unless the trailing axes of `value` are `shape`'s (leading axes broadcast)."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    try:
        torch.broadcast_shapes(value.shape, shape)
    except RuntimeError:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}, which does not broadcast with the distribution's "
            f"{tuple(shape)}; its last axes must match"
        ) from None


def _show(value) -> str:
    return f"{value.tolist()}" if isinstance(value, Tensor) else repr(value)
