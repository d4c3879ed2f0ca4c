"""The figures of a run with a mistake: what its code prints, what the correct model makes of its
weights, and the symptoms."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.engine.bound import mean_bound
from gsbook.engine.experiment import EvaluationSize
from gsbook.experiments.mistakes.train import MistakenEnsemble
from gslib.distributions import Categorical
from gslib.divergences import kl
from gslib.functional import bernoulli_nll, one_hot

LIVE = 0.05  # nats that a unit has to tell of the image, to count as alive
BATCH = 500


def evaluate(ensemble: MistakenEnsemble, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, per member: on validation always, on test where asked for.

    valid: see `validation`. test: "nll", the negated m-sample bound of the correct model, and
    "single", the same with one sample, in nats.
    """
    bounds = {}
    if test:
        bounds = {"nll": _bound(ensemble, size.samples), "single": _bound(ensemble, 1)}
    found = validation(ensemble)
    return [
        {
            "valid": {name: float(value[e]) for name, value in found.items()},
            "test": {name: float(-value[e]) for name, value in bounds.items()} or None,
        }
        for e in range(len(ensemble.configs))
    ]


@torch.no_grad()
def validation(ensemble: MistakenEnsemble) -> dict[str, Tensor]:
    """Figures on the validation images, each [E]; losses are in nats per image.

    printed: what the mistaken code prints there. single: the loss of the correct model with these
    weights, one discrete sample per image, analytic KL. as_trained: the same where q is what the
    mistaken code draws from, for mistakes that are part of the model. relaxed, mean, argmax,
    argmin: what the correct model's loss becomes when it is tested with a relaxed sample, the class
    probabilities, the likeliest or the least likely classes. kl: KL(q || p). entropy: of q. Both
    are sums over units. classes: the effective number of classes of a unit, over all images. units:
    how many units tell `LIVE` nats of the image or more.
    """
    model, lines, images = ensemble.model, ensemble.lines, ensemble.data["valid"]
    tau = torch.tensor([c.tau(ensemble.step) for c in ensemble.configs], device=ensemble.device)
    sums: dict[str, Tensor] = {}
    used = within = torch.zeros(())
    for i, part in enumerate(images.split(BATCH)):
        noise = ensemble.noise("valid", i)
        x = part.float().expand(len(ensemble.configs), -1, -1)
        q, p = lines.read(model, x), model.prior()
        drawn = lines.node(q)
        z = drawn.sample(uniform=noise)
        rules = {
            "single": lambda q, u=noise: q.sample(uniform=u),
            "relaxed": lambda q, u=noise: q.relaxed_sample(tau, uniform=u),
            "mean": lambda q: q.mean,
            "argmax": lambda q: one_hot(q.logits.argmax(-1, keepdim=True), q.logits),
            "argmin": lambda q: one_hot(q.logits.argmin(-1, keepdim=True), q.logits),
        }
        found = {name: model.loss(x, rule) for name, rule in rules.items()} | {
            "as_trained": bernoulli_nll(model.decoder(model.flat(z)), x) + kl(drawn, p).sum(-1),
            "kl": kl(q, p).sum(-1),
            "entropy": q.entropy().sum(-1),
        }
        for name, values in found.items():
            sums[name] = sums.get(name, 0) + values.double().sum(-1) / len(images)
        used = used + q.mean.double().sum(1) / len(images)  # [E, N, K]
        within = within + q.entropy().double().sum(1) / len(images)  # [E, N]
    printed = ensemble.data["grey_valid"] if lines.grey else images
    for i, part in enumerate(printed.split(BATCH)):
        found = ensemble.printed(part, i).double().sum(-1) / len(printed)
        sums["printed"] = sums.get("printed", 0) + found
    between = Categorical(used.log()).entropy()
    return sums | {
        "classes": between.exp().mean(-1),
        "units": (between - within >= LIVE).double().sum(-1),
    }


def _bound(ensemble: MistakenEnsemble, samples: int) -> Tensor:
    return mean_bound(
        ensemble.model,
        ensemble.model.bound,
        ensemble.data["test"],
        samples,
        seeds=ensemble.seeds,
        use="test",
        ndim=ensemble.training.ndim,
    )
