"""The estimators after 2017 against enumeration, each with the traps on its way."""

import math

import pytest
import torch
from estimator_table import SAMPLES, case_table
from programs import CASES, THETA, Case, W, _dot, _loss, brute_force, per_sample, tensor, z_scores

from gslib import ESTIMATORS, Bernoulli, Categorical
from gslib.estimators import multi_sample
from gslib.program import run, stacked


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
        with pytest.raises(ValueError, match="same nodes in each run: first"):
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
