"""What is measured at the end of a run: bounds, the gap of the relaxation, the gradient's bias and
noise, and what its posterior looks like."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsbook.engine.bound import mean_bound
from gsbook.experiments.temperature.train import Ensemble
from gslib.distributions import Categorical
from gslib.divergences import kl
from gslib.functional import bernoulli_nll

FEWER = (10, 100)  # m of further bounds
LIVE = 0.01  # nats of KL, on average over images, from which a unit counts as live
IMAGES, DRAWS, STATES = 20, 400, 25  # of the measurement of gradients


def bound(ensemble: Ensemble, split: str, samples: int) -> Tensor:
    """The negated m-sample bound with discrete samples in nats, [E].

    >>> from gsbook.experiments.temperature.config import Config
    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> ensemble = Ensemble([Config(batch=10)], data, size=(4, 3), mode="eager")
    >>> bound(ensemble, "valid", samples=5).shape
    torch.Size([1])
    """
    model, images = ensemble.model, ensemble.data[split]
    options = dict(seeds=ensemble.seeds, use=split, ndim=ensemble.training.ndim)
    return -mean_bound(model, model.bound, images, samples, **options)


def figures(ensemble: Ensemble, samples: int) -> list[dict[str, float]]:
    """Per member, the test figures of a finished run.

    nll, single, nll_10, nll_100: negated bounds with `samples`, 1, 10 and 100 discrete samples.
    loss, loss_trained: the training loss (analytic KL) on test images with discrete samples and
    with those of the forward pass, same noise; loss - loss_trained is what the relaxation hides.
    What `gradients`, `posterior` and `temperatures` say. Nats, where it is not a count or a ratio.

    >>> from gsbook.experiments.temperature.config import Config
    >>> images = torch.randint(0, 2, (20, 16), dtype=torch.uint8)
    >>> data = dict.fromkeys(("train", "valid", "test"), images)
    >>> ensemble = Ensemble([Config(batch=10)], data, size=(4, 3), mode="eager")
    >>> list(figures(ensemble, samples=5)[0])[:2]
    ['nll', 'single']
    """
    found = {"nll": bound(ensemble, "test", samples), "single": bound(ensemble, "test", 1)}
    found |= {f"nll_{m}": bound(ensemble, "test", m) for m in FEWER if m < samples}
    found |= gap(ensemble) | posterior(ensemble) | temperatures(ensemble)
    found |= gradients(ensemble, draws=min(DRAWS, samples), states=min(STATES, samples))
    members = range(len(ensemble.configs))
    return [{name: float(value[e]) for name, value in found.items()} for e in members]


@torch.no_grad()
def gap(ensemble: Ensemble, batch: int = 500) -> dict[str, Tensor]:
    """The loss of test images with discrete samples, and with those of the forward pass, [E]."""
    images, tau = ensemble.data["test"], ensemble.tau()
    hard = ensemble.first.estimator == "st_gumbel_softmax"
    totals = {"loss": 0.0, "loss_trained": 0.0}
    for i, part in enumerate(images.split(batch)):
        x = part.float().expand(len(ensemble.configs), -1, -1)
        for name, relaxed in (("loss", False), ("loss_trained", not hard)):
            u = ensemble.noise("gap", i)

            def draw(q, u=u, relaxed=relaxed):
                return q.relaxed_sample(tau, uniform=u) if relaxed else q.sample(uniform=u)

            totals[name] = totals[name] + ensemble.model.loss(x, draw).double().sum(-1)
    return {name: total / len(images) for name, total in totals.items()}


def gradients(
    ensemble: Ensemble, images: int = IMAGES, draws: int = DRAWS, states: int = STATES
) -> dict[str, Tensor]:
    """The reconstruction's gradient in the posterior's logits, beside its expectation, over some
    test images, each [E].

    bias: |mean - exact| / |exact|. cosine of the mean and the exact one. noise: standard deviation
    of one draw / |exact|; a mean of n draws has 1 / sqrt(n) of it. The mean is over `draws`, and
    its own error is taken out of the bias.
    """
    members = range(len(ensemble.configs))
    draws = max(2, draws // max(1, ensemble.first.draws))  # Gumbel-Rao makes many of each
    x = ensemble.data["test"][:images].float().expand(len(members), -1, -1)  # [E, B, D]
    with torch.no_grad():
        logits = ensemble.model.posterior(x).logits  # [E, B, N, K]
    exact, spread = local_expectation(ensemble, x, logits, states)
    leaf = logits.expand(draws, *logits.shape).clone().requires_grad_()

    def program(sample):
        z = ensemble.model.flat(sample(Categorical(leaf)))
        return bernoulli_nll(ensemble.model.decoder(z), x)

    options = dict(tau=ensemble.tau().unsqueeze(0), uniform=ensemble.noise("gradient"))
    value = ensemble.reconstruction(program, **options)
    (slopes,) = torch.autograd.grad(value.sum(), leaf)
    mean, noise = slopes.mean(0), total(slopes.var(0))
    # The square of a mean of few draws holds their variance: it is taken out.
    size = total(exact**2) - total(spread)
    length = total(mean**2) - noise / draws
    bias = total((mean - exact) ** 2) - noise / draws - total(spread)
    return {
        "bias": (bias.clamp(min=0) / size).sqrt(),
        "cosine": total(mean * exact) / (size * length).sqrt(),
        "noise": (noise / size).sqrt(),
    }


def total(x: Tensor) -> Tensor:
    """The sum of each member's numbers, [E, ...] -> [E]."""
    return x.double().flatten(1).sum(-1)


@torch.no_grad()
def local_expectation(
    ensemble: Ensemble, x: Tensor, logits: Tensor, states: int
) -> tuple[Tensor, Tensor]:
    """The gradient of E_q[-log p(x|z)] in the logits [E, B, N, K], and the variance of that mean.

    For each unit all K classes are tried, the other units at a sample of theirs; the mean is over
    `states` samples. The decoder is linear, so another class of a unit adds a difference of two of
    its rows.

    Source: Titsias, Lázaro-Gredilla 2015 (arXiv:1503.01494), local expectation gradients.
    """
    model, q = ensemble.model, Categorical(logits)
    units, classes = model.size
    rows = model.decoder.weight.unflatten(-2, (units, classes))  # [E, N, K, D]
    sums, squares = 0.0, 0.0
    for part in range(states):
        z = q.sample(uniform=ensemble.noise("local expectation", part))
        pixels = model.decoder(model.flat(z))  # [E, B, D]
        losses = []
        for i in range(units):
            own = torch.einsum("ebk,ekd->ebd", z[..., i, :], rows[:, i])
            # [E, B, K, D]
            tried = (pixels - own).unsqueeze(-2) + rows[:, i].unsqueeze(1)
            losses.append(bernoulli_nll(tried, x.unsqueeze(-2)))
        f = torch.stack(losses, -2)  # [E, B, N, K]
        slope = q.mean * (f - (q.mean * f).sum(-1, keepdim=True))
        sums, squares = sums + slope, squares + slope**2
    mean = sums / states
    return mean, (squares / states - mean**2).clamp(min=0) / (states - 1)


@torch.no_grad()
def posterior(ensemble: Ensemble) -> dict[str, Tensor]:
    """What the posteriors of test images look like, each [E]: entropy in nats per unit; live units;
    KL in nats, all units together; classes in use, exp(entropy of the average posterior) per
    unit."""
    x = ensemble.data["test"].float().expand(len(ensemble.configs), -1, -1)
    q, p = ensemble.model.posterior(x), ensemble.model.prior()
    per_unit = kl(q, p).mean(1)  # [E, N]
    average = Categorical(q.mean.mean(1).log())
    return {
        "entropy": q.entropy().mean((1, 2)),
        "live": (per_unit > LIVE).sum(-1),
        "kl": per_unit.sum(-1),
        "classes": average.entropy().exp().mean(-1),
    }


def temperatures(ensemble: Ensemble) -> dict[str, Tensor]:
    """The geometric mean, the lowest and the highest temperature at the end, each [E]."""
    tau = ensemble.tau().flatten(1)
    return {
        "tau": tau.log().mean(-1).exp(),
        "tau_lowest": tau.amin(-1),
        "tau_highest": tau.amax(-1),
    }


def score(record: dict) -> float | None:
    """What settings are ranked by: the bound on validation in nats, lower is better."""
    value = record["valid_bound"]
    return None if value is None or not math.isfinite(value) else value
