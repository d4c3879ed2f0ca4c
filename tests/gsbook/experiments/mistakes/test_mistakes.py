"""Mistakes: the right code is Table 1's to the bit, and each mistake changes what it says."""

import math
from dataclasses import replace

import pytest
import torch

from gsbook.experiments.mistakes import record, results
from gsbook.experiments.mistakes.evaluate import evaluate
from gsbook.experiments.mistakes.lines import BESIDE, MISTAKES
from gsbook.experiments.mistakes.plan import BUDGETS, MISTAKEN, config, plan
from gsbook.experiments.mistakes.train import MistakenEnsemble
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.train import Ensemble
from gslib.functional import stream

SIZE = (3, 4)
RIGHT = {"right", "hard", "uniform_prior"}


@pytest.fixture(scope="module")
def data():
    generator = stream("mistakes")
    images = {n: torch.rand(60, 16, generator=generator) for n in ("train", "valid", "test")}
    binary = {n: (x < 0.4).to(torch.uint8) for n, x in images.items()}
    grey = {f"grey_{n}": (255 * images[n]).to(torch.uint8) for n in ("train", "valid")}
    return binary | grey


def trained(data, mistake, steps=6, **changes):
    small = dict(steps=steps, batch=20, eval_every=3, lr=0.05, anneal_every=1)
    configs = [
        replace(config(mistake, BUDGETS["smoke"]), **small | changes, seed=s) for s in (0, 1)
    ]
    ensemble = MistakenEnsemble(configs, data, size=SIZE, mode="eager")
    assert list(ensemble.advance(steps)) == [3, 6][: steps // 3]
    return ensemble


def weights(ensemble):
    return torch.cat([p.detach().flatten(1) for p in ensemble.model.parameters()], 1)


def figures(ensemble):
    size = BUDGETS["smoke"].size
    return evaluate(ensemble, replace(size, samples=4), True)


@pytest.mark.parametrize(
    ("mistake", "estimator", "changes"),
    [
        ("right", "gumbel_softmax", {}),
        ("hard", "st_gumbel_softmax", {}),
        ("uniform_prior", "gumbel_softmax", {"learned_prior": False}),
        ("never_annealed", "gumbel_softmax", {"anneal_rate": 0.0}),
        ("no_zero_grad", "gumbel_softmax", {"momentum": 1.0}),
    ],
)
def test_what_is_right_is_the_harness_of_table_1_to_the_bit(data, mistake, estimator, changes):
    ours = trained(data, mistake)
    same = {k: v for k, v in ours.first.to_dict().items() if k != "mistake"} | changes
    configs = [Config(**same | {"estimator": estimator, "seed": s}) for s in (0, 1)]
    theirs = Ensemble(configs, data, size=SIZE, mode="eager")
    list(theirs.advance(6))
    assert torch.equal(weights(ours), weights(theirs))
    assert ours.curves == theirs.curves


def test_every_mistake_trains_otherwise_than_what_it_stands_beside(data):
    """One line each, and it has an effect on the weights; but for the one that has none."""
    for mistake in MISTAKES.keys() - RIGHT:
        beside = weights(trained(data, BESIDE.get(mistake, "right")))
        differs = (weights(trained(data, mistake)) - beside).abs().max()
        if mistake == "kl_probability":
            assert differs < 1e-5
        else:
            assert differs > 1e-4, mistake


def test_a_wrong_constant_moves_the_report_alone(data):
    wrong, right = (figures(trained(data, m)) for m in ("kl_probability", "uniform_prior"))
    n, k = SIZE
    for ours, theirs in zip(wrong, right, strict=True):
        gap = theirs["valid"]["printed"] - ours["valid"]["printed"]
        assert gap == pytest.approx(n * (math.log(k) + 1 / k), abs=1e-3)
        assert ours["valid"]["single"] == pytest.approx(theirs["valid"]["single"], abs=1e-3)


def drawn(mistake, logits):
    from gsbook.engine.noise import Noise, keys
    from gslib.distributions import Categorical

    noise = Noise(keys("noise", [0]), 0, ndim=4)
    return MISTAKES[mistake].sample(Categorical(logits), torch.tensor([0.5]), noise)


def test_what_the_mistaken_samples_look_like():
    logits = torch.randn(1, 50, *SIZE, generator=stream("logits")).requires_grad_()
    equal = logits[:, :1].expand_as(logits)
    assert torch.allclose(drawn("right", logits).sum(-1), torch.ones(1, 50, 3))
    assert torch.allclose(drawn("wrong_axis", logits).sum((-2, -1)), torch.ones(1, 50))
    assert torch.equal(drawn("no_noise", logits), (logits / 0.5).softmax(-1))
    assert (drawn("one_noise", equal) == drawn("one_noise", equal)[:, :1]).all()
    assert not (drawn("right", equal) == drawn("right", equal)[:, :1]).all()
    assert not drawn("no_straight_through", logits).requires_grad
    assert drawn("hard", logits).requires_grad
    assert torch.equal(drawn("hard", logits), drawn("no_straight_through", logits))
    spread = {m: drawn(m, torch.zeros_like(logits)).std() for m in ("right", "tau_as_eps")}
    assert spread["tau_as_eps"] < 0.8 * spread["right"]
    far = 8 * logits.detach()
    assert drawn("probabilities", far).amax(-1).mean() < drawn("right", far).amax(-1).mean() - 0.1


def test_figures_of_a_run(data):
    for mistake in ("right", "relu", "grey", "no_kl"):
        for found in figures(trained(data, mistake)):
            valid, test = found["valid"], found["test"]
            assert set(record.SYMPTOMS) | {"relaxed", "mean", "argmax", "argmin"} == set(valid)
            assert all(map(math.isfinite, valid.values()))
            assert 0 <= valid["units"] <= 3
            assert 1 <= valid["classes"] <= 4 + 1e-6
            assert 0 <= valid["entropy"] <= 3 * math.log(4) + 1e-6
            assert valid["kl"] >= 0
            assert 0 < test["nll"] <= test["single"]


def test_a_unit_that_says_nothing_is_not_alive(data):
    ensemble = trained(data, "right")
    with torch.no_grad():
        ensemble.model.encoder.weight.zero_()
        ensemble.model.encoder.bias.zero_()
    for found in figures(ensemble):
        assert (found["valid"]["units"], found["valid"]["classes"]) == (0, pytest.approx(4))
        assert found["valid"]["entropy"] == pytest.approx(3 * math.log(4), rel=1e-5)
    with torch.no_grad():
        ensemble.model.encoder.weight.normal_(std=30.0)
    assert all(found["valid"]["units"] > 0 for found in figures(ensemble))


def test_as_trained_is_the_model_with_its_mistake(data):
    """A ReLU is part of the model: with it the loss is another one than without."""
    for mistake, other in (("relu", True), ("probabilities", True), ("no_kl", False)):
        ensemble = trained(data, mistake)
        with torch.no_grad():
            ensemble.model.encoder.weight.mul_(10)
        for found in figures(ensemble):
            gap = abs(found["valid"]["as_trained"] - found["valid"]["single"])
            assert (gap > 0.3) == other, (mistake, gap)


def test_configs_are_named_and_refused():
    first = config("no_kl", BUDGETS["laptop"])
    assert first.key == "no_kl_lr=0.003_seed=0_eval_every=500_anneal_rate=0.0001_steps=10000"
    with pytest.raises(ValueError, match="mistake must be one of right"):
        replace(first, mistake="none")
    with pytest.raises(ValueError, match="made with vae"):
        replace(first, estimator="st")
    for mistake in (name for name, line in MISTAKES.items() if line.settings):
        with pytest.raises(ValueError, match=f"{mistake} is made by"):  # it would be right's run
            replace(first, mistake=mistake, anneal_rate=3e-4)
    keys = {config(m, b).key for m in MISTAKES for b in BUDGETS.values()}
    assert len(keys) == len(MISTAKES) * len(BUDGETS)


def test_the_plan_asks_for_all_seeds_at_once():
    ((configs, test),) = plan("relu", BUDGETS["laptop"])
    assert [c.seed for c in configs] == [0, 1, 2]
    assert test
    assert set(MISTAKEN.cells) == set(MISTAKES)
    assert all(beside in RIGHT and name in MISTAKES for name, beside in BESIDE.items())


def made(mistake, seed, single, **changes):
    """A record with a made-up loss."""
    c = replace(config(mistake, BUDGETS["laptop"]), seed=seed, **changes)
    valid = dict.fromkeys((*record.SYMPTOMS, "relaxed"), 1.0) | {"single": single}
    return {
        "key": c.key,
        "cell": c.cell,
        "config": c.to_dict(),
        "diverged": None if single is not None else 500,
        "valid": valid,
        "test": {"nll": 1.0, "single": 1.0},
        "evaluation": {"images": 2000, "samples": 1000, "valid_samples": 100},
        "curve": {"step": [c.steps], "train": [single], "valid": [1.0], "test": [1.0]},
        "code": {},
        "data": {"source": "larochelle-murray", "sha256": {"train": "0"}, "images": 2000},
    }


def test_prices_are_paired_by_seed(tmp_path):
    records = record.records(tmp_path)
    losses = {"right": (130.0, 140.0), "no_kl": (135.0, 147.0, 10.0), "relu": (None, 150.0)}
    for mistake, values in losses.items():
        records.add([made(mistake, s, v) for s, v in enumerate(values)])
    price = results.price(records, "no_kl")
    assert (price.mean, price.n) == (6.0, 2)  # the third seed has nothing beside it
    assert results.price(records, "grey") is None
    assert results.price(records, "relu").n == 1
    frame = results.prices(records)
    assert list(frame.index) == ["right", "relu", "no_kl"]
    assert math.isnan(frame.loc["relu", "loss"])
    assert frame.loc["no_kl", "seeds"] == 3
    records.add([made("right", 0, 1.0, steps=20_000), made("right", 1, 1.0, steps=20_000)])
    assert results.price(records, "no_kl") is None  # of another length


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid": {"single": 1.0}}, "valid lacks printed"),
        ({"key": "other"}, "not the one of its config"),
        ({"valid": dict.fromkeys(record.SYMPTOMS)}, "yet it did not diverge"),
        ({"test": {"nll": -1.0, "single": 1.0}}, "below 0"),
    ],
)
def test_a_record_that_cannot_be_is_refused(change, message):
    run = made("right", 0, 1.0)
    record.check(run)
    with pytest.raises(ValueError, match=message):
        record.check(run | change)
