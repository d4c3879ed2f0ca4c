"""NVIL's baselines: their arithmetic, their state, and that they leave the estimate unbiased up to
a positive scale.
"""

from functools import partial

import pytest
import torch
from programs import CASES, Case, exact_gradients, expected_estimate

from gslib import ESTIMATORS, Baseline, Bernoulli

SIGNALS = [torch.tensor(x).reshape(-1, 1) for x in ([1.0, 3.0], [6.0, 2.0], [-1.0, 9.0])]


def test_moving_averages_by_hand():
    baseline = Baseline(decay=0.8)
    mean, variance = 2.0, 1.0  # the first call takes those of its own batch
    for step, signal in enumerate(SIGNALS):
        centred, scale = baseline(signal)
        torch.testing.assert_close(centred, signal - mean)
        torch.testing.assert_close(scale.item(), max(1.0, variance**0.5))
        baseline.update()
        if step:
            mean = 0.8 * mean + 0.2 * signal.mean().item()
            variance = 0.8 * variance + 0.2 * signal.var(correction=0).item()
        assert baseline.mean.item() == pytest.approx(mean)
        assert baseline.variance.item() == pytest.approx(variance)


def test_parts_can_be_switched_off():
    signal = 100 * SIGNALS[0]
    centred, scale = Baseline(moving_average=False)(signal)
    assert centred.equal(signal)
    assert scale.item() == 100
    centred, scale = Baseline(normalise=False)(signal)
    assert centred.equal(signal - 200)
    assert scale.item() == 1


def test_the_state_changes_on_update_and_not_before():
    baseline, x = Baseline(inputs=3, hidden=4, lr=0.1), torch.randn(2, 3)
    start = {key: value.clone() for key, value in baseline.state_dict().items()}
    baseline(SIGNALS[0], x=x)
    assert all(value.equal(start[key]) for key, value in baseline.state_dict().items())
    baseline.update()
    changed = {key for key, value in baseline.state_dict().items() if not value.equal(start[key])}
    assert {"mean", "seen", "network.2.weight"} <= changed
    with pytest.raises(RuntimeError, match=r"update\(\) before the first use"):
        baseline.update()


def test_the_network_learns_what_depends_on_the_input():
    baseline, x = Baseline(inputs=2, hidden=20, lr=0.1), torch.randn(500, 2)
    signal = 3 * x[:, :1] + 5
    residuals = []
    for _ in range(300):
        residuals.append(baseline(signal, x=x)[0].square().mean().item())
        baseline.update()
    assert residuals[0] == pytest.approx(
        signal.var(correction=0).item(), rel=1e-4
    )  # its first prediction is zero
    assert residuals[-1] < 0.05 * residuals[0]
    assert baseline.mean.item() == pytest.approx(5, abs=0.5)


def test_the_network_step_is_gradient_descent_on_the_squared_error():
    baseline, x, signal = Baseline(inputs=2, hidden=3, lr=0.1), torch.randn(8, 2), torch.randn(8, 1)
    baseline.mean.fill_(0.3)
    baseline.seen.fill_(True)
    torch.nn.init.normal_(baseline.network[2].weight)
    weights = list(baseline.network.parameters())
    loss = (signal - 0.3 - baseline.network(x)).square().mean() / 2
    expected = [
        w - 0.1 * g for w, g in zip(weights, torch.autograd.grad(loss, weights), strict=True)
    ]
    baseline(signal, x=x)
    baseline.update()
    for w, e in zip(weights, expected, strict=True):
        torch.testing.assert_close(w, e)


def trained(**settings):
    torch.manual_seed(1)
    baseline = Baseline(**settings)
    x = torch.randn(*baseline.mean.shape, 6, 3)
    for _ in range(3):
        baseline(torch.randn(*baseline.mean.shape, 6, 1) * 4 + 1, x=x if baseline.network else None)
        baseline.update()
    return baseline


@pytest.mark.parametrize(
    "settings", [{}, {"inputs": 3, "lr": 0.1}, {"inputs": 3, "ensemble": 2}], ids=str
)
def test_the_state_survives_a_checkpoint(settings):
    baseline = trained(**settings)
    copy = Baseline(**settings)
    copy.load_state_dict(baseline.state_dict())
    signal = torch.randn(*baseline.mean.shape, 4, 1)
    x = torch.randn(*baseline.mean.shape, 4, 3) if baseline.network else None
    for _ in range(2):
        for ours, theirs in zip(baseline(signal, x=x), copy(signal, x=x), strict=True):
            assert ours.equal(theirs)
        baseline.update()
        copy.update()


def test_an_ensemble_member_is_its_lone_run():
    together = Baseline(inputs=3, hidden=16, ensemble=2, seeds=[5, 6], lr=0.1)
    alone = [Baseline(inputs=3, hidden=16, seeds=[s], lr=0.1) for s in (5, 6)]
    for _ in range(3):
        signal, x = torch.randn(2, 16, 1) * 5, torch.randn(2, 16, 3)
        centred, scale = together(signal, x=x)
        together.update()
        for e, baseline in enumerate(alone):
            lone = baseline(signal[e], x=x[e])
            baseline.update()
            torch.testing.assert_close((centred[e], scale[e]), lone)
    assert together.mean[0] != together.mean[1]


def test_the_baseline_is_not_differentiated():
    signal = SIGNALS[0].clone().requires_grad_()
    centred, scale = Baseline(inputs=3)(signal, x=torch.randn(2, 3, requires_grad=True))
    assert not centred.requires_grad
    assert not scale.requires_grad


@pytest.mark.parametrize("kind", ["bernoulli", "categorical", "categorical, two layers"])
@pytest.mark.parametrize("name", ["sf", "muprop"])
@pytest.mark.parametrize("normalise", [False, True], ids=["plain", "normalised"])
def test_learned_baselines_leave_the_estimate_unbiased_up_to_scale(kind, name, normalise):
    case = CASES[kind]
    samplers = (
        2 if "layers" in kind else 1
    )  # the rest are parameters of the loss, which has no score and no scale
    only = Case(case.parameters[:samplers], lambda *p: case.build(*p, *case.parameters[samplers:]))
    baseline = trained(inputs=3, lr=0.1, normalise=normalise).double()
    baseline.variance.fill_(5.29)
    here = partial(baseline, x=torch.ones(1, 3, dtype=torch.float64))
    expected = expected_estimate(partial(ESTIMATORS[name], baseline=here), only)
    torch.testing.assert_close(
        expected * (2.3 if normalise else 1.0), exact_gradients(only, None), rtol=1e-6, atol=1e-9
    )


def test_a_learned_baseline_lowers_the_variance():
    logits = torch.zeros(4000, 3, requires_grad=True)

    def variance(baseline):
        surrogate = ESTIMATORS["sf"](
            lambda sample: 10 + sample(Bernoulli(logits)).sum(-1), baseline=baseline
        )
        return torch.autograd.grad(surrogate.sum(), logits)[0].var(0).sum()

    baseline = Baseline(normalise=False)
    variance(baseline)
    baseline.update()
    assert variance(baseline) < 0.02 * variance(0.0)


def test_the_input_and_the_network_go_together():
    with pytest.raises(ValueError, match="if a baseline has a network, and only then"):
        Baseline()(SIGNALS[0], x=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"pass x, as partial\(b, x=x\)"):
        Baseline(inputs=3)(SIGNALS[0])
