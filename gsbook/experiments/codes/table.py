"""Tables of vectors, made from sentences, and the task that tells what a table is good for: which
word, or which film, is missing here?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsbook import sentences, words
from gslib.functional import stream

DIMENSIONS = 64
NOTHING = -1  # fills up short lists


class Places(NamedTuple):
    """Places with something missing: the rows around each [P, W], the row to guess [P], and those
    that cannot be it [P, L]. Lists are filled up with -1."""

    around: Tensor
    hidden: Tensor
    seen: Tensor

    def part(self, size: int) -> Places:
        """Some of the places, the same ones on every machine."""
        rows = torch.randperm(len(self.hidden), generator=stream("places"))[:size]
        return Places(*(field[rows] for field in self))


@dataclass(frozen=True)
class Table:
    """A table to be compressed, and what it is used for.

    A row and what is around it fit as well as their inner product says: the score of row w at a
    place is `log_share[w] + query @ rows[w]`.
    """

    names: tuple[str, ...]
    rows: Tensor  # [n, 64]
    contexts: Tensor  # [n, 64], what each contributes to the place around it
    log_share: Tensor  # [n], log of how often each occurs
    places: dict[str, Places]  # "train", "valid", "test"

    def query(self, around: Tensor) -> Tensor:
        """What is asked at places [..., W]: the vectors around, summed and divided by the root of
        their number, since neighbours half repeat each other; [..., 64]."""
        there = (around != NOTHING).unsqueeze(-1)
        total = (self.contexts[around.clamp(min=0)] * there).sum(-2)
        return total / there.sum(-2).clamp(min=1).sqrt()

    def scores(self, rows: Tensor, places: Places) -> Tensor:
        """Scores of all rows, as a table has them, at places, [P, n]; -inf where seen."""
        found = self.query(places.around) @ rows.T + self.log_share
        where, which = (places.seen != NOTHING).nonzero(as_tuple=True)
        found[where, places.seen[where, which]] = -torch.inf
        return found


def words_table() -> tuple[Table, str]:
    """(the table of words, SHA-256 of the text): the words that occur five times or more, without
    the 100 commonest. A place has up to five words on either side. A verse is of the split that its
    name says, see `gsbook.words.split_of`."""
    return _words()


def films_table() -> tuple[Table, str]:
    """(the table of films, SHA-256 of the file). A place has the five films before it. Of each
    history the last film is for the test and the one before it for validation, and a film that was
    seen is no answer."""
    return _films()


@cache  # a worker has many runs
def _words() -> tuple[Table, str]:
    verses = sentences.verses()
    split = {verse.name: words.split_of(verse.name) for verse in verses}
    seen = Counter(w for verse in verses if split[verse.name] == "train" for w in verse.tokens)
    ranked = sorted(seen, key=lambda w: (-seen[w], w))
    names = tuple(w for w in ranked[100:] if seen[w] >= 5)
    number = {name: i for i, name in enumerate(names)}
    offsets = [*range(-5, 0), *range(1, 6)]
    places = {}
    for name in words.SPLITS:
        texts = [
            [number[w] for w in verse.tokens if w in number]
            for verse in verses
            if split[verse.name] == name
        ]
        places[name] = _places(texts, offsets)
    return _table(names, places, mirrored=False), verses.sha256


@cache
def _films() -> tuple[Table, str]:
    histories = sentences.histories()
    counts = Counter(film for history in histories for film in history.tokens[:-2])
    names = tuple(sorted(counts, key=lambda film: (-counts[film], int(film))))
    number = {name: i for i, name in enumerate(names)}
    texts = [[number[f] for f in h.tokens if f in number] for h in histories]
    places = {"train": _places([text[:-2] for text in texts], range(-5, 0))}
    places |= {"valid": _last([text[:-1] for text in texts], 5), "test": _last(texts, 5)}
    return _table(names, places, mirrored=True), histories.sha256


def _places(texts: list[list[int]], offsets) -> Places:
    """Every place of some texts that has anything around it."""
    reach = max(map(abs, offsets))
    gap = [NOTHING] * reach
    flat = np.array(gap + [x for text in texts for x in (*text, *gap)])
    at = np.flatnonzero(flat != NOTHING)
    around = np.stack([flat[at + offset] for offset in offsets], 1)
    some = (around != NOTHING).any(1)
    seen = torch.full((int(some.sum()), 0), NOTHING)
    return Places(torch.from_numpy(around[some]), torch.from_numpy(flat[at][some]), seen)


def _last(texts: list[list[int]], reach: int) -> Places:
    """The last place of each text, where all that stands before it has been seen."""
    longest = max(map(len, texts))
    around = [[NOTHING] * reach + text[:-1] for text in texts]
    seen = [text[:-1] + [NOTHING] * (longest - len(text)) for text in texts]
    return Places(
        torch.tensor([row[-reach:] for row in around]),
        torch.tensor([text[-1] for text in texts]),
        torch.tensor(seen),
    )


def _table(names: tuple[str, ...], places: dict[str, Places], *, mirrored: bool) -> Table:
    """Vectors from counts: the best table of 64 numbers a row for the positive pointwise mutual
    information of what occurs together (Levy and Goldberg 2014).

    mirrored: the places have one side only, so each pair counts in both directions.
    """
    from scipy.sparse import coo_matrix
    from sklearn.utils.extmath import randomized_svd

    train, n = places["train"], len(names)
    there = train.around != NOTHING
    hidden = train.hidden.unsqueeze(1).expand_as(train.around)[there].numpy()
    pairs = (np.ones(len(hidden)), (hidden, train.around[there].numpy()))
    counts = coo_matrix(pairs, shape=(n, n)).tocsr()
    if mirrored:
        counts = counts + counts.T
    share, total = np.asarray(counts.sum(1)).ravel(), counts.sum()
    counts = counts.tocoo()
    expected = share[counts.row] * share[counts.col] / total
    counts.data = np.maximum(np.log(counts.data / expected), 0)
    u, s, v = randomized_svd(counts.tocsr(), DIMENSIONS, n_iter=7, random_state=0)
    root = np.sqrt(s)
    rows, contexts = (torch.from_numpy(x).float().contiguous() for x in (u * root, v.T * root))
    log_share = torch.from_numpy(np.log(np.maximum(share, 1) / total)).float()
    return Table(names, rows, contexts, log_share, places)
