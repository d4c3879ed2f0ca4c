"""Coupled pairs, noise given a sample, and the estimators on them, with the traps on the way."""

import itertools
import math

import pytest
import torch
from estimator_table import SAMPLES, case_table, variance
from programs import (
    CASES,
    THETA,
    Case,
    W,
    brute_force,
    exact_gradients,
    per_sample,
    tensor,
    z_scores,
)

import gslib
from gslib import ESTIMATORS, Bernoulli, Categorical
from gslib.coupling import antithetic, conditional
from gslib.estimators import coupled
from gslib.program import Tape, run

# --- variance -------------------------------------------------------------------------------------


def arm(program, *, uniform=None):
    """ARM (Yin, Zhou 2019): DisARM's history, one layer of coins."""
    tape = Tape(uniform)
    f = run(program, tape.sample, tape)
    ((q, _),), (u,) = tape, tape.noise
    other = tape.rerun(program, 0, q.sample(uniform=lambda _: 1 - u))
    score = ((f - other).detach().unsqueeze(-1) * (u - 0.5) * q.logits).sum(-1)
    return (f + other) / 2 + score - score.detach()


def test_disarm_has_less_variance_than_arm():
    case = CASES["bernoulli"]
    _, gradients = per_sample(arm, case, SAMPLES)
    assert z_scores(gradients, brute_force(case)[1]).max() < 4
    assert variance("disarm", case) < 0.9 * variance(arm, case)


@case_table
def test_local_expectation_has_less_variance_than_what_stands_on_as_many_samples(case):
    local = variance("local_expectation", case)
    assert local < min(variance(name, case) for name in ("sf", "muprop", "rebar", "disarm"))


def test_local_expectation_is_exact_where_units_do_not_meet():
    for node, theta, axes in ((Bernoulli, THETA, (-1,)), (Categorical, W, (-2, -1))):
        case = Case(
            [theta],
            lambda t, n=node, axes=axes: lambda sample: ((sample(n(t)) - 0.3) ** 3).sum(axes),
        )
        _, gradients = per_sample(ESTIMATORS["local_expectation"], case, 20)
        leaf = theta.clone().requires_grad_()
        states = torch.arange(2.0) if node is Bernoulli else torch.eye(3)
        f = ((states.double() - 0.3) ** 3).reshape(len(states), -1).sum(-1)
        p = torch.stack([(-leaf).sigmoid(), leaf.sigmoid()], -1) if node is Bernoulli else leaf
        p = p if node is Bernoulli else p.softmax(-1)
        (expected,) = torch.autograd.grad((p * f).sum(), leaf)
        torch.testing.assert_close(gradients, expected.flatten().expand_as(gradients))


def test_a_full_slope_of_two_samples_is_too_much():
    def typical(name, **settings):
        report = gslib.check(name, samples=20_000, **settings)
        spread = [p.variance for p in report.programs if "linear" not in p.program]
        return torch.tensor(spread).log().mean()  # check's programs are less bent than ours

    half, whole = (typical("double_cv", alpha=a) for a in (0.5, 1.0))
    assert half < typical("rloo") < whole


@pytest.mark.parametrize("name", ["rloo", "double_cv", "vimco"])
def test_one_sample_has_nothing_to_be_compared_with(name):
    with pytest.raises(ValueError, match="k must be an integer of at least 2, got 1"):
        per_sample(ESTIMATORS[name], CASES["bernoulli"], 2, k=1)


# --- the coupled pair -----------------------------------------------------------------------------

LOGITS = tensor([0.5, 1.5, -1.0, 0.2], [3.0, -3.0, 0.0, 0.0])


@torch.no_grad()
def sticks(q, u, descending):
    """The pair and its weight, written down anew for one order of the sticks."""
    p, order = q.mean.sort(-1, descending=descending)
    left = torch.stack([p[..., c:].sum(-1) for c in range(p.shape[-1])], -1)
    s = p / left

    def walk(u):
        hit = u < s
        hit[..., -1] = True
        return hit.to(torch.uint8).argmax(-1)

    first, second = walk(u), walk(1 - u)
    weight = torch.zeros_like(s[..., 0])
    for c in range(p.shape[-1] - 1):
        here = torch.minimum(first, second) == c
        before = ((1 - s) ** 2 / (1 - 2 * s))[..., :c].prod(-1)
        weight = torch.where(here, before * (1 - s[..., c]), weight)
    weight = torch.where(first == second, 0.0, weight)
    one_hot = torch.eye(p.shape[-1], dtype=p.dtype)
    picked = [
        one_hot[order.gather(-1, place.unsqueeze(-1)).squeeze(-1)] for place in (first, second)
    ]
    return *picked, weight


def test_the_pair_is_what_its_definition_says():
    q = Categorical(LOGITS.expand(1000, 2, 4))
    u = torch.rand(1000, 2, 4, dtype=torch.float64)
    for found, expected in zip(antithetic(q, u), sticks(q, u, False), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("node", [Bernoulli(LOGITS), Categorical(LOGITS)], ids=["coins", "classes"])
def test_both_of_a_pair_are_samples_and_the_weight_undoes_the_coupling(node):
    n = 200_000
    q = type(node)(node.logits.expand(n, *node.logits.shape))
    z, other, weight = antithetic(q, torch.rand(q.logits.shape, dtype=torch.float64))
    for sample in (z, other):
        error = (sample.mean(0) - node.mean).abs() / (node.mean * (1 - node.mean) / n).sqrt()
        assert error.max() < 4
    if isinstance(node, Categorical):
        k = node.logits.shape[-1]
        assert weight.max() <= 2 * (k - 1) / k + 1e-9
        for a, b in itertools.combinations(range(k), 2):  # E[w; z = a, z' = b] = q(a) q(b)
            pairs = weight * z[..., a] * other[..., b]
            error = (pairs.mean(0) - node.mean[..., a] * node.mean[..., b]).abs()
            assert (error < 4 * pairs.std(0) / n**0.5 + 1e-12).all()


def test_two_classes_are_a_coin():
    logits = torch.linspace(-4, 4, 50).double()
    u = torch.rand(200, 50, dtype=torch.float64)
    coin = antithetic(Bernoulli(logits.expand(200, 50)), u)[2]
    both = torch.stack([logits, torch.zeros(50)], -1).expand(200, 50, 2)
    pair = antithetic(Categorical(both), u.unsqueeze(-1).expand(200, 50, 2))[2]
    seen = (coin > 0) & (pair > 0)
    torch.testing.assert_close(coin[seen], pair[seen])
    assert (coin > 0).double().mean() == pytest.approx((pair > 0).double().mean().item(), abs=0.02)


def changed_pair(monkeypatch, change):
    monkeypatch.setattr(coupled, "antithetic", change)
    return z_scores(
        per_sample(ESTIMATORS["disarm"], CASES["categorical"], SAMPLES)[1],
        exact_gradients(CASES["categorical"], None),
    ).max()


def test_descending_sticks_are_biased(monkeypatch):
    assert changed_pair(monkeypatch, lambda q, u: sticks(q, u, True)) > 6


def test_ascending_sticks_are_not(monkeypatch):
    assert changed_pair(monkeypatch, lambda q, u: sticks(q, u, False)) < 4


def test_a_pair_without_its_weight_is_biased(monkeypatch):
    def unweighted(q, u):
        z, other, weight = antithetic(q, u)
        return z, other, (weight > 0).to(weight)

    assert changed_pair(monkeypatch, unweighted) > 6


# --- noise given the sample; REBAR ----------------------------------------------------------------


@pytest.mark.parametrize("node", [Bernoulli(LOGITS), Categorical(LOGITS)], ids=["coins", "classes"])
def test_noise_given_the_sample_is_the_noise_in_two_steps(node):
    n = 100_000
    q = type(node)(node.logits.expand(n, *node.logits.shape))
    z = q.sample()
    x = conditional(q, z)
    if isinstance(node, Bernoulli):
        assert ((x > 0) == (z > 0)).all()
        expected, deviation = node.logits, math.pi / 3**0.5
        fourth = 1.2  # excess kurtosis
    else:
        assert x.argmax(-1).equal(z.argmax(-1))
        expected, deviation = node.log_probs + 0.5772156649, math.pi / 6**0.5
        fourth = 2.4
    assert ((x.mean(0) - expected).abs() < 4 * deviation / n**0.5).all()
    spread = deviation**2 * ((fourth + 2) / n) ** 0.5
    assert ((x.var(0) - deviation**2).abs() < 4 * spread).all()


def test_rebar_with_discrete_nodes_below_is_biased(monkeypatch):
    class Discrete(Tape):
        def rerun(self, program, i, z, below=None):
            return super().rerun(program, i, z, None)

    monkeypatch.setattr(coupled, "Tape", Discrete)
    for name in ("bernoulli, two layers", "categorical, two layers", "bernoulli over categorical"):
        _, gradients = per_sample(ESTIMATORS["rebar"], CASES[name], SAMPLES)
        assert z_scores(gradients, exact_gradients(CASES[name], None)).max() > 6, name


def test_rebar_without_its_control_variate_is_the_score_function():
    case = CASES["categorical, two layers"]
    estimates = []
    for name, settings in (("rebar", {"eta": 0.0}), ("sf", {})):
        torch.manual_seed(0)
        first = iter([torch.rand(50, 1, 3).double(), torch.rand(50, 2, 3).double()])
        noise = lambda like, first=first: next(first, torch.full_like(like, 0.5))  # noqa: E731
        estimates.append(per_sample(ESTIMATORS[name], case, 50, uniform=noise, **settings)[1])
    torch.testing.assert_close(*estimates)


def test_a_tied_noise_refuses_what_is_no_sample():
    q = gslib.Categorical(torch.zeros(5, 1, 3))
    with pytest.raises(ValueError, match="z must be a sample, no relaxed one"):
        conditional(q, torch.full((5, 1, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"z has shape \(5, 3\)"):
        conditional(q, torch.zeros(5, 3))


@pytest.mark.parametrize(
    "q", [gslib.Bernoulli(torch.zeros(5, 3)), gslib.Categorical(torch.zeros(5, 3))]
)
def test_a_coupled_pair_refuses_noise_of_another_shape_or_range(q):
    with pytest.raises(ValueError, match=r"shape \(1,\); make it \(5, 3\)"):
        antithetic(q, torch.rand(1))  # would couple all units
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        antithetic(q, torch.full((5, 3), 5.0))
