"""One step in all its modes: the same numbers, member by member, at any time."""

import os
from functools import partial
from itertools import product

import pytest
import torch
from torch._dynamo.utils import counters

from gsbook.engine import step as engine
from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import Step, best_mode, usable
from gslib import ESTIMATORS
from gslib._checks import unchecked
from gslib.baselines import Baseline
from gslib.functional import stream, zero_valued
from gslib.models import DiscreteVAE, StochasticBinaryNetwork
from gslib.program import Trace

IMAGES = (torch.rand(300, 784, generator=stream("images")) < 0.13).byte()
OPTIONS = {"gumbel_softmax": ("tau",), "st_gumbel_softmax": ("tau",), "annealed_st": ("slope",)}
CELLS = list(
    product(("vae", "sbn"), ("bernoulli", "categorical"), [e for e in ESTIMATORS if e != "exact"])
)
compiler = pytest.mark.skipif(bool(usable("compiled")), reason=usable("compiled"))


def make(
    model,
    node,
    estimator,
    members=((1e-3, 0), (3e-3, 1), (1e-3, 2)),
    mode="eager",
    device="cpu",
    double=False,
):
    """A step of one cell for members (rate, seed), at the paper's sizes."""
    dtype = torch.float64 if double else torch.float32
    rates, seeds = zip(*members, strict=True)
    kind, options = DiscreteVAE if model == "vae" else StochasticBinaryNetwork, {}
    built = kind(node, ensemble=len(seeds), seeds=list(seeds)).to(device, dtype)
    seen = 784 if model == "vae" else 392
    if estimator == "sf":
        options["baseline"] = Baseline(seen, ensemble=len(seeds), seeds=list(seeds))
    if estimator in ("darn", "muprop"):
        options["baseline"] = Baseline(moving_average=False, ensemble=len(seeds))
    if "baseline" in options:
        options["baseline"].to(device, dtype)
    tensor = partial(torch.tensor, device=device, dtype=dtype)
    schedules = {name: tensor([0.8] * len(seeds)) for name in OPTIONS.get(estimator, ())}
    built.slope = schedules.get("slope")
    return Step(
        built,
        lambda x: partial(built.loss, x),
        ESTIMATORS[estimator] if isinstance(estimator, str) else estimator,
        IMAGES.to(device),
        seeds=list(seeds),
        lr=tensor(rates),
        batch=100,
        sees=lambda x: x[..., :seen],
        schedules=schedules,
        mode=mode,
        **options,
    )


def taken(step, steps=7):
    step.run(steps)
    return step.kept(), step.losses()


# Compilations of all cells take minutes, so the quick tests have one of each kind of operation.
QUICK = [
    ("vae", "categorical", "gumbel_softmax"),
    ("vae", "categorical", "darn"),
    ("vae", "bernoulli", "annealed_st"),
    ("sbn", "categorical", "sf"),
]


@compiler
@pytest.mark.parametrize(
    ("model", "node", "estimator"),
    QUICK if os.environ.get("GSLIB_BUDGET", "smoke") == "smoke" else CELLS,
)
def test_compiled_is_eager_to_rounding_and_a_member_is_its_lone_run(model, node, estimator):
    """Beside a run that diverges, and with another number of members."""
    cell, members = (model, node, estimator), [(1e-3, 0), (3e-3, 1), (3e38, 2)]
    compiled, together = taken(make(*cell, members=members, mode="compiled"))
    plain, losses = taken(make(*cell, members=members))
    torch.testing.assert_close(together[:2], losses[:2], rtol=1e-5, atol=0)
    assert not together[2].isfinite()
    for name, value in compiled.items():
        if value.is_floating_point():
            torch.testing.assert_close(value[:2], plain[name][:2], rtol=1e-3, atol=2e-5)
    alone, loss = taken(make(*cell, members=members[1:2], mode="compiled"))
    assert torch.equal(loss[0], together[1])
    assert [n for n in alone if not torch.equal(alone[n][0], compiled[n][1])] == []


@compiler
def test_a_compiled_run_goes_on_from_a_saved_state_with_the_same_bits():
    cell = "sbn", "categorical", "sf"  # which a test above has compiled
    straight, _ = taken(make(*cell, mode="compiled"), 7)
    first, second = (make(*cell, mode="compiled") for _ in range(2))
    first.run(4)  # in the second epoch: there are three batches in one
    second.load(first.kept(), 4)
    resumed, _ = taken(second, 3)
    assert [n for n in straight if not torch.equal(straight[n], resumed[n])] == []


@compiler
def test_all_members_in_one_compiled_step_as_on_an_accelerator():
    step, plain = (make("vae", "bernoulli", "muprop") for _ in range(2))
    tensors = [*step.state.values(), step.images]
    plain.run(1)
    step._shuffle(0)
    engine.compiled(step._step, tensors)(*tensors)
    for name, value in step.state.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, plain.state[name], rtol=1e-3, atol=2e-5)
    assert step.state["step"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_float64_against_a_loop_with_torchs_sgd(model, node, estimator):
    """One lone model without an axis of members, in the terms of any PyTorch program, fed with the
    same noise."""
    step = make(model, node, estimator, members=[(1e-3, 5)], double=True)
    lone = (DiscreteVAE if model == "vae" else StochasticBinaryNetwork)(node, seeds=[5]).double()
    optimizer = torch.optim.SGD([p for p in lone.parameters()], lr=1e-3, momentum=0.9)
    seen, baseline = 784 if model == "vae" else 392, None
    if estimator == "sf":
        baseline = Baseline(seen, seeds=[5]).double()
    if estimator in ("darn", "muprop"):
        baseline = Baseline(moving_average=False).double()
    options = dict.fromkeys(OPTIONS.get(estimator, ()), 0.8)
    lone.slope = torch.tensor(0.8, dtype=torch.float64) if "slope" in options else None
    losses = []
    for number in range(4):  # the last one in the second epoch
        order = torch.randperm(300, generator=stream("order", 5, number // 3))
        x = IMAGES[order[number % 3 * 100 :][:100]].double()
        noise = Noise(keys("noise", [5]), number, ndim=4 if node == "categorical" else 3)
        if baseline is not None:
            network = estimator == "sf"
            options["baseline"] = partial(baseline, x=x[:, :seen]) if network else baseline
        loss = ESTIMATORS[estimator](
            partial(lone.loss, x),
            uniform=lambda like, u=noise: u(like.unsqueeze(0)).squeeze(0),
            **options,
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if baseline is not None:
            baseline.update()
        losses.append(loss.item())
    kept, mean = taken(step, 4)
    assert mean.item() == pytest.approx(sum(losses) / 4, rel=1e-12)
    for name, value in lone.state_dict().items():
        if name != "slope":
            torch.testing.assert_close(kept[f"model.{name}"][0], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_a_step_makes_no_tensor_on_another_device(model, node, estimator):
    """On torch's device without values, which takes the paths of an accelerator and refuses tensors
    of the CPU."""
    step = make(model, node, estimator, device="meta")
    with unchecked():
        step._step(*step.state.values(), step.images)


def test_a_new_estimator_needs_nothing_of_the_engine():
    """A leave-one-out score function on samples along a leading axis, as none of the estimators
    here has it."""

    def leave_one_out(program, *, samples=4, uniform=None):
        trace = Trace()

        def rule(q):
            logits = q.logits if trace else q.logits.expand(samples, *q.logits.shape)
            return type(q)(logits).sample(uniform=uniform)

        f = program(trace.recording(rule))
        log_q = sum(q.log_prob(z).sum(-1) for q, z in trace)
        others = (f.sum(0) - f) / (samples - 1)
        return (f + zero_valued((f - others).detach() * log_q)).mean(0)

    before = make("vae", "bernoulli", "st")
    for members in ([(1e-3, 0), (3e-3, 1)], [(3e-3, 1)]):
        step = make("vae", "bernoulli", leave_one_out, members=members)
        kept, _ = taken(step, 40)
        if len(members) == 2:
            both = kept
    torch.testing.assert_close(both["model.decoder.weight"][1], kept["model.decoder.weight"][0])
    first = make("vae", "bernoulli", leave_one_out)
    first.run(1)
    step.losses()
    step.run(1)
    assert step.losses()[0] < first.losses()[0] - 100
    assert set(step.state) == set(before.state)


def test_modes_that_cannot_be_used_say_why(monkeypatch):
    with pytest.raises(
        ValueError, match="mode must be one of eager, compiled, captured, fused, got 'fast'"
    ):
        make("vae", "bernoulli", "st", mode="fast")
    with pytest.raises(RuntimeError, match="'captured' cannot be used: a CUDA graph needs a CUDA"):
        make("vae", "bernoulli", "st", mode="captured")
    for mode in ("captured", "fused"):
        assert "needs a CUDA device, and this one is cpu" in usable(mode)
    assert usable("captured", "cuda") == ""
    monkeypatch.setattr(engine, "compiler", lambda: None)
    with pytest.raises(RuntimeError, match=r"there is no C\+\+ compiler"):
        make("vae", "bernoulli", "st", mode="compiled")
    with pytest.warns(UserWarning, match=r"training runs uncompiled.*there is no C\+\+ compiler"):
        assert best_mode(engine.LONG) == "eager"


def test_the_compiler_is_the_one_that_is_named_or_else_a_usual_one(monkeypatch):
    there = {"mine", "g++", "clang++", "c++"}
    monkeypatch.setattr(engine.shutil, "which", lambda name: name if name in there else None)
    monkeypatch.setenv("CXX", "mine")
    for name in ("mine", "g++", "clang++", "c++"):
        assert engine.compiler() == name
        there.remove(name)
    assert engine.compiler() is None


def test_short_runs_are_not_compiled_and_cuda_is_captured():
    assert best_mode(engine.LONG - 1) == "eager"
    assert best_mode(1, "cuda") == "captured"
    if not usable("compiled"):
        assert best_mode(engine.LONG) == "compiled"


@compiler
def test_what_is_compiled_is_found_again_whatever_rate_and_seed(monkeypatch, tmp_path):
    """A search compiles once, and a run that goes on does not compile again."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("GSLIB_CACHE", str(tmp_path))
    for member, found in (((1e-3, 0), 0), ((3e-3, 1), 1)):
        counters["inductor"].clear()
        make("vae", "bernoulli", "st", mode="compiled", members=[member]).run(1)
        counts = counters["inductor"]  # the first compilation of a process makes another one
        assert (counts["fxgraph_cache_hit"], counts["fxgraph_cache_miss"]) == (found, 1 - found)
        assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ  # it is set for the compilation alone
    assert list((tmp_path / "compiled").iterdir())
