"""Which recorded runs stand for a cell of Table 1, and at which number of steps a whole row is shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from statistics import fmean

from gslib.experiment.config import LEARNING_RATES, TRAINED, Config
from gslib.experiment.evaluate import SAMPLES
from gslib.experiment.records import Records

# What the search and the seeds may change; a run that differs elsewhere prices a choice and is no run of the table.
SEARCHED = ("model", "node", "estimator", "lr", "seed", "steps", "eval_every", "anneal_rate")
STANDARD = {f.name: f.default for f in fields(Config) if f.name not in SEARCHED}
SOURCE = "larochelle-murray"


@dataclass(frozen=True)
class Cell:
    """What stands for a cell at one scale: its final runs by seed, at the learning rate and schedule that validation chose.

    runs: seed -> record; runs that diverged are counted but left out of `values`.
    """

    name: str
    steps: int
    runs: dict[int, dict]

    @property
    def values(self) -> dict[int, float]:
        """The test figure of the cell in nats, by seed."""
        return {seed: run["test"]["nll"] for seed, run in self.runs.items() if run["test"]["nll"] is not None}

    @property
    def diverged(self) -> int:
        return len(self.runs) - len(self.values)


def final(run: dict) -> bool:
    """Whether a record is a finished run of the paper's protocol, evaluated on all test images of its data set."""
    evaluation = run["evaluation"]
    return (run["test"] is not None and run["data"]["source"] == SOURCE
            and evaluation["images"] is None and evaluation["samples"] == SAMPLES
            and run["config"]["lr"] in LEARNING_RATES and standard(run["config"]))


def standard(config: dict) -> bool:
    """Whether a run made the book's choice wherever the paper is silent."""
    return all(config.get(name, default) == default for name, default in STANDARD.items())


def by_steps(records: Records, name: str) -> dict[int, Cell]:
    """The cell at every number of steps that has final runs."""
    groups = defaultdict(lambda: defaultdict(dict))
    for run in records.cell(name).values():
        if final(run):
            config = run["config"]
            groups[config["steps"]][config["lr"], config["anneal_rate"]][config["seed"]] = run
    return {steps: Cell(name, steps, _chosen(list(found.values()))) for steps, found in groups.items()}


def _chosen(groups: list[dict[int, dict]]) -> dict[int, dict]:
    """Of several learning rates and schedules that ran to the end, the best on validation among those with most seeds."""
    def score(group):
        bounds = [run["valid_bound"] for run in group.values()]
        return float("inf") if None in bounds else fmean(bounds)

    most = max(map(len, groups))
    return min((g for g in groups if len(g) == most), key=score)


def row(records: Records, name: str) -> tuple[int | None, dict[str, Cell]]:
    """(steps, estimator -> cell) of a row such as "vae-categorical", all at one number of steps.

    The number at which most cells are finished, the larger one where two tie; None and no cells where none is.
    """
    found = {estimator: by_steps(records, f"{name}-{estimator}") for estimator in TRAINED}
    counts = Counter(steps for cells in found.values() for steps in cells)
    if not counts:
        return None, {}
    steps = max(counts, key=lambda s: (counts[s], s))
    return steps, {estimator: cells[steps] for estimator, cells in found.items() if steps in cells}
