"""The kinds of claim, a class each: what it states, and how the records decide it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from gsbook import verdicts
from gsbook.claims import paper, titles
from gsbook.experiments.table1.config import COLUMNS
from gsbook.experiments.table1.results import assess_cell
from gsbook.intervals import seed_correlation
from gsbook.ledger.claim import Claim, Judged
from gsbook.ledger.evidence import Evidence
from gsbook.verdicts import NOT_RUN
from gslib.estimators import ESTIMATORS

# --- numbers


@dataclass(frozen=True, kw_only=True)
class Number(Claim):
    """A number of the paper: `figure` of the runs of `cell` should be `value`."""

    value: float
    unit: str
    cell: str
    figure: str

    def judge(self, evidence: Evidence) -> Judged:
        records, runs = getattr(evidence, self.folder), evidence.runs(self.cell)
        values = evidence.figure(self.cell, self.figure).values()
        found = verdicts.assess(values, self.value, self.decide)
        return Judged(
            self, found.verdict, found.equivalence, found.ours, stale=evidence.stale(records, runs)
        )

    @property
    def folder(self) -> str:
        return self.records.removeprefix("results/")


@dataclass(frozen=True, kw_only=True)
class Cell(Number):
    """A cell of Table 1, in nats."""

    kind = "cell"
    rules = (verdicts.cell_verdict,)

    @property
    def row(self) -> str:
        return self.cell.rpartition("-")[0]

    def judge(self, evidence: Evidence) -> Judged:
        return self.judge_at(evidence, evidence.scale([self.row]))

    def judge_at(self, evidence: Evidence, steps: int | None) -> Judged:
        """The verdict at one number of steps."""
        cell = evidence.cells[self.cell].get(steps)
        found = assess_cell(cell, self.value)
        stale = evidence.stale(evidence.table1, cell.runs.values()) if cell else 0
        return Judged(
            self, found.verdict, found.equivalence, found.ours, steps, found.diverged, stale
        )


@dataclass(frozen=True, kw_only=True)
class Bound(Number):
    """A bound of Table 2, in nats, higher is better."""

    kind = "bound"
    rules = (verdicts.bound_verdict,)


@dataclass(frozen=True, kw_only=True)
class Accuracy(Number):
    """An accuracy of Table 2, in per cent."""

    kind = "accuracy"
    rules = (verdicts.accuracy_verdict,)


@dataclass(frozen=True, kw_only=True)
class Speed(Number):
    """How many times as fast a step of one method is as that of another."""

    kind = "speed"
    rules = (verdicts.speed_verdict,)


# --- statements


@dataclass(frozen=True, kw_only=True)
class Growth(Claim):
    """Each cell's figure is larger than that of the cell before it."""

    kind = "growth"
    rules = (verdicts.claim_verdict,)
    cells: tuple[str, ...]
    figure: str

    def judge(self, evidence: Evidence) -> Judged:
        found = [list(evidence.figure(cell, self.figure).values()) for cell in self.cells]
        if not all(found):
            return Judged(self, NOT_RUN)
        steps = [verdicts.order_verdict(a, b) for a, b in pairwise(found)]
        return Judged(self, self.decide(steps))


@dataclass(frozen=True, kw_only=True)
class Closeness(Claim):
    """The figure is about the same in all cells."""

    kind = "closeness"
    rules = (verdicts.close_verdict,)
    cells: tuple[str, ...]
    figure: str

    def judge(self, evidence: Evidence) -> Judged:
        found = [evidence.figure(cell, self.figure) for cell in self.cells]
        if not all(found):
            return Judged(self, NOT_RUN)
        verdict = self.decide([list(values.values()) for values in found])
        return Judged(self, verdict, details=_correlation([seed_correlation(found)]))


@dataclass(frozen=True, kw_only=True)
class Order(Claim):
    """In each of these rows of Table 1, one estimator beats each of others."""

    kind = "order"
    rules = (verdicts.claim_verdict,)
    better: str
    over: tuple[str, ...]
    rows: tuple[str, ...]

    def judge(self, evidence: Evidence) -> Judged:
        """All orders at one number of steps; open as long as one has no runs, unless another is
        contradicted, which no further run can mend."""
        steps = evidence.scale(self.rows)
        found, broken, correlations = [], defaultdict(list), []
        for row in self.rows:
            values = {name: c.values for name, c in evidence.row(row, steps).items()}
            correlations.append(seed_correlation(values.values()))
            for other in self.over:
                pair = [list(values.get(name, {}).values()) for name in (self.better, other)]
                verdict = self.compare(*pair, row) if all(pair) else NOT_RUN
                found.append(verdict)
                if verdict not in ("holds", NOT_RUN):
                    broken[titles()[row], verdict].append(ESTIMATORS[other].label)
        details = [f"at {steps:,} steps"] if steps else []
        if missing := found.count(NOT_RUN):
            details.append(f"{missing} of {len(found)} comparisons have no runs yet")
        details += [f"{row}: {one} against {', '.join(x)}" for (row, one), x in broken.items()]
        details += _correlation(correlations)
        open_yet = missing and "contradicted" not in found
        verdict = NOT_RUN if open_yet else verdicts.claim_verdict(found)
        return Judged(self, verdict, steps=steps, details=details)

    def compare(self, ours: list[float], theirs: list[float], row: str) -> str:
        """One of the comparisons."""
        return verdicts.order_verdict(ours, theirs)

    def against_itself(self) -> list[str]:
        return [
            f"{titles()[row]}: {ESTIMATORS[other].label} {paper(row)[other]}, "
            f"{ESTIMATORS[self.better].label} {paper(row)[self.better]}"
            for row in self.rows
            for other in self.over
            if self.broken_by(paper(row)[self.better], paper(row)[other])
        ]

    def broken_by(self, ours: float, theirs: float) -> bool:
        """Whether two numbers, taken as exact, break the claim."""
        return ours >= theirs


@dataclass(frozen=True, kw_only=True)
class Par(Order):
    """In each of these rows of Table 1, one estimator is on par with each of others."""

    kind = "par"
    rules = (verdicts.close_verdict,)

    def compare(self, ours: list[float], theirs: list[float], row: str) -> str:
        return self.decide([ours, theirs], verdicts.margin_nats(paper(row)[self.better]))

    def broken_by(self, ours: float, theirs: float) -> bool:
        return abs(ours - theirs) > verdicts.margin_nats(ours)


# --- figures


@dataclass(frozen=True, kw_only=True)
class Figure(Claim):
    """A figure, drawn anew by the figures of chapters that `labels` names, or by their panels first
    to last, from whole rows of Table 1 or from some cells of other records."""

    kind = "figure"
    rules = (verdicts.figure_verdict,)
    labels: tuple[str, ...]
    panels: tuple[int, ...] = ()
    rows: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    def judge(self, evidence: Evidence) -> Judged:
        rows = [evidence.row(row, evidence.scale([row])) for row in self.rows]
        complete = all(len(cells) == len(COLUMNS) for cells in rows)
        return Judged(self, self.decide(set(self.labels) <= evidence.drawn, complete))

    def runs(self, evidence: Evidence) -> dict[str, list[str]]:
        found = defaultdict(list)
        for row in self.rows:
            for cell in evidence.row(row, evidence.scale([row])).values():
                keys = [run["key"] for run in cell.runs.values()]
                found[f"results/table1/{cell.name}.jsonl"] += keys
        folder = self.records.removeprefix("results/")
        for run in getattr(evidence, folder).all() if folder else ():
            if run["cell"] in (self.cells or (run["cell"],)):
                found[f"{self.records}/{run['cell']}.jsonl"].append(run["key"])
        return dict(found)


def _correlation(values: list[float]) -> list[str]:
    """Words on how far seeds are lucky together, a number for each row that has one."""
    known = [f"{value:+.2f}" for value in values if not math.isnan(value)]
    return [f"correlation of the seeds {', '.join(known)}"] if known else []
