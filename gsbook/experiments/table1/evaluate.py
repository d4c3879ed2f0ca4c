"""The figures a finished run is judged by."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.engine.bound import mean_bound
from gsbook.experiments.table1.train import Ensemble
from gslib.functional import stream

SAMPLES = 1000  # m of the paper
FEWER = (10, 100)  # m of further figures: which estimator leads depends on it
SELECTION_SAMPLES = 100  # m on the validation set, where learning rates are chosen
# The relaxed bounds cost twice as much and are no cell of the table: a fixed random part will do.
RELAXED_IMAGES = 2000


def valid_bound(ensemble: Ensemble, samples: int = SELECTION_SAMPLES) -> Tensor:
    """The negated m-sample bound on the validation set in nats, [E]: what a learning rate is
    chosen by.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> configs = [Config("vae", "bernoulli", "st", lr=lr, batch=10) for lr in (1e-3, 1e-4)]
    >>> valid_bound(Ensemble(configs, data, size=[4], mode="eager"), samples=5).shape
    torch.Size([2])
    """
    return -_mean_bound(ensemble, ensemble.data["valid"], samples, "valid")


def final_figures(ensemble: Ensemble, samples: int = SAMPLES) -> list[dict[str, float]]:
    """Per member, the test figures of a finished run in nats, lower is better.

    nll: negated m-sample bound with discrete samples on the whole test set, the cell of Table 1.
    single, nll_10, nll_100: the same with 1, 10 and 100 samples (with one, for the SBN, the mean of
    logs). nll_unsloped, single_unsloped: without the slope of annealed ST, which the others keep at
    its value for the step after the last one. nll_relaxed, single_relaxed: with relaxed samples, at
    the temperature of the step after the last one, on a fixed random part of the test set, beside
    nll_part and single_part, the discrete figures on the same part. For the VAE the relaxed ones
    hold concrete densities; they bound no discrete model.

    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> config = Config("vae", "bernoulli", "st", lr=1e-3, batch=10)
    >>> list(final_figures(Ensemble([config], data, size=(4,), mode="eager"), samples=5)[0])[:2]
    ['nll', 'single']
    """
    test = ensemble.data["test"]
    chosen = torch.randperm(len(test), generator=stream("part"))[:RELAXED_IMAGES]
    part = test[chosen.to(test.device)]
    tau = torch.tensor([c.tau(ensemble.step) for c in ensemble.configs], device=ensemble.device)
    figures = {
        "nll": _mean_bound(ensemble, test, samples, "test"),
        "single": _mean_bound(ensemble, test, 1, "test"),
        **{f"nll_{m}": _mean_bound(ensemble, test, m, "test") for m in FEWER if m < samples},
        "nll_part": _mean_bound(ensemble, part, samples, "part"),
        "single_part": _mean_bound(ensemble, part, 1, "part"),
        "nll_relaxed": _mean_bound(ensemble, part, samples, "part", tau),
        "single_relaxed": _mean_bound(ensemble, part, 1, "part", tau),
    }
    slope, ensemble.model.slope = ensemble.model.slope, None
    if slope is not None:
        figures["nll_unsloped"] = _mean_bound(ensemble, test, samples, "test")
        figures["single_unsloped"] = _mean_bound(ensemble, test, 1, "test")
    ensemble.model.slope = slope
    return [
        {name: float(-value[e]) for name, value in figures.items()}
        for e in range(len(ensemble.configs))
    ]


def _mean_bound(
    ensemble: Ensemble, images: Tensor, samples: int, use: str, tau: Tensor | None = None
) -> Tensor:
    """Mean over images of the m-sample bound, [E], in float64; noise depends on the member's seed
    and the use alone."""
    settings = {} if tau is None else {"tau": tau}
    return mean_bound(
        ensemble.model,
        ensemble.model.bound,
        images,
        samples,
        seeds=ensemble.seeds,
        use=use,
        ndim=ensemble.training.ndim,
        settings=settings,
    )
