"""The estimators after 2017 against enumeration, each with the traps on its way."""

import itertools
import math

import pytest
import torch
from estimator_table import SAMPLES, case_table
from programs import (
    CASES,
    THETA,
    Case,
    W,
    _dot,
    _loss,
    brute_force,
    exact_gradients,
    per_sample,
    tensor,
    z_scores,
)

import gslib
from gslib import ESTIMATORS, Bernoulli, Categorical
from gslib.coupling import antithetic, conditional
from gslib.estimators import coupled, multi_sample
from gslib.program import run
from gslib.replay import Tape, stacked


def _three_coins(theta, w1, w2):
    def program(sample):
        z = sample(Bernoulli(theta))
        h = sample(Bernoulli(_dot(z, w1) - 0.2))
        return _loss(sample(Bernoulli(_dot(h, w2) + 0.1)).sum(-1) - 0.6 * h[..., 0] + z[..., 1])

    return program


def _three_mixed(theta, w1, w2):
    def program(sample):
        z = sample(Bernoulli(theta))
        h = sample(Categorical(_dot(z, w1).unsqueeze(-2)))[..., 0, :]
        x = sample(Bernoulli(_dot(h, w2)))
        return _loss(x[..., 0] - 0.7 * h[..., 1] * x[..., 1] + 0.5 * z.prod(-1))

    return program


LAYERED = {
    **CASES,
    "bernoulli, three layers": Case([THETA[:2], W[:2, :2], W[1:, 1:]], _three_coins),
    "mixed, three layers": Case([THETA[:2], W[:2], W[:, :2]], _three_mixed),
}
UNBIASED = {
    "rloo": ("rloo", {}),
    "rloo, four": ("rloo", {"k": 4}),
    "disarm": ("disarm", {}),
    "rebar": ("rebar", {}),
    "rebar, cold": ("rebar", {"tau": 0.1, "eta": 0.6}),
    "double_cv": ("double_cv", {}),
    "double_cv, four": ("double_cv", {"k": 4, "alpha": 1.0}),
    "local_expectation": ("local_expectation", {}),
}
layered_table = pytest.mark.parametrize("case", LAYERED.values(), ids=LAYERED)


def variance(estimator, case, **settings):
    """Of the gradient by the first parameter, which reaches the loss through a node alone."""
    estimator = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    _, gradients = per_sample(estimator, case, SAMPLES, **settings)
    return gradients[:, : case.parameters[0].numel()].var(0).sum().item()


# --- unbiased, by sampling; values ----------------------------------------------------------------


@layered_table
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_on_one_two_and_three_layers(name, case):
    name, settings = UNBIASED[name]
    values, gradients = per_sample(ESTIMATORS[name], case, SAMPLES, **settings)
    value, expected = brute_force(case)
    assert z_scores(gradients, expected).max() < 4
    assert z_scores(values.unsqueeze(-1), value).max() < 4


@layered_table
def test_vimco_is_unbiased_for_the_k_sample_bound(case):
    k = 2 if len(list(case.parameters)) > 1 else 3
    bound = Case(case.parameters, lambda *p: multi_sample(case.build(*p), k))
    value, expected = brute_force(bound)
    values, gradients = per_sample(ESTIMATORS["vimco"], case, SAMPLES, k=k)
    assert z_scores(gradients, expected).max() < 4
    assert z_scores(values.unsqueeze(-1), value).max() < 4


@case_table
def test_every_estimator_takes_the_k_sample_bound(case):
    bound = Case(case.parameters, lambda *p: multi_sample(case.build(*p), 2))
    expected = brute_force(bound)[1]
    _, exact = per_sample(ESTIMATORS["exact"], bound, 2)
    torch.testing.assert_close(exact, expected.expand_as(exact), rtol=1e-9, atol=1e-12)
    for name in ("sf", "muprop", "rloo", "disarm", "rebar"):
        _, gradients = per_sample(ESTIMATORS[name], bound, SAMPLES)
        assert z_scores(gradients, expected).max() < 4, name
    for name in ("reinmax", "st", "st_gumbel_softmax", "gumbel_softmax", "darn"):
        assert per_sample(ESTIMATORS[name], bound, 5)[1].isfinite().all(), name


def test_the_k_sample_bound_falls_with_k_and_is_the_loss_at_one():
    case = CASES["categorical"]
    program = case.build(*case.parameters)
    losses = [ESTIMATORS["exact"](multi_sample(program, k)).item() for k in (1, 2, 3)]
    assert losses[0] == pytest.approx(ESTIMATORS["exact"](program).item())
    assert losses == sorted(losses, reverse=True)


class Noted:
    """A `uniform` that notes what it gave."""

    def __init__(self):
        self.given = []

    def __call__(self, like):
        self.given.append(torch.rand_like(like))
        return self.given[-1]


def losses_of(case, noises, batch=4):
    """The loss of one run for each of these lists of noise, one entry a node."""
    parameters = [p.expand(batch, *p.shape) for p in case.parameters]
    found = []
    for left in map(iter, noises):
        given = lambda _, left=left: next(left)  # noqa: E731
        found.append(case.build(*parameters)(lambda q, u=given: q.sample(uniform=u)))
    return torch.stack(found)


@case_table
@pytest.mark.parametrize("name", ["rloo", "double_cv", "vimco"])
def test_the_value_of_k_samples(name, case):
    noted, k = Noted(), 3
    values, _ = per_sample(ESTIMATORS[name], case, 4, uniform=noted, k=k)
    losses = losses_of(case, [noted.given[j::k] for j in range(k)])
    expected = -(-losses).exp().mean(0).log() if name == "vimco" else losses.mean(0)
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("name", ["bernoulli", "bernoulli, two layers"])
def test_the_value_of_a_coupled_pair(name):
    noted = Noted()
    values, _ = per_sample(ESTIMATORS["disarm"], CASES[name], 4, uniform=noted)
    u = noted.given
    runs = [u] + [[1 - x if i == j else x for j, x in enumerate(u)] for i in range(len(u))]
    torch.testing.assert_close(values, losses_of(CASES[name], runs).mean(0))


@case_table
def test_the_value_of_gumbel_rao_is_the_loss_of_the_sample(case):
    noted = Noted()
    values, _ = per_sample(ESTIMATORS["gumbel_rao"], case, 4, uniform=noted, k=3)
    assert values.equal(losses_of(case, [noted.given[::4]])[0])


@pytest.mark.parametrize(
    ("name", "count"),
    {"rloo": 1, "vimco": 1, "double_cv": 2, "disarm": 3, "rebar": 5, "reinmax": 1}.items(),
)
def test_runs_of_the_program(name, count):
    case, runs = CASES["bernoulli, two layers"], []

    def build(*parameters):
        program = case.build(*parameters)
        return lambda sample: runs.append(0) or program(sample)

    per_sample(ESTIMATORS[name], Case(case.parameters, build), 2)
    assert len(runs) == count


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
    with pytest.raises(ValueError, match="k must be 2 or more, got 1: a sample needs another"):
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


# --- straight-through: ReinMax, Gumbel-Rao, gapped ------------------------------------------------


@pytest.mark.parametrize("name", ["bernoulli", "bernoulli, two layers"])
def test_reinmax_is_darn_on_coins(name):
    estimates = []
    for estimator in ("reinmax", "darn"):
        torch.manual_seed(0)
        estimates.append(per_sample(ESTIMATORS[estimator], CASES[name], 500)[1])
    torch.testing.assert_close(*estimates, rtol=0, atol=1e-13)


def test_reinmax_is_not_darn_on_classes():
    case = CASES["categorical"]
    torch.manual_seed(0)
    one = per_sample(ESTIMATORS["reinmax"], case, 500)[1]
    torch.manual_seed(0)
    assert not torch.allclose(one, per_sample(ESTIMATORS["darn"], case, 500)[1])


def linear():
    return Case([W], lambda t: lambda sample: (sample(Categorical(t)) * W.flip(0)).sum((-2, -1)))


@pytest.mark.parametrize(("tau", "biased"), [(1.0, False), (1.3, True)])
def test_reinmax_is_exact_for_a_linear_loss_at_tau_one_alone(tau, biased):
    _, gradients = per_sample(ESTIMATORS["reinmax"], linear(), SAMPLES, tau=tau)
    score = z_scores(gradients, brute_force(linear())[1]).max()
    assert score > 6 if biased else score < 4


def test_gumbel_rao_has_the_bias_of_st_gumbel_softmax_and_less_variance():
    for case in (CASES["bernoulli"], CASES["categorical"]):
        rao, plain = (
            per_sample(ESTIMATORS[name], case, SAMPLES, tau=0.5, **settings)[1]
            for name, settings in (("gumbel_rao", {"k": 20}), ("st_gumbel_softmax", {}))
        )
        error = (rao.var(0) + plain.var(0)).sqrt() / SAMPLES**0.5
        assert ((rao.mean(0) - plain.mean(0)).abs() < 4 * error + 1e-12).all()
        assert rao.var(0).sum() < 0.95 * plain.var(0).sum()


def test_one_draw_of_gumbel_rao_has_the_variance_of_st_gumbel_softmax():
    case = CASES["categorical"]
    rao = variance("gumbel_rao", case, tau=0.5, k=1)
    assert rao == pytest.approx(variance("st_gumbel_softmax", case, tau=0.5), rel=0.05)


@pytest.mark.parametrize("win", [0, 1, 2])
def test_the_gapped_logits_by_hand(win):
    logits, gap = tensor([1.0, 0.5, -2.0]), 1.0
    u = torch.full((1, 3), 1e-9).double()
    u[0, win] = 1 - 1e-9
    moved = logits.clone()
    for i in range(3):  # the winner goes up to the top, others down until it leads
        moved[0, i] = 1.0 if i == win else min(logits[0, i], 1.0 - gap)
    leaf = logits.clone().requires_grad_()
    weights = tensor([0.3, -0.2, 0.9])
    loss = ESTIMATORS["gapped_st"](
        lambda sample: (sample(Categorical(leaf[None])) * weights).sum((-2, -1)),
        uniform=lambda _: u[None],
    )
    p = moved.softmax(-1)
    expected = p * (weights - (p * weights).sum(-1, keepdim=True))
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), leaf)[0], expected)


def test_a_gapped_coin_is_two_gapped_classes():
    theta = torch.linspace(-3, 3, 13).double().requires_grad_()
    for z in (0.0, 1.0):
        u = torch.full((1, 13), z).double()
        coin = ESTIMATORS["gapped_st"](
            lambda sample: sample(Bernoulli(theta[None])).sum(-1), uniform=lambda _, u=u: u
        )
        both = torch.stack([theta, torch.zeros(13)], -1)[None]
        classes = ESTIMATORS["gapped_st"](
            lambda sample, b=both: sample(Categorical(b))[..., 0].sum(-1),
            uniform=lambda _, u=u: torch.stack([u, 1 - u], -1),
        )
        grads = [torch.autograd.grad(f.sum(), theta)[0] for f in (coin, classes)]
        torch.testing.assert_close(*grads)


# --- masks, transforms, programs that break the rules ---------------------------------------------

NEWER = ("reinmax", "gumbel_rao", "gapped_st", "rloo", "double_cv", "disarm", "rebar", "vimco")


@pytest.mark.parametrize("name", [*NEWER, "local_expectation"])
def test_masked_classes_stay_finite_and_out(name):
    leaf = tensor([0.3, -math.inf, 1.0, -0.5], [-math.inf, -math.inf, 0.0, 0.2]).requires_grad_()
    q = Categorical(leaf.expand(2000, 2, 4))
    seen = []

    def program(sample):
        z = sample(q)
        seen.append(z.detach())
        return _loss((z * torch.arange(4.0)).sum((-2, -1)))

    surrogate = ESTIMATORS[name](program)
    (gradient,) = torch.autograd.grad(surrogate.mean(), leaf)
    assert surrogate.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient[leaf == -math.inf].abs() < 1e-12).all()
    if name != "local_expectation":  # it asks for every state, and weights these by nothing
        assert all((z[..., leaf == -math.inf] == 0).all() for z in seen)


@pytest.mark.parametrize("name", NEWER)
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_certain_units_give_no_gradient_and_no_nan(name, size):
    leaf = tensor([size, -size]).requires_grad_()
    f = ESTIMATORS[name](lambda sample: _loss(sample(Bernoulli(leaf.expand(100, 2))).sum(-1)))
    assert torch.autograd.grad(f.mean(), leaf)[0].abs().max() < 1e-3


@pytest.mark.parametrize("name", ["disarm", "rebar", "double_cv", "local_expectation"])
def test_a_program_that_changes_its_nodes_is_named(name):
    q, runs = Bernoulli(torch.zeros(4, 3, requires_grad=True)), []

    def program(sample, more):
        runs.append(0)
        return sum(sample(q).sum(-1) for _ in range(2 if (len(runs) == 1) == more else 1))

    for more in (True, False):
        runs.clear()
        with pytest.raises(ValueError, match="same nodes in every run, got"):
            ESTIMATORS[name](lambda sample, m=more: program(sample, m))


def test_a_loss_that_depends_on_nothing():
    q = Bernoulli(torch.zeros(4, 3, requires_grad=True))
    for name in (*NEWER, "local_expectation"):
        f = ESTIMATORS[name](lambda sample: 0 * sample(q).detach().sum(-1) + 2)
        assert f.tolist() == pytest.approx([2.0] * 4), name


def test_stacked_samples_are_drawn_slice_by_slice():
    q, asked = Categorical(torch.zeros(5, 2, 3)), []

    def sample(node):
        asked.append(tuple(node.logits.shape))
        return node.sample()

    def program(sample):
        z = sample(q)
        return sample(Bernoulli(z[..., 0])).sum(-1) + sample(Bernoulli(torch.zeros(5, 7))).sum(-1)

    assert run(program, stacked(sample, 4)).shape == (4, 5)
    assert asked == [(5, 2, 3)] * 4 + [(5, 2)] * 4 + [(5, 7)] * 4
