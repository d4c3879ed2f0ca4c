"""The figures of a run: bounds on the discrete model, on images that it has not seen."""

from __future__ import annotations

from gsbook.engine.bound import mean_bound
from gsbook.engine.experiment import EvaluationSize
from gsbook.experiments.alphabets.train import Deeper
from gsbook.experiments.table1.evaluate import valid_bound

FEWER = 10  # m of a further figure: which estimator leads may depend on it


def evaluate(trainer: Deeper, size: EvaluationSize, test: bool) -> list[dict]:
    """The figures of a record, per member: `valid_bound`, by which rates are chosen, and where it
    is asked for `test`: "nll", "nll_10" and "single", the negated bounds of m, 10 and one sample
    in nats per image. They are of the model as it was trained: with the slope of annealed ST.
    """
    found = valid_bound(trainer, size.valid_samples)
    figures = test_figures(trainer, size.samples) if test else [None] * len(found)
    return [{"valid_bound": float(b), "test": f} for b, f in zip(found, figures, strict=True)]


def test_figures(trainer: Deeper, samples: int) -> list[dict[str, float]]:
    bounds = {
        name: mean_bound(
            trainer.model,
            trainer.model.bound,
            trainer.data["test"],
            m,
            seeds=trainer.seeds,
            use="test",
            ndim=trainer.training.ndim,
        )
        for name, m in (("nll", samples), ("nll_10", min(FEWER, samples)), ("single", 1))
    }
    return [
        {name: float(-bound[e]) for name, bound in bounds.items()}
        for e in range(len(trainer.configs))
    ]
