"""An ensemble is many lone runs."""

from functools import partial

import pytest
import torch
from estimator_table import STACKED, case_table
from programs import Case, per_sample

import gslib
from gslib import ESTIMATORS

# --- an ensemble is many lone runs ----------------------------------------------------------------


def streams(seeds):
    """Noise from one generator per member, stacked: what each member would draw alone."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    return lambda t: torch.stack(
        [torch.rand(t.shape[1:], generator=g, dtype=t.dtype) for g in generators]
    )


def stream(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda t: torch.rand(t.shape, generator=generator, dtype=t.dtype)


SEEDS = [3, 14, 159]
HYPERPARAMETERS = {
    "annealed_st": ("slope", [1.0, 1.5, 2.0]),
    "gumbel_softmax": ("tau", [0.5, 1.0, 2.0]),
    "st_gumbel_softmax": ("tau", [0.5, 1.0, 2.0]),
}


def member_settings(name, e=None):
    """The hyperparameter that differs between members, as [E] for the ensemble or as a number for
    member e.
    """
    if name not in HYPERPARAMETERS:
        return {}
    key, values = HYPERPARAMETERS[name]
    return {key: torch.tensor(values, dtype=torch.float64) if e is None else values[e]}


@case_table
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_ensemble_member_is_its_lone_run_bit_for_bit(name, case):
    together = per_sample(
        ESTIMATORS[name], case, 16, 3, uniform=streams(SEEDS), **member_settings(name)
    )
    for e, seed in enumerate(SEEDS):
        lone_case = Case([p[e] for p in case.members(3)], case.build)
        alone = per_sample(
            ESTIMATORS[name], lone_case, 16, uniform=stream(seed), **member_settings(name, e)
        )
        for both, one in zip(together, alone, strict=True):
            assert both[e].equal(one)


MODELS = {
    "vae, bernoulli": (gslib.models.DiscreteVAE, "bernoulli", (32,)),
    "vae, categorical": (gslib.models.DiscreteVAE, "categorical", (4, 4)),
    "sbn, bernoulli": (gslib.models.StochasticBinaryNetwork, "bernoulli", (32,)),
    "sbn, categorical": (gslib.models.StochasticBinaryNetwork, "categorical", (4, 4)),
}
model_table = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
sampling_table = pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "exact"])


def ensemble_and_lone_runs(name, model, pixels, batch):
    """Pairs (from the ensemble, from the lone run) of losses and of every parameter's gradient."""
    kind, node, size = model
    x = (torch.rand(batch, pixels) < 0.4).float()
    ensemble = kind(node, size=size, data=pixels, ensemble=3, seeds=SEEDS)
    settings = {key: value.float() for key, value in member_settings(name).items()}
    surrogate = ESTIMATORS[name](
        partial(ensemble.loss, x.expand(3, batch, pixels)), uniform=streams(SEEDS), **settings
    )
    assert surrogate.shape == (3, batch)
    surrogate.mean(-1).sum().backward()
    for e, seed in enumerate(SEEDS):
        lone = kind(node, size=size, data=pixels, seeds=[seed])
        alone = ESTIMATORS[name](
            partial(lone.loss, x), uniform=stream(seed), **member_settings(name, e)
        )
        alone.mean().backward()
        yield surrogate[e], alone
        for both, one in zip(ensemble.parameters(), lone.parameters(), strict=True):
            assert both[e].equal(one)
            yield both.grad[e], one.grad


@model_table
@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n not in ("exact", *STACKED)])
def test_a_member_of_a_model_ensemble_is_its_lone_run_bit_for_bit(name, model):
    """Sizes are multiples of 16, as the paper's are of 8: rows that end inside a vector register
    round differently. So do products on an axis of samples beside one of members.
    """
    for both, one in ensemble_and_lone_runs(name, model, pixels=64, batch=16):
        assert both.equal(one)


@model_table
@sampling_table
def test_a_member_of_any_model_ensemble_is_its_lone_run_to_rounding(name, model):
    kind, node, _ = model
    odd = (kind, node, {"bernoulli": (7,), "categorical": (3, 5)}[node])
    for both, one in ensemble_and_lone_runs(name, odd, pixels=26, batch=9):
        torch.testing.assert_close(both, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [gslib.models.DiscreteVAE, gslib.models.StochasticBinaryNetwork])
@pytest.mark.parametrize(("node", "size"), [("bernoulli", (200,)), ("categorical", (20, 10))])
def test_a_member_of_the_papers_models_is_its_lone_run_bit_for_bit(kind, node, size):
    for both, one in ensemble_and_lone_runs(
        "st_gumbel_softmax", (kind, node, size), pixels=784, batch=100
    ):
        assert both.equal(one)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_muprop_and_exact_agree_on_a_model_ensemble(model):
    kind, node, _ = model
    nets = kind(
        node, size={"bernoulli": (2,), "categorical": (1, 3)}[node], data=4, ensemble=2
    ).double()
    x = (torch.rand(2, 1, 4) < 0.5).double()
    parameters = [p for p in nets.parameters() if p.requires_grad]

    def gradient(surrogate):
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(surrogate.mean(-1).sum(), parameters)]
        )

    expected = gradient(ESTIMATORS["exact"](partial(nets.loss, x)))
    rows = x.expand(2, 25_000, 4)
    estimates = torch.stack(
        [gradient(ESTIMATORS["muprop"](partial(nets.loss, rows))) for _ in range(8)]
    )
    standard_error = estimates.std(0) / 8**0.5
    assert (
        ((estimates.mean(0) - expected).abs() / (standard_error + 1e-9)) < 6
    ).all()  # t with 7 degrees of freedom
    assert (estimates.mean(0) - expected).norm() < 0.02 * expected.norm()
