"""Pages that are made from data when the book is built: scoreboard, choices, concordance, status,
and what the first page says.

    python book/tools/pages.py [FOLDER]     write them to a folder, by default _build/generated

The pages of these names in book/ hold the prose and include what is written here."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections import defaultdict
from functools import cache
from html import escape
from math import isnan
from pathlib import Path

import choices
import concordance
import yaml
from repository import BRANCH, ROOT, SOURCE, address
from words import say

from gsbook import claims, ledger
from gsbook.experiments.table1.results import scale_of
from gsbook.intervals import seed_correlation
from gsbook.verdicts import NOT_RUN, equivalence_verdict, order_verdict
from gslib.estimators import ESTIMATORS

GENERATED = SOURCE / "_build" / "generated"
STALE = "†"  # beside a number whose runs are of other code


# --- what the book has


@cache
def chapters() -> dict[str, dict]:
    """Notebook name -> its title and labels, for the notebooks of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if f"notebooks/{path.stem}" in files:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            found[path.stem] = {
                "title": "".join(cells[0]["source"])[1:].strip(),
                "labels": concordance.labels(cells),
            }
    return found


def chapter_link(name: str) -> str:
    """A link to a chapter, or its title alone while it is not there."""
    if name in chapters():
        return f"{{doc}}`/notebooks/{name}`"
    return f"*{claims.stated()['chapters'].get(name, name)}*"


def label_link(label: str) -> str:
    """A link to a figure, an equation or a section of a chapter."""
    if label.startswith("fig-"):
        return f"{{numref}}`{label}`"
    return f"{{eq}}`{label}`" if label.startswith("eq-") else f"{{prf:ref}}`{label}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(
            "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
            for line in lines
        )
        + "\n"
    )


# --- the scoreboard


def scoreboard() -> str:
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
    units = "; ".join(
        say("{what} in {unit}", what=say(how["title"]), unit=say(how["unit"]))
        for how in claims.stated()["table2"]["figures"].values()
    )
    parts += [
        f"## {say('Table 2')}\n",
        f"{units}.\n",
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
        say("{seeds} per cell", seeds=_seeds(ran)),
    ]
    if missing := sum(j.verdict == NOT_RUN for j in cells):
        parts.append(say("{n} of {all} cells not run yet at this scale", n=missing, all=len(cells)))
    shared = seed_correlation(cell.values for cell in evidence().row(row, steps).values())
    if not isnan(shared):
        parts.append(say("correlation of the seeds between estimators {r}", r=f"{shared:+.2f}"))
    return f"{'; '.join(parts)}. {where}\n"


def _seeds(ran: list[ledger.Judged]) -> str:
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
        shown = [_ours(k) + (f" {k.sign}" if k is not j and k.ours else "") for k in beside]
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


def _ours(j: ledger.Judged) -> str:
    """Our number with its interval, linked to the records of its runs."""
    text = "–"
    if j.ours:
        spread = f"± {j.ours.half_width:.1f}" if j.ours.n > 1 else f"({say('one seed')})"
        records = f"{j.claim.records}/{j.claim.cell}.jsonl"
        text = f"[{j.ours.mean:.1f} {spread}]({address()}/blob/{BRANCH}/{records})"
    if j.stale:
        text += STALE
    return f"{text} ({say('{n} diverged', n=j.diverged)})" if j.diverged else text


def _outcome(j: ledger.Judged) -> list[str]:
    difference = f"{j.ours.mean - j.claim.value:+.1f}" if j.ours else "–"
    return [difference, said(j), say(j.equivalence) if j.equivalence else "–"]


def _claims(found: list[ledger.Judged]) -> str:
    rows = []
    for j in found:
        broken = j.claim.against_itself()
        own = "" if broken is None else say("carries it")
        if broken:
            own = say("does not carry it: ") + "; ".join(broken)
        ours = f"{j.ours.mean:.1f} {j.claim.unit}{STALE if j.stale else ''}" if j.ours else ""
        text = ". ".join(filter(None, [say(j.claim.claim), say(j.claim.note.rstrip("."))]))
        seen = "; ".join(filter(None, [ours, *j.details]))
        verdict = said(j) + (f" ({seen})" if seen else "")
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


# --- the summary on the first page


def findings() -> str:
    """What was found, in two sentences."""
    cells, rows = _by_row()
    ran = {row: own for row, own in rows.items() if all(j.ours for j in own)}
    best = [min(own, key=lambda j: j.ours.mean).claim.cell for own in ran.values()]
    lowest = sum(cell == f"{row}-gumbel_softmax" for row, cell in zip(ran, best, strict=True))
    if not ran:
        return say("No row of Table 1 has run yet.") + "\n"
    found = ledger.counts(cells)
    steps = sorted({j.steps for j in cells if j.ours})
    span = f"{steps[0]:,}"
    if len(steps) > 1:
        span = say("{a} to {b}", a=span, b=f"{steps[-1]:,}")
    counted = [
        say("{n} is {verdict}", n=n, verdict=say(word)) if n == 1
        else say("{n} are {verdict}", n=n, verdict=say(word))
        for word, n in found.items() if n
    ]  # fmt: skip
    what = say(
        "**What was found:** relaxed Gumbel-Softmax has the lowest test loss of the seven "
        "estimators in {lowest} of {rows} rows of the paper's Table 1. Of the {cells} cells of "
        "that table, {counted}, after {steps} training steps with {seeds} each.",
        lowest=lowest, rows=len(ran), cells=len(cells), counted=say(", ").join(counted), steps=span,
        seeds=_seeds([j for j in cells if j.ours]),
    )  # fmt: skip
    return f"{what}\n"


def _by_row() -> tuple[list[ledger.Judged], dict[str, list[ledger.Judged]]]:
    cells = [j for j in judge_all() if j.claim.kind == "cell"]
    rows = claims.stated()["table1"]["rows"]
    return cells, {row: [j for j in cells if j.claim.cell.startswith(f"{row}-")] for row in rows}


def landing() -> str:
    """The cells of Table 1 in HTML: estimators down, so that a phone shows them all."""
    cells, rows = _by_row()
    titles = [about["title"] for about in claims.stated()["table1"]["rows"].values()]
    head = "".join(f'<th scope="col">{escape(say(title))}</th>' for title in titles)
    body = ""
    for i, name in enumerate(claims.stated()["table1"]["columns"]):
        line = "".join(_cell(own[i]) for own in rows.values())
        body += f'<tr><th scope="row">{escape(ESTIMATORS[name].label)}</th>{line}</tr>\n'
    signs = {word: sign for sign, word in ledger.VERDICTS.values()}
    key = say(", ").join(
        f"{signs[word]}\u00a0{count}\u00a0{say(word).replace(' ', chr(160))}"
        for word, count in ledger.counts(cells).items()
        if count
    )
    caption = say(
        "The cells of Table 1: our mean test loss in nats, lower is better, and the verdict: "
        "{key}.",
        key=key,
    )
    return (
        f'<table class="cells">\n<caption>{caption}</caption>\n'
        f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"
    )


def _cell(j: ledger.Judged) -> str:
    word = ledger.VERDICTS[j.verdict][1]
    number = f"{j.ours.mean:.1f}" if j.ours else ""
    return (
        f'<td class="{word.replace(" ", "-")}"><span aria-hidden="true">{j.sign}</span> {number} '
        f'<span class="visually-hidden">{say(word)}</span></td>'
    )


KINDS = (  # of claims on the first page: a title, a remark, the kinds
    ("Cells of Table 1", "", "cell"),
    ("Bounds of Table 2",
     "The paper does not give the sizes of these networks, so that better numbers need not mean a "
     "better method.", "bound"),
    ("Accuracies of Table 2", "", "accuracy"),
    ("Ratios of speed", "They are of another machine than the paper's.", "speed"),
    ("Statements in the text", "", "order", "par", "growth", "closeness"),
    ("Figures", "A figure has no verdict of its own: it shows the runs of its cells.", "figure"),
)  # fmt: skip


def tallies() -> str:
    """How many claims came out how, each kind apart: a figure drawn is no number reproduced."""
    lines = [f"- {tally(title, *kinds)} {say(remark)}" for title, remark, *kinds in KINDS]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def tally(title: str, *kinds: str) -> str:
    """Numbers: 36 (3 reproduced, 33 not run yet)."""
    counted = ledger.counts([j for j in judge_all() if j.claim.kind in kinds])
    words = say(", ").join(f"{n} {say(word)}" for word, n in counted.items() if n)
    return say("{title}: {n} ({words}).", title=say(title), n=sum(counted.values()), words=words)


# --- what a cluster is worth


def grid() -> str:
    """What the whole grid of Table 1 costs on few and on many workers, from measured steps."""
    path = ROOT / "results" / "benchmarks" / "cluster.json"
    if not path.exists():
        return "It is not measured yet: `python benchmarks/cluster.py` does it.\n"
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        [
            f"{row['workers']}",
            f"{row['hours']:,.1f}",
            f"{row['efficiency']:.0%}",
            f"{row['held_core_hours']:,.0f}",
        ]
        for row in found["rows"]
    ]
    steps = [cell["ms"] for cell in found["cells"].values()]
    way = "compiled" if found["mode"] == "compiled" else "not compiled"
    return (
        f"{found['runs']} runs of {found['steps']:,} steps, one to a job, and their "
        f"evaluation on all images, on workers of one core ({found['machine']['device']}, "
        f"{found['machine']['capability']}). A step of one run takes {min(steps):.1f} to "
        f"{max(steps):.1f} ms there ({way}). Jobs go to whoever is free, the longest first; "
        "efficiency is the part of the workers' time that is work.\n\n"
        + table(["Workers", "Hours", "Efficiency", "Core-hours"], rows)
        + "\n`python benchmarks/cluster.py` measures it again on your machine.\n"
    )


# --- writing


def write(folder: Path = GENERATED) -> None:
    """Write every generated part; a file that would not change is left alone, so that its page is
    not read again."""
    parts = {
        "scoreboard.md": scoreboard,
        "findings.md": findings,
        "landing.md": lambda: f"```{{raw}} html\n{landing()}```\n",
        "tallies.md": tallies,
        "status.md": lambda: importlib.import_module("status").page(),
        "grid.md": grid,
        "speed.md": lambda: importlib.import_module("speed").page(table),
        "choices.md": lambda: choices.page(chapter_link),
        "concordance.md": lambda: concordance.page(chapters(), chapter_link, label_link, table),
    }
    for name, make in parts.items():
        save(folder / name, make())


def save(path: Path, text: str) -> None:
    """Write a file unless it holds this text already: a page is read again when it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED)
