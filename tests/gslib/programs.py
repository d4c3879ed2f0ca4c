"""Small programs and two oracles that share no code with the estimators: brute force, and exact
averages of estimates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gslib import Bernoulli, Categorical


def tensor(*values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Case(NamedTuple):
    """A program as a function of its parameters, which may have any leading axes."""

    parameters: list[Tensor]
    build: Callable

    def members(self, ensemble: int | None) -> list[Tensor]:
        """The parameters, or those of an ensemble with different ones, [E, ...]."""
        if ensemble is None:
            return self.parameters
        return [
            torch.stack([p * (1 + 0.4 * e) - 0.1 * e for e in range(ensemble)])
            for p in self.parameters
        ]

    def node(self, change) -> Case:
        """The same program with every node q replaced by change(q)."""
        return Case(
            self.parameters, lambda *p: lambda sample: self.build(*p)(lambda q: sample(change(q)))
        )


def _dot(x: Tensor, weights: Tensor) -> Tensor:
    return (x.unsqueeze(-1) * weights).sum(-2)  # [..., D], [..., D, H] -> [..., H]


def _loss(s: Tensor) -> Tensor:
    """Neither linear nor quadratic, so that every bias shows."""
    return (s - 0.3) ** 3 + 0.5 * s


def _bernoulli_2(theta, weights, v):
    def program(sample):
        z = sample(Bernoulli(theta))
        return _loss((sample(Bernoulli(_dot(z, weights) - 0.2)) * v).sum(-1) + 0.4 * z[..., 0])

    return program


def _categorical_2(theta, weights, v):
    def program(sample):
        z = sample(Categorical(theta.unsqueeze(-2)))[..., 0, :]
        return _loss(
            (sample(Categorical(_dot(z, weights).unflatten(-1, (2, 3)))) * v).sum((-2, -1))
        )

    return program


def _mixed(theta, weights):
    def program(sample):
        z = sample(Bernoulli(theta))
        h = sample(Categorical(_dot(z, weights).unsqueeze(-2)))[..., 0, :]
        return _loss(h[..., 0] - 0.7 * h[..., 1] + z.prod(-1))

    return program


V = tensor([0.9, -0.3, 0.2], [0.3, 0.7, -0.8])
W = tensor([0.8, -1.1, 0.4], [-0.5, 1.3, 0.2], [0.3, -0.6, 0.9])
THETA = tensor(0.4, -0.7, 1.1)
CASES = {
    "bernoulli": Case(
        [THETA, W[1]], lambda theta, v: lambda sample: _loss((sample(Bernoulli(theta)) * v).sum(-1))
    ),
    "categorical": Case(
        [W[:2], V],
        lambda theta, v: lambda sample: _loss((sample(Categorical(theta)) * v).sum((-2, -1))),
    ),
    "bernoulli, two layers": Case([THETA[:2], W[:2, :2], THETA[1:]], _bernoulli_2),
    "categorical, two layers": Case([THETA, torch.cat([W, W.flip(0)], -1), V], _categorical_2),
    "bernoulli over categorical": Case([THETA[:2], W[:2]], _mixed),
}


def on_states(states):
    """A sampler that hands out these states in order, and the list of the nodes that asked for
    them.
    """
    nodes, remaining = [], iter(states)

    def sample(q):
        nodes.append(q)
        return next(remaining)

    return sample, nodes


def all_states(case: Case) -> list[tuple[Tensor, ...]]:
    """Every joint state, as one tensor per node."""
    per_node: list[list[Tensor]] = []

    def sample(q):
        if isinstance(q, Bernoulli):
            per_node.append(
                [tensor(*bits) for bits in itertools.product((0.0, 1.0), repeat=q.logits.shape[-1])]
            )
        else:
            n, k = q.logits.shape[-2:]
            per_node.append(
                [torch.eye(k).double()[list(c)] for c in itertools.product(range(k), repeat=n)]
            )
        return per_node[-1][0]

    case.build(*case.parameters)(sample)
    return list(itertools.product(*per_node))


def probability(nodes, states) -> Tensor:
    """q(z) of a joint state, straight from the definition: [...]."""
    total = 1.0
    for q, z in zip(nodes, states, strict=True):
        if isinstance(q, Bernoulli):
            p = q.logits.sigmoid()
            total = total * (p * z + (1 - p) * (1 - z)).prod(-1)
        else:
            total = total * (q.logits.softmax(-1) * z).sum(-1).prod(-1)
    return total


def brute_force(case: Case, parameters: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The exact expected loss and its exact gradient, state by state, for one set of parameters."""
    leaves = [p.clone().requires_grad_() for p in parameters or case.parameters]
    total = 0.0
    for states in all_states(case):
        sample, nodes = on_states(states)
        loss = case.build(*leaves)(sample)
        total = total + probability(nodes, states) * loss
    return total.detach(), flat(torch.autograd.grad(total, leaves), 0)


def flat(gradients, lead: int) -> Tensor:
    return torch.cat([g.reshape(*g.shape[:lead], -1) for g in gradients], -1)


def member(parameters: list[Tensor], e: int) -> list[Tensor]:
    return [p[e] for p in parameters]


def exact_gradients(case: Case, ensemble: int | None) -> Tensor:
    """[P], or [E, P]."""
    parameters = case.members(ensemble)
    if ensemble is None:
        return brute_force(case)[1]
    return torch.stack([brute_force(case, member(parameters, e))[1] for e in range(ensemble)])


def per_sample(
    estimator, case: Case, samples: int, ensemble: int | None = None, **hyperparameters
) -> tuple[Tensor, Tensor]:
    """Surrogates [*E, S] and their gradients for each sample's own copy of the parameters,
    [*E, S, P].
    """
    axis = 0 if ensemble is None else 1
    copies = []
    for p in case.members(ensemble):
        shape = (*p.shape[:axis], samples, *p.shape[axis:])
        copies.append(p.unsqueeze(axis).expand(shape).clone().requires_grad_())
    surrogate = estimator(case.build(*copies), **hyperparameters)
    assert surrogate.shape == copies[0].shape[: axis + 1]
    gradients = torch.autograd.grad(
        surrogate.sum(), copies, allow_unused=True, materialize_grads=True
    )
    return surrogate.detach(), flat(gradients, axis + 1)


def expected_estimate(
    estimator, case: Case, ensemble: int | None = None, **hyperparameters
) -> Tensor:
    """The estimator's expected gradient without sampling error: one sample per joint state,
    weighted by q(z). [*E, P].

    The noise u = z forces the sample z: 1 switches a unit on and lets a class win, 0 does the
    opposite. So this is for estimators whose gradient depends on the noise through z alone.
    """
    states = [
        torch.stack(node) for node in zip(*all_states(case), strict=True)
    ]  # per node [S, N(, K)]
    noise = iter(states)
    hyperparameters["uniform"] = lambda t: next(noise).expand(t.shape)
    _, gradients = per_sample(estimator, case, len(states[0]), ensemble, **hyperparameters)
    sample, nodes = on_states(states)
    axis = 0 if ensemble is None else 1
    case.build(*[p.unsqueeze(axis) for p in case.members(ensemble)])(sample)
    return (probability(nodes, states).unsqueeze(-1) * gradients).sum(-2)


def z_scores(gradients: Tensor, target: Tensor) -> Tensor:
    """Deviation of the mean over samples from the target, in its standard errors; rounding counts
    as nothing. [*E, P].
    """
    standard_error = gradients.std(-2) / math.sqrt(gradients.shape[-2])
    return (gradients.mean(-2) - target).abs() / (standard_error + 1e-10)
