"""The relaxed densities: they integrate to one, and samples follow them."""

import itertools

import numpy as np
import pytest
import torch
from nodes import LOGITS, N, logit_grid, tensor
from scipy import stats

from gslib import Bernoulli, Categorical

# --- densities ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0, 10.0])
def test_the_density_of_one_binary_unit_integrates_to_one(tau):
    ell = logit_grid(tau)  # dy = y (1 - y) d logit
    log_density = Bernoulli(LOGITS[:1]).relaxed_log_prob(ell.unsqueeze(-1), tau).squeeze(-1)
    jacobian = torch.nn.functional.logsigmoid(ell) + torch.nn.functional.logsigmoid(-ell)
    assert torch.trapezoid((log_density + jacobian).exp(), ell).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0, 10.0])
def test_the_density_of_two_classes_integrates_to_one(tau):
    ell = logit_grid(tau)
    log_y = torch.stack(
        [torch.nn.functional.logsigmoid(ell), torch.nn.functional.logsigmoid(-ell)], -1
    )
    log_density = (
        Categorical(LOGITS[None, :2]).relaxed_log_prob(log_y.unsqueeze(-2), tau).squeeze(-1)
    )
    assert torch.trapezoid((log_density + log_y.sum(-1)).exp(), ell).item() == pytest.approx(
        1, abs=1e-6
    )


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.0])
def test_the_density_of_three_classes_integrates_to_one(tau):
    a = (
        torch.linspace(-40, 40, 801, dtype=torch.float64) / tau
    )  # y = softmax(a, b, 0), dy1 dy2 = y1 y2 y3 da db
    a, b = torch.meshgrid(a, a, indexing="ij")
    log_y = torch.stack([a, b, torch.zeros_like(a)], -1).log_softmax(-1)
    density = (
        Categorical(LOGITS[None]).relaxed_log_prob(log_y.unsqueeze(-2), tau).squeeze(-1)
        + log_y.sum(-1)
    ).exp()
    inner = torch.trapezoid(density, b, dim=1)
    assert torch.trapezoid(inner, a[:, 0]).item() == pytest.approx(1, abs=1e-4)


def bin_probabilities(log_density, edges, points=401):
    """Integral of a density in y over each cell between the edges, by Simpson's rule."""
    cells = []
    for lower, upper in itertools.pairwise(edges):
        y = torch.linspace(lower, upper, points, dtype=torch.float64)
        weights = torch.ones(points, dtype=torch.float64)
        weights[1:-1:2], weights[2:-1:2] = 4, 2
        cells.append(
            (log_density(y).exp() * weights).sum().item() * (upper - lower) / (points - 1) / 3
        )
    return np.array(cells)


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("kind", ["bernoulli", "categorical"])
def test_histograms_of_samples_follow_the_density(kind, tau):
    edges = np.linspace(0.02, 0.98, 25)
    if kind == "bernoulli":
        q = Bernoulli(LOGITS[:1])
        y = Bernoulli(LOGITS[:1].expand(N, 1)).relaxed_sample(tau).squeeze(-1)
        expected = bin_probabilities(
            lambda y: q.relaxed_log_prob(y.logit().unsqueeze(-1), tau).squeeze(-1), edges
        )
    else:
        q = Categorical(LOGITS[None, :2])
        y = Categorical(LOGITS[:2].expand(N, 1, 2)).relaxed_sample(tau)[:, 0, 0]
        expected = bin_probabilities(
            lambda y: q.relaxed_log_prob(
                torch.stack([y, 1 - y], -1).log().unsqueeze(-2), tau
            ).squeeze(-1),
            edges,
        )
    observed = np.histogram(y.numpy(), edges)[0]
    observed, expected = (
        np.append(observed, N - observed.sum()),
        np.append(expected, 1 - expected.sum()),
    )
    assert stats.chisquare(observed, expected * N).pvalue > 1e-3


def test_a_two_dimensional_histogram_follows_the_density():
    tau, edges = 1.0, np.linspace(0.05, 0.65, 7)
    y = Categorical(LOGITS.expand(N, 1, 3)).relaxed_sample(tau)[:, 0]
    observed = np.histogram2d(y[:, 0].numpy(), y[:, 1].numpy(), [edges, edges])[0]
    middle = torch.linspace(0.05, 0.65, 6 * 50 + 1, dtype=torch.float64)
    middle = (middle[1:] + middle[:-1]) / 2
    a, b = torch.meshgrid(middle, middle, indexing="ij")
    inside = a + b < 1
    log_y = torch.stack([a, b, (1 - a - b).clamp(min=1e-12)], -1).log().unsqueeze(-2)
    density = Categorical(LOGITS[None]).relaxed_log_prob(log_y, tau).squeeze(-1).exp() * inside
    cells = density.reshape(6, 50, 6, 50).sum((1, 3)).numpy() * 0.002**2
    whole = [
        (i, j) for i in range(6) for j in range(6) if edges[i + 1] + edges[j + 1] <= 1 + 1e-9
    ]  # off the border
    seen, expected = (np.array([grid[c] for c in whole]) for grid in (observed, cells * N))
    seen, expected = np.append(seen, N - seen.sum()), np.append(expected, N - expected.sum())
    assert stats.chisquare(seen, expected).pvalue > 1e-3


def test_with_two_classes_both_densities_are_one():
    a, ell = tensor(0.7, -1.3), tensor(0.4, -2.0)
    log_y = torch.stack(
        [torch.nn.functional.logsigmoid(ell), torch.nn.functional.logsigmoid(-ell)], -1
    )
    pair = Categorical(torch.stack([a, torch.zeros_like(a)], -1))
    torch.testing.assert_close(
        Bernoulli(a).relaxed_log_prob(ell, 0.6), pair.relaxed_log_prob(log_y, 0.6)
    )
