"""Straight-through estimators after 2017: ReinMax, Gumbel-Rao, the gapped one."""

import pytest
import torch
from estimator_table import SAMPLES, variance
from programs import CASES, Case, W, brute_force, per_sample, tensor, z_scores

from gslib import ESTIMATORS, Bernoulli, Categorical


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
