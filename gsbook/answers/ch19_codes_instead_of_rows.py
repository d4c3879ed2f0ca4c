"""Exercises of chapter 19, Codes instead of rows."""

from __future__ import annotations

import math

import torch

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}
EXERCISES["ex-codes-size"] = Exercise(
    right=lambda n, D, M, K: (n * M * math.log2(K) + 32 * M * K * D) / (32 * n * D),
    given=[(5_000, 64, 8, 16), (1_000, 100, 4, 256)],
    wrong={
        "The books have to be kept, too: M K vectors of D numbers, 32 bits each.": lambda n, D, M, K: (
            M * math.log2(K) / (32 * D)
        ),
        "A choice among K takes log2 K bits, not K.": lambda n, D, M, K: (
            (n * M * K + 32 * M * K * D) / (32 * n * D)
        ),
        "There are M books, each with K vectors.": lambda n, D, M, K: (
            (n * M * math.log2(K) + 32 * K * D) / (32 * n * D)
        ),
        "That is the share that is saved. What remains is the rest.": lambda n, D, M, K: (
            1 - (n * M * math.log2(K) + 32 * M * K * D) / (32 * n * D)
        ),
        "The numbers of the books take 32 bits each, as those of the table do.": lambda n, D, M, K: (
            (n * M * math.log2(K) + M * K * D) / (32 * n * D)
        ),
        "The logarithm is to the base 2: bits, not nats.": lambda n, D, M, K: (
            (n * M * math.log(K) + 32 * M * K * D) / (32 * n * D)
        ),
    },
)

BOOKS = fixed(
    [[1.0, 0.0, 2.0], [0.0, 1.5, -1.0]],
    [[-0.5, 0.5, 0.25], [2.0, -1.0, 0.0]],
    [[0.0, 0.75, 0.5], [-0.25, 0.0, 1.0]],
)  # [M = 3, K = 2, D = 3]
CODES = torch.tensor([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1]])
SOFT = fixed([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
HARD = torch.nn.functional.one_hot(CODES, 2).float()

EXERCISES["ex-codes-rebuild"] = Exercise(
    right=lambda z, books: torch.einsum("nmk,mkd->nd", z, books),
    given=[(HARD, BOOKS), (SOFT, BOOKS)],
    wrong={
        "A row is one sum over all M books: what you have still has an axis for them.": lambda z, books: (
            torch.einsum("nmk,mkd->nmd", z, books)
        ),
        "Look-ups by arg max forget the rest of a soft sample, and let no slope through.": lambda z, books: (
            books[torch.arange(len(books)), z.argmax(-1)].sum(1)
        ),
        "That is the mean over the books; it is the sum that takes the place of the row.": lambda z, books: (
            torch.einsum("nmk,mkd->nd", z, books) / len(books)
        ),
    },
)


def _choose(row, books, *, left=True, far=False, inner=False):
    """The exercise, and ways to get it wrong."""
    chosen = []
    for book in books:
        distance = -(book @ row) if inner else (book - row).square().sum(1)
        best = distance.argmax() if far else distance.argmin()
        chosen.append(best)
        if left:
            row = row - book[best]
    return torch.stack(chosen)


ROWS = fixed([0.4, -0.3, 1.9], [-0.6, 1.2, 0.9], [1.6, 0.2, -0.4])

EXERCISES["ex-codes-greedy"] = Exercise(
    right=_choose,
    given=[(row, BOOKS) for row in ROWS],
    wrong={
        "Each choice has to look at what the choices before it have left: subtract the vector.": lambda row, books: (
            _choose(row, books, left=False)
        ),
        "Those are the farthest vectors: take the smallest distance.": lambda row, books: _choose(
            row, books, far=True
        ),
        "A large inner product is not yet a small distance: the vector's own length counts, too.": lambda row, books: (
            _choose(row, books, inner=True)
        ),
    },
)
EXERCISES["ex-codes-scores"] = Exercise(
    right=lambda codes, books, query: (books @ query)[torch.arange(len(books)), codes].sum(1),
    given=[(CODES, BOOKS, fixed(0.5, -1.0, 2.0))],
    wrong={
        "A score is the sum over the M choices: add them up.": lambda codes, books, query: (
            books @ query
        )[torch.arange(len(books)), codes],
        "Each choice looks into its own book: index with the book's number and the code.": lambda codes, books, query: (
            (books @ query)[0][codes].sum(1)
        ),
        "That is the mean over the choices, and not the sum.": lambda codes, books, query: (
            books @ query
        )[torch.arange(len(books)), codes].mean(1),
    },
)


def _perplexity(codes, K, *, base=math.e, shares=True, back=True):
    """The exercise, and ways to get it wrong."""
    counts = torch.bincount(codes, minlength=K).double()
    p = counts / counts.sum() if shares else counts / K
    entropy = torch.special.entr(p).sum() / math.log(base)
    return entropy.exp() if back else entropy


EXERCISES["ex-codes-perplexity"] = Exercise(
    right=_perplexity,
    given=[(torch.tensor([0, 3, 3, 1, 3, 0, 1, 3]), 6), (torch.tensor([2, 2, 2]), 4)],
    wrong={
        "That is the entropy. Perplexity turns it back into a number of codes: exp.": lambda codes, K: (
            _perplexity(codes, K, back=False)
        ),
        "With bits inside, go back with 2 to the power, not with exp.": lambda codes, K: (
            _perplexity(codes, K, base=2)
        ),
        "That counts the codes in use, each as much as the other. Perplexity weighs them by their shares.": lambda codes, K: (
            torch.tensor(float(len(codes.unique())), dtype=torch.double)
        ),
        "Divide the counts by their own sum, the number of codes that were chosen.": lambda codes, K: (
            _perplexity(codes, K, shares=False)
        ),
    },
)
