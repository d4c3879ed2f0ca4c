"""Other networks and Adam: the linear ones are Table 1's to the bit, members do not feel each
other, and Adam is torch's."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from gsbook.engine.experiment import EvaluationSize
from gsbook.experiments.alphabets.config import Config
from gsbook.experiments.alphabets.evaluate import evaluate
from gsbook.experiments.alphabets.model import NETWORKS, Convolution, decoder, deepen, encoder
from gsbook.experiments.alphabets.train import Deeper, load_data
from gsbook.experiments.table1 import config as table1
from gsbook.experiments.table1.train import Ensemble
from gslib.functional import stream
from gslib.models import DiscreteVAE

SIZE = (3, 4)
SMALL = dict(lr=0.01, steps=6, batch=20, eval_every=3)


@pytest.fixture(scope="module")
def data():
    generator = stream("alphabets")
    images = {n: torch.rand(60, 64, generator=generator) for n in ("train", "valid", "test")}
    splits = {n: (x < 0.4).to(torch.uint8) for n, x in images.items()}
    other = {n: 1 - x for n, x in splits.items()}
    return {"drawers": splits, "alphabets": other, "digits": splits}


def trained(found, seeds=(0, 1), steps=6, mode="eager", estimator="gumbel_softmax", **changes):
    first = Config("vae", "categorical", estimator, **SMALL | {"steps": steps} | changes)
    run = Deeper([replace(first, seed=s) for s in seeds], found, size=SIZE, mode=mode)
    list(run.advance(steps))
    return run


def weights(run, e=0):
    return torch.cat([p[e].detach().flatten() for p in run.model.parameters()])


def test_linear_networks_are_those_of_table_1_to_the_bit(data):
    ours = trained(data)
    configs = [
        table1.Config("vae", "categorical", "gumbel_softmax", seed=s, **SMALL) for s in (0, 1)
    ]
    theirs = Ensemble(configs, data["drawers"], size=SIZE, mode="eager")
    list(theirs.advance(6))
    assert torch.equal(weights(ours, 1), weights(theirs, 1))
    assert ours.curves == theirs.curves


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("network", list(NETWORKS))
def test_members_do_not_feel_each_other(data, network, optimiser):
    options = dict(network=network, optimiser=optimiser)
    both, alone = trained(data, **options), trained(data, (1,), **options)
    assert torch.allclose(weights(both, 1), weights(alone), atol=1e-6)
    assert not torch.allclose(weights(both, 0), weights(alone), atol=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_run_that_is_taken_up_again_has_the_same_bits(data, optimiser):
    options = dict(network="one", optimiser=optimiser)
    whole, half = trained(data, **options), trained(data, steps=3, **options)
    rest = trained(data, steps=3, **options)
    rest.load_states(half.states(), 3)
    list(rest.advance(6))
    assert torch.equal(weights(rest, 1), weights(whole, 1))


def test_adam_is_torch_s(data):
    """The estimate has no noise here: straight-through on a model whose samples are fixed."""
    run = trained(data, seeds=(0,), steps=3, optimiser="adam", network="one")
    start = Deeper(run.configs, data, size=SIZE, mode="eager")
    named = dict(start.model.named_parameters())
    tensors = {n: p.detach().clone().requires_grad_() for n, p in named.items()}
    adam = torch.optim.Adam(list(tensors.values()), lr=SMALL["lr"])
    for _ in range(3):
        state = start.training.state
        for name, tensor in tensors.items():
            state[f"model.{name}"].copy_(tensor.detach())
        start.training.run(1)  # leaves the gradient at these weights
        for name, tensor in tensors.items():
            tensor.grad = state[f"velocity.model.{name}"].clone()
        adam.step()
    found = dict(run.model.named_parameters())
    for name, tensor in tensors.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name


def test_a_convolution_is_torch_s_for_each_member():
    x = torch.rand(2, 5, 3 * 8 * 8, generator=stream("x"))
    layer = Convolution(3, 4, side=8, name="c", ensemble=2)
    back = Convolution(4, 3, side=4, transposed=True, name="t", ensemble=2)
    down = layer(x)
    up = back(down)
    assert (down.shape, up.shape) == ((2, 5, 4 * 4 * 4), x.shape)
    for e in range(2):
        images = x[e].unflatten(-1, (3, 8, 8))
        expected = torch.conv2d(images, layer.weight[e], layer.bias[e], stride=2, padding=1)
        assert torch.allclose(down[e], expected.flatten(1), atol=1e-6)
        transposed = partial(torch.conv_transpose2d, stride=2, padding=1)
        expected = transposed(expected, back.weight[e], back.bias[e])
        assert torch.allclose(up[e], expected.flatten(1), atol=1e-6)
    several = torch.stack([x, 2 * x])  # samples stand before the members
    assert torch.allclose(layer(several)[0], down, atol=1e-6)


def test_networks_have_as_many_hidden_layers_as_they_say():
    for network, hidden in NETWORKS.items():
        for made in (encoder(network, 64, 12), decoder(network, 12, 64)):
            relus = sum(isinstance(part, torch.nn.ReLU) for part in made)
            assert relus == (2 if hidden is None else hidden)
    with pytest.raises(ValueError, match="network must be one of linear"):
        deepen(DiscreteVAE(data=64, size=SIZE), "three")
    with pytest.raises(ValueError, match="a multiple of 4, got 36 pixels"):
        deepen(DiscreteVAE(data=36, size=SIZE), "conv")


@pytest.mark.parametrize("estimator", ["sf", "darn", "muprop", "annealed_st", "reinmax"])
def test_every_estimator_trains_every_network(data, estimator):
    for network in NETWORKS:
        run = trained(data, seeds=(0,), steps=3, estimator=estimator, network=network)
        (found,) = evaluate(run, EvaluationSize(samples=20, valid_samples=3), True)
        assert 0 < found["test"]["nll"] <= found["test"]["single"] + 0.5
        assert run.diverged == [None]


def test_each_run_sees_its_own_data(data):
    curves = [trained(data, data=name).curves for name in ("drawers", "alphabets", "digits")]
    assert curves[0] != curves[1]
    assert curves[0] == curves[2]


def test_what_cannot_be_is_refused():
    good = Config("vae", "categorical", "st", lr=1e-3, data="digits", network="conv")
    assert good.key == "digits-conv-sgd-st_lr=0.001_seed=0_steps=100000"
    for change, message in (
        ({"data": "letters"}, "data must be one of drawers"),
        ({"network": "three"}, "network must be one of linear"),
        ({"optimiser": "lion"}, "optimiser must be one of sgd"),
        ({"model": "sbn"}, "around the categorical VAE, got sbn-categorical"),
        ({"data_bias": True}, "leave it out"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(good, **change)


def test_data_are_named_and_hashed():
    data, about = load_data(images=20)
    assert {len(splits["test"]) for splits in data.values()} == {20}
    assert set(about["sha256"]) == {"train", "valid", "test"}
    assert about["source"].startswith(("omniglot, ", "digits, "))
