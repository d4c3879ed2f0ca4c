"""The study of temperature: its schedules and plan, its estimators, and what it measures."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from gsbook.engine.search import dry
from gsbook.experiments import target
from gsbook.experiments.table1.config import Config as Table1
from gsbook.experiments.table1.train import Ensemble as Table1Ensemble
from gsbook.experiments.temperature import evaluate, train
from gsbook.experiments.temperature.config import Config
from gsbook.experiments.temperature.plan import BUDGETS, FAMILIES, TEMPERATURE, plan, settings
from gsbook.experiments.temperature.record import check
from gslib.distributions import Categorical
from gslib.estimators import exact, gumbel_softmax, st_gumbel_softmax

SIZE = (3, 4)


@pytest.fixture
def data():
    images = (torch.rand(40, 16) < 0.3).to(torch.uint8)
    return dict.fromkeys(("train", "valid", "test"), images)


def ensemble(data, **options):
    options = dict(batch=10, eval_every=5, steps=20) | options
    configs = [Config(seed=seed, **options) for seed in (0, 1)]
    return train.Ensemble(configs, data, size=SIZE, mode="eager")


# --- settings


def test_schedules():
    fall = Config(start=2.0, anneal_rate=1e-4)
    assert fall.tau(0) == 2.0
    assert fall.tau(999) == pytest.approx(2 * 2.718281828 ** (-0.05))  # constant for 500 steps
    assert fall.tau(100_000) == 0.5
    line = Config(start=5.0, tau_min=0.1, anneal_steps=1000)
    assert [line.tau(t) for t in (0, 499, 500, 1000, 9000)] == [5.0, 5.0, 2.55, 0.1, 0.1]
    assert Config(start=0.1).tau(10_000) == 0.1  # no schedule: no floor either


@pytest.mark.parametrize(
    "options",
    [
        {"learned": "all"},
        {"start": 0.0},
        {"backward": -1.0},
        {"anneal_rate": 1e-4, "anneal_steps": 10},
        {"draws": 10},
        {"learned": "one", "estimator": "st_gumbel_softmax"},
        *({"estimator": name} for name in ("sf", "st", "reinmax")),
        *({"learned": "unit", name: 0.5} for name in ("anneal_rate", "backward")),
        {"learned": "one", "anneal_steps": 10},
        {"relaxed_kl": True, "backward": 0.5},
    ],
)
def test_settings_that_contradict_each_other_are_refused(options):
    with pytest.raises(ValueError, match=r"must|take|set one|has no schedule|leave backward"):
        Config(**options)


def test_keys_are_unique_and_name_the_estimator():
    configs = [c for family in FAMILIES for c in settings(family)]
    assert len({c.trajectory for c in configs}) == len(configs)
    assert all(c.key.startswith(f"vae-categorical-{c.estimator}_") for c in configs)


def test_the_plan_is_families_then_the_best_for_longer():
    budget = replace(BUDGETS["paper"], seeds=2, families=("constant", "line"))

    def made(config):
        bound = abs(config.tau(config.steps) - 0.5) + abs(config.start - 1)
        return {"diverged": None, "valid_bound": bound}

    stages = list(dry(plan(TEMPERATURE.cells[0], budget), made))
    assert [len(configs) for configs, _ in stages] == [5, 2, 5, 2, 10]
    assert all(test for _, test in stages)
    longer = stages[-1][0]
    assert {c.steps for c in longer} == {200_000}
    assert (longer[0].start, longer[0].anneal_steps) == (1.0, 200_000)  # the line ends with the run
    assert target("temperature")[0] is TEMPERATURE


# --- training


def test_a_temperature_of_table_1_trains_as_there(data):
    options = dict(batch=10, eval_every=5, steps=20, anneal_rate=1e-2, anneal_every=5)
    ours = train.Ensemble([Config(**options)], data, size=SIZE, mode="eager")
    theirs = Table1("vae", "categorical", "gumbel_softmax", lr=3e-3, **options)
    theirs = Table1Ensemble([theirs], data, size=SIZE, mode="eager")
    for one in (ours, theirs):
        list(one.advance(20))
    assert ours.curves == theirs.curves
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "options",
    [
        {"learned": "one"},
        {"learned": "unit", "relaxed_kl": True},
        {"relaxed_kl": True},
        {"start": 0.1, "backward": 1.0},
        {"draws": 3, "estimator": "st_gumbel_softmax"},
    ],
    ids=str,
)
def test_every_kind_trains_and_is_evaluated_member_by_member(data, options):
    both = ensemble(data, **options)
    list(both.advance(10))
    assert all(abs(loss) < 100 for loss in both.curves[0].train)
    found = evaluate.figures(both, 5)
    alone = train.Ensemble(both.configs[1:], data, size=SIZE, mode="eager")
    list(alone.advance(10))
    second = evaluate.figures(alone, 5)[0]
    assert found[1] == pytest.approx(second, rel=1e-4)
    if options.get("learned"):
        assert found[0]["tau"] != 1.0
        assert (found[0]["tau_lowest"] < found[0]["tau_highest"]) == (options["learned"] == "unit")


def test_a_saved_state_goes_on_as_if_nothing_had_been(data):
    whole, first, second = (ensemble(data, learned="unit") for _ in range(3))
    list(whole.advance(10))
    list(first.advance(5))
    second.load_states(first.states(), 5)
    list(second.advance(10))
    assert torch.equal(whole.model.log_tau, second.model.log_tau)


def halves(seed):
    """The same noise for each call that asks for the same shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.rand(like.shape, generator=generator)


def gradient(estimator, logits, **options):
    logits = logits.clone().requires_grad_()
    weights = torch.linspace(-1, 1, 12).view(3, 4)
    loss = estimator(
        lambda sample: ((sample(Categorical(logits)) * weights).sum((-1, -2)) - 0.2) ** 2, **options
    )
    return torch.autograd.grad(loss.sum(), logits)[0]


def test_two_equal_temperatures_are_one():
    logits = torch.randn(5, *SIZE)
    ours = gradient(train.two_temperatures, logits, tau=0.7, backward=0.7, uniform=halves(0))
    torch.testing.assert_close(ours, gradient(gumbel_softmax, logits, tau=0.7, uniform=halves(0)))


# --- measurements


def test_local_expectations_are_the_exact_gradient(data):
    one = ensemble(data)
    list(one.advance(20))
    x = one.data["test"][:4].float().expand(2, -1, -1)
    leaf = one.model.posterior(x).logits.detach().requires_grad_()

    def program(sample):
        z = one.model.flat(sample(Categorical(leaf)))
        return evaluate.bernoulli_nll(one.model.decoder(z), x)

    (true,) = torch.autograd.grad(exact(program).sum(), leaf)
    mean, variance = evaluate.local_expectation(one, x, leaf.detach(), states=2000)
    assert ((mean - true).abs() < 5 * variance.sqrt() + 1e-6).all()


def test_bias_rises_and_noise_falls_with_the_temperature(data):
    found = []
    for tau in (0.1, 1.0, 5.0):
        one = ensemble(data, start=tau, steps=200, eval_every=100, lr=1e-2)
        found.append({k: v[0].item() for k, v in evaluate.gradients(one, draws=2000).items()})
    noise, bias = ([f[name] for f in found] for name in ("noise", "bias"))
    assert noise[0] > noise[1] > noise[2]
    assert bias[0] < bias[1] < bias[2]


def test_discrete_forward_samples_leave_no_gap(data):
    figures = evaluate.gap(ensemble(data, estimator="st_gumbel_softmax"))
    assert torch.equal(figures["loss"], figures["loss_trained"])
    figures = evaluate.gap(ensemble(data, start=5.0))
    assert not torch.equal(figures["loss"], figures["loss_trained"])


def test_a_posterior_that_is_the_prior_has_no_live_unit(data):
    one = ensemble(data)
    one.model.encoder.weight.data.zero_()
    found = evaluate.posterior(one)
    assert found["live"].tolist() == [0, 0]
    torch.testing.assert_close(found["classes"], torch.full((2,), 4.0))
    torch.testing.assert_close(found["entropy"], torch.full((2,), 4.0).log())


def test_records_are_checked():
    config = Config()
    run = {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "data": {"source": "s", "sha256": {"train": "0"}},
        "evaluation": {"images": 10, "samples": 5, "valid_samples": 5},
        "diverged": None,
        "curve": {"step": [config.steps], "train": [1.0], "valid": [1.0], "test": [1.0]},
        "valid_bound": 100.0,
        "test": {name: 1.0 for name in ("nll", "single", "loss", "loss_trained", "bias", "noise")}
        | {"entropy": 1.0, "live": 20.0, "tau": 1.0, "cosine": -0.1},
    }
    check(run)
    for name, value in (("nll", -1.0), ("bias", None), ("tau", float("inf"))):
        with pytest.raises(ValueError, match=name):
            check(run | {"test": run["test"] | {name: value}})


def test_the_program_of_the_relaxed_divergence_is_the_models_loss(data):
    one = ensemble(data)
    x = one.data["test"].float().expand(2, -1, -1)
    a = st_gumbel_softmax(partial(one.model.loss, x), tau=1.0, uniform=one.noise("t"))
    b = st_gumbel_softmax(partial(train.loss, one.model, x), tau=1.0, uniform=one.noise("t"))
    torch.testing.assert_close(a, b)
