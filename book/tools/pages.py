"""What is made from data when the book is built: scoreboard, choices, concordance, first page.

    python book/tools/pages.py [FOLDER]     write them to a folder, by default _build/generated

The pages of the same names in book/ hold the prose and include what is written here.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from functools import cache
from html import escape
from pathlib import Path

import choices
import concordance
import ledger
import yaml

from gslib.experiment import verdict
from notebooks import BRANCH, ROOT, address

GENERATED = ROOT / "_build" / "generated"


# --- what the book has -----------------------------------------------------------------------------------------------


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
    return f"*{ledger.raw()['chapters'].get(name, name)}*"


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


# --- the scoreboard --------------------------------------------------------------------------------------------------


def scoreboard() -> str:
    judged = judge_all()
    of = {
        kind: [j for j in judged if j.claim.kind == kind] for kind in {j.claim.kind for j in judged}
    }
    parts = ["## Table 1, cell by cell\n", f"Numbers are in {ledger.raw()['table1']['unit']}.\n"]
    for row, about in ledger.raw()["table1"]["rows"].items():
        cells = [j for j in of["cell"] if j.claim.cell.startswith(f"{row}-")]
        parts += [
            f"(scoreboard-{row})=",
            f"### {about['title']}\n",
            _scale(row, cells),
            _cells(cells),
        ]
    parts += [
        "## What the text claims\n",
        _claims(of["order"] + of["par"] + of["speed"] + of["growth"] + of["closeness"]),
    ]
    units = "; ".join(
        f"{how['title']} in {how['unit']}" for how in ledger.raw()["table2"]["figures"].values()
    )
    parts += [
        "## Table 2\n",
        f"{units}.\n",
        _cells(of["bound"] + of["accuracy"], "Method and figure"),
    ]
    parts += [
        "## Figures\n",
        _figures(of["figure"]),
        "## The rules, as the code states them\n",
        _rules(judged),
    ]
    return "\n".join(parts)


def said(j: ledger.Judged) -> str:
    """The verdict with its sign, on one line."""
    return f"{j.sign} {j.verdict}".replace(" ", "\u00a0")


@cache
def judge_all() -> list[ledger.Judged]:
    labels = (
        frozenset().union(*(c["labels"] for c in chapters().values()))
        if chapters()
        else frozenset()
    )
    return [ledger.judge(claim, labels) for claim in ledger.load()]


def _scale(row: str, cells: list[ledger.Judged]) -> str:
    about = ledger.raw()["table1"]
    where = f"Chapter: {chapter_link(about['rows'][row]['chapter'])}."
    ran = [j for j in cells if j.ours]
    if not ran:
        return f"No run of this row is finished yet. {where}\n"
    seeds = sorted({j.ours.n for j in ran})
    seeds = (
        "one seed"
        if seeds == [1]
        else f"{seeds[0]} seeds"
        if len(seeds) == 1
        else f"{seeds[0]} to {seeds[-1]} seeds"
    ) + " per cell"
    missing = sum(j.verdict == ledger.NOT_RUN for j in cells)
    return (
        f"Scale: {ran[0].steps:,} training steps, {seeds}"
        f"{f'; {missing} of {len(cells)} cells not run yet at this scale' if missing else ''}. {where}\n"
    )


def _cells(cells: list[ledger.Judged], first: str = "Estimator") -> str:
    rows = []
    for j in cells:
        name = j.claim.claim.split(", ")[-1] if j.claim.kind == "cell" else j.claim.claim
        ours = (
            f"{j.ours.mean:.1f} ± {j.ours.half_width:.1f}"
            if j.ours and j.ours.n > 1
            else (f"{j.ours.mean:.1f} (one seed)" if j.ours else "–")
        )
        if j.ours and j.claim.records:
            ours = f"[{ours}]({address()}/blob/{BRANCH}/{j.claim.records}/{j.claim.cell}.jsonl)"
        if j.diverged:
            ours += f" ({j.diverged} diverged)"
        difference = f"{j.ours.mean - j.claim.value:+.1f}" if j.ours else "–"
        rows.append([name, j.claim.value, ours, difference, said(j)])
    return table([first, "Paper", "Ours, 95 % interval", "Difference", "Verdict"], rows)


def _claims(judged: list[ledger.Judged]) -> str:
    rows = []
    for j in judged:
        own = ""
        if j.claim.kind in ("order", "par"):
            broken = ledger.against_itself(j.claim)
            own = "carries it" if not broken else "does not carry it: " + "; ".join(broken)
        ours = f"{j.ours.mean:.1f} {j.claim.unit}" if j.ours else ""
        text = ". ".join(filter(None, [j.claim.claim, j.claim.note.rstrip(".")]))
        seen = "; ".join(filter(None, [ours, *j.details]))
        rows.append(
            [
                text,
                j.claim.location,
                own,
                said(j) + (f" ({seen})" if seen else ""),
                chapter_link(j.claim.chapter),
            ]
        )
    return table(["Claim", "Where", "The paper's own table", "Verdict", "Chapter"], rows)


def _figures(judged: list[ledger.Judged]) -> str:
    rows = []
    for j in judged:
        have = chapters().get(j.claim.chapter, {"labels": ()})["labels"]
        links = ", ".join(label_link(label) for label in j.claim.labels if label in have) or "–"
        rows.append(
            [j.claim.location, j.claim.claim, links, said(j), chapter_link(j.claim.chapter)]
        )
    return table(["Figure", "What it shows", "Ours", "Verdict", "Chapter"], rows)


def _rules(judged: list[ledger.Judged]) -> str:
    parts = []
    for name in dict.fromkeys(j.claim.rule for j in judged):
        doc = " ".join(inspect.getdoc(getattr(verdict, name)).split(">>>")[0].split())
        kinds = sorted({j.claim.kind for j in judged if j.claim.rule == name})
        parts.append(f"`{name}` ({', '.join(kinds)})\n: {doc}\n")
    return "\n".join(parts)


# --- the summary on the first page -----------------------------------------------------------------------------------


def findings() -> str:
    """What was found, in two sentences."""
    cells, rows = _by_row()
    ran = {row: own for row, own in rows.items() if all(j.ours for j in own)}
    best = [min(own, key=lambda j: j.ours.mean).claim.cell for own in ran.values()]
    lowest = sum(cell == f"{row}-gumbel_softmax" for row, cell in zip(ran, best, strict=True))
    if not ran:
        return "No row of Table 1 has run yet.\n"
    found = ledger.counts(cells)
    steps = sorted({j.steps for j in cells if j.ours})
    span = f"{steps[0]:,}" + (f" to {steps[-1]:,}" if len(steps) > 1 else "")
    n = sorted({j.ours.n for j in cells if j.ours})
    seeds = f"{n[0]}{f' to {n[-1]}' if len(n) > 1 else ''} seed{'s' if n[-1] > 1 else ''}"
    counted = [f"{n} {'is' if n == 1 else 'are'} {word}" for word, n in found.items() if n]
    return (
        "**What was found:** relaxed Gumbel-Softmax has the lowest test loss of the seven "
        f"estimators in {lowest} of {len(ran)} rows of the paper's Table 1. Of the {len(cells)} "
        f"cells of that table, {', '.join(counted)}, after {span} training steps with {seeds} "
        "each.\n"
    )


def _by_row() -> tuple[list[ledger.Judged], dict[str, list[ledger.Judged]]]:
    cells = [j for j in judge_all() if j.claim.kind == "cell"]
    rows = ledger.raw()["table1"]["rows"]
    return cells, {row: [j for j in cells if j.claim.cell.startswith(f"{row}-")] for row in rows}


def landing() -> str:
    """The cells of Table 1 in HTML: estimators down, so that a phone shows them all."""
    cells, rows = _by_row()
    titles = [about["title"] for about in ledger.raw()["table1"]["rows"].values()]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = ""
    for i, name in enumerate(ledger.raw()["table1"]["columns"]):
        line = "".join(_cell(own[i]) for own in rows.values())
        body += f'<tr><th scope="row">{escape(ledger.LABELS[name])}</th>{line}</tr>\n'
    signs = {word: sign for sign, word in ledger.VERDICTS.values()}
    key = ", ".join(
        f"{signs[word]}\u00a0{count}\u00a0{word.replace(' ', chr(160))}"
        for word, count in ledger.counts(cells).items()
        if count
    )
    return (
        '<table class="cells">\n<caption>The cells of Table 1: our mean test loss in nats, lower '
        f"is better, and the verdict: {key}.</caption>\n<thead><tr><td></td>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>\n"
    )


def _cell(j: ledger.Judged) -> str:
    word = ledger.VERDICTS[j.verdict][1]
    number = f"{j.ours.mean:.1f}" if j.ours else ""
    return (
        f'<td class="{word.replace(" ", "-")}"><span aria-hidden="true">{j.sign}</span> {number} '
        f'<span class="visually-hidden">{word}</span></td>'
    )


def tallies() -> str:
    """How many claims came out how, each kind apart: a figure drawn is no number reproduced."""
    return (
        f"- {tally('Cells of Table 1', 'cell')}\n"
        f"- {tally('Bounds of Table 2', 'bound')} The paper does not give the sizes of these "
        "networks, so that better numbers need not mean a better method.\n"
        f"- {tally('Accuracies of Table 2', 'accuracy')}\n"
        f"- {tally('Ratios of speed', 'speed')} They are of another machine than the paper's.\n"
        f"- {tally('Statements in the text', 'order', 'par', 'growth', 'closeness')}\n"
        f"- {tally('Figures', 'figure')} A figure has no verdict of its own: it shows the runs of "
        "its cells.\n"
    )


def tally(title: str, *kinds: str) -> str:
    """Figures: 11 (9 drawn anew, 2 not run yet)."""
    found = [j for j in judge_all() if j.claim.kind in kinds]
    words = ", ".join(f"{count} {word}" for word, count in ledger.counts(found).items() if count)
    return f"{title}: {len(found)} ({words})."


# --- writing ---------------------------------------------------------------------------------------------------------


def write(folder: Path = GENERATED) -> None:
    """Write every generated part; a file that would not change is left alone, so that its page is not read again."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "scoreboard.md": scoreboard,
        "findings.md": findings,
        "landing.md": lambda: f"```{{raw}} html\n{landing()}```\n",
        "tallies.md": tallies,
        "status.md": lambda: importlib.import_module("status").page(),
        "choices.md": lambda: choices.page(chapter_link),
        "concordance.md": lambda: concordance.page(chapters(), chapter_link, label_link, table),
    }
    for name, make in parts.items():
        save(folder / name, make())


def save(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED)
