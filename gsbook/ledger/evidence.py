"""What claims are judged by: the records of all experiments, each file read once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gsbook.experiments.table1 import results as table1
from gsbook.experiments.table1.config import CELLS, COLUMNS
from gsbook.experiments.table2 import results as table2
from gsbook.experiments.table2 import speed
from gsbook.experiments.table2.config import METHODS
from gsbook.places import results_folder
from gsbook.records import Records

SCALES = (100_000, 200_000, 500_000)  # numbers of steps that are shown beside each other


@dataclass(frozen=True)
class Evidence:
    """The records in a folder of results, and which figures the chapters have.

    drawn: the labels of the chapters' figures.

    >>> Evidence.of_the_book().scale(["sbn-bernoulli", "vae-categorical"]) >= 100_000
    True
    """

    table1: Records
    table2: Records
    speed: Records
    drawn: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path, drawn: Iterable[str] = ()) -> Evidence:
        """The evidence in a folder such as results/."""
        return cls(
            table1.record.records(folder / "table1"),
            table2.record.records(folder / "table2"),
            speed.records(folder / "speed"),
            frozenset(drawn),
        )

    @classmethod
    def of_the_book(cls, drawn: Iterable[str] = ()) -> Evidence:
        """The book's own records."""
        return cls.of(results_folder(), drawn)

    # --- Table 1

    @cached_property
    def cells(self) -> dict[str, dict[int, table1.Cell]]:
        """Cell of Table 1 -> number of steps -> its final runs."""
        return {name: table1.by_steps(self.table1, name) for name in CELLS}

    def scale(self, rows: Iterable[str]) -> int | None:
        """The number of steps at which rows are compared, see `table1.results.largest_scale`."""
        return table1.largest_scale(self.cells[f"{row}-{c}"] for row in rows for c in COLUMNS)

    def scales(self, row: str) -> list[int]:
        """The numbers of steps at which a row is shown: its own scale, and each of SCALES at which
        all of its cells have final runs."""
        cells = [self.cells[f"{row}-{c}"] for c in COLUMNS]
        known = {steps for steps in SCALES if all(steps in cell for cell in cells)}
        own = self.scale([row])
        return sorted(known | ({own} if own else set()))

    def row(self, name: str, steps: int | None) -> dict[str, table1.Cell]:
        """Estimator -> cell at a number of steps, of those that have final runs there."""
        found = {c: self.cells[f"{name}-{c}"].get(steps) for c in COLUMNS}
        return {estimator: cell for estimator, cell in found.items() if cell}

    # --- Table 2 and Figure 5a

    @cached_property
    def methods(self) -> dict[str, table2.MethodRuns | None]:
        """Method of Table 2 -> the runs that stand for it."""
        return {method: table2.method_runs(self.table2, method) for method in METHODS}

    @cached_property
    def measured(self) -> dict[str, list[dict]]:
        """Cell of the measurements of speed -> its repeats."""
        return {cell: list(self.speed.runs_of(cell).values()) for cell in self.speed.cells()}

    def runs(self, name: str) -> list[dict]:
        """The runs that stand for a method of Table 2, or the repeats of a measurement of speed."""
        if name in METHODS:
            found = self.methods[name]
            return list(found.runs.values()) if found else []
        return self.measured.get(name, [])

    def figure(self, name: str, figure: str) -> dict[int, float]:
        """A test figure by seed or repeat, of those runs that have it."""
        found = {r["config"]["seed"]: (r["test"] or {}).get(figure) for r in self.runs(name)}
        return {
            seed: value
            for seed, value in found.items()
            if value is not None and math.isfinite(value)
        }

    # --- are they of the present code?

    @cached_property
    def _current(self) -> dict[tuple, bool]:
        return {}

    def stale(self, records: Records, runs: Iterable[dict]) -> int:
        """How many of these runs are of code that has changed in what matters since.

        Runs of one code and of the same modules are looked up once.
        """
        count = 0
        for run in runs:
            key = str(records.folder), repr(run["code"]), tuple(records.modules(run))
            if key not in self._current:
                self._current[key] = records.is_current(run)
            count += not self._current[key]
        return count
