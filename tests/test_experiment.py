"""Training, its repeatability to the last bit, and the records it leaves."""

import ast
import copy
import json
import math
import os
import shutil
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch
from gslib.experiment import (
    Config,
    Ensemble,
    Records,
    evaluate,
    final_figures,
    load_data,
    plan,
    prepare_process,
    run,
    train,
    valid_bound,
)
from gslib.experiment.run import Checkpoints, Scale, run_job, run_stages
from in_process import InThisProcess

from gsbook import records as records_module
from gsbook import weights as weights_module
from gsbook.experiments.table1.config import COLUMNS
from gslib import ESTIMATORS, Bernoulli, Categorical, kl
from gslib.baselines import Baseline
from gslib.functional import stream
from gslib.models import DiscreteVAE, StochasticBinaryNetwork

MODELS, NODES = ("vae", "sbn"), ("bernoulli", "categorical")
CELLS = list(product(MODELS, NODES, COLUMNS))
SIZE = {"bernoulli": (4,), "categorical": (2, 3)}
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _settings():
    """The runner's settings, which are global, for one test."""
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    prepare_process()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def digits(pixels=16, train=80, other=32):
    """Random binary images with structure: each is a noisy copy of one of three patterns."""
    generator = stream("digits", pixels)
    patterns = torch.rand(3, pixels, generator=generator) < 0.5
    splits = {}
    for name, n in (("train", train), ("valid", other), ("test", other)):
        flips = torch.rand(n, pixels, generator=generator) < 0.1
        splits[name] = (patterns[torch.randint(3, (n,), generator=generator)] ^ flips).byte()
    return splits


TINY = digits()  # sizes in multiples of 32 numbers: torch rounds what is left over in another way
WIDE = digits(784, train=300)
ABOUT = {
    "source": "random",
    "sha256": {"train": "0" * 64, "valid": "1" * 64, "test": "2" * 64},
    "images": None,
}


def config(model="vae", node="bernoulli", estimator="st", lr=1e-2, **changes):
    return Config(
        model,
        node,
        estimator,
        lr,
        **{"steps": 20, "batch": 8, "eval_every": 10, "anneal_every": 4} | changes,
    )


def trained(configs, data=TINY, size=None, steps=None):
    ensemble = Ensemble(configs, data, size=size or SIZE[configs[0].node])
    for _ in ensemble.advance(steps or configs[0].steps):
        pass
    return ensemble


def same(a: dict, b: dict) -> list[str]:
    """Names of tensors that differ in any bit."""
    assert a.keys() == b.keys()
    return [k for k in a if not torch.equal(a[k], b[k])]


def all_of(ensemble, e):
    """Everything a run leaves: state, curve, figures."""
    return (
        ensemble.states()[e],
        vars(ensemble.curves[e]),
        float(valid_bound(ensemble, 5)[e]),
        final_figures(ensemble, 5)[e],
    )


# One run, by hand


def train_noise(seed, step, ndim):
    """The trainer's noise for a lone run without an axis of members."""
    noise = Noise(keys("noise", [seed]), step, ndim=ndim)
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
        lone = kind(node, size=SIZE[node], seeds=[3], data=16)
        optimizer = torch.optim.SGD(lone.parameters(), lr=c.lr, momentum=0.9)
        baseline = {
            "sf": Baseline(16 if model == "vae" else 8, seeds=[3]),
            "muprop": Baseline(moving_average=False),
        }
        losses = []
        for step in range(start):
            noise = train_noise(3, step, 4 if node == "categorical" else 3)
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


def test_temperature_schedule():
    c = Config("vae", "categorical", "gumbel_softmax", 1e-3, anneal_rate=1e-4)
    assert [c.tau(t) for t in (0, 499)] == [1.0, 1.0]
    assert [c.tau(t) for t in (500, 999, 1000)] == [
        math.exp(-0.05),
        math.exp(-0.05),
        math.exp(-0.1),
    ]
    assert [c.tau(t) for t in (6500, 7000, 10**6)] == [
        math.exp(-0.65),
        0.5,
        0.5,
    ]  # ln 2 / 1e-4 = 6931
    assert Config("sbn", "categorical", "gumbel_softmax", 1e-3).tau(10**6) == 1


def test_slope_schedule():
    c = Config("sbn", "bernoulli", "annealed_st", 1e-3, slope_rate=0.04, slope_max=5)
    assert [c.slope(t, 500) for t in (0, 499, 500, 1250)] == [1.0, 1.0, 1.04, 1.08]
    assert [c.slope(t, 500) for t in (49_500, 50_000, 10**6)] == [pytest.approx(4.96), 5.0, 5.0]
    assert Config("sbn", "bernoulli", "st", 1e-3).slope(10**6, 500) == 1


def spy(monkeypatch, name):
    """The batches and options that the trainer gives an estimator, step by step."""
    calls, row = [], ESTIMATORS[name]
    original = row.inner or row.function

    def estimator(program, *, uniform, **options):
        slope = program.func.__self__.slope
        options |= {} if slope is None else {"slope": slope}
        calls.append((program.args[0].clone(), copy.deepcopy(options)))
        options.pop("slope", None)
        return original(program, uniform=uniform, **options)

    monkeypatch.setitem(ESTIMATORS, name, replace(row, function=estimator, inner=None))
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
    q = (
        Bernoulli(logits)
        if node == "bernoulli"
        else Categorical(logits.unflatten(-1, SIZE[node]))
    )
    q = sharpened(q, 2.0)
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
    for form in ("sample", "printed"):
        calls = spy(monkeypatch, "darn")
        trained([config(estimator="darn", darn_form=form)])
        assert calls[0][1]["form"] == form


# Repeatability, bit for bit


@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_a_member_equals_its_lone_run(model, node, estimator):
    """At full size, where other numbers of members could mean other kernels, and beside a run that diverges."""
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
            assert same(mixed.states()[e], other.states()[i]) == []
            assert all_of(mixed, e)[1:] == all_of(other, i)[1:]
    assert same(mixed.states()[0], mixed.states()[2]) != []


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


@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_continued_from_a_checkpoint_equals_uninterrupted(tmp_path, model, node, estimator):
    configs = [
        config(model, node, estimator, lr, seed=s, anneal_rate=0.01, steps=20, slope_rate=0.5)
        for lr, s in ((1e-2, 0), (1e-3, 1))
    ]
    store = Checkpoints(tmp_path)
    store.save(trained(configs))
    longer = [c.longer(40) for c in configs]
    assert [store.step(c) for c in longer] == [20, 20]
    resumed = Ensemble(longer, TINY, size=SIZE[node])
    store.load(resumed)
    assert resumed.step == 20
    for _ in resumed.advance(40):
        pass
    straight = trained(longer)
    for e in (0, 1):
        assert same(resumed.states()[e], straight.states()[e]) == []
        assert all_of(resumed, e)[1:] == all_of(straight, e)[1:]
        assert resumed.curves[e].step == [10, 20, 30, 40]


def test_evaluation_after_loading_a_finished_run_is_the_same(tmp_path):
    c = config(estimator="annealed_st", slope_rate=0.5)
    ensemble, store = trained([c]), Checkpoints(tmp_path)
    store.save(ensemble)
    loaded = Ensemble([c], TINY, size=(4,))
    store.load(loaded)
    assert all_of(loaded, 0)[1:] == all_of(ensemble, 0)[1:]


def test_training_does_not_touch_torchs_global_generator():
    before = torch.random.get_rng_state()
    trained([config(estimator="sf")])
    assert torch.equal(torch.random.get_rng_state(), before)


# Evaluation


@pytest.mark.parametrize("node", NODES)
def test_final_figures_against_enumeration(node):
    ensemble = trained(
        [config("vae", node, "gumbel_softmax", 3e-2, anneal_rate=0.02, seed=s) for s in (0, 1)]
    )
    model = copy.deepcopy(ensemble.model).double()
    x = TINY["test"].double().expand(2, -1, -1)
    with torch.no_grad():
        losses = ESTIMATORS["exact"](partial(model.loss, x)).mean(
            -1
        )  # the negated bound for m = 1, exactly
        q, p = model.posterior(x), model.prior()
        log_p = torch.stack(
            [p.log_prob(z).sum(-1) - kl_free_nll(model, x, z.expand_as(q.mean)) for z in q.states()]
        )
        exact = -log_p.logsumexp(0).mean(-1)
    figures = final_figures(ensemble, 400)
    for e in (0, 1):
        assert figures[e]["single"] == pytest.approx(losses[e].item(), abs=0.6)
        assert figures[e]["nll"] == pytest.approx(exact[e].item(), abs=0.05)
        assert figures[e]["nll"] < losses[e].item()
        assert figures[e]["nll_part"] == pytest.approx(
            figures[e]["nll"], abs=0.05
        )  # here the part is all of it
        assert figures[e]["nll_relaxed"] != figures[e]["nll_part"]
    assert float(valid_bound(ensemble, 400)[0]) == pytest.approx(figures[0]["nll"], abs=2)


def kl_free_nll(model, x, z):
    """-log p(x|z)."""
    q = model.posterior(x)
    return model.loss(x, lambda _: z) - kl(q, model.prior()).sum(-1)


def test_figures_are_over_all_images_and_the_part_is_no_prefix(monkeypatch):
    data = TINY | {"test": torch.arange(130).unsqueeze(1).expand(130, 16).byte()}
    ensemble = Ensemble(
        [config("vae", "categorical", "gumbel_softmax", anneal_rate=1e-3)] * 2, data, size=(2, 3)
    )
    ensemble.step = 400
    asked = []

    def bound(x, m, *, tau, uniform, chunk):
        asked.append(
            (m, None if tau is None else tau.tolist(), x.shape[1], chunk // x.shape[:2].numel())
        )
        return x[..., 0]

    monkeypatch.setattr(ensemble.model, "bound", bound)
    monkeypatch.setattr(evaluate, "RELAXED_IMAGES", 40)
    figures = final_figures(ensemble, 7)
    assert figures[0] == figures[1]
    assert figures[0]["nll"] == figures[0]["single"] == -129 / 2
    part = figures[0]["nll_part"]
    assert (
        part
        == figures[0]["nll_relaxed"]
        == figures[0]["single_part"]
        == figures[0]["single_relaxed"]
    )
    assert abs(part) > 39
    tau = pytest.approx([math.exp(-0.4)] * 2)
    assert {m for m, *_ in asked} == {1, 7}
    assert [t for _, t, *_ in asked if t is not None] == [tau] * 2
    assert sum(n for m, t, n, _ in asked if m == 7 and t is None) == 130 + 40
    monkeypatch.setattr(ensemble.model, "bound", lambda x, m, **_: x.sum(-1) * m)
    assert valid_bound(ensemble, 3)[0] == pytest.approx(
        -3 * TINY["valid"].float().sum(-1).mean().item()
    )


# Configs


def test_keys_are_unique_and_trajectories_forget_the_steps():
    base = config()
    others = {
        "model": "sbn",
        "node": "categorical",
        "estimator": "sf",
        "lr": 1e-5,
        "seed": 1,
        "steps": 40,
        "batch": 10,
        "eval_every": 20,
        "momentum": 0.5,
        "anneal_rate": 1e-5,
        "anneal_every": 2,
        "tau_min": 0.1,
        "slope_rate": 0.1,
        "slope_max": 9.0,
        "baseline_lr": 0.1,
        "learned_prior": False,
        "kl": "sampled",
        "data_bias": True,
        "darn_form": "printed",
    }
    assert set(others) == set(base.to_dict())
    changed = [Config(**base.to_dict() | {name: value}) for name, value in others.items()]
    assert len({c.key for c in [base, *changed]}) == len(changed) + 1
    assert [n for n, c in zip(others, changed, strict=True) if c.trajectory == base.trajectory] == [
        "steps"
    ]
    assert Config(**json.loads(json.dumps(base.to_dict()))) == base
    assert (base.cell, base.row) == ("vae-bernoulli-st", "vae-bernoulli")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gan"}, "model must be one of vae, sbn, got 'gan'"),
        ({"node": "gaussian"}, "node must be one of bernoulli, categorical, got 'gaussian'"),
        ({"estimator": "rebar"}, "estimator must be one of sf, darn, .*, got 'rebar'"),
        ({"kl": "x"}, "kl must be one of analytic, sampled, got 'x'"),
        ({"darn_form": "x"}, "darn_form must be one of sample, printed, got 'x'"),
        ({"lr": 0}, "lr must be positive, got 0"),
        ({"lr": math.nan}, "lr must be positive, got nan"),
        ({"steps": -1}, "steps must be positive, got -1"),
        ({"model": "sbn", "kl": "sampled"}, "belong to the VAE"),
        ({"model": "sbn", "learned_prior": False}, "belong to the VAE"),
    ],
)
def test_config_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_an_ensemble_refuses_runs_that_cannot_share_a_program():
    with pytest.raises(
        ValueError, match="may differ in anneal_rate, lr, seed, steps only, but batch is 8 and 10"
    ):
        Ensemble([config(), config(batch=10)], TINY)
    with pytest.raises(ValueError, match="at least one config"):
        Ensemble([], TINY)


# Jobs and stages


class Killed(BaseException):
    pass


@pytest.fixture
def jobs(monkeypatch):
    """Tiny data for jobs, all in this process; the list of the ensembles that were run."""
    ran, original = [], run_job
    monkeypatch.setattr(run, "load_data", lambda images: (TINY, ABOUT | {"images": images}))
    monkeypatch.setattr(run, "ProcessPoolExecutor", InThisProcess)

    def job(configs, *arguments):
        ran.append([c.key for c in configs])
        return original(configs, *arguments)

    monkeypatch.setattr(run, "run_job", job)
    return ran


SCALE = Scale(samples=3, valid_samples=2)


def once(configs, test=True):
    yield configs, test


def execute(tmp_path, *plans, folder="table1", **options):
    records = Records(tmp_path / folder)
    run_stages(
        [*plans], records, SCALE, device="cpu", checkpoints=tmp_path / "checkpoints", **options
    )
    return records


def without_times(records):
    return [{k: v for k, v in r.items() if k not in ("minutes", "date")} for r in records.all()]


def test_a_record_holds_what_the_numbers_depend_on(tmp_path, jobs):
    c = config(anneal_rate=0.1)
    (record,) = execute(tmp_path, once([c])).all()
    ensemble = Ensemble([c], TINY)
    for _ in ensemble.advance(20):
        pass
    assert record["key"] == c.key
    assert Config(**record["config"]) == c
    assert record["curve"] == vars(ensemble.curves[0])
    assert record["valid_bound"] == round(float(valid_bound(ensemble, 2)), 4)
    assert record["test"] == {k: round(v, 4) for k, v in final_figures(ensemble, 3)[0].items()}
    assert record["code"] == records_module.code_hash()
    assert record["data"] == ABOUT
    assert record["evaluation"] == {"images": None, "samples": 3, "valid_samples": 2}
    assert (record["torch"], record["threads"], record["matmul_precision"]) == (
        torch.__version__,
        1,
        "medium",
    )
    assert record["minutes"] >= 0
    assert record["device"]
    assert record["diverged"] is None


def test_finished_runs_are_skipped(tmp_path, jobs):
    configs = [config(lr=lr, seed=s) for lr in (1e-2, 1e-3) for s in (0, 1)]
    first = without_times(execute(tmp_path, once(configs[:3])))
    assert jobs == [[c.key for c in configs[:3]]]
    records = execute(tmp_path, once(configs))
    assert jobs[1:] == [[configs[3].key]]
    assert [r for r in without_times(records) if r["key"] != configs[3].key] == first
    stamps = (
        [r["date"] for r in records.all()],
        (tmp_path / "table1" / "vae-bernoulli-st.jsonl").stat().st_mtime_ns,
    )
    again = execute(tmp_path, once(configs))
    assert len(jobs) == 2
    assert (
        [r["date"] for r in again.all()],
        (tmp_path / "table1" / "vae-bernoulli-st.jsonl").stat().st_mtime_ns,
    ) == stamps


def test_a_plan_gets_its_records_in_order_and_runs_are_tested_when_asked(tmp_path, jobs):
    configs, answers = [config(lr=lr) for lr in (1e-2, 1e-3)], []

    def plan():
        answers.append((yield configs, False))
        answers.append((yield configs[::-1], True))
        answers.append((yield [c.longer(30) for c in configs], False))

    records = execute(tmp_path, plan())
    assert [[r["key"] for r in answer] for answer in answers] == [
        [c.key for c in configs],
        [c.key for c in configs[::-1]],
        [c.longer(30).key for c in configs],
    ]
    assert [[r["test"] is None for r in answer] for answer in answers] == [
        [True] * 2,
        [False] * 2,
        [True] * 2,
    ]
    assert answers[1] == [records.cell("vae-bernoulli-st")[c.key] for c in configs[::-1]]
    assert answers[2][0]["curve"]["step"] == [10, 20, 30]
    assert answers[2][0]["curve"]["valid"][:2] == answers[0][0]["curve"]["valid"]


def test_ensembles_hold_what_fits_together(tmp_path, jobs):
    configs = [config(seed=s) for s in range(4)] + [
        config(kl="sampled"),
        config(estimator="sf"),
        config(steps=30),
    ]
    execute(tmp_path, once(configs), once([config("sbn")]))
    assert sorted(map(len, jobs)) == [1, 1, 1, 1, 1, 3]
    assert sorted(k for job in jobs for k in job) == sorted(
        [c.key for c in configs] + [config("sbn").key]
    )


@pytest.mark.parametrize("estimator", COLUMNS)
@pytest.mark.parametrize("reports", [1, 2, 3])
def test_interrupted_and_started_again_leaves_the_same_records(
    tmp_path, jobs, monkeypatch, estimator, reports
):
    model, node = ("vae", "categorical") if reports % 2 else ("sbn", "bernoulli")
    rate = 0.01 if model == "vae" else 0.0
    configs = [
        config(model, node, estimator, lr, anneal_rate=rate, steps=25)
        for lr in (1e-2, 1e30, 1e-3, 1e-4)
    ]

    def plan():
        yield configs, False
        yield [c.longer(40) for c in configs[2:]], True

    straight = execute(tmp_path / "straight", plan())
    left = [reports]

    def report(steps):
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run, "_report", report)
        with pytest.raises(Killed):
            execute(tmp_path / "killed", plan())
    assert list((tmp_path / "killed" / "checkpoints").rglob("*.safetensors"))
    assert not (tmp_path / "killed" / "table1").exists() or reports == 3
    before = len(jobs)
    again = execute(tmp_path / "killed", plan())
    assert len(jobs) > before
    assert without_times(again) == without_times(straight)
    names = [p.name for p in (tmp_path / "straight" / "table1").iterdir()]
    assert (
        names
        == [p.name for p in (tmp_path / "killed" / "table1").iterdir()]
        == [f"{configs[0].cell}.jsonl"]
    )


def test_members_saved_at_different_steps_are_brought_together(tmp_path, jobs, monkeypatch):
    """A kill between two members' files."""
    configs = [config(lr=lr, steps=40) for lr in (1e-2, 1e-3, 1e-4)]
    straight = execute(tmp_path / "straight", once(configs))
    store = Checkpoints(tmp_path / "killed" / "checkpoints", ABOUT)
    store.save(trained(configs[:2], size=(200,), steps=20))
    store.save(trained(configs[2:], size=(200,), steps=10))
    jobs.clear()
    assert without_times(execute(tmp_path / "killed", once(configs))) == without_times(straight)
    assert sorted(map(len, jobs)) == [1, 2]


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_truncated_checkpoint_starts_the_run_anew(tmp_path, jobs, keep):
    c = config(steps=40)
    straight = execute(tmp_path / "straight", once([c]))
    store = Checkpoints(tmp_path / "cut" / "checkpoints", ABOUT)
    store.save(trained([c], size=(200,), steps=20))
    content = store.path(c).read_bytes()
    store.path(c).write_bytes(content[:keep])
    assert store.step(c) == 0
    assert without_times(execute(tmp_path / "cut", once([c]))) == without_times(straight)


def test_checkpoints_beyond_or_off_the_runs_path_are_not_used(tmp_path):
    store = Checkpoints(tmp_path)
    ensemble = trained([config(steps=25)])
    store.save(ensemble)
    # 25 is no multiple of eval_every: a longer run has no point of its curve there.
    assert [store.step(config(steps=s)) for s in (25, 40, 20)] == [25, 0, 0]
    assert store.state(config(steps=40)) is None
    assert same(store.state(config(steps=25)), ensemble.states()[0]) == []
    assert store.step(config(steps=25, seed=1)) == 0


def test_checkpoints_belong_to_one_code_and_one_data_set(tmp_path, monkeypatch):
    changes = ({}, {"images": 9}, {"sha256": {"train": "x" * 64}})
    folders = [Checkpoints(tmp_path, ABOUT | change).folder for change in changes]
    monkeypatch.setattr(run, "code_hash", lambda: "f" * 64)
    folders.append(Checkpoints(tmp_path, ABOUT).folder)
    assert len(set(folders)) == 4


def test_saved_states_and_data_sets_share_one_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GSLIB_CACHE", str(tmp_path))
    assert Checkpoints().folder.parent == tmp_path / "checkpoints"
    monkeypatch.delenv("GSLIB_CACHE")
    assert Checkpoints().folder.parents[1] == files.cache_folder()
    assert files.cache_folder().name == "gumbel-softmax-book"


def test_a_batch_larger_than_the_training_set_is_refused(tmp_path, jobs):
    message = "a batch of 81 is more than the 80 training images; take a smaller batch"
    with pytest.raises(ValueError, match=message):
        train([config(batch=81)], TINY, size=SIZE["bernoulli"], progress=False)
    with pytest.raises(ValueError, match=message):
        run_job([config(batch=81)], Scale(samples=2), False, tmp_path, "cpu")
    train([config(batch=80, steps=1)], TINY, size=SIZE["bernoulli"], progress=False)


def test_a_diverged_run_is_recorded_without_nan(tmp_path, jobs):
    records = execute(tmp_path, once([config(lr=lr) for lr in (1e-2, 1e30)]))
    text = (tmp_path / "table1" / "vae-bernoulli-st.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    bad = records.cell("vae-bernoulli-st")[config(lr=1e30).key]
    assert (bad["diverged"], bad["valid_bound"]) == (10, None)
    assert set(bad["test"].values()) == {None}


def test_records_of_other_data_are_never_taken_for_finished(tmp_path, jobs, monkeypatch):
    execute(tmp_path, once([config()]))
    monkeypatch.setattr(
        run, "load_data", lambda images: (TINY, ABOUT | {"source": "other", "images": images})
    )
    message = r"table1 holds runs on other data: .*'random' \(images: all\), here it is 'other'.* folder of their own"
    with pytest.raises(ValueError, match=message):
        execute(tmp_path, once([config(seed=1)]))
    assert len(execute(tmp_path, once([config()]), folder="other").all()) == 1


def test_an_error_in_a_job_surfaces(tmp_path, jobs, monkeypatch):
    def broken(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(run, "valid_bound", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        execute(tmp_path, once([config()]))


# Records


def record(key="k", cell="vae-bernoulli-st", code="c", **changes):
    return {
        "key": key,
        "cell": cell,
        "config": {"lr": 0.1, "seed": 0},
        "diverged": None,
        "valid_bound": 1.5,
        "test": {"nll": 2.5},
        "curve": {"step": [1]},
        "code": code,
        "data": ABOUT,
    } | changes


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results" / "table1")


def test_records_round_trip_sorted_one_line_each(records):
    assert records.all() == []
    assert records.cell("vae-bernoulli-st") == {}
    runs = [record("b"), record("a", valid_bound=None), record("c", cell="sbn-bernoulli-st")]
    records.add(runs)
    assert list(records.cell("vae-bernoulli-st").values()) == [runs[1], runs[0]]
    assert [r["key"] for r in records.all()] == ["c", "a", "b"]
    lines = (records.folder / "vae-bernoulli-st.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
    assert all(line.endswith("}\n") for line in lines)
    records.add([record("a", valid_bound=9.0)])
    assert records.cell("vae-bernoulli-st")["a"]["valid_bound"] == 9.0
    assert len(records.all()) == 3
    assert {p.suffix for p in records.folder.iterdir()} == {".jsonl"}


def test_nan_is_never_written(records):
    records.add([record("a")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.add([record("b", valid_bound=math.nan)])
    assert [r["key"] for r in records.all()] == ["a"]


def test_records_are_written_as_a_whole_or_not_at_all(records, monkeypatch):
    records.add([record("a")])
    before = (records.folder / "vae-bernoulli-st.jsonl").read_bytes()
    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:

            def fail(*_):
                raise OSError("disk full")

            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                records.add([record("b")])
        assert [p.name for p in records.folder.iterdir()] == ["vae-bernoulli-st.jsonl"]
        assert (records.folder / "vae-bernoulli-st.jsonl").read_bytes() == before
    assert (records.folder / "vae-bernoulli-st.jsonl").stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("line", ['{"key": "b", "ce', "", "3", '{"cell": "x"}'])
def test_a_damaged_line_is_named_with_its_remedy(records, line):
    records.add([record("a")])
    path = records.folder / "vae-bernoulli-st.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(
        ValueError, match=r"vae-bernoulli-st.jsonl line 2 is no record .*version control, or delete"
    ):
        records.all()


def test_frame(records):
    records.add([record("a"), record("b", test=None, config={"lr": 0.2, "seed": 1})])
    frame = records.frame()
    assert list(frame["key"]) == ["a", "b"]
    assert list(frame["lr"]) == [0.1, 0.2]
    assert frame["nll"].iloc[0] == 2.5
    assert math.isnan(frame["nll"].iloc[1])
    assert frame["curve"].iloc[0] == {"step": [1]}
    assert Records(records.folder / "none").frame().empty


def test_stale_records_are_flagged_and_listed_ones_are_not(records, tmp_path, jobs):
    now = records_module.code_hash()
    records.add(
        [record("now", code=now), record("old", code="1" * 64), record("listed", code="2" * 64)]
    )
    assert records.stale() == ["listed", "old"]
    reasons = {"2" * 64: "a variable was renamed"}
    (records.folder.parent / records_module.EQUIVALENT).write_text(json.dumps(reasons))
    assert records.stale() == ["old"]
    assert records.equivalent() == reasons


def test_stale_runs_are_run_again_and_equivalent_ones_are_not(tmp_path, jobs):
    configs = [config(seed=s) for s in range(3)]
    records = execute(tmp_path, once(configs))
    runs = records.all()
    for r, code in zip(runs, (runs[0]["code"], "1" * 64, "2" * 64), strict=True):
        r["code"] = code
    records.add(runs)
    (tmp_path / records_module.EQUIVALENT).write_text(json.dumps({"2" * 64: "reason"}))
    jobs.clear()
    execute(tmp_path, once(configs))
    assert jobs == [[configs[1].key]]


SOURCE = '''
"""Module."""
import math  # imported

class A:
    """Class."""
    x = 1.0

    def f(self, y):
        """Function."""
        if y > 0:
            return math.exp(y * 2)
        return None
'''


def hashed(source):
    return repr(records_module._canonical(ast.parse(source)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Module."""', '"""Another\n\nmodule."""'),
        ('    """Class."""\n', ""),
        ("# imported", ""),
        ("Function.", "Something."),
        ("y * 2", "y*2"),
        ("(y * 2)", "(\n            y * 2,\n            )"),
        ("1.0", "1.00"),
        ("\n\n    def", "\n    # why\n    def"),
    ],
)
def test_code_hash_ignores_words_and_layout(old, new):
    assert old in SOURCE
    assert hashed(SOURCE.replace(old, new)) == hashed(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0", "1"),
        ("1.0", "1.5"),
        ("y * 2", "y + 2"),
        ("y * 2", "2 * y"),
        ("> 0", ">= 0"),
        ("None", "0"),
        ("math.exp", "math.expm1"),
        ("        return None\n", ""),
        ("y)", "y=0)"),
    ],
)
def test_code_hash_sees_code(old, new):
    assert old in SOURCE
    assert hashed(SOURCE.replace(old, new)) != hashed(SOURCE)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of gslib, and its code hash as it is now."""
    folder = tmp_path / "gslib"
    shutil.copytree(records_module.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(records_module, "PACKAGE", folder)
    return folder, records_module.code_hash.__wrapped__


def test_code_hash_covers_the_numeric_modules_and_no_others(package):
    folder, code_hash = package
    before = code_hash()
    assert before == records_module.code_hash()
    numeric = [
        "functional.py",
        "distributions.py",
        "program.py",
        "baselines.py",
        "models.py",
        "estimators/pathwise.py",
        "estimators/new.py",
        "experiment/config.py",
        "experiment/train.py",
        "experiment/evaluate.py",
    ]
    for path in [
        *sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.py")),
        "estimators/new.py",
    ]:
        text = (folder / path).read_text() if (folder / path).exists() else None
        (folder / path).write_text((text or "") + "\nCHANGED = 1\n")
        assert (code_hash() != before) == (path in numeric or path.startswith("estimators/")), path
        (folder / path).write_text(text) if text is not None else (folder / path).unlink()
    assert code_hash() == before
    text = (folder / "models.py").read_text()
    (folder / "models.py").write_text(
        "# A comment.\n" + text.replace('"""Flat logits', '"""The flat logits')
    )
    assert code_hash() == before


# Weights beside the records


@pytest.mark.parametrize("estimator", ["st", "annealed_st"])
def test_kept_weights_give_the_trained_model_back(tmp_path, jobs, monkeypatch, estimator):
    wide = {name: split.repeat(1, 49) for name, split in TINY.items()}
    monkeypatch.setattr(run, "load_data", lambda images: (wide, ABOUT | {"images": images}))
    configs = [config("sbn", estimator=estimator, lr=1e-3, seed=s, slope_rate=0.5) for s in (0, 1)]
    records = execute(tmp_path, once(configs))
    path = weights_module.keep(configs[0].cell, records, checkpoints=tmp_path / "checkpoints")
    assert path == tmp_path / "weights" / f"{configs[0].cell}.safetensors"
    model, found = weights_module.load_model(path)
    assert found == configs[0]
    ensemble = Ensemble([configs[0]], wide)
    for _ in ensemble.advance(20):
        pass
    x = wide["test"].float()
    expected = ensemble.model.loss(x.unsqueeze(0), lambda q: q.mean)[0]
    torch.testing.assert_close(model.loss(x, lambda q: q.mean), expected, rtol=1e-3, atol=1e-2)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(
        FileNotFoundError,
        match=r"saved state of .* is not on this machine; delete its line .* run `py",
    ):
        weights_module.keep(configs[0].cell, records, checkpoints=tmp_path / "checkpoints")
    with pytest.raises(ValueError, match="vae-bernoulli-sf has no finished final run"):
        weights_module.keep("vae-bernoulli-sf", records)


# The records of this repository

# SHA-256 of the pixels of the Larochelle and Murray files, a byte each.
PIXELS = {
    "train": "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a",
    "valid": "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e",
    "test": "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86",
}


@pytest.fixture(scope="module", params=["table1", "choices"])
def committed(request):
    found = Records(REPOSITORY / "results" / request.param)
    if not found.all():
        pytest.skip("no records yet")
    return found


def test_committed_records_are_not_stale(committed):
    stale = committed.stale()
    assert not stale, (
        f"{len(stale)} records of older code; run them again, or list its hash with a reason in "
        f"results/{records_module.EQUIVALENT}"
    )
    assert all(
        len(code) == 64 and len(reason) > 20 for code, reason in committed.equivalent().items()
    )


def test_committed_records_are_whole_and_of_the_real_digits(committed):
    scale = asdict(plan.TARGETS[committed.folder.name].budgets["laptop"].scale)
    for path in sorted(committed.folder.glob("*.jsonl")):
        lines = path.read_text().splitlines()
        runs = [json.loads(line) for line in lines]
        assert [json.dumps(r, allow_nan=False) for r in runs] == lines
        assert [r["key"] for r in runs] == sorted({r["key"] for r in runs})
        for r in runs:
            c = Config(**r["config"])
            assert (r["key"], r["cell"], path.stem) == (c.key, c.cell, c.cell)
            assert r["data"] == {
                "source": "larochelle-murray",
                "sha256": PIXELS,
                "images": scale["images"],
            }
            assert r["evaluation"] == scale
            assert r["curve"]["step"] == list(range(c.eval_every, c.steps + 1, c.eval_every))
            numbers = [r["valid_bound"], *(r["test"] or {}).values()]
            numbers += [n for name in ("train", "valid", "test") for n in r["curve"][name]]
            assert all(n is not None for n in numbers) or r["diverged"]
    if load_data()[1]["source"] == "larochelle-murray":
        assert load_data()[1]["sha256"] == PIXELS
