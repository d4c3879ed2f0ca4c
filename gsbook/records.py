"""Records: one line of JSON per run, written here and nowhere else, and read back as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

from gsbook import files
from gsbook.code import code_of

EQUIVALENT = "equivalent_code.json"  # in the results folder, see `Records.changed`


class Records:
    """The runs of one folder of results, a file of JSON lines per cell, sorted by key so that
    differences are readable.

    Args:
        folder: such as results/table1. It need not exist.
        check: raises ValueError on a run that is no valid one of its experiment.
        modules: run -> the modules that decide its numbers, see `gsbook.code.code_of`.

    >>> records = Records("results/mine")
    >>> records.add([{"key": "toy_steps=5", "cell": "toy", "code": {}, "config": {}}])
    >>> list(records.runs_of("toy"))
    ['toy_steps=5']
    """

    def __init__(
        self,
        folder: str | Path,
        check: Callable[[dict], None] | None = None,
        modules: Callable[[dict], Iterable[str]] | None = None,
    ):
        self.folder, self.check, self.modules = Path(folder), check, modules

    def path(self, cell: str) -> Path:
        return self.folder / f"{cell}.jsonl"

    def runs_of(self, cell: str) -> dict[str, dict]:
        """The finished runs of a cell, by key.

        Raises:
            ValueError: a line that is no valid record; it names file, line and remedy.
        """
        path = self.path(cell)
        if not path.exists():
            return {}
        runs: dict[str, dict] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                run = json.loads(line)
                check_record(run, cell)
                if run["key"] in runs:
                    raise ValueError(f"the key {run['key']} stands twice")
                if self.check is not None:
                    self.check(run)
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} line {number} is no record ({error!s}); restore the file from version "
                    "control, or delete the line and run its config again"
                ) from None
            runs[run["key"]] = run
        return runs

    def add(self, runs: list[dict]) -> None:
        """Write finished runs, replacing those of the same key; safe beside other writers."""
        for cell in {run["cell"] for run in runs}:
            with files.lock(self.path(cell)):
                new = {run["key"]: run for run in runs if run["cell"] == cell}
                merged = self.runs_of(cell) | new
                lines = [json.dumps(merged[key], allow_nan=False) for key in sorted(merged)]
                files.write(self.path(cell), ("\n".join(lines) + "\n").encode())

    def cells(self) -> list[str]:
        """The cells that have a file here, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.jsonl"))

    def all(self) -> list[dict]:
        """Every run of the folder."""
        return [run for cell in self.cells() for run in self.runs_of(cell).values()]

    def frame(self):
        """A pandas DataFrame, a row per run: config, test figures, valid_bound, code, minutes and
        the curve (a dict)."""
        import pandas as pd

        rows = []
        for run in self.all():
            rest = {k: v for k, v in run.items() if k not in ("config", "test")}
            rows.append({**run["config"], **(run["test"] or {}), **rest})
        return pd.DataFrame(rows)

    # --- is it of the present code?

    def changed(self, run: dict) -> list[str]:
        """The modules whose code has changed in what matters since the run, sorted.

        results/equivalent_code.json holds what is known to give equal numbers, each with its
        reason: "runs", a hash of old records -> the modules' hashes it equals; "modules", a
        module's old hash -> the newer hash it equals. An equivalence has two ends, and counts
        only while it leads to the present code.
        """
        if self.modules is None:
            raise ValueError(f"{self.folder} was opened without `modules`, which code decides runs")
        then = run["code"]
        if isinstance(then, str):
            then = self.equivalent().get("runs", {}).get(then, {}).get("equals", {})
        now = code_of(self.modules(run))
        return [name for name in now if not self._same(name, then.get(name), now[name])]

    def is_current(self, run: dict) -> bool:
        """Whether the run's numbers are those of the present code."""
        return not self.changed(run)

    def stale_keys(self) -> list[str]:
        """Keys of the runs that the present code would not give again."""
        return [run["key"] for run in self.all() if not self.is_current(run)]

    def equivalent(self) -> dict[str, dict]:
        path = self.folder.parent / EQUIVALENT
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _same(self, module: str, then: str | None, now: str) -> bool:
        known, seen = self.equivalent().get("modules", {}).get(module, {}), set()
        while then != now and then in known and then not in seen:
            seen.add(then)
            then = known[then]["equals"]
        return then == now


def check_record(run: dict, cell: str) -> None:
    """Raise ValueError unless a line has what every record has."""
    if not isinstance(run, dict):
        raise ValueError(f"a record is a JSON object, this is {run!r:.60}")
    for name, kind in (("key", str), ("cell", str), ("config", dict), ("code", (str, dict))):
        if not isinstance(run[name], kind):
            raise ValueError(f"{name} is {run[name]!r:.60}")
    if run["cell"] != cell:
        raise ValueError(f"it belongs to the cell {run['cell']!r}")


def check_numbers(figures: dict, lowest: float = -math.inf) -> None:
    """Raise ValueError unless every figure is a finite number of at least `lowest`, or None.

    >>> check_numbers({"nll": "61.5"})
    Traceback (most recent call last):
    ValueError: nll is '61.5', which is no finite number
    """
    for name, value in figures.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value)):
            raise ValueError(f"{name} is {value!r}, which is no finite number")
        if value < lowest:
            raise ValueError(f"{name} is {value}, below {lowest}")
