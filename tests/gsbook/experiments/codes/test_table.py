"""Tables of vectors and their task, on a few made-up sentences."""

import math

import pytest
import torch

from gsbook import sentences
from gsbook.experiments.codes import table
from gsbook.experiments.codes.train import answers, kept_neighbours, nearest, ranks, use_of_codes

NONE = table.NOTHING


def test_places_have_what_is_around_them_and_sentences_do_not_mix():
    found = table._places([[4, 5, 6], [7], [8, 9]], [-2, -1, 1, 2])
    assert found.hidden.tolist() == [4, 5, 6, 8, 9]  # 7 has nothing around it
    assert found.around.tolist() == [
        [NONE, NONE, 5, 6],
        [NONE, 4, 6, NONE],
        [4, 5, NONE, NONE],
        [NONE, NONE, 9, NONE],
        [NONE, 8, NONE, NONE],
    ]


def test_the_last_place_of_a_history_has_all_before_it_seen():
    found = table._last([[1, 2, 3, 4], [5, 6]], 2)
    assert found.hidden.tolist() == [4, 6]
    assert found.around.tolist() == [[2, 3], [NONE, 5]]
    assert found.seen.tolist() == [[1, 2, 3], [5, NONE, NONE]]


@pytest.fixture(scope="module")
def small():
    """Words that go in pairs: 0 with 1, 2 with 3, and so on, 70 of them."""
    texts = [[w, w + 1] * 3 for w in range(0, 70, 2)]
    places = dict.fromkeys(("train", "valid", "test"), table._places(texts, [-1, 1]))
    return table._table(tuple(map(str, range(70))), places, mirrored=False)


def test_vectors_hold_the_positive_pointwise_mutual_information(small):
    """Each word has one neighbour: log of p(a, b) / p(a) p(b) = log 70, in a table of rank 64."""
    fit = small.rows @ small.contexts.T
    pairs = torch.arange(70)
    assert small.rows.shape == (70, table.DIMENSIONS)
    assert fit[pairs, pairs ^ 1].mean() == pytest.approx(math.log(70) * 64 / 70, rel=1e-3)
    assert small.log_share.exp().sum() == pytest.approx(1, rel=1e-5)


def test_a_query_is_the_sum_by_the_root_of_the_number(small):
    around = torch.tensor([[3, 8, NONE], [NONE, NONE, 5]])
    found = small.query(around)
    torch.testing.assert_close(found[0], (small.contexts[3] + small.contexts[8]) / 2**0.5)
    torch.testing.assert_close(found[1], small.contexts[5])


def test_a_row_that_was_seen_is_no_answer(small):
    places = table.Places(torch.tensor([[0]]), torch.tensor([1]), torch.tensor([[4, NONE]]))
    scores = small.scores(small.rows, places)
    assert scores[0, 4] == -torch.inf
    assert scores.isfinite().sum() == 69


def test_ranks_hits_and_ndcg(small):
    places = small.places["test"].part(50)
    assert answers(small, small.rows, places)["hit"] > 85  # 64 of 70 words at least
    tied = torch.zeros_like(small.rows)
    flat = table.Table(
        small.names, tied, small.contexts, torch.zeros_like(small.log_share), small.places
    )
    assert (ranks(flat, tied * float("nan"), places) == 70).all()  # worse than the last
    assert (ranks(flat, tied, places) == 69 / 2).all()  # all the same: the middle, and no luck
    assert answers(flat, tied, places) == {"hit": 0, "ndcg": 0}


def test_ndcg_by_hand(monkeypatch, small):
    monkeypatch.setattr(
        "gsbook.experiments.codes.train.ranks", lambda *_: torch.tensor([0.0, 2.0, 10.0])
    )
    found = answers(small, small.rows, small.places["test"].part(3))
    assert found["hit"] == pytest.approx(200 / 3)
    assert found["ndcg"] == pytest.approx(100 * (1 + 1 / 2) / 3)


def test_neighbours_that_stay():
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    assert kept_neighbours(rows, 3 * rows) == 100
    others = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    assert kept_neighbours(rows, others) < 40
    line = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [-1.0, 0.0]])
    assert nearest(line, torch.tensor([0]), 2).tolist() == [[1, 2]]


def test_use_of_codes():
    found = use_of_codes(torch.tensor([[0, 1], [0, 2], [0, 1], [0, 3]]), 4)
    assert found == {"used": 50.0, "alone": 50.0, "entropy": pytest.approx(1.5)}


def test_splits_of_verses_and_of_histories(monkeypatch):
    def named(pairs):
        found = sentences.Sentences(sentences.Sentence(n, tuple(t.split())) for n, t in pairs)
        found.source, found.sha256 = "mine", "0" * 64
        return found

    common = " ".join(f"the{k} the{k}" for k in range(100))  # left out: the 100 commonest
    verses = named((f"Book {i}", f"lord went {common} up") for i in range(400))
    monkeypatch.setattr(sentences, "verses", lambda: verses)
    monkeypatch.setattr(table, "DIMENSIONS", 2)
    found, sha256 = table._words.__wrapped__()
    assert sha256 == "0" * 64
    assert found.names == ("lord", "up", "went")
    sizes = {name: len(places.hidden) for name, places in found.places.items()}
    assert sizes["train"] > 10 * sizes["test"] > 0
    watched = named((str(i), " ".join(str((i + k) % 9) for k in range(6))) for i in range(9))
    monkeypatch.setattr(sentences, "histories", lambda: watched)
    films, _ = table._films.__wrapped__()
    assert [films.names[i] for i in films.places["test"].hidden] == [
        str((i + 5) % 9) for i in range(9)
    ]
    assert [films.names[i] for i in films.places["valid"].hidden] == [
        str((i + 4) % 9) for i in range(9)
    ]
    assert len(films.places["train"].hidden) == 9 * 3  # four films, the first with none before it
