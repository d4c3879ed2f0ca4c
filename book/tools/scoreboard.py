"""The scoreboard: every claim of the paper, judged by the records."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from math import isnan

from markup import chapter_link, chapters, label_link, table
from repository import BRANCH, address
from words import say, say_like

from gsbook import claims, ledger
from gsbook.experiments.table1.results import EXTENDED, reading, scale_of
from gsbook.intervals import seed_correlation
from gsbook.verdicts import NOT_RUN, equivalence_verdict, order_verdict

STALE = "†"  # beside a number whose runs are of other code
OTHERWISE = "‡"  # beside a shorter run's number, if the cell's own runs read a formula otherwise


def page() -> str:
    """Markdown."""
    unit = say("Numbers are in {unit}.", unit=say(claims.stated()["table1"]["unit"]))
    parts = [f"## {say('Table 1, cell by cell')}\n", f"{unit}\n"]
    for row, about in claims.stated()["table1"]["rows"].items():
        cells = [j for j in judged(ledger.Cell) if j.claim.row == row]
        parts += [
            f"(scoreboard-{row})=",
            f"### {say(about['title'])}\n",
            _scale(row, cells),
            _row(row, cells),
        ]
    about = ledger.Order, ledger.Speed, ledger.Growth, ledger.Closeness
    parts += [f"## {say('What the text claims')}\n", _claims(judged(*about))]
    units = say("; ").join(
        say("{what} in {unit}", what=say(how["title"]), unit=say(how["unit"]))
        for how in claims.stated()["table2"]["figures"].values()
    )
    parts += [
        f"## {say('Table 2')}\n",
        say("{sentence}.", sentence=units) + "\n",
        _numbers(judged(ledger.Bound, ledger.Accuracy)),
    ]
    parts += [f"## {say('Figures')}\n", _figures(judged(ledger.Figure))]
    if any(j.stale for j in judge_all()):
        since = say("Runs of code that has changed since in what decides their numbers.")
        parts += [f"{STALE} {since}\n"]
    parts += [f"## {say('The rules, as the code states them')}\n", _rules(judge_all())]
    return "\n".join(parts)


def said(j: ledger.Judged) -> str:
    """The verdict with its sign, on one line."""
    return f"{j.sign} {say(j.verdict)}".replace(" ", "\u00a0")


@cache
def evidence() -> ledger.Evidence:
    """The records, and the figures that the chapters have."""
    return ledger.Evidence.of_the_book(label for c in chapters().values() for label in c["labels"])


@cache
def judge_all() -> list[ledger.Judged]:
    return [claim.judge(evidence()) for claim in ledger.load()]


def judged(*kinds: type[ledger.Claim]) -> list[ledger.Judged]:
    """The claims of some kinds, one kind after the other."""
    return [j for kind in kinds for j in judge_all() if isinstance(j.claim, kind)]


def _scale(row: str, cells: list[ledger.Judged]) -> str:
    about = claims.stated()["table1"]
    where = say("Chapter: {link}.", link=chapter_link(about["rows"][row]["chapter"]))
    ran = [j for j in cells if j.ours]
    if not ran:
        return f"{say('No run of this row is finished yet.')} {where}\n"
    steps = ran[0].steps
    parts = [
        say("Scale of the verdicts: {steps} training steps", steps=f"{steps:,}"),
        say("{seeds} per cell", seeds=seeds_of(ran)),
    ]
    if missing := sum(j.verdict == NOT_RUN for j in cells):
        parts.append(say("{n} of {all} cells not run yet at this scale", n=missing, all=len(cells)))
    shared = seed_correlation(cell.values for cell in evidence().row(row, steps).values())
    if not isnan(shared):
        parts.append(say("correlation of the seeds between estimators {r}", r=f"{shared:+z.2f}"))
    said = say("{sentence}.", sentence=say("; ").join(parts)) + f" {where}"
    if (longer := EXTENDED.get(row)) in evidence().scales(row):
        late = say(
            "The runs of {steps} steps were added after the verdicts of this row at 100,000 had "
            "been seen.",
            steps=f"{longer:,}",
        )
        said += f" {late}"
    return f"{said}\n"


def seeds_of(ran: list[ledger.Judged]) -> str:
    """One seed, 3 seeds, 3 to 5 seeds."""
    seeds = sorted({j.ours.n for j in ran})
    if seeds == [1]:
        return say("one seed")
    if len(seeds) == 1:
        return say("{n} seeds", n=seeds[0])
    return say("{a} to {b} seeds", a=seeds[0], b=seeds[-1])


def _row(row: str, cells: list[ledger.Judged]) -> str:
    """The cells of a row, with every number of steps at which it is shown beside each other."""
    scales = evidence().scales(row) or [None]
    rows = []
    for j in cells:
        beside = [
            j if steps == j.steps else j.claim.judge_at(evidence(), steps) for steps in scales
        ]
        shown = [_ours(k) if k is j else _in_short(k, _otherwise(k, j)) for k in beside]
        name = j.claim.claim.split(", ")[-1]
        rows.append([name, j.claim.value, *shown, *_outcome(j)])
    columns = [
        say("Ours, {steps} steps", steps=f"{steps:,}") if steps else say("Ours") for steps in scales
    ]
    outcome = [say("Difference"), say("Verdict"), say("By interval")]
    return table([say("Estimator"), say("Paper"), *columns, *outcome], rows)


def _numbers(found: list[ledger.Judged]) -> str:
    rows = [[say(j.claim.claim), j.claim.value, _ours(j), *_outcome(j)] for j in found]
    head = [say("Method and figure"), say("Paper"), say("Ours, 95 % interval"), say("Difference")]
    return table([*head, say("Verdict"), say("By interval")], rows)


def _otherwise(one: ledger.Judged, other: ledger.Judged) -> bool:
    """Whether the runs of a cell at two lengths read differently what the paper leaves open."""
    lengths = evidence().cells[one.claim.cell]
    sides = [lengths[j.steps] for j in (one, other) if j.steps in lengths]
    return len({reading(side.config) for side in sides}) > 1


def _in_short(j: ledger.Judged, otherwise: bool) -> str:
    """Our number at another length with its verdict's sign; its interval shows on hover."""
    if not j.ours:
        return "–"
    number = f'[{j.ours.mean:.1f}]({_records(j)} "{_spread(j)}")'
    marks = (STALE if j.stale else "") + (OTHERWISE if otherwise else "")
    return f"{number}{marks}\u00a0{j.sign}"


def _spread(j: ledger.Judged) -> str:
    return f"± {j.ours.half_width:.1f}" if j.ours.n > 1 else f"({say('one seed')})"


def _records(j: ledger.Judged) -> str:
    return f"{address()}/blob/{BRANCH}/{j.claim.records}/{j.claim.cell}.jsonl"


def _ours(j: ledger.Judged) -> str:
    """Our number with its interval, linked to the records of its runs."""
    text = f"[{j.ours.mean:.1f} {_spread(j)}]({_records(j)})" if j.ours else "–"
    if j.stale:
        text += STALE
    return f"{text} ({say('{n} diverged', n=j.diverged)})" if j.diverged else text


def _outcome(j: ledger.Judged) -> list[str]:
    difference = f"{j.ours.mean - j.claim.value:+z.1f}" if j.ours else "–"
    return [difference, said(j), say(j.equivalence) if j.equivalence else "–"]


DETAILS = (  # what the ledger says of a claim
    "at {steps} steps",
    "{n} of {all} comparisons have no runs yet",
    "{row}: {verdict} against {others}",
    "correlation of the seeds {r}",
    "{row}: {numbers}",
)


def details(found: Iterable[str]) -> str:
    return say("; ").join(say_like(detail, *DETAILS) for detail in found)


def _claims(found: list[ledger.Judged]) -> str:
    rows = []
    for j in found:
        broken = j.claim.against_itself()
        own = "" if broken is None else say("carries it")
        if broken:
            own = say("does not carry it: ") + details(broken)
        ours = f"{j.ours.mean:.1f} {say(j.claim.unit)}{STALE if j.stale else ''}" if j.ours else ""
        text = say(". ").join(filter(None, [say(j.claim.claim), say(j.claim.note.rstrip("."))]))
        seen = details(filter(None, [ours, *j.details]))
        verdict = said(j) + (say(" ({more})", more=seen) if seen else "")
        rows.append([text, say(j.claim.location), own, verdict, chapter_link(j.claim.chapter)])
    head = [say("Claim"), say("Where"), say("The paper's own table"), say("Verdict")]
    return table([*head, say("Chapter")], rows)


def _figures(found: list[ledger.Judged]) -> str:
    rows = []
    for j in found:
        have = chapters().get(j.claim.chapter, {"labels": ()})["labels"]
        links = ", ".join(label_link(label) for label in j.claim.labels if label in have) or "–"
        what = [say(j.claim.location), say(j.claim.claim)]
        rows.append([*what, links, said(j), chapter_link(j.claim.chapter)])
    head = [say("Figure"), say("What it shows"), say("Ours"), say("Verdict"), say("Chapter")]
    return table(head, rows)


def _rules(found: list[ledger.Judged]) -> str:
    """The rules in their docstrings' words: those of claims, then those that hold for all."""
    kinds = defaultdict(set)
    for j in found:
        kinds[j.claim.decide].add(j.claim.kind)
    parts = [
        f"`{r.__name__}` ({', '.join(sorted(names))})\n: {_doc(r)}\n" for r, names in kinds.items()
    ]
    parts += [
        f"`{r.__name__}`\n: {_doc(r)}\n" for r in (equivalence_verdict, order_verdict, scale_of)
    ]
    return "\n".join(parts)


def _doc(rule) -> str:
    return " ".join(inspect.getdoc(rule).split(">>>")[0].split())
