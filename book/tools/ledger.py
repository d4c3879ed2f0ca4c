"""The claims ledger: every claim of the paper from book/claims.yml, judged by rule from the records of the runs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import yaml

from gslib.experiment import Records, summary, table2, verdict
from gslib.experiment.few_labels import METHODS
from gslib.plots import LABELS
from notebooks import ROOT

CLAIMS = ROOT / "book" / "claims.yml"
NOT_RUN = summary.NOT_RUN
VERDICTS = {  # verdict -> (sign, how it counts in the summary)
    "reproduced": ("✓", "reproduced"),
    "holds": ("✓", "reproduced"),
    "drawn": ("✓", "drawn anew"),
    "better": ("▲", "better"),
    "worse": ("▼", "not reproduced"),
    "contradicted": ("▼", "not reproduced"),
    summary.DIVERGED: ("▼", "not reproduced"),
    "undecided": ("?", "undecided"),
    NOT_RUN: ("○", NOT_RUN),
    "not drawn yet": ("○", NOT_RUN),
}


@dataclass(frozen=True)
class Claim:
    """One claim. `records`, `cell` and `figure` say where ours comes from, `labels` which figures of a chapter draw it
    and `panels`, first and last, which part of them."""

    id: str
    kind: str  # cell, bound, accuracy, speed, growth, closeness, order, par or figure
    claim: str
    location: str
    rule: str
    chapter: str
    value: float | None = None
    unit: str = ""
    records: str | None = None
    cell: str | None = None
    cells: tuple = ()
    figure: str | None = None
    labels: tuple = ()
    rows: tuple = ()
    panels: tuple = ()
    better: str | None = None
    over: tuple = ()
    note: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict; ours: an interval over seeds where there is one; steps, runs and diverged: its scale."""

    claim: Claim
    verdict: str
    ours: verdict.Interval | None = None
    steps: int | None = None
    diverged: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def sign(self) -> str:
        return VERDICTS[self.verdict][0]


@cache
def raw() -> dict:
    return yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))


def load() -> list[Claim]:
    """Every claim of the ledger: cells of Table 1, numbers of Table 2, stated claims, figures."""
    one, two = raw()["table1"], raw()["table2"]
    claims = [
        Claim(
            f"{row}-{name}",
            "cell",
            f"{about['title']}, {LABELS[name]}",
            one["location"],
            one["rule"],
            about["chapter"],
            value,
            one["unit"],
            one["records"],
            f"{row}-{name}",
            figure=one["figure"],
        )
        for row, about in one["rows"].items()
        for name, value in zip(one["columns"], about["values"], strict=True)
    ]
    claims += [
        Claim(
            f"table-2-{name}-{figure}",
            "bound" if figure == "elbo" else "accuracy",
            f"{about['title']}, {how['title']}",
            two["location"],
            how["rule"],
            two["chapter"],
            about[figure],
            how["unit"],
            two["records"],
            name,
            figure=figure,
        )
        for name, about in two["rows"].items()
        for figure, how in two["figures"].items()
    ]
    claims += [Claim(**{"kind": "order", **entry}) for entry in raw()["orders"]]
    claims += [Claim(**entry) for entry in raw()["others"]]
    claims += [Claim(kind="figure", rule="figure_verdict", **entry) for entry in raw()["figures"]]
    return claims


def paper(row: str, estimator: str) -> float:
    """The paper's number in Table 1."""
    table = raw()["table1"]
    return table["rows"][row]["values"][table["columns"].index(estimator)]


def judge(claim: Claim, labels=frozenset()) -> Judged:
    """The verdict on a claim. labels: the figures that the chapters have."""
    rule = getattr(verdict, claim.rule)
    if claim.kind == "figure":
        complete = all(
            len(rows(_table1())[row][1]) == len(raw()["table1"]["columns"]) for row in claim.rows
        )
        return Judged(claim, rule(set(claim.labels) <= labels, complete))
    if claim.kind in ("order", "par"):
        return _judge_order(claim, rule)
    if claim.kind == "closeness":
        found = [_figures(claim.records, cell, claim.figure) for cell in claim.cells]
        seeds = sorted(set.intersection(*map(set, found)))
        if not seeds:
            return Judged(claim, NOT_RUN)
        return Judged(claim, rule([[by_seed[s] for s in seeds] for by_seed in found]))
    if claim.kind == "growth":  # each cell's figure is larger than the one's before it
        found = [_figures(claim.records, cell, claim.figure) for cell in claim.cells]
        seeds = sorted(set.intersection(*map(set, found)))
        if not seeds:
            return Judged(claim, NOT_RUN)
        steps = [
            verdict.order_verdict([a[s] for s in seeds], [b[s] for s in seeds])
            for a, b in pairwise(found)
        ]
        return Judged(claim, rule(steps))
    if claim.kind == "cell":
        row, _, estimator = claim.cell.rpartition("-")
        steps, cells = rows(_table1())[row]
        if estimator not in cells:
            return Judged(claim, NOT_RUN, steps=steps)
        cell = cells[estimator]
        values = list(cell.values.values())
        if not values:
            return Judged(claim, summary.DIVERGED, steps=steps, diverged=cell.diverged)
        return Judged(
            claim, rule(values, claim.value), verdict.interval(values), steps, cell.diverged
        )
    values = list(_figures(claim.records, claim.cell, claim.figure).values())
    if not values:
        return Judged(claim, NOT_RUN)
    ours = verdict.interval(values)
    if claim.kind == "bound":  # printed as a bound, judged in nats where lower is better
        return Judged(claim, rule([-v for v in values], -claim.value), ours)
    return Judged(claim, rule(values, claim.value), ours)


def _judge_order(claim: Claim, rule) -> Judged:
    """Each order at the scale of its row, paired by seed; the claim is open as long as one order has no runs."""
    found, broken, missing = [], {}, 0
    for row in claim.rows:
        cells = rows(_table1())[row][1]
        for other in claim.over:
            pair = [cells[name].values if name in cells else {} for name in (claim.better, other)]
            seeds = sorted(set(pair[0]) & set(pair[1]))
            if not seeds:
                missing += 1
                continue
            ours, theirs = ([values[s] for s in seeds] for values in pair)
            if claim.kind == "par":
                one = rule([ours, theirs], verdict.margin_nats(paper(row, claim.better)))
            else:
                one = verdict.order_verdict(ours, theirs)
            found.append(one)
            if one != "holds":
                broken.setdefault((raw()["table1"]["rows"][row]["title"], one), []).append(
                    LABELS[other]
                )
    details = [
        f"{title}: {one} against {', '.join(names)}" for (title, one), names in broken.items()
    ]
    if "contradicted" in found:  # no further run can save it
        return Judged(claim, "contradicted", details=details)
    if missing:
        details.insert(
            0, f"{missing} of {len(claim.rows) * len(claim.over)} comparisons have no runs yet"
        )
        return Judged(claim, NOT_RUN, details=details)
    return Judged(claim, verdict.claim_verdict(found), details=details)


def against_itself(claim: Claim) -> list[str]:
    """Where the paper's own Table 1 does not carry one of its claims of order."""
    broken = []
    for row in claim.rows:
        for other in claim.over:
            ours, theirs = paper(row, claim.better), paper(row, other)
            if (
                ours >= theirs
                if claim.kind == "order"
                else abs(ours - theirs) > verdict.margin_nats(ours)
            ):
                broken.append(
                    f"{raw()['table1']['rows'][row]['title']}: {LABELS[other]} {theirs}, "
                    f"{LABELS[claim.better]} {ours}"
                )
    return broken


@cache
def _table1() -> Records:
    return Records(ROOT / raw()["table1"]["records"])


@cache
def rows(records: Records) -> dict[str, tuple]:
    """Row of Table 1 -> (steps, estimator -> cell)."""
    return {name: summary.row(records, name) for name in raw()["table1"]["rows"]}


def _figures(folder: str, cell: str, figure: str) -> dict[int, float]:
    """A test figure by seed, of the runs that stand for a row of Table 2, or of all repeats of a cell of results/speed."""
    records = Records(ROOT / folder)
    if cell in METHODS:
        found = table2.row(records, cell)
        return found.figure(figure) if found else {}
    runs = records.cell(cell).values()
    return {
        run["config"]["seed"]: run["test"][figure]
        for run in runs
        if run["test"] and math.isfinite(run["test"].get(figure) or math.nan)
    }


def counts(judged: list[Judged]) -> dict[str, int]:
    """How many claims came out how, in the words of the summary."""
    found = Counter(VERDICTS[j.verdict][1] for j in judged)
    return {word: found[word] for word in dict.fromkeys(word for _, word in VERDICTS.values())}
