"""The quantised autoencoder: its codes and losses by hand, averages and restarts, states taken up
to the bit, the plan, and what records say."""

import json
import math
from dataclasses import replace

import pytest
import torch
from helpers import ABOUT, LABELLED, execute

from gsbook.code import code_of
from gsbook.experiments import EXPERIMENTS, target
from gsbook.experiments.quantised import record, results, train
from gsbook.experiments.quantised.config import METHODS, POSITIONS, Quantised
from gsbook.experiments.quantised.model import QuantisedAutoencoder, unevenness, uniform
from gsbook.experiments.quantised.plan import BUDGETS, CELLS, QUANTISED, plan, score
from gsbook.experiments.quantised.train import QuantisedRun, frequencies
from gslib._checks import unchecked
from gslib.distributions import Categorical
from gslib.divergences import kl

NEAREST = [name for name, one in METHODS.items() if one.estimator is None]
DRAWN = [name for name in METHODS if name not in NEAREST]
BANDS = {name: (split.images > 0).byte() for name, split in LABELLED.items()}
TOY = replace(QUANTISED, load_data=lambda images: (BANDS, ABOUT | {"images": images}))


def config(method="vq", **changes):
    short = {"lr": 3e-3, "steps": 4, "horizon": 4, "codes": 6, "size": 3, "batch": 8}
    return Quantised(method, **short | {"eval_every": 2} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method must be one of vq, .*, got 'magic'"),
        ({"codes": 1}, "codes must be 2 or more, got 1"),
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"tau_min": float("nan")}, "tau_min must be a finite number, got nan"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_keys_tell_configs_apart():
    changes = [{}, {"method": "vq_both"}, {"lr": 0.1}, {"seed": 1}, {"codes": 4}, {"tau_min": 0.1}]
    assert len({config(**change).key for change in changes}) == len(changes)
    assert Quantised(**config().to_dict()) == config()
    assert config(horizon=10).tau(5) == pytest.approx(0.5**0.5)


# The model


def pictures(n=5):
    return BANDS["train"][:n].float()


def test_the_nearest_code_is_the_nearest():
    model = QuantisedAutoencoder(config())
    h = torch.randn(20, POSITIONS, 3)
    distance = (h.unsqueeze(-2) - model.book).square().sum(-1)
    assert torch.equal(model.nearest(h), distance.argmin(-1))


def test_what_vq_descends_by_hand():
    model, x = QuantisedAutoencoder(config()), pictures()
    loss, codes, h = model.vq_loss(x)
    vectors = model.book[codes]
    gap = (h - vectors).square().sum((1, 2))
    torch.testing.assert_close(loss, model.nll(x, vectors) + 1.25 * gap)
    loss.sum().backward()
    used = torch.bincount(codes.flatten(), minlength=6)
    pull = torch.zeros_like(model.book).index_add_(0, codes.flatten(), h.flatten(0, 1))
    by_hand = 2 * (used.unsqueeze(1) * model.book.detach() - pull)
    torch.testing.assert_close(model.book.grad, by_hand, rtol=1e-4, atol=1e-3)
    assert (model.book.grad[used == 0] == 0).all()  # a dead code has no slope
    assert model.encoder[0].weight.grad.abs().sum() > 0


def test_without_its_own_term_the_codebook_has_no_slope():
    model = QuantisedAutoencoder(config())
    loss, _, _ = model.vq_loss(pictures(), learn_book=False)
    loss.sum().backward()
    assert model.book.grad is None


def test_the_loss_of_a_posterior_is_a_bound_and_even_use_is_the_kl_of_the_mean():
    model, x = QuantisedAutoencoder(config()), pictures()
    q = model.node(x)
    z = q.sample()
    nll = model.nll(x, z @ model.book)
    paid = {pays: model.program(x, pays)(lambda q: z) - nll for pays in ("kl", "use", "")}
    torch.testing.assert_close(paid["kl"], kl(q, uniform(q)).sum(-1), rtol=1e-4, atol=1e-3)
    mean = Categorical(q.mean.mean((0, 1)).log().expand(1, 1, -1))
    even = kl(mean, uniform(mean)).detach().item()
    torch.testing.assert_close(
        paid["use"], torch.full((5,), POSITIONS * even), rtol=1e-4, atol=1e-3
    )
    assert 0 < even <= paid["kl"].mean().item() / POSITIONS
    assert (paid[""] == 0).all()
    flat = Categorical(torch.zeros(2, POSITIONS, 6))
    assert float(unevenness(flat)) == pytest.approx(0, abs=1e-6)


def test_samples_may_have_axes_before_the_batch():
    model, x = QuantisedAutoencoder(config()), pictures()
    vectors = torch.randn(4, 5, POSITIONS, 3)
    found = model.nll(x, vectors)
    assert found.shape == (4, 5)
    torch.testing.assert_close(found[2], model.nll(x, vectors[2]))


# Averages and restarts


def counted(method, codes, h, **changes):
    run = QuantisedRun([config(method, **changes)], BANDS)
    before = run.model.book.detach().clone()
    run.count(torch.tensor([codes]), torch.tensor([h]))
    return run, before, run.model.book.detach()


def test_an_average_follows_what_chose_it():
    run, before, after = counted("vq_average", [0, 0, 2], [[1.0, 0, 0], [3.0, 0, 0], [0, 2.0, 0]])
    share = 8 * POSITIONS / 6
    weight = 0.99 * share
    pulled = torch.tensor([4.0, 0, 0])
    by_hand = (weight * before[0] + 0.01 * pulled) / (weight + 0.01 * 2)
    torch.testing.assert_close(after[0], by_hand)
    torch.testing.assert_close(after[[1, 3, 4, 5]], before[[1, 3, 4, 5]])
    assert run.counts[2] == pytest.approx(weight + 0.01)


def test_what_is_forgotten_stays_where_it_was():
    run = QuantisedRun([config("vq_average")], BANDS)
    run.counts[3], run.sums[3] = 1e-7, 0.0
    before = run.model.book[3].detach().clone()
    run.count(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, 3))
    assert torch.equal(run.model.book[3], before)


@pytest.mark.parametrize("method", NEAREST)
def test_a_dead_code_restarts_at_a_feature_of_the_batch_where_the_method_says_so(method):
    run = QuantisedRun([config(method)], BANDS)
    run.counts[4] = 0.5
    run.sums[4] = 0.5 * run.model.book[4].detach()
    before, h = run.model.book.detach().clone(), torch.randn(1, 9, 3)
    run.count(torch.zeros(1, 9, dtype=torch.long), h)
    moved = not torch.allclose(run.model.book[4], before[4])
    assert moved == METHODS[method].restart
    if moved:
        assert any(torch.allclose(run.model.book[4], feature) for feature in h[0])
        assert run.counts[4] == train.DEAD
    torch.testing.assert_close(run.model.book[5].detach(), before[5])


# Training


@pytest.mark.parametrize("method", METHODS)
def test_a_state_is_taken_up_to_the_bit(method):
    whole, first, second = (QuantisedRun([config(method)], BANDS) for _ in range(3))
    list(whole.advance(4))
    list(first.advance(2))
    second.load_states(first.states(), 2)
    list(second.advance(4))
    one, other = whole.states()[0], second.states()[0]
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.curves[0].train[-1] == second.curves[0].train[-1]


@pytest.mark.parametrize("method", ["vq_both", "gumbel_use"])
def test_it_learns(method):
    run = QuantisedRun([config(method, codes=16, size=8, eval_every=30)], BANDS)
    list(run.advance(60))
    early, late = run.curves[0].valid
    assert late < early - 20


def test_averages_and_heads_learn_only_where_they_belong():
    for method in METHODS:
        run = QuantisedRun([config(method)], BANDS)
        learning = {id(p) for group in run.adam.param_groups for p in group["params"]}
        assert (id(run.model.book) in learning) == (not METHODS[method].average)
        before = run.model.head.weight.detach().clone()
        list(run.advance(2))
        assert torch.equal(run.model.head.weight, before) == (method in NEAREST)


# Figures


@pytest.mark.parametrize("method", ["vq", "gumbel_free"])
def test_figures_by_hand(method):
    run = QuantisedRun([config(method)], BANDS)
    x = BANDS["test"]
    with unchecked(), torch.no_grad():
        found, posterior = run.figures(x), method in DRAWN
        codes = run.model.codes(x.float(), posterior)
        left = run.model.nll(x.float(), run.model.book[codes]).mean()
    assert found["nll"] == pytest.approx(float(left), rel=1e-5)
    assert found["used"] == len(codes.unique())
    if posterior:
        q = run.model.node(x.float())
        price = kl(q, uniform(q)).sum(-1).mean().item()
        assert found["kl"] == pytest.approx(price, rel=1e-4)
    else:
        assert found["kl"] == pytest.approx(49 * math.log(6))
        assert found["bound"] == pytest.approx(found["nll"] + 49 * math.log(6), rel=1e-5)


def test_frequencies_are_of_each_position():
    shares = frequencies(torch.tensor([[0, 1], [0, 2], [0, 1], [1, 1]]), 3)
    assert shares.tolist() == [[0.75, 0.25, 0], [0, 0.75, 0.25]]


def test_two_codes_used_alike_have_a_perplexity_of_two(monkeypatch):
    run = QuantisedRun([config()], BANDS)
    half = (torch.arange(32) % 2).unsqueeze(1).expand(-1, POSITIONS)
    monkeypatch.setattr(run.model, "codes", lambda x, posterior: half[: len(x)])
    found = run.figures(BANDS["test"][:32])
    assert (found["used"], found["perplexity"]) == (2, pytest.approx(2))
    assert found["rate"] == pytest.approx(POSITIONS * math.log(2))


# The plan and the records


def test_each_method_chooses_its_rate_by_what_it_descends():
    assert score({"cell": "vq", "valid": {"nll": 1.0, "bound": 2.0}}) == 1.0
    assert score({"cell": "reinmax", "valid": {"nll": 1.0, "bound": 2.0}}) == 2.0
    assert score({"cell": "gumbel_use", "valid": {"nll": 1.0, "bound": 2.0}}) == 1.0


def test_the_best_rate_is_repeated_over_seeds():
    stages = plan("vq", BUDGETS["laptop"])
    configs, test = next(stages)
    assert ({c.steps for c in configs}, test) == ({250}, False)
    answer = [made(c, nll=abs(c.lr - 3e-3)) for c in configs]
    configs, test = stages.send(answer)
    assert [(c.lr, c.seed, c.steps) for c in configs] == [(3e-3, s, 1_000) for s in range(3)]
    assert test


def test_it_is_run_by_name():
    assert target("quantised") == (EXPERIMENTS["quantised"], list(CELLS))
    assert target("quantised", ["vq"])[1] == ["vq"]


def test_a_run_becomes_a_record(tmp_path):
    small = replace(BUDGETS["smoke"], steps=2, eval_every=1)
    stages = plan("gumbel_use", small)
    records = execute(tmp_path, stages, experiment=TOY, name="quantised")
    (run,) = records.all()
    assert run["code"] == code_of(record.modules(Quantised(**run["config"])))
    assert run["test"].keys() == set(record.FIGURES)
    assert records.is_current(run)


def made(config, nll=40.0, used=30.0, bound=100.0):
    figures = {"nll": nll, "rate": 100.0, "used": used, "perplexity": 10.0}
    figures |= {"kl": bound - nll, "bound": bound}
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": None,
        "valid": figures,
        "test": figures,
        "data": {"source": "random", "images": None, "sha256": {"train": "0"}},
        "evaluation": {"images": None, "samples": 1000, "valid_samples": 100},
        "curve": {"step": [config.steps], "train": [nll], "valid": [nll], "used": [used]},
        "code": {},
        "minutes": 0.1,
    }


@pytest.mark.parametrize(
    ("figure", "value", "reason"),
    [
        ("used", 65.0, "65.0 codes in use on valid do not fit"),
        ("used", 9.0, "9.0 codes in use on valid do not fit a perplexity of 10.0"),
        ("rate", 204.0, r"rate on valid is 204.0, above 49 log K = 203.785"),
        ("nll", None, "nll on valid is null, and yet it did not diverge"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, figure, value, reason):
    found, good = record.records(tmp_path), made(Quantised("vq", 1e-3))
    found.add([good])
    assert len(found.all()) == 1
    bad = good | {"valid": good["valid"] | {figure: value}}
    found.path("vq").write_text(json.dumps(bad) + "\n")
    with pytest.raises(ValueError, match=f"vq.jsonl line 1 is no .*{reason}"):
        found.all()


@pytest.mark.parametrize(
    ("nll", "left", "end"),
    [
        (30.0, "better", "take the nearest code where"),
        (50.0, "worse", "take a drawn code"),
        (40.0, "as good", "take what is easier to train"),
    ],
)
def test_the_lesson_follows_the_records(tmp_path, nll, left, end):
    records = record.records(tmp_path)
    for method in METHODS:
        base = nll if method in NEAREST else 40.0
        records.add([made(Quantised(method, 1e-3, seed=s), base + s / 50) for s in range(3)])
    found = results.chosen(records)
    assert list(found) == list(METHODS)
    said = results.lesson(found)
    assert f"(the nearest is {left})" in said
    assert end in said
    assert "restarts take the 30 codes of plain VQ to 30" in results.revival(found)
    assert results.comparison(found).loc["VQ", "dead"] == 34


def test_a_longer_budget_of_one_method_changes_no_comparison(tmp_path):
    records = record.records(tmp_path)
    for method in METHODS:
        records.add([made(Quantised(method, 1e-3, seed=s), 40.0 + s / 50) for s in range(3)])
    long = Quantised("reinmax", 1e-3, steps=2_000, horizon=2_000)
    records.add([made(replace(long, seed=s), 30.0) for s in range(2)])
    found = results.chosen(records)
    assert {runs.steps for runs in found.values()} == {1_000}
    assert found["reinmax"].mean("nll").mean == pytest.approx(40.02)
    found["reinmax"].runs[2]["diverged"] = 70
    assert results.comparison(found).loc["ReinMax (2 of 3 seeds)", "nll"] == pytest.approx(40.01)


def test_the_records_of_the_book_are_of_three_seeds():
    found = results.chosen(results.results())
    assert list(found) == list(METHODS)
    for method, runs in found.items():
        assert len(runs.runs) == 3, method
