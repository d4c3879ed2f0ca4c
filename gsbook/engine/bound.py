"""Bounds by many samples: one function of tensors for a chunk of samples, run in the modes of a
step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import holding, prepared, usable
from gslib._checks import check_count, unchecked

ROWS = 1000  # (sample, image) rows of one member in memory at once
LONG = 1_000_000  # samples of images from which a compilation pays


def mean_bound(
    model: nn.Module,
    bound: Callable[..., Tensor],
    images: Tensor,
    samples: int,
    *,
    seeds: list[int],
    use: str,
    ndim: int,
    settings: dict[str, Tensor] | None = None,
    mode: str | None = None,
) -> Tensor:
    r"""The mean over images of log (1/m) sum_i w_i, m = samples, in nats, [E] in float64.

    Args:
        model: weights [E, ...]. bound: called as bound(x [E, B, D], m, uniform=..., chunk=...,
        **settings) for a part of the samples, gives log (1/m) sum_i w_i per example [E, B]; it may
        use the model's tensors and its arguments. images: [n, D], uint8. seeds: one per member.
        use: names the noise. ndim: axes [E, B, ...] of the model's nodes. settings: name -> [E].
        mode: of `gsbook.engine.step.MODES`; by default what suits so many samples here.

    The noise of a sample depends on (seed, use, image, sample) and on m, the number of samples, so
    that a member's bound does not depend on its company; float32 products are exact to rounding
    here, whatever training allows (TF32 on CUDA).

    >>> model = gslib.models.DiscreteVAE("bernoulli", ensemble=2, data=16, size=(4,))
    >>> images = torch.ones(30, 16, dtype=torch.uint8)
    >>> mean_bound(model, model.bound, images, 5, seeds=[0, 1], use="test", ndim=3).shape
    torch.Size([2])
    """
    check_count("samples", samples)
    if images.dtype != torch.uint8 or images.ndim != 2 or not len(images):
        raise ValueError(
            f"images must be [n, D] in uint8 with n > 0, got {tuple(images.shape)} in "
            f"{images.dtype}; binarise them, and convert with .to(torch.uint8)"
        )
    device, members, n = images.device, len(seeds), len(images)
    if mode is None:
        mode = "captured" if device.type == "cuda" else "eager"
        if device.type == "cpu" and samples * n >= LONG and not usable("compiled"):
            mode = "compiled"
    size = 50 if samples > 1 else 500  # images at once
    at_once = max(d for d in range(1, max(1, ROWS // size) + 1) if samples % d == 0)
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    state = {name: t.detach() for name, t in named.items()} | (settings or {})
    state |= {
        "keys": keys(use, seeds, device=device),
        "part": torch.zeros(members, dtype=torch.int64, device=device),
        "total": torch.zeros(members, size, device=device),
    }
    shared = torch.zeros(size, images.shape[1], dtype=torch.uint8, device=device)

    def add(*tensors: Tensor) -> None:
        """Take `at_once` samples more of each image and add their weights to the total."""
        *own, part = tensors
        now = dict(zip(state, own, strict=True))
        x = part.float().expand(len(now["part"]), -1, -1)
        uniform = Noise(now["keys"], now["part"], ndim=ndim)
        given = {name: now[name] for name in settings or {}}
        with holding(model, {name: now[name] for name in named}), torch.no_grad():
            found = bound(x, at_once, uniform=uniform, chunk=at_once * x[..., 0].numel(), **given)
            now["total"].copy_(torch.logaddexp(now["total"], found + math.log(at_once)))
            now["part"].add_(1)

    sums = torch.zeros(members, dtype=torch.float64, device=device)
    take = None
    with unchecked(), torch.no_grad(), _exact_products(device):
        for part in images.split(size):
            shared[: len(part)].copy_(part)
            state["total"].fill_(-math.inf)
            if take is None:
                take = prepared(add, list(state.values()), [shared], mode)
            for _ in range(samples // at_once):
                take()
            sums += (state["total"][:, : len(part)].double() - math.log(samples)).sum(-1)
    return sums / n


@contextmanager
def _exact_products(device: torch.device) -> Iterator[None]:
    """No TF32 on CUDA, for the time of the block; on a CPU there is none."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
