"""Codes without a gradient: k-means on pieces of the rows, or on what is left of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

STARTS = 4  # of k-means; the best is kept


def product(x: Tensor, choices: int, options: int, seed: int) -> tuple[Tensor, Tensor]:
    """Product quantisation: k-means on each of M pieces of the rows [n, D].

    The numbers of a row are dealt out like cards, so that each piece gets a share of the large ones
    in front. Returns: codes [n, M] and books [M K, D], which are 0 outside of their piece.

    Source: Jégou, Douze and Schmid 2011. Departure: theirs takes neighbouring numbers.
    """
    size = x.shape[1]
    if size % choices:
        raise ValueError(f"rows of {size} numbers cannot be dealt out to {choices} pieces")
    codes, books = [], torch.zeros(choices, options, size)
    for m in range(choices):
        own = torch.arange(m, size, choices)
        centres, code = kmeans(x[:, own], options, seed)
        books[m][:, own] = centres
        codes.append(code)
    return torch.stack(codes, 1), books.flatten(0, 1)


def residual(x: Tensor, choices: int, options: int, seed: int) -> tuple[Tensor, Tensor]:
    """Residual k-means: each choice quantises what the choices before it have left of the rows
    [n, D]. Returns: codes [n, M] and books [M K, D]."""
    left, codes, books = x, [], []
    for _ in range(choices):
        centres, code = kmeans(left, options, seed)
        left = left - centres[code]
        codes.append(code)
        books.append(centres)
    return torch.stack(codes, 1), torch.cat(books)


def kmeans(x: Tensor, options: int, seed: int) -> tuple[Tensor, Tensor]:
    """Centres [K, D] and the nearest one of each row, [n]."""
    from sklearn.cluster import KMeans

    found = KMeans(options, n_init=STARTS, random_state=seed).fit(np.ascontiguousarray(x))
    centres = torch.from_numpy(found.cluster_centers_).to(x.dtype)
    return centres, torch.from_numpy(found.labels_).long()
