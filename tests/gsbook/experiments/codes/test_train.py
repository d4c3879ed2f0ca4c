"""Codes in training: programs, k-means, learning, and states taken up to the bit."""

from dataclasses import replace

import pytest
import torch
from helpers import execute, once, without_times
from torch.nn.functional import one_hot

from gsbook.code import code_of
from gsbook.engine.checkpoints import Checkpoints
from gsbook.experiments.codes import kmeans, table, train
from gsbook.experiments.codes.config import FITTED, Codes
from gsbook.experiments.codes.model import CodedTable
from gsbook.experiments.codes.plan import CODES, METHODS, SAMPLERS
from gsbook.experiments.codes.record import FIGURES, modules
from gsbook.experiments.codes.train import CodesRun
from gslib.distributions import Categorical
from gslib.estimators import ESTIMATORS

ABOUT = {"source": "random", "sha256": {"train": "0" * 64}, "images": None}


def toy_table(n=60, size=8):
    """Rows in clusters, and places that ask for them by their own vectors."""
    noise = torch.Generator().manual_seed(0)
    centres = torch.randn(4, size, generator=noise)
    rows = 2 * centres[torch.arange(n) % 4] + 0.3 * torch.randn(n, size, generator=noise)
    around = torch.randint(n, (200, 3), generator=noise)
    places = table.Places(around, around[:, 0], torch.full((200, 0), table.NOTHING))
    share = torch.full((n,), -4.0)
    names = tuple(map(str, range(n)))
    return table.Table(names, rows, rows, share, dict.fromkeys(("train", "valid", "test"), places))


DATA = {"table": toy_table()}
TOY = replace(CODES, load_data=lambda images: (DATA, ABOUT | {"images": images}))


def config(method="gumbel_softmax", aim="row", **changes):
    steps = {"steps": 1, "horizon": 1} if method in FITTED else {"steps": 4, "horizon": 4}
    short = {"lr": 1e-2, "choices": 2, "options": 4, "batch": 16, "eval_every": 2}
    return Codes(aim, method, **short | steps | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aim": "both"}, "aim must be one of row, task, got 'both'"),
        ({"method": "magic"}, "method must be one of table, .*, got 'magic'"),
        ({"options": 1}, "options must be 2 or more, got 1"),
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"lr": float("nan")}, "lr must be a finite number, got nan"),
        ({"steps": 5}, "steps = 5 go beyond the horizon of 4"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_keys_tell_configs_apart_and_bits_count():
    changes = [{}, {"aim": "task"}, {"lr": 0.1}, {"seed": 1}, {"choices": 4}, {"options": 8}]
    assert len({config(**change).key for change in changes}) == len(changes)
    assert config(choices=3, options=8).bits == 9
    assert Codes(**config().to_dict()) == config()


# The model


def model(members=2):
    return CodedTable(choices=3, options=4, size=5, seeds=list(range(members)))


def test_a_row_is_the_sum_of_a_vector_from_each_book():
    coded = model()
    codes = torch.randint(4, (2, 7, 3))
    found = coded.rebuild(one_hot(codes, 4).float())
    books = coded.books.unflatten(1, (3, 4))  # [E, M, K, D]
    by_hand = [
        [sum(books[e, m, codes[e, b, m]] for m in range(3)) for b in range(7)] for e in range(2)
    ]
    torch.testing.assert_close(found, torch.stack([torch.stack(rows) for rows in by_hand]))


@pytest.mark.parametrize("aim", ["row", "task"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_runs_on_both_programs(aim, name):
    coded, x = model(), torch.randn(2, 6, 5)
    program = coded.row_loss(x)
    if aim == "task":
        program = coded.task_loss(x, torch.randn(2, 6, 5), torch.tensor(2.0))
    loss = ESTIMATORS[name](program)
    assert loss.shape == (2, 6)
    loss.sum().backward()
    assert all(p.grad.isfinite().all() for p in coded.parameters())


def test_each_loss_depends_on_the_code_of_one_row():
    """As score functions need it: another code of row 0 changes no other loss."""
    coded, x, queries = model(), torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    z = coded.node(x).sample()
    other = z.clone()
    other[:, 0] = z[:, 0].roll(1, -1)
    for program in (coded.row_loss(x), coded.task_loss(x, queries, torch.tensor(1.0))):
        one, two = program(lambda q: z), program(lambda q: other)
        assert torch.equal(one[:, 1:], two[:, 1:])
        assert not torch.equal(one[:, 0], two[:, 0])


def test_the_loss_of_the_task_by_hand():
    coded, x, queries = model(1), torch.randn(1, 3, 5), torch.randn(1, 3, 5)
    z = coded.node(x).sample()
    rows = 2 * coded.rebuild(z)[0]
    fits = rows @ queries[0].T
    by_hand = torch.stack([fits[b].logsumexp(0) - fits[b, b] for b in range(3)])
    found = coded.task_loss(x, queries, torch.tensor(2.0))(lambda q: z)
    torch.testing.assert_close(found[0], by_hand)


# k-means


def test_product_quantisation_deals_the_numbers_out():
    x = torch.randn(50, 6)
    codes, books = kmeans.product(x, 3, 4, seed=0)
    assert codes.shape == (50, 3)
    for m, book in enumerate(books.unflatten(0, (3, 4))):
        others = [i for i in range(6) if i % 3 != m]
        assert (book[:, others] == 0).all()
    with pytest.raises(ValueError, match="rows of 6 numbers cannot be dealt out to 4 pieces"):
        kmeans.product(x, 4, 4, seed=0)


def test_each_choice_of_residual_kmeans_takes_away_more():
    x = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    lost = []
    for choices in (1, 2, 4):
        codes, books = kmeans.residual(x, choices, 4, seed=0)
        z = one_hot(codes, 4).float().flatten(1)
        lost.append((x - z @ books).square().sum())
    assert lost[0] > lost[1] > lost[2]


# Runs


@pytest.mark.parametrize("aim", ["row", "task"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_taken_up_again_gives_the_same_record(tmp_path, method, aim):
    options = {"experiment": TOY, "name": "codes"}
    configs = [config(method, aim, seed=seed) for seed in (0, 1)]
    whole = execute(tmp_path / "whole", once(configs), **options)
    if method not in FITTED:
        half = [replace(c, steps=2) for c in configs]
        execute(tmp_path / "parts", once(half), **options)
        store = Checkpoints(TOY, ABOUT, tmp_path / "parts" / "checkpoints")
        assert store.step(configs[0]) == 2, "the second part would start anew"
    parts = execute(tmp_path / "parts", once(configs), **options)
    assert all(record in without_times(parts) for record in without_times(whole))
    record = whole.all()[0]
    assert record["code"] == code_of(modules(configs[0]))
    assert set(record["test"]) == set(FIGURES)
    assert record["diverged"] is None


@pytest.mark.parametrize("method", ["gumbel_softmax", "rloo", "tuned"])
def test_a_member_does_not_depend_on_its_company(method):
    both = CodesRun([config(method, seed=3, lr=0.1), config(method, seed=4)], DATA)
    alone = CodesRun([config(method, seed=4)], DATA)
    for run in (both, alone):
        list(run.advance(4))
    torch.testing.assert_close(both.model.books[1:], alone.model.books)


def test_adam_is_torchs():
    start = torch.randn(2, 3, 4)
    ours = start.clone().requires_grad_()
    adam = train.Adam({"w": ours}, torch.tensor([0.1, 0.01]))
    theirs = [start[e].clone().requires_grad_() for e in range(2)]
    torchs = torch.optim.Adam(
        [{"params": [w], "lr": lr} for w, lr in zip(theirs, (0.1, 0.01), strict=True)]
    )
    for _ in range(3):
        for weights, optimizer in (([ours], None), (theirs, torchs)):
            for w in weights:
                w.grad = None
            sum((w.sin() * w).sum() for w in weights).backward()
            if optimizer:
                optimizer.step()
            else:
                adam.step(1.0)
    torch.testing.assert_close(ours, torch.stack(theirs))


@pytest.mark.parametrize("method", ["tuned", *SAMPLERS])
def test_training_learns(method):
    long = {"steps": 150, "horizon": 150, "eval_every": 50, "batch": 60, "lr": 3e-2}
    for aim in ("row", "task"):
        run = CodesRun([config(method, aim, **long)], DATA)
        (before,) = run.evaluate("test")
        list(run.advance(150))
        (figures,) = run.evaluate("test")
        assert run.curves[0].train[-1] < run.curves[0].train[0]
        if aim == "row":
            assert figures["test"]["error"] < 80
        else:
            assert figures["test"]["ndcg"] > before["test"]["ndcg"]


def test_the_table_itself_loses_nothing():
    run = CodesRun([config("table")], DATA)
    list(run.advance(1))
    (figures,) = run.evaluate("test")
    assert figures["test"]["error"] == 0
    assert figures["test"]["neighbours"] == 100


def test_codes_are_the_likeliest_options():
    run = CodesRun([config("st"), config("st", seed=1)], DATA)
    codes = run.codes()
    node = run.model.node(run.x.expand(2, -1, -1))
    assert codes.shape == (2, 60, 2)
    assert torch.equal(codes, Categorical(node.logits).mean.argmax(-1))


def test_a_diverged_run_is_recorded_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(
        train.CodedTable,
        "row_loss",
        lambda self, x: lambda sample: self.rebuild(sample(self.node(x))).sum(-1) * float("nan"),
    )
    (record,) = execute(tmp_path, once([config("st")]), experiment=TOY, name="codes").all()
    assert record["diverged"] == 2
    assert record["test"]["error"] is None
