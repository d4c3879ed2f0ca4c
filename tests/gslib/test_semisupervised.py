"""The semi-supervised model: against enumeration, for any number of classes, with seeds."""

import math
from functools import partial

import pytest
import torch

from gslib.estimators import ESTIMATORS
from gslib.functional import stream
from gslib.models import SemiSupervisedVAE

TINY = dict(style=2, channels=(2, 3, 3))
K = 3


@pytest.fixture(scope="module")
def model():
    """Three classes whose probabilities are far from equal and whose images differ."""
    model = SemiSupervisedVAE(K, **TINY, seed=1).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


@pytest.fixture(scope="module")
def x():
    return torch.bernoulli(torch.full((4, 784), 0.3, dtype=torch.float64), generator=stream("x"))


def fixed(seed):
    """The noise of z: the same in every call, so that only y differs."""
    return lambda like: torch.rand(
        like.shape[-2:], dtype=like.dtype, generator=stream("z", seed)
    ).expand(like.shape)


def uniform(generator, like):
    return torch.empty_like(like).uniform_(generator=generator)


def test_equation_9_averages_to_equation_10(model, x):
    program = partial(model.unlabelled, x, uniform=fixed(0))
    q = model.posterior(x)
    by_hand = sum(
        q.mean[:, 0, k]
        * model.labelled(x, torch.eye(K, dtype=x.dtype)[k].expand(4, K), uniform=fixed(0))
        for k in range(K)
    ) + (q.mean * q.log_probs).sum(
        (-2, -1)
    )  # the sum over classes of q(y|x) L(x, y), minus the entropy: equation 10
    exact = ESTIMATORS["exact"](program)
    torch.testing.assert_close(exact, by_hand)
    noise = partial(uniform, stream("y"))
    draws = torch.stack([program(lambda q: q.sample(uniform=noise)) for _ in range(4000)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert (error > 1e-3).all(), "y makes no difference, so the test could not fail"
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()


def test_straight_through_has_an_unbiased_value_and_gumbel_softmax_less_bias_at_lower_temperature(
    model, x
):
    program = partial(model.unlabelled, x, uniform=fixed(0))
    weights = list(model.class_network.parameters())
    exact = ESTIMATORS["exact"](program)
    right = torch.cat([g.flatten() for g in torch.autograd.grad(exact.mean(), weights)])
    n, bias = 400, {}
    for name, tau in (("st_gumbel_softmax", 1.0), ("gumbel_softmax", 5.0), ("gumbel_softmax", 0.5)):
        noise = partial(uniform, stream("noise"))
        values, slopes = [], 0
        for _ in range(n):
            loss = ESTIMATORS[name](program, tau=tau, uniform=noise)
            values.append(loss.detach())
            slopes += (
                torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), weights)]) / n
            )
        values = torch.stack(values)
        bias[name, tau] = (
            (values.mean(0) - exact).detach().abs(),
            (slopes - right).norm() / right.norm(),
            values.std(0) / math.sqrt(n),
        )
    value, _, error = bias["st_gumbel_softmax", 1.0]
    assert (value < 4 * error).all()
    high, low = bias["gumbel_softmax", 5.0], bias["gumbel_softmax", 0.5]
    assert (high[0] > 5 * high[2]).all(), "no bias to be seen at a high temperature"
    assert (low[0] < 0.7 * high[0]).all()
    assert low[1] < 0.7 * high[1]


@pytest.mark.parametrize("k", [2, 3, 17])
def test_shapes_for_any_number_of_classes(k):
    model = SemiSupervisedVAE(k, **TINY)
    x, y = torch.zeros(5, 784), torch.eye(k)[torch.arange(5) % k]
    assert model.posterior(x).logits.shape == (5, 1, k)
    assert model.labelled(x, y).shape == model.classification(x, y).shape == (5,)
    assert model.labelled(x, torch.eye(k)[:, None].expand(k, 5, k)).shape == (k, 5)
    assert ESTIMATORS["exact"](partial(model.unlabelled, x)).shape == (5,)
    assert model.decode(y, torch.zeros(5, 2)).shape == (5, 784)


def test_marginalisation_in_one_pass_equals_a_loop(model, x):
    states = torch.eye(K, dtype=x.dtype)[:, None].expand(K, 4, K)
    together = model.labelled(x, states, uniform=fixed(3))
    alone = torch.stack([model.labelled(x, y, uniform=fixed(3)) for y in states])
    torch.testing.assert_close(together, alone)


def test_the_paper_s_layers():
    model = SemiSupervisedVAE(10)
    count = [
        sum(isinstance(m, kind) for m in net.modules())
        for net, kind in (
            (model.class_network, torch.nn.Conv2d),
            (model.style_network, torch.nn.Conv2d),
            (model.decoder, torch.nn.ConvTranspose2d),
        )
    ]
    assert [count[0], count[1] + 1, count[2]] == [
        3,
        3,
        4,
    ]  # the first layer of q(z|x,y) is apart, since it adds y


def test_seeds_make_the_model_and_leave_the_callers_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (SemiSupervisedVAE(K, **TINY, seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not torch.equal(first["decoder.0.weight"], other["decoder.0.weight"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SemiSupervisedVAE(1), "give 2 classes and 1 style or more, got 1 and 16"),
        (
            lambda: SemiSupervisedVAE(3).posterior(torch.zeros(2, 28, 28)),
            r"x has shape \(2, 28, 28\); images need \[B, 784\]; flatten",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
