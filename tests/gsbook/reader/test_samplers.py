"""The grader of samplers: it passes right ones, and knows each mistake from its samples alone."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gslib
from gsbook.reader.samplers import CHECKS, SUSPECTS, check_sampler

N = 20_000
TORCH = torch.__version__


def by_exponentials(logits, tau, hard, *, noise=None, win=None, straight=True):
    """A right sampler, written apart from gslib's: -log of exponential noise, one-hot by
    comparison with the largest. A test replaces a part of it."""
    if not tau > 0:
        raise ValueError(tau)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    g = -torch.distributions.Exponential(torch.ones_like(wide.detach())).sample().log()
    g = g if noise is None else noise(g)
    y = F.softmax((wide + g) / tau, -1).to(logits.dtype)
    if not hard:
        return y
    scores = wide + g if win is None else win(wide, g)
    z = F.one_hot(scores.argmax(-1), scores.shape[-1]).to(y)
    return z + (y - y.detach()) if straight else z


def scored(scores):
    """A sampler whose softmax is given other scores."""

    def sampler(logits, tau, hard):
        y = F.softmax(scores(logits, -torch.rand_like(logits).log().neg().log(), tau), -1)
        z = F.one_hot(y.argmax(-1), y.shape[-1]).to(y)
        return z - y.detach() + y if hard else y

    return sampler


def test_ours_and_a_right_one_of_other_parts_pass():
    for sampler in (gslib.functional.gumbel_softmax, by_exponentials):
        report = check_sampler(sampler, samples=N)
        assert report.right, report
        assert (report.faults, report.looks_like) == ({}, "")


def test_ours_passes_with_any_seed():
    reports = [check_sampler(gslib.functional.gumbel_softmax, samples=2000, seed=s) for s in (1, 2)]
    assert all(report.right for report in reports), reports


def test_torchs_own_faults():
    """Of torch 2.13 and 2.14: ties, float16 and impossible temperatures; nothing else."""
    report = check_sampler(F.gumbel_softmax, samples=N)
    assert set(report.faults) <= {
        "shares of ten classes, tau = 1e8",
        "tau = 0 accepted",
        "tau = -1 accepted",
        "ends of the noise, float16",
    }, report
    assert report.looks_like == ""
    if TORCH.startswith(("2.13", "2.14")):
        assert len(report.faults) == 4, report


def one_noise(logits, tau, hard):
    noise = torch.rand(logits.shape[-1])
    y = ((logits - (-noise.log()).log()) / tau).softmax(-1)
    return F.one_hot(y.argmax(-1), y.shape[-1]) - y.detach() + y if hard else y


def wrong_axis(logits, tau, hard):
    return F.gumbel_softmax(logits, tau, hard, dim=0)


MISTAKES = {
    "softmax twice": scored(lambda x, g, tau: (x.softmax(-1) + g) / tau),
    "noise of the wrong sign": scored(lambda x, g, tau: (x - g) / tau),
    "one logarithm where two belong": scored(
        lambda x, g, tau: (x - torch.rand_like(x).log()) / tau
    ),
    "times tau where divided by it": scored(lambda x, g, tau: tau * x + tau * g),
    "tau without effect": scored(lambda x, g, tau: x + g),
    "tau divides the logits alone": scored(lambda x, g, tau: (x + tau * g) / tau),
    "tau divides the noise alone": scored(lambda x, g, tau: (x * tau + g) / tau),
    "no noise": scored(lambda x, g, tau: x / tau),
    "one draw of the noise for all rows": one_noise,
    "softmax over the wrong axis": wrong_axis,
    "arg min": lambda *a: by_exponentials(*a, win=lambda x, g: -(x + g)),
    "hard samples without noise": lambda *a: by_exponentials(*a, win=lambda x, g: x),
    "hard samples without straight-through": lambda *a: by_exponentials(*a, straight=False),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_it_knows_each_mistake(name):
    """Written here in other words than in gslib, with other noise."""
    report = check_sampler(MISTAKES[name], samples=N)
    assert report.looks_like == name, report
    assert not report.right
    assert f"looks like: {name}" in str(report)


def test_every_suspect_is_tried_here():
    assert set(SUSPECTS) <= set(MISTAKES)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_suspects_differ_from_each_other_and_from_what_is_right(seed):
    for name, suspect in SUSPECTS.items():
        assert check_sampler(suspect, samples=2000, seed=seed).looks_like == name


FOUND = {
    "sum over the last axis": lambda x, tau, hard: 1.01 * by_exponentials(x, tau, hard),
    "shares of the classes, hard samples": lambda *a: by_exponentials(
        *a, win=lambda x, g: 1.1 * x + g
    ),
    "distribution of the noise, tau = 0.5": lambda *a: by_exponentials(*a, noise=lambda g: 1.1 * g),
    "gradient, hard samples": lambda x, tau, hard: (
        by_exponentials(x, tau, hard) + (hard * 0.1 * (x - x.detach()))
    ),
    "hard samples that are not 0 and 1": lambda x, tau, hard: (
        by_exponentials(x, tau, hard) * (1 - 1e-6 * hard)
    ),
    "tau = 0 accepted": lambda x, tau, hard: by_exponentials(x, tau or 1.0, hard),
    "tau = -1 accepted": lambda x, tau, hard: by_exponentials(x, abs(tau) or math.nan, hard),
    "shares of ten classes, float64": lambda x, tau, hard: by_exponentials(x.float(), tau, hard),
    "shares of the classes, one masked": lambda x, tau, hard: by_exponentials(
        x.clamp(min=-3.0), tau, hard
    ),
}


@pytest.mark.parametrize("check", FOUND)
def test_it_finds_what_no_suspect_has(check):
    """Small faults of one kind each, that leave the rest right."""
    report = check_sampler(FOUND[check], samples=100_000)
    assert check in report.faults, report
    assert len(report.faults) < len(report.findings) - 8


def noisy(draw):
    """The copied form, with noise made by `draw`."""

    def sampler(logits, tau, hard):
        y = ((logits + draw(logits)) / tau).softmax(-1)
        return F.one_hot(y.argmax(-1), y.shape[-1]).to(y) - y.detach() + y if hard else y

    return sampler


@pytest.mark.parametrize(
    ("draw", "dtype"),
    [
        # 1e-3 inside the outer logarithm: no class of probability 1e-6 is ever drawn
        (lambda x: -(1e-3 - torch.rand_like(x).log()).log(), "float32"),
        # u = 0 and u = 1 in half precision
        (lambda x: -(-(torch.rand_like(x) + 1e-20).log() + 1e-20).log(), "float16"),
        (lambda x: -torch.empty_like(x).exponential_().log(), "float16"),
        # torch.distributions clamps: its noise ends at 4.84
        (
            lambda x: torch.distributions.Gumbel(torch.zeros_like(x), torch.ones_like(x)).sample(),
            "bfloat16",
        ),
        (lambda x: -(-torch.empty_like(x).uniform_(0.05, 0.95).log()).log(), "float32"),
    ],
)
def test_ends_of_the_noise(draw, dtype):
    assert f"ends of the noise, {dtype}" in check_sampler(noisy(draw), samples=1000).faults


def test_noise_that_is_kept_off_its_ends_passes():
    def draw(x):
        u = torch.rand_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
        return -(-u.clamp(1e-30, 1 - 6e-8).log()).log().to(x.dtype)

    faults = check_sampler(noisy(draw), samples=1000).faults
    assert not any(name.startswith("ends") for name in faults), faults


def test_noise_from_elsewhere_is_graded_by_its_samples():
    """numpy's generator is not torch's: frequencies are found right all the same."""
    rng = np.random.default_rng(0)

    def draw(x):
        return torch.from_numpy(rng.gumbel(size=x.shape)).to(x)

    report = check_sampler(noisy(draw), samples=N)
    assert not report.findings["shares of the classes, relaxed samples"], report


def test_equal_seeds_give_equal_reports_and_the_state_is_put_back():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (check_sampler(MISTAKES["no noise"], samples=1000, seed=5) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        assert check_sampler(gslib.functional.gumbel_softmax, samples=1000).right


def test_a_function_that_raises_is_reported_not_raised():
    def broken(logits, tau, hard):
        raise RuntimeError("no such thing")

    report = check_sampler(broken, samples=1000)
    fault = report.faults["shares of the classes, hard samples"]
    assert fault == "RuntimeError: no such thing"
    assert report.looks_like == ""


@pytest.mark.parametrize("wrong", [lambda x, tau, hard: x[0], lambda x, tau, hard: x.double()])
def test_another_shape_or_type_is_a_fault(wrong):
    fault = check_sampler(wrong, samples=1000).faults["shares of the classes, hard samples"]
    assert "return their shape and type" in fault


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"\(logits, tau, hard\)"):
        check_sampler("gumbel_softmax")
    for samples in (10, 1e5):
        with pytest.raises(ValueError, match="1,000 or more"):
            check_sampler(by_exponentials, samples=samples)


def test_every_check_fails_somewhere():
    """No check that cannot fail: over all the faults here, each has found one."""
    samplers = [*MISTAKES.values(), *FOUND.values(), F.gumbel_softmax]
    samplers += [noisy(lambda x: -(1e-3 - torch.rand_like(x).log()).log())]
    samplers += [lambda x, tau, hard: by_exponentials(x.half(), tau, hard)]
    found = {name for s in samplers for name in check_sampler(s, samples=2000).faults}
    assert found == set(CHECKS)
