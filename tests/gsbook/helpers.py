"""Toy runs of both tables, small enough to train in a test, and a pool that is this process."""

from concurrent.futures import Executor, Future
from dataclasses import asdict, replace

import torch

from gsbook.data import Labelled
from gsbook.engine.experiment import EvaluationSize
from gsbook.engine.workers import run_stages
from gsbook.experiments import TABLE1, TABLE2
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.evaluate import final_figures, valid_bound
from gsbook.experiments.table1.train import Ensemble
from gsbook.experiments.table2.config import FewLabels
from gslib.functional import stream

NODE_SIZES = {"bernoulli": (4,), "categorical": (2, 3)}
ABOUT = {
    "source": "random",
    "sha256": {"train": "0" * 64, "valid": "1" * 64, "test": "2" * 64},
    "images": None,
}
SIZE = EvaluationSize(samples=3, valid_samples=2)


def digits(pixels=16, train=80, other=32):
    """Random binary images with structure: each is a noisy copy of one of three patterns."""
    generator = stream("digits", pixels)
    patterns = torch.rand(3, pixels, generator=generator) < 0.5
    splits = {}
    for name, n in (("train", train), ("valid", other), ("test", other)):
        flips = torch.rand(n, pixels, generator=generator) < 0.1
        splits[name] = (patterns[torch.randint(3, (n,), generator=generator)] ^ flips).byte()
    return splits


TINY = digits()  # sizes in multiples of 32 numbers: torch rounds what is left over in another way
WIDE = digits(784, train=300)


def bands(n):
    """Images in which a class is a bright band, so that a few steps learn something."""
    labels = torch.arange(n) % 10
    images = torch.zeros(n, 28, 28, dtype=torch.uint8)
    for i, label in enumerate(labels.tolist()):
        images[i, 2 * label : 2 * label + 4] = 230
    return Labelled(images.flatten(1), labels)


LABELLED = {name: bands(n) for name, n in (("train", 300), ("valid", 60), ("test", 60))}


def toy1(data=TINY, about=ABOUT):
    """Table 1 on toy data."""
    return replace(TABLE1, load_data=lambda images: (data, about | {"images": images}))


def toy2(data=LABELLED):
    """Table 2 on toy data."""
    return replace(TABLE2, load_data=lambda images: (data, ABOUT | {"source": "mnist"}))


def config(model="vae", node="bernoulli", estimator="st", lr=1e-2, **changes):
    """A short run of Table 1."""
    short = {"steps": 20, "batch": 8, "eval_every": 10, "anneal_every": 4}
    return Config(model, node, estimator, lr, **short | changes)


def few_labels(method="gumbel_softmax", **changes):
    """A short run of Table 2 with a small network."""
    short = {"alpha": 5.0, "steps": 8, "eval_every": 4, "batch": 20, "labelled_batch": 20}
    return FewLabels(method, **short | {"channels": (2, 3, 3), "style": 2} | changes)


def trained(configs, data=TINY, size=None, steps=None):
    """An ensemble of Table 1, trained to the end."""
    ensemble = Ensemble(configs, data, size=size or NODE_SIZES[configs[0].node])
    for _ in ensemble.advance(steps or configs[0].steps):
        pass
    return ensemble


def all_of(ensemble, e):
    """Everything that a run leaves: state, curve, figures."""
    return (
        ensemble.states()[e],
        vars(ensemble.curves[e]),
        float(valid_bound(ensemble, 5)[e]),
        final_figures(ensemble, 5)[e],
    )


def differing(a: dict, b: dict) -> list[str]:
    """Names of tensors that differ in any bit."""
    assert a.keys() == b.keys()
    return [k for k in a if not torch.equal(a[k], b[k])]


class InThisProcess(Executor):
    """Jobs one after the other, here. ran: the keys of each one's runs; report: for `run_job`."""

    def __init__(self, report=None):
        self.ran, self.report = [], report

    def submit(self, function, experiment, configs, *arguments, report, **options):
        self.ran.append([c.key for c in configs])
        future = Future()
        try:
            result = function(experiment, configs, *arguments, report=self.report, **options)
            future.set_result(result)
        except Exception as error:
            future.set_exception(error)
        return future


def once(configs, test=True):
    """A plan of one stage."""
    yield configs, test


def execute(folder, *plans, experiment=None, name="table1", executor=None, **options):
    """Run plans in this process, with records in folder/name; they are returned."""
    experiment = experiment or toy1()
    records = experiment.records(folder / name)
    options = {"checkpoints": folder / "checkpoints", "device": "cpu", "save_seconds": 0} | options
    executor = executor or InThisProcess()
    run_stages(experiment, [*plans], records, SIZE, executor=executor, **options)
    return records


def without_times(records):
    """All records but for when, and how long, they ran."""
    return [{k: v for k, v in r.items() if k not in ("minutes", "date")} for r in records.all()]


def searched(folder, bounds, cell):
    """Records of Table 1 with a cell's search: (learning rate, anneal rate) -> valid bound."""
    records = TABLE1.records(folder / "table1")
    for (lr, rate), bound in bounds.items():
        c = Config(*cell.split("-"), lr=lr, anneal_rate=rate, steps=20)
        run = {"key": c.key, "cell": cell, "config": c.to_dict(), "valid_bound": bound}
        run |= {"diverged": 10 if bound is None else None, "test": None, "code": {}, "data": ABOUT}
        curve = {"step": [20]} | {name: [bound] for name in ("train", "valid", "test")}
        run |= {"evaluation": asdict(SIZE), "curve": curve}
        records.add([run])
    return records
