"""Records of Table 1 as a runner would have left them, with numbers of a test's choice."""

from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.evaluate import SAMPLES
from gsbook.experiments.table1.results import SOURCE


def record(row, estimator, seed, nll, steps=1000, valid=None, **changes):
    """A final run on all test images; nll None: it diverged."""
    model, node = row.split("-")
    config = Config(model, node, estimator, **{"lr": 1e-3, "seed": seed, "steps": steps, **changes})
    single = None if nll is None else nll + 10
    point = [nll]
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": steps if nll is None else None,
        "valid_bound": nll if valid is None else valid,
        "test": {"nll": nll, "single": single},
        "evaluation": {"images": None, "samples": SAMPLES, "valid_samples": 100},
        "curve": {"step": [steps], "train": point, "valid": point, "test": point},
        "code": {},
        "data": {"source": SOURCE, "sha256": {"train": "0"}},
    }


def part(run, images=500):
    """The record as if evaluated on a part of the images."""
    return run | {"evaluation": run["evaluation"] | {"images": images}}
