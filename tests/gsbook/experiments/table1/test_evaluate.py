"""The figures of a finished run, against enumeration and over all images."""

import copy
import math
from functools import partial

import pytest
import torch
from helpers import NODE_SIZES, TINY, config, trained

from gsbook.experiments.table1 import evaluate
from gsbook.experiments.table1.evaluate import final_figures, valid_bound
from gsbook.experiments.table1.train import Ensemble
from gslib import ESTIMATORS, kl
from gslib.functional import stream

NODES = tuple(NODE_SIZES)


@pytest.mark.parametrize("node", NODES)
def test_final_figures_against_enumeration(node):
    ensemble = trained(
        [config("vae", node, "gumbel_softmax", 3e-2, anneal_rate=0.02, seed=s) for s in (0, 1)]
    )
    model = copy.deepcopy(ensemble.model).double()
    x = TINY["test"].double().expand(2, -1, -1)
    with torch.no_grad():
        losses = ESTIMATORS["exact"](partial(model.loss, x)).mean(
            -1
        )  # the negated bound for m = 1, exactly
        q, p = model.posterior(x), model.prior()
        log_p = torch.stack(
            [p.log_prob(z).sum(-1) - kl_free_nll(model, x, z.expand_as(q.mean)) for z in q.states()]
        )
        exact = -log_p.logsumexp(0).mean(-1)
    figures = final_figures(ensemble, 400)
    for e in (0, 1):
        assert figures[e]["single"] == pytest.approx(losses[e].item(), abs=0.6)
        assert figures[e]["nll"] == pytest.approx(exact[e].item(), abs=0.05)
        assert figures[e]["nll"] < losses[e].item()
        assert figures[e]["nll_part"] == pytest.approx(
            figures[e]["nll"], abs=0.05
        )  # here the part is all of it
        assert figures[e]["nll_relaxed"] != figures[e]["nll_part"]
    assert float(valid_bound(ensemble, 400)[0]) == pytest.approx(figures[0]["nll"], abs=2)


def kl_free_nll(model, x, z):
    """-log p(x|z)."""
    q = model.posterior(x)
    return model.loss(x, lambda _: z) - kl(q, model.prior()).sum(-1)


def test_figures_are_over_all_images_and_the_part_is_no_prefix(monkeypatch):
    data = TINY | {"test": torch.arange(130).unsqueeze(1).expand(130, 16).byte()}
    ensemble = Ensemble(
        [config("vae", "categorical", "gumbel_softmax", anneal_rate=1e-3)] * 2, data, size=(2, 3)
    )
    ensemble.step = 400
    asked = []

    def bound(x, m, *, tau=None, uniform, chunk):
        asked.append(
            (m, None if tau is None else tau.tolist(), x.shape[1], chunk // x.shape[:2].numel())
        )
        return x[..., 0]

    monkeypatch.setattr(ensemble.model, "bound", bound)
    monkeypatch.setattr(evaluate, "RELAXED_IMAGES", 40)
    figures = final_figures(ensemble, 7)
    assert figures[0] == figures[1]
    assert figures[0]["single"] == -129 / 2
    part = figures[0]["single_part"]
    assert part == figures[0]["single_relaxed"]
    assert figures[0]["nll_part"] == figures[0]["nll_relaxed"] == pytest.approx(part, abs=1e-4)
    assert figures[0]["nll"] == pytest.approx(-129 / 2, abs=1e-4)
    assert abs(part) > 39
    tau = pytest.approx([math.exp(-0.4)] * 2)
    assert {m for m, *_ in asked} == {1, 7}
    # Which noise an image is given depends on how many are taken at once.
    assert {(m, n) for m, _, n, _ in asked} == {(1, 500), (7, 50)}
    assert [t for _, t, *_ in asked if t is not None] == [tau] * 2
    whole = 150 + 50  # parts of 50; what fills up the last one is left out of the mean
    assert sum(n for m, t, n, _ in asked if m == 7 and t is None) == whole
    monkeypatch.setattr(ensemble.model, "bound", lambda x, m, **_: x.sum(-1) * m)
    assert valid_bound(ensemble, 3)[0] == pytest.approx(
        -3 * TINY["valid"].float().sum(-1).mean().item()
    )


def test_each_figure_has_its_samples_images_and_noise(monkeypatch):
    """A record's figures can be had again only with the same names of noise and the same part."""
    asked = []

    def mean_bound(model, bound, images, samples, *, use, settings, **_):
        asked.append((images, samples, use, sorted(settings), model.slope is not None))
        return torch.zeros(1)

    monkeypatch.setattr(evaluate, "mean_bound", mean_bound)
    monkeypatch.setattr(evaluate, "RELAXED_IMAGES", 20)
    ensemble = Ensemble([config(estimator="annealed_st", slope_rate=0.5)], TINY, size=(4,))
    valid_bound(ensemble, 3)
    figures = final_figures(ensemble, 50)
    (valid, *found), test = asked, TINY["test"]
    part = test[torch.randperm(len(test), generator=stream("part"))[:20]]
    assert torch.equal(valid[0], TINY["valid"])
    assert valid[1:] == (3, "valid", [], True)
    expected = {
        "nll": (test, 50, "test", [], True),
        "single": (test, 1, "test", [], True),
        "nll_10": (test, 10, "test", [], True),
        "nll_part": (part, 50, "part", [], True),
        "single_part": (part, 1, "part", [], True),
        "nll_relaxed": (part, 50, "part", ["tau"], True),
        "single_relaxed": (part, 1, "part", ["tau"], True),
        "nll_unsloped": (test, 50, "test", [], False),
        "single_unsloped": (test, 1, "test", [], False),
    }
    assert list(figures[0]) == list(expected)
    for (images, *rest), (wanted, *other) in zip(found, expected.values(), strict=True):
        assert torch.equal(images, wanted)
        assert rest == other
    assert ensemble.model.slope is not None, "it is put back"
