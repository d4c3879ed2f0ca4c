"""The figures a finished run is judged by."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.experiments.table1.train import Ensemble
from gslib._checks import unchecked
from gslib.functional import stream

SAMPLES = 1000  # m of the paper
SELECTION_SAMPLES = 100  # m on the validation set, where learning rates are chosen
RELAXED_IMAGES = 2000  # the relaxed bounds cost twice as much and are no cell of the table: a fixed random part will do
ROWS = 1000  # (sample, image) rows of one member in memory at once


def valid_bound(ensemble: Ensemble, samples: int = SELECTION_SAMPLES) -> Tensor:
    """The negated m-sample bound on the validation set in nats, [E]: what a learning rate is chosen by.

    >>> data = dict.fromkeys(("train", "valid", "test"), torch.randint(0, 2, (20, 16), dtype=torch.uint8))
    >>> ensemble = Ensemble([Config("vae", "bernoulli", "st", lr=r) for r in (1e-3, 1e-4)], data, size=[4])
    >>> valid_bound(ensemble, samples=5).shape
    torch.Size([2])
    """
    return -_mean_bound(ensemble, ensemble.data["valid"], samples, "valid")


def final_figures(ensemble: Ensemble, samples: int = SAMPLES) -> list[dict[str, float]]:
    """Per member, the test figures of a finished run in nats, lower is better.

    nll: negated m-sample bound with discrete samples on the whole test set, the cell of Table 1.
    single: the same with one sample (for the SBN, the mean of logs).
    nll_relaxed, single_relaxed: with relaxed samples at the temperature that training ended with, on a fixed random part
    of the test set, beside nll_part and single_part, the discrete figures on the same part. For the VAE the relaxed ones
    hold concrete densities; they bound no discrete model.

    >>> data = dict.fromkeys(("train", "valid", "test"), torch.randint(0, 2, (20, 16), dtype=torch.uint8))
    >>> ensemble = Ensemble([Config("vae", "bernoulli", "st", lr=1e-3)], data, size=(4,))
    >>> list(final_figures(ensemble, samples=5)[0])
    ['nll', 'single', 'nll_part', 'single_part', 'nll_relaxed', 'single_relaxed']
    """
    test = ensemble.data["test"]
    part = test[
        torch.randperm(len(test), generator=stream("part"))[:RELAXED_IMAGES].to(test.device)
    ]
    tau = torch.tensor([c.tau(ensemble.step) for c in ensemble.configs], device=ensemble.device)
    figures = {
        "nll": _mean_bound(ensemble, test, samples, "test"),
        "single": _mean_bound(ensemble, test, 1, "test"),
        "nll_part": _mean_bound(ensemble, part, samples, "part"),
        "single_part": _mean_bound(ensemble, part, 1, "part"),
        "nll_relaxed": _mean_bound(ensemble, part, samples, "part", tau),
        "single_relaxed": _mean_bound(ensemble, part, 1, "part", tau),
    }
    return [
        {name: float(-value[e]) for name, value in figures.items()}
        for e in range(len(ensemble.configs))
    ]


def _mean_bound(
    ensemble: Ensemble, images: Tensor, samples: int, use: str, tau: Tensor | None = None
) -> Tensor:
    """Mean over images of the m-sample bound, [E], in float64; noise depends on the member's seed and the use alone."""
    members = len(ensemble.configs)
    total = torch.zeros(members, dtype=torch.float64, device=ensemble.device)
    with unchecked(), torch.no_grad():
        for i, part in enumerate(images.split(50 if samples > 1 else 500)):
            x = part.float().expand(members, -1, -1)
            # Rows per member stay the same whatever the ensemble's size, and so do the draws.
            bound = ensemble.model.bound(
                x, samples, tau=tau, uniform=ensemble.noise(use, i), chunk=ROWS * members
            )
            total += bound.double().sum(-1)
    return total / len(images)
