"""What a record of Table 2 must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.table2 import train
from gsbook.experiments.table2.config import METHODS, FewLabels
from gsbook.records import check_numbers, check_run, is_count, opener, read_config
from gslib.estimators import ESTIMATORS
from gslib.models import SemiSupervisedVAE

FIGURES = ("elbo", "single", "accuracy")


def modules(config: FewLabels) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, the model's, its estimator's and
    that of the exact bound which judges all methods."""
    names = {"exact", METHODS[config.method]} - {None}
    own = SemiSupervisedVAE, *(ESTIMATORS[name].function for name in sorted(names))
    return train.__name__, *(thing.__module__ for thing in own)


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    channels = run["config"]["channels"]
    if len(channels) != 3 or not all(map(is_count, channels)):
        raise ValueError(f"channels of its config are {channels!r:.60}, which are no three widths")
    config = read_config(FewLabels, run["config"])
    check_run(run, config, FIGURES)
    generative = METHODS[config.method] is not None
    for split in ("valid", "test"):
        figures = run[split]
        if figures is None and split == "test":
            continue
        check_numbers(figures)
        if figures["accuracy"] is None or not 0 <= figures["accuracy"] <= 100:
            raise ValueError(f"an accuracy on {split} of {figures['accuracy']} is no percentage")
        for name in ("elbo", "single"):  # log-probabilities of binary pixels
            if figures[name] is None and generative and run["diverged"] is None:
                raise ValueError(f"{name} on {split} is null, and yet it did not diverge")
            if figures[name] is not None and figures[name] > 0:
                raise ValueError(f"{name} on {split} is {figures[name]}, above 0")


records = opener(FewLabels, check, modules)
