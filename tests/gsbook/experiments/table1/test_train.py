"""Training: as torch's own SGD would, repeatable to the last bit, and alone as in company."""

import copy
import math
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from helpers import NODE_SIZES, TINY, WIDE, all_of, config, differing, trained

from gsbook.engine.noise import Noise, keys
from gsbook.experiments.table1.config import COLUMNS, Config
from gsbook.experiments.table1.evaluate import final_figures, valid_bound
from gsbook.experiments.table1.train import Ensemble, load_data, train
from gslib import ESTIMATORS, Bernoulli, Categorical, kl
from gslib.baselines import Baseline
from gslib.distributions import sharpened
from gslib.functional import stream
from gslib.models import DiscreteVAE, StochasticBinaryNetwork

MODELS, NODES = ("vae", "sbn"), ("bernoulli", "categorical")
CELLS = list(product(MODELS, NODES, COLUMNS))


def noise_of_a_step(seed, step, node):
    """The numbers that a member of this seed is given, for a model without an ensemble axis."""
    noise = Noise(keys("noise", [seed]), step, ndim=3 if node == "bernoulli" else 4)
    return lambda like: noise(like.unsqueeze(0)).squeeze(0)


@pytest.mark.parametrize("estimator", ["st", "gumbel_softmax", "muprop", "sf"])
@pytest.mark.parametrize(("model", "node"), [("vae", "categorical"), ("sbn", "bernoulli")])
def test_members_train_as_torchs_sgd_would(model, node, estimator):
    rates, start = (1e-2, 3e-3), 12  # steps
    configs = [
        config(model, node, estimator, lr, seed=3, steps=start, eval_every=start, anneal_rate=0.05)
        for lr in rates
    ]
    ensemble = trained(configs)
    for e, c in enumerate(configs):
        kind = DiscreteVAE if model == "vae" else StochasticBinaryNetwork
        lone = kind(node, size=NODE_SIZES[node], seeds=[3], data=16)
        optimizer = torch.optim.SGD(lone.parameters(), lr=c.lr, momentum=0.9)
        baseline = {
            "sf": Baseline(16 if model == "vae" else 8, seeds=[3]),
            "muprop": Baseline(moving_average=False),
        }
        losses = []
        for step in range(start):
            noise = noise_of_a_step(3, step, node)
            order = torch.randperm(80, generator=stream("order", 3, step // 10))
            x = TINY["train"][order[step % 10 * 8 :][:8]].float()
            options = {}
            if estimator == "gumbel_softmax":
                options["tau"] = max(0.5, math.exp(-0.05 * (step // 4 * 4)))
            if estimator in baseline:
                options["baseline"] = baseline[estimator]
            if estimator == "sf":
                options["baseline"] = partial(
                    options["baseline"], x=x if model == "vae" else x[:, :8]
                )
            loss = ESTIMATORS[estimator](partial(lone.loss, x), uniform=noise, **options)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            losses.append(loss.mean().item())
            if estimator in baseline:
                baseline[estimator].update()
        for k, v in lone.state_dict().items():
            torch.testing.assert_close(ensemble.states()[e][f"model.{k}"], v, rtol=1e-6, atol=1e-6)
        assert ensemble.curves[e].train == [pytest.approx(sum(losses) / start, abs=1e-3)]
        assert ensemble.curves[e].step == [start]
    assert not torch.allclose(
        ensemble.states()[0]["model." + k], ensemble.states()[1]["model." + k]
    )  # the rate matters


def spy(monkeypatch, name):
    """The batches, options and slopes that an estimator is given, step by step."""
    calls, row = [], ESTIMATORS[name]

    def estimator(program, *, uniform, **options):
        slope = program.func.__self__.slope
        seen = options | ({} if slope is None else {"slope": slope})
        calls.append((program.args[0].clone(), copy.deepcopy(seen)))
        return (row.inner or row)(program, uniform=uniform, **options)

    changed = replace(row, function=estimator, inner=estimator if row.inner else None)
    monkeypatch.setitem(ESTIMATORS, name, changed)
    return calls


def test_members_get_their_own_temperatures_at_every_step(monkeypatch):
    calls = spy(monkeypatch, "gumbel_softmax")
    configs = [
        config("vae", "categorical", "gumbel_softmax", anneal_rate=r) for r in (0.0, 0.01, 0.2)
    ]
    trained(configs)
    expected = [
        [max(0.5, math.exp(-c.anneal_rate * (t // 4 * 4))) for c in configs] for t in range(20)
    ]
    torch.testing.assert_close(
        torch.stack([options["tau"] for _, options in calls]), torch.tensor(expected)
    )


@pytest.mark.parametrize("node", NODES)
def test_slope_grows_by_epoch_and_shapes_kl_and_evaluation(monkeypatch, node):
    calls = spy(monkeypatch, "annealed_st")
    c = config(
        "vae", node, "annealed_st", steps=30, slope_rate=0.7, slope_max=2.0
    )  # ten steps an epoch
    ensemble = trained([c], steps=30)
    slopes = torch.cat([options["slope"] for _, options in calls])
    torch.testing.assert_close(slopes, torch.tensor([1.0] * 10 + [1.7] * 10 + [2.0] * 10))
    assert ensemble.model.slope.tolist() == [2.0]
    x = TINY["test"].float().unsqueeze(0)
    logits = ensemble.model.encoder(x)
    flat = (
        Bernoulli(logits)
        if node == "bernoulli"
        else Categorical(logits.unflatten(-1, NODE_SIZES[node]))
    )
    q = sharpened(flat, 2.0, ensemble.model.slope_form)
    divergence = kl(q, ensemble.model.prior()).sum(-1)
    z = q.sample()
    rest = ensemble.model.loss(x, lambda _: z) - divergence
    without = copy.deepcopy(ensemble.model)
    without.slope = None
    torch.testing.assert_close(
        rest + kl(without.posterior(x), without.prior()).sum(-1), without.loss(x, lambda _: z)
    )
    assert not torch.allclose(without.loss(x, lambda _: z), rest + divergence)
    figures = final_figures(ensemble, 5)
    ensemble.model.slope = None
    assert final_figures(ensemble, 5)[0]["nll"] != figures[0]["nll"]


def test_an_epoch_visits_every_image_once_in_a_new_order(monkeypatch):
    numbered = TINY | {
        "train": torch.tensor(
            [[i >> b & 1 for b in range(16)] for i in range(80)], dtype=torch.uint8
        )
    }
    calls = spy(monkeypatch, "st")
    trained(
        [config(seed=s, lr=lr, steps=20) for s, lr in ((0, 1e-2), (1, 1e-2), (0, 1e-3))], numbered
    )
    assert {tuple(x.shape) for x, _ in calls} == {(3, 8, 16)}
    shown = torch.cat(
        [(x * 2 ** torch.arange(16)).sum(-1) for x, _ in calls], 1
    ).long()  # [3, 20 * 8]
    epochs = shown.unflatten(1, (2, 80))
    assert all(sorted(order.tolist()) == list(range(80)) for member in epochs for order in member)
    assert torch.equal(epochs[0], epochs[2])  # one seed, one order
    orders = [epochs[0, 0], epochs[0, 1], epochs[1, 0], epochs[1, 1], torch.arange(80)]
    assert all(not torch.equal(a, b) for i, a in enumerate(orders) for b in orders[:i])


@pytest.mark.parametrize(("model", "node"), list(product(MODELS, NODES)))
def test_loss_falls_on_digits(model, node):
    data = load_data(images=100)[0]
    ensemble = train(
        [Config(model, node, "gumbel_softmax", 1e-3, steps=60, eval_every=20)], data, progress=False
    )
    curve = ensemble.curves[0]
    assert curve.step == [20, 40, 60]
    start = 784 * math.log(2) if model == "vae" else 392 * math.log(2)
    assert curve.train[0] < start
    for losses in (curve.train, curve.valid, curve.test):
        assert losses[0] > losses[-1] + 2
        assert losses[-1] < 0.85 * start


@pytest.mark.parametrize(("model", "layer"), [("vae", "decoder"), ("sbn", "output")])
def test_data_bias_starts_at_the_pixels_log_odds(model, layer):
    ensemble = Ensemble([config(model, data_bias=True)], TINY, size=(4,))
    expected = TINY["train"].float().mean(0).clamp(1e-3, 1 - 1e-3)
    bias = getattr(ensemble.model, layer).bias
    torch.testing.assert_close(bias.sigmoid().flatten(), expected[-bias.shape[-1] :])


def test_options_reach_model_and_estimator(monkeypatch):
    assert Ensemble([config(kl="sampled")], TINY, size=(4,)).model.sampled_kl
    assert not Ensemble([config()], TINY, size=(4,)).model.sampled_kl
    frozen = trained([config(learned_prior=False)])
    assert not frozen.states()[0]["model.prior_logits"].any()
    assert trained([config()]).states()[0]["model.prior_logits"].any()
    assert Ensemble([config(momentum=0.5)], TINY, size=(4,)).training.momentum == 0.5
    for normalise in ("none", "signal"):
        c = config(estimator="sf", normalise=normalise)
        baseline = Ensemble([c], TINY, size=(4,)).training.modules["baseline"]
        assert baseline.normalise == (normalise != "none")
    assert train([config(steps=1)], TINY, size=(4,), progress=False).model.prior_logits.numel() == 4
    for form in ("sample", "printed"):
        calls = spy(monkeypatch, "darn")
        trained([config(estimator="darn", darn_form=form)])
        assert calls[0][1]["form"] == form


@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_a_member_equals_its_lone_run(model, node, estimator):
    """At full size, where numbers of members could mean kernels, and beside one that diverges."""
    configs = [
        config(
            model,
            node,
            estimator,
            lr,
            seed=s,
            anneal_rate=r,
            batch=100,
            steps=5,
            eval_every=3,
            slope_rate=0.5,
        )
        for lr, s, r in ((1e-3, 0, 0.0), (3e38, 1, 0.0), (3e-3, 1, 0.1), (1e-4, 0, 0.2))
    ]
    size = (200,) if node == "bernoulli" else (20, 10)
    mixed = trained(configs, WIDE, size)
    assert [d is not None for d in mixed.diverged] == [False, True, False, False]
    assert mixed.curves[1].valid[-1] is None
    assert math.isnan(valid_bound(mixed, 2)[1])
    for part in ([configs[2]], [configs[3], configs[0]]):
        other = trained(part, WIDE, size)
        for i, c in enumerate(part):
            e = configs.index(c)
            assert differing(mixed.states()[e], other.states()[i]) == []
            assert all_of(mixed, e)[1:] == all_of(other, i)[1:]
    assert differing(mixed.states()[0], mixed.states()[2]) != []


def test_a_bernoulli_vaes_prior_has_the_same_bits_anywhere_in_an_ensemble():
    """200 logits are no multiple of what torch rounds alike, so it takes trained ones to tell."""
    p = torch.randn(3, 1, 200, generator=stream("prior"))
    models = [DiscreteVAE("bernoulli", ensemble=n, data=8) for n in (3, 1, 1, 1)]
    for model, logits in zip(models, (p, *p.split(1)), strict=True):
        model.prior_logits.data = logits
    x = torch.ones(3, 4, 8)
    for part, model in zip((x, *x.split(1)), models, strict=True):
        kl(Bernoulli(torch.zeros(len(part), 4, 200)), model.prior()).sum().backward()
    for e, lone in enumerate(models[1:]):
        assert torch.equal(models[0].prior_logits.grad[e], lone.prior_logits.grad[0])


def test_training_does_not_touch_torchs_global_generator():
    before = torch.random.get_rng_state()
    trained([config(estimator="sf")])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_ensemble_refuses_runs_that_cannot_share_a_program():
    with pytest.raises(
        ValueError, match="may differ in anneal_rate, lr, seed, steps only, but batch is 8 and 10"
    ):
        Ensemble([config(), config(batch=10)], TINY)
    with pytest.raises(ValueError, match="at least one config"):
        Ensemble([], TINY)
