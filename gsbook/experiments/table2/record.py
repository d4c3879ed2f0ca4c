"""What a record of Table 2 must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.table2 import train
from gsbook.experiments.table2.config import METHODS, FewLabels
from gsbook.records import Records, check_numbers
from gslib.estimators import ESTIMATORS
from gslib.models import SemiSupervisedVAE


def modules(config: FewLabels) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, the model's, its estimator's and
    that of the exact bound which judges all methods."""
    names = {"exact", METHODS[config.method]} - {None}
    own = SemiSupervisedVAE, *(ESTIMATORS[name].function for name in sorted(names))
    return train.__name__, *(thing.__module__ for thing in own)


def check(run: dict) -> None:
    """Raise ValueError unless a record can be what it says."""
    config = FewLabels(**run["config"])
    if config.key != run["key"] or config.cell != run["cell"]:
        raise ValueError(f"its key is not the one of its config, {config.key}")
    for name in ("valid", "test"):
        figures = run[name]
        if figures is None and name == "test":
            continue
        if not {"elbo", "single", "accuracy"} <= figures.keys():
            raise ValueError(f"{name} lacks one of the figures elbo, single and accuracy")
        check_numbers(figures)
        accuracy = figures["accuracy"]
        if accuracy is None or not 0 <= accuracy <= 100:
            raise ValueError(f"an accuracy on {name} of {accuracy} is no percentage")


def records(folder) -> Records:
    """The records of a folder, each checked when it is read."""
    return Records(folder, check, lambda run: modules(FewLabels(**run["config"])))
