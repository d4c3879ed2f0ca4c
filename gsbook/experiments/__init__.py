"""The experiments: one folder and one row each."""

from __future__ import annotations

from gsbook.engine.experiment import Experiment
from gsbook.experiments.alphabets.plan import ALPHABETS
from gsbook.experiments.codes.plan import CODES, FILMS
from gsbook.experiments.later.challenge import CHALLENGE
from gsbook.experiments.later.plan import LATER
from gsbook.experiments.mistakes.plan import MISTAKEN
from gsbook.experiments.poles.plan import POLES
from gsbook.experiments.quantised.plan import QUANTISED
from gsbook.experiments.reading.plan import READING
from gsbook.experiments.table1.choices import CHOICES
from gsbook.experiments.table1.config import CELLS, ROWS
from gsbook.experiments.table1.plan import TABLE1
from gsbook.experiments.table1.readings import READINGS
from gsbook.experiments.table2.causes import CAUSES_OF_TABLE2
from gsbook.experiments.table2.plan import TABLE2
from gsbook.experiments.temperature.plan import TEMPERATURE

ROWS_OF_ALL = (
    *(TABLE1, TABLE2, CHOICES, READINGS, CAUSES_OF_TABLE2),
    *(LATER, CHALLENGE, TEMPERATURE, MISTAKEN, READING, POLES, ALPHABETS),
    *(CODES, FILMS, QUANTISED),
)
EXPERIMENTS = {row.name: row for row in ROWS_OF_ALL}
SPEED = "figure5a"  # nothing is trained to the end, steps are timed: see table2.speed


def target(name: str, only: list[str] | None = None) -> tuple[Experiment, list[str]]:
    """(experiment, cells) that a word on the command line stands for: a table or figure, a row
    ("vae-categorical") or a cell ("vae-categorical-sf"), of another experiment than Table 1 with
    its name before it ("later:vae-categorical"). only: estimators.

    >>> target("vae-bernoulli", ["sf", "st"])[1]
    ['vae-bernoulli-sf', 'vae-bernoulli-st']
    """
    figures = {"figure3": "sbn", "figure4": "vae"}
    whole, _, part = name.partition(":")
    experiment = EXPERIMENTS.get(whole, TABLE1)
    start = part or figures.get(name, name)
    cells = [
        cell
        for cell in experiment.cells
        if name in EXPERIMENTS or cell == start or cell.startswith(f"{start}-")
    ]
    if part and whole not in EXPERIMENTS:
        cells = []
    if not cells:
        known = ", ".join([*EXPERIMENTS, *figures, SPEED])
        raise ValueError(
            f"unknown target {name!r}; choose {known}, a row such as {ROWS[-1]}, or a cell such as "
            f"{CELLS[-1]}"
        )
    if not only:
        return experiment, cells
    if set(experiment.cells) <= set(ROWS):
        raise ValueError(f"the cells of {experiment.name} are whole rows: leave --estimator out")
    known = list(dict.fromkeys(cell.rsplit("-", 1)[-1] for cell in experiment.cells))
    if unknown := sorted(set(only) - set(known)):
        raise ValueError(f"unknown estimator {', '.join(unknown)}; choose from {', '.join(known)}")
    chosen = [cell for cell in cells if cell.rsplit("-", 1)[-1] in only]
    if not chosen:
        raise ValueError(
            f"{name} has no estimator {', '.join(only)}; name the cell or its row alone"
        )
    return experiment, chosen
