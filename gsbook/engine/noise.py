"""Noise that is a function of its place: no generator, no state, the same numbers on every device.

The counter-based generator is "squares" (Widynski 2020, arXiv:2004.06278), whose 64-bit arithmetic
torch's integer operations do as they are, so that a compiler fuses it with what uses the noise.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

BITS = 23  # (n + 1/2) / 2^23 is exact in float32 and never 0 or 1
NODES, ELEMENTS = (
    8,
    32,
)  # bits of the counter for a node's number and for an element's; the rest counts steps


def key(*place: int | str) -> int:
    """An odd 64-bit key, as torch's signed integers hold it, from a place such as ("noise", seed).

    >>> key("noise", 7) == key("noise", 7), key("noise", 7) == key("noise", 8)
    (True, False)
    """
    digest = hashlib.sha256(repr(place).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) | 1


def keys(use: str, seeds: list[int], *place: int | str, device="cpu") -> Tensor:
    """One key per member, [E], for one use of noise.

    >>> keys("noise", [0, 1]).shape
    torch.Size([2])
    """
    return torch.tensor([key(use, s, *place) for s in seeds], device=device)


class Noise:
    """A `uniform` for one step: its numbers depend on (key, step, call, sample, element) alone.

    Args:
        keys: [E], one per member. step: an integer, or a tensor [E] or [] that lives on the device.
        ndim: number of axes [E, B, ...] of a node; axes before them count samples.

    A member's numbers do not depend on its company, nor a sample's on how many there are after it.
    Numbers are multiples of 2^-24 strictly inside (0, 1), the same in float32 and float64.

    >>> noise = Noise(keys("noise", [0, 1]), 5, ndim=3)
    >>> alone = Noise(keys("noise", [1]), 5, ndim=3)
    >>> torch.equal(noise(torch.zeros(2, 3, 4))[1:], alone(torch.zeros(1, 3, 4)))
    True
    """

    def __init__(self, keys: Tensor, step: int | Tensor = 0, *, ndim: int):
        self.keys, self.step, self.ndim, self.calls = keys, step, ndim, 0

    def __call__(self, like: Tensor) -> Tensor:
        lead = like.ndim - self.ndim
        if lead < 0 or like.shape[lead] != len(self.keys):
            raise ValueError(
                f"noise for {len(self.keys)} member(s) and nodes of {self.ndim} axes was asked for "
                f"the shape {tuple(like.shape)}; the members' axis must stand before the last "
                f"{self.ndim - 1}"
            )
        if self.calls >> NODES:
            raise ValueError(
                f"more than {2**NODES} draws in one step; take fewer samples, or give each step's "
                "noise its own number"
            )
        start = (self.step << NODES | self.calls) << ELEMENTS  # [E] or []
        self.calls += 1
        samples, inner = like.shape[:lead].numel(), like.shape[lead + 1 :]
        element = torch.arange(samples * inner.numel(), device=like.device)
        element = element.view(*like.shape[:lead], 1, *inner)
        if isinstance(start, Tensor) and start.ndim:
            start = self._lift(start)
        n = squares(start + element, self._lift(self.keys)) >> (32 - BITS)
        return (n.to(like.dtype) + 0.5) * 2.0**-BITS

    def _lift(self, value: Tensor) -> Tensor:
        return value.view(-1, *(1,) * (self.ndim - 1))


def squares(counter: Tensor, key: Tensor) -> Tensor:
    """32 random bits per element, as int64 in [0, 2^32), for int64 counters and keys (Widynski
    2020, squares32).

    >>> squares(torch.tensor([0, 1]), torch.tensor(key("noise", 0))).shape
    torch.Size([2])
    """
    y = counter * key
    z = y + key
    x = y
    for add in (y, z, y):
        x = x * x + add
        x = x << 32 | x >> 32 & 0xFFFFFFFF
    return x * x + z >> 32 & 0xFFFFFFFF
