"""One step in all its modes: the same numbers, member by member, at any time."""

from functools import partial
from itertools import product

import pytest
import torch

from gsbook.engine import step as engine
from gsbook.engine.noise import Noise, keys
from gsbook.engine.step import Step, best_mode, usable
from gslib import ESTIMATORS
from gslib.baselines import Baseline
from gslib.functional import stream
from gslib.models import DiscreteVAE, StochasticBinaryNetwork

IMAGES = (torch.rand(300, 784, generator=stream("images")) < 0.13).byte()
OPTIONS = {"gumbel_softmax": ("tau",), "st_gumbel_softmax": ("tau",), "annealed_st": ("slope",)}
CELLS = list(
    product(("vae", "sbn"), ("bernoulli", "categorical"), [e for e in ESTIMATORS if e != "exact"])
)
compiler = pytest.mark.skipif(bool(usable("compiled")), reason=usable("compiled"))


def make(model, node, estimator, members=((1e-3, 0), (3e-3, 1), (1e-3, 2)), mode="eager", size=None):
    """A step of one cell for members (rate, seed), at the paper's sizes."""
    rates, seeds = zip(*members, strict=True)
    kind, options = DiscreteVAE if model == "vae" else StochasticBinaryNetwork, {}
    built = kind(node, ensemble=len(seeds), seeds=list(seeds), size=size)
    seen = 784 if model == "vae" else 392
    if estimator == "sf":
        options["baseline"] = Baseline(seen, ensemble=len(seeds), seeds=list(seeds))
    if estimator in ("darn", "muprop"):
        options["baseline"] = Baseline(moving_average=False, ensemble=len(seeds))
    schedules = {name: torch.full((len(seeds),), 0.8) for name in OPTIONS.get(estimator, ())}
    built.slope = schedules.get("slope")
    return Step(
        built,
        lambda x: partial(built.loss, x),
        ESTIMATORS[estimator],
        IMAGES,
        seeds=list(seeds),
        lr=torch.tensor(rates),
        batch=100,
        sees=lambda x: x[..., :seen],
        schedules=schedules,
        mode=mode,
        **options,
    )


def taken(step, steps=7):
    step.run(steps)
    return step.kept(), step.losses()


@compiler
@pytest.mark.parametrize(("model", "node", "estimator"), CELLS)
def test_compiled_is_eager_to_rounding_and_a_member_is_its_lone_run(model, node, estimator):
    compiled, together = taken(make(model, node, estimator, mode="compiled"))
    plain, losses = taken(make(model, node, estimator))
    torch.testing.assert_close(together, losses, rtol=1e-5, atol=0)
    for name, value in compiled.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=2e-5)
    alone, loss = taken(make(model, node, estimator, members=[(3e-3, 1)], mode="compiled"))
    assert torch.equal(loss[0], together[1])
    assert [n for n in alone if not torch.equal(alone[n][0], compiled[n][1])] == []
