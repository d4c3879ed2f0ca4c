"""Learning with few labels: the model against enumeration, its runs, and what stands for Table 2."""

import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from gslib.experiment import few_labels, run, table2
from gslib.experiment.run import Scale, run_stages
from in_process import InThisProcess

from gsbook.data import Labelled
from gsbook.experiments.table2.train import (
    METHODS,
    FewLabels,
    FewLabelsRun,
    binarise,
    labelled_rows,
)
from gsbook.records import Records
from gslib.estimators import ESTIMATORS
from gslib.functional import stream
from gslib.models import SemiSupervisedVAE

pytestmark = pytest.mark.filterwarnings("ignore:GSLIB_DATA")
TINY = dict(style=2, channels=(2, 3, 3))
K = 3


@pytest.fixture(scope="module")
def model():
    """Three classes whose probabilities are far from equal and whose images differ."""
    model = SemiSupervisedVAE(K, **TINY, seed=1).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


@pytest.fixture(scope="module")
def x():
    return torch.bernoulli(torch.full((4, 784), 0.3, dtype=torch.float64), generator=stream("x"))


def fixed(seed):
    """The noise of z: the same in every call, so that only y differs."""
    return lambda like: torch.rand(
        like.shape[-2:], dtype=like.dtype, generator=stream("z", seed)
    ).expand(like.shape)


def uniform(generator, like):
    return torch.empty_like(like).uniform_(generator=generator)


# The model


def test_equation_9_averages_to_equation_10(model, x):
    program = partial(model.unlabelled, x, uniform=fixed(0))
    q = model.posterior(x)
    by_hand = sum(
        q.mean[:, 0, k]
        * model.labelled(x, torch.eye(K, dtype=x.dtype)[k].expand(4, K), uniform=fixed(0))
        for k in range(K)
    ) + (q.mean * q.log_probs).sum(
        (-2, -1)
    )  # the sum over classes of q(y|x) L(x, y), minus the entropy: equation 10
    exact = ESTIMATORS["exact"](program)
    torch.testing.assert_close(exact, by_hand)
    noise = partial(uniform, stream("y"))
    draws = torch.stack([program(lambda q: q.sample(uniform=noise)) for _ in range(4000)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert (error > 1e-3).all(), "y makes no difference, so the test could not fail"
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()


def test_straight_through_has_an_unbiased_value_and_gumbel_softmax_less_bias_at_lower_temperature(
    model, x
):
    program = partial(model.unlabelled, x, uniform=fixed(0))
    weights = list(model.class_network.parameters())
    exact = ESTIMATORS["exact"](program)
    right = torch.cat([g.flatten() for g in torch.autograd.grad(exact.mean(), weights)])
    n, bias = 400, {}
    for name, tau in (("st_gumbel_softmax", 1.0), ("gumbel_softmax", 5.0), ("gumbel_softmax", 0.5)):
        noise = partial(uniform, stream("noise"))
        values, slopes = [], 0
        for _ in range(n):
            loss = ESTIMATORS[name](program, tau=tau, uniform=noise)
            values.append(loss.detach())
            slopes += (
                torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), weights)]) / n
            )
        values = torch.stack(values)
        bias[name, tau] = (
            (values.mean(0) - exact).detach().abs(),
            (slopes - right).norm() / right.norm(),
            values.std(0) / math.sqrt(n),
        )
    value, _, error = bias["st_gumbel_softmax", 1.0]
    assert (value < 4 * error).all()
    high, low = bias["gumbel_softmax", 5.0], bias["gumbel_softmax", 0.5]
    assert (high[0] > 5 * high[2]).all(), "no bias to be seen at a high temperature"
    assert (low[0] < 0.7 * high[0]).all()
    assert low[1] < 0.7 * high[1]


@pytest.mark.parametrize("k", [2, 3, 17])
def test_shapes_for_any_number_of_classes(k):
    model = SemiSupervisedVAE(k, **TINY)
    x, y = torch.zeros(5, 784), torch.eye(k)[torch.arange(5) % k]
    assert model.posterior(x).logits.shape == (5, 1, k)
    assert model.labelled(x, y).shape == model.classification(x, y).shape == (5,)
    assert model.labelled(x, torch.eye(k)[:, None].expand(k, 5, k)).shape == (k, 5)
    assert ESTIMATORS["exact"](partial(model.unlabelled, x)).shape == (5,)
    assert model.decode(y, torch.zeros(5, 2)).shape == (5, 784)


def test_marginalisation_in_one_pass_equals_a_loop(model, x):
    states = torch.eye(K, dtype=x.dtype)[:, None].expand(K, 4, K)
    together = model.labelled(x, states, uniform=fixed(3))
    alone = torch.stack([model.labelled(x, y, uniform=fixed(3)) for y in states])
    torch.testing.assert_close(together, alone)


def test_the_paper_s_layers():
    model = SemiSupervisedVAE(10)
    count = [
        sum(isinstance(m, kind) for m in net.modules())
        for net, kind in (
            (model.class_network, torch.nn.Conv2d),
            (model.style_network, torch.nn.Conv2d),
            (model.decoder, torch.nn.ConvTranspose2d),
        )
    ]
    assert [count[0], count[1] + 1, count[2]] == [
        3,
        3,
        4,
    ]  # the first layer of q(z|x,y) is apart, since it adds y


def test_seeds_make_the_model_and_leave_the_callers_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (SemiSupervisedVAE(K, **TINY, seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not torch.equal(first["decoder.0.weight"], other["decoder.0.weight"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: SemiSupervisedVAE(1),
            "at least 2 classes and 1 dimension of style are needed, got 1 and 16",
        ),
        (
            lambda: SemiSupervisedVAE(3).posterior(torch.zeros(2, 28, 28)),
            r"need the shape \[B, 784\], got \(2, 28, 28\)",
        ),
        (lambda: FewLabels("st", 1.0), "method must be one of marginalisation, .*, got 'st'"),
        (lambda: FewLabels("supervised", 0.0), "alpha must be positive, got 0.0"),
        (
            lambda: labelled_rows(torch.tensor([0, 0, 1]), 2, 0),
            "2 labelled images of each class are wanted, but a class has 1",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Data


def test_labels_are_balanced_and_a_choice_of_the_seed():
    labels = torch.randint(10, (3000,), generator=stream("labels of a test"))
    rows = [labelled_rows(labels, 10, seed) for seed in (0, 0, 1)]
    assert all(labels[r].bincount().tolist() == [10] * 10 for r in rows)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert len(rows[0].unique()) == 100


def test_binarisation_is_drawn_anew_with_the_grey_value_as_probability():
    grey = torch.tensor([0, 64, 255], dtype=torch.uint8).expand(20_000, 3)
    first, second = (binarise(grey, torch.rand_like) for _ in range(2))
    assert first.unique().tolist() == [0, 1]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.mean(0), torch.tensor([0, 64 / 255, 1]), atol=0.02, rtol=0)


# Runs


def digits(n, seed):
    """Images in which a class is a bright band, so that a few steps learn something."""
    labels = torch.arange(n) % 10
    images = torch.zeros(n, 28, 28, dtype=torch.uint8)
    for i, label in enumerate(labels.tolist()):
        images[i, 2 * label : 2 * label + 4] = 230
    return Labelled(images.flatten(1), labels)


DATA = {
    name: digits(n, s) for s, (name, n) in enumerate((("train", 300), ("valid", 60), ("test", 60)))
}
ABOUT = {"source": "mnist", "sha256": {name: f"{name:0<64}" for name in DATA}, "images": None}
SCALE = Scale()


def config(method="gumbel_softmax", **changes):
    options = dict(
        alpha=5.0, steps=8, eval_every=4, batch=20, labelled_batch=20, channels=(2, 3, 3), style=2
    )
    return FewLabels(method, **{**options, **changes})


@pytest.fixture
def jobs(monkeypatch):
    """Runs in this process on tiny data."""
    monkeypatch.setattr(run, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(run.TableTwo, "load_data", staticmethod(lambda images: (DATA, ABOUT)))


def once(configs, test=True):
    yield configs, test


@pytest.mark.parametrize("method", METHODS)
def test_a_run_taken_up_again_gives_the_same_record(tmp_path, jobs, method):
    whole = Records(tmp_path / "whole")
    run_stages([once([config(method)])], whole, SCALE, device="cpu", checkpoints=tmp_path / "a")
    parts = Records(tmp_path / "parts")
    run_stages(
        [once([config(method, steps=4)])], parts, SCALE, device="cpu", checkpoints=tmp_path / "b"
    )
    store = run.Checkpoints(tmp_path / "b", ABOUT, run.TableTwo.code())
    assert store.step(config(method)) == 4, "the second part would start anew"
    run_stages([once([config(method)])], parts, SCALE, device="cpu", checkpoints=tmp_path / "b")
    first, second = (r.cell(method)[config(method).key] for r in (whole, parts))
    assert {k: v for k, v in first.items() if k not in ("minutes", "date")} == {
        k: v for k, v in second.items() if k not in ("minutes", "date")
    }
    assert first["code"] == run.few_labels_hash()
    assert first["diverged"] is None
    assert len(first["curve"]["accuracy"]) == 2


def test_methods_differ_in_their_unlabelled_term_alone(jobs):
    batch = FewLabelsRun([config()], DATA)._batch()
    values, slopes = {}, {}
    for method in ("marginalisation", "gumbel_softmax", "st_gumbel_softmax"):
        one = FewLabelsRun([config(method)], DATA)
        loss = one.objective(batch, one.noise("noise"))
        values[method] = float(loss.detach())
        slopes[method] = torch.autograd.grad(loss, one.weights, allow_unused=True)
    assert len(set(values.values())) == 3
    assert all(g is not None for slope in slopes.values() for g in slope)
    one = FewLabelsRun([config("supervised")], DATA)
    _, labelled, y = batch
    x = binarise(labelled, one.noise("noise"))
    assert torch.equal(
        one.objective(batch, one.noise("noise")), 5.0 * one.model.classification(x, y).mean()
    )


@pytest.mark.parametrize("method", METHODS)
def test_training_learns(method):
    one = FewLabelsRun([config(method, steps=60, eval_every=30, lr=1e-2)], DATA)
    for _ in one.advance(60):
        pass
    found = one.evaluate(DATA["test"], "test")
    assert found["accuracy"] > 60
    if method != "supervised":
        assert one.curves[0].valid[-1] < one.curves[0].valid[0]
        assert found["elbo"] == pytest.approx(found["single"], rel=0.05)


def test_temperature_falls_in_steps():
    c = config(anneal_rate=0.1, anneal_every=5, tau_min=0.5)
    assert [c.tau(s) for s in (0, 4, 5, 9, 100)] == [1, 1, math.exp(-0.5), math.exp(-0.5), 0.5]


def test_a_diverged_run_is_recorded_as_such(tmp_path, jobs):
    run_stages(
        [once([config(lr=1e30)])],
        Records(tmp_path),
        SCALE,
        device="cpu",
        checkpoints=tmp_path / "c",
    )
    (record,) = Records(tmp_path).all()
    assert record["diverged"] == 4
    assert record["test"]["elbo"] is None


def test_batches_larger_than_the_data():
    with pytest.raises(
        ValueError,
        match="batch 301 or labelled_batch 20 is larger than its set: there are 300 images",
    ):
        FewLabelsRun([config(batch=301)], DATA)


def test_keys_tell_configs_apart():
    variants = [
        config(),
        config(seed=1),
        config(alpha=1.0),
        config(steps=9),
        config(style=3),
        config("supervised"),
    ]
    assert len({c.key for c in variants}) == len(variants)
    assert FewLabels(**config().to_dict()) == config()


# The plan and the table


def record(method, alpha, seed, steps, accuracy, elbo=-110.0, source="mnist"):
    c = FewLabels(method, alpha, seed=seed, steps=steps)
    return {
        "key": c.key,
        "cell": c.cell,
        "config": c.to_dict(),
        "diverged": None,
        "valid": {"accuracy": accuracy},
        "test": {"accuracy": accuracy - 1, "elbo": elbo, "single": elbo - 1},
        "data": {"source": source, "images": None},
    }


def test_the_search_keeps_the_best_alphas_on_validation():
    budget = table2.Budget(((10, 2), (20, 1)), 50, 2, alphas=(1.0, 2.0, 3.0))
    plan = table2.stages("gumbel_softmax", budget)
    first, test = plan.send(None)
    assert ([c.alpha for c in first], {c.steps for c in first}, test) == (
        [1.0, 2.0, 3.0],
        {10},
        True,
    )
    second, _ = plan.send(
        [
            record("gumbel_softmax", c.alpha, 0, 10, a)
            for c, a in zip(first, (80, 90, 85), strict=True)
        ]
    )
    assert [c.alpha for c in second] == [2.0, 3.0]
    final, _ = plan.send(
        [record("gumbel_softmax", c.alpha, 0, 20, a) for c, a in zip(second, (80, 95), strict=True)]
    )
    assert [(c.alpha, c.seed, c.steps) for c in final] == [(3.0, 0, 50), (3.0, 1, 50)]
    assert {c.anneal_rate * c.steps for c in final} == {table2.COOLING}
    assert final[0].trajectory == second[1].trajectory, (
        "the search's runs are not the beginning of the final ones"
    )


def test_alpha_does_not_matter_without_the_generative_half():
    assert [c.alpha for c in table2.candidates("supervised", table2.BUDGETS["laptop"])] == [1.0]


def test_the_rows_of_table_2_are_final_runs_at_the_alpha_that_validation_chose(tmp_path):
    records = Records(tmp_path)
    records.add(
        [record("gumbel_softmax", 1.0, 0, 10, 99.0), record("gumbel_softmax", 2.0, 0, 10, 98.0)]
        + [record("gumbel_softmax", 2.0, s, 50, 90.0 + s) for s in range(3)]
        + [record("gumbel_softmax", 3.0, s, 50, 95.0, source="embedded-5000") for s in range(4)]
    )
    found = table2.row(records, "gumbel_softmax")
    assert (found.alpha, found.steps, found.figure("accuracy")) == (
        2.0,
        50,
        {0: 89.0, 1: 90.0, 2: 91.0},
    )
    assert table2.row(records, "marginalisation") is None
    alphas = table2.alphas(records, "gumbel_softmax")
    assert alphas.attrs["steps"] == 10
    assert alphas["valid accuracy"].to_dict() == {1.0: 99.0, 2.0: 98.0}
    table = table2.comparison(records)
    assert table.loc["gumbel_softmax", "accuracy"] == 90
    assert table.loc["gumbel_softmax", "verdict ELBO"] == "reproduced"  # -110 beside -109.6
    assert table.loc["marginalisation", "verdict accuracy"] == "not run yet"
    assert table.loc["supervised", "verdict ELBO"] == ""


def test_speed_is_measured_with_memory_and_recorded_once(tmp_path, monkeypatch):
    budget = replace(table2.BUDGETS["smoke"], classes=(5, 10), repeats=2, seconds=0.01)
    monkeypatch.setattr(table2, "load_data", lambda: (DATA, ABOUT))
    here = SimpleNamespace(
        Pool=lambda _: nullcontext(SimpleNamespace(apply=lambda function, given: function(*given)))
    )
    monkeypatch.setattr(table2.multiprocessing, "get_context", lambda _: here)  # in this process
    monkeypatch.setattr(table2, "FewLabels", partial(FewLabels, batch=20, labelled_batch=20))
    table2.measure_speed(Records(tmp_path), budget, device="cpu")
    runs = Records(tmp_path).all()
    assert [r["key"] for r in runs] == [
        f"ssl-classes-{k}_repeat={i}" for k in (10, 5) for i in (0, 1)
    ]
    for test in (r["test"] for r in runs):
        assert test["ratio"] == pytest.approx(
            test["gumbel_softmax"] / test["marginalisation"], rel=1e-3
        )
    found = table2.speed(Records(tmp_path))
    growth = found["marginalisation MB"] / found["gumbel_softmax MB"]
    assert 1.5 < growth[5] < growth[10] < 10
    before = (tmp_path / "ssl-classes-5.jsonl").read_bytes()
    table2.measure_speed(Records(tmp_path), budget, device="cpu")
    assert (tmp_path / "ssl-classes-5.jsonl").read_bytes() == before


def test_memory_held_for_the_way_back_counts_each_tensor_once():
    x = torch.ones(1000, requires_grad=True)
    assert (
        table2.held_for_backward(lambda: (x.exp() * 2).sum()) == 4000
    )  # exp keeps its result alone
    assert table2.held_for_backward(lambda: (x.exp().exp() + x.sin()).sum()) == 3 * 4000


def test_real_digits_have_labels_to_choose_from():
    data, about = few_labels.load_data(50)
    rows = labelled_rows(data["train"].labels, 10, 0)
    assert data["train"].labels[rows].bincount().tolist() == [10] * 10
    assert len(data["test"].images) == 50
    assert about["images"] == 50
