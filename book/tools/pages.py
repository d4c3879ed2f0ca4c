"""Pages that are made from data when the book is built: scoreboard, choices, concordance, and the summary picture.

    python book/tools/pages.py [FOLDER]     write them to a folder, by default _build/generated

book/scoreboard.md, book/choices.md and book/concordance.md hold the prose and include what is written here.
"""

from __future__ import annotations

import inspect
import json
import sys
from functools import cache
from html import escape
from pathlib import Path

import choices
import concordance
import yaml

from gsbook import claims, ledger
from gsbook import verdicts as verdict
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


# --- the scoreboard --------------------------------------------------------------------------------------------------


def scoreboard() -> str:
    judged = judge_all()
    of = {
        kind: [j for j in judged if j.claim.kind == kind] for kind in {j.claim.kind for j in judged}
    }
    parts = ["## Table 1, cell by cell\n", f"Numbers are in {claims.stated()['table1']['unit']}.\n"]
    for row, about in claims.stated()["table1"]["rows"].items():
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
        f"{how['title']} in {how['unit']}" for how in claims.stated()["table2"]["figures"].values()
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
    about = claims.stated()["table1"]
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

FILLS = {"✓": "#bfe3d5", "▲": "#c4def2", "▼": "#f6cdb8", "?": "#f3e3a8", "○": "none"}


def picture() -> str:
    """The summary as SVG: dark ink on a transparent sheet; signs and words say what colours say."""
    judged = judge_all()
    cells = {j.claim.cell: j for j in judged if j.claim.kind == "cell"}
    columns, rows = claims.stated()["table1"]["columns"], claims.stated()["table1"]["rows"]
    left, top, width, height = 124, 62, 80, 40
    total = left + width * len(columns) + 8, top + height * len(rows) + 62
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" '
        f'height="{total[1]}" font-family="system-ui, sans-serif" font-size="14" fill="#111">',
        f"<title>{escape(alt_text())}</title>",
        '<text x="0" y="16" font-weight="600">Table 1: our mean in nats, and the verdict</text>',
    ]
    for i, name in enumerate(columns):
        words = ledger.LABELS[name].replace("Gumbel-Softmax", "Gumbel-S.").split(" ", 1)
        for k, word in enumerate(words):
            y = top - 10 - 15 * (len(words) - 1 - k)
            out.append(
                f'<text x="{left + width * (i + 0.5)}" y="{y}" text-anchor="middle">{word}</text>'
            )
    for r, (row, about) in enumerate(rows.items()):
        y = top + height * r
        out.append(f'<text x="0" y="{y + 25}">{about["title"]}</text>')
        for i, name in enumerate(columns):
            j = cells[f"{row}-{name}"]
            x, ink = left + width * i, "#767676" if j.ours is None else "#333"
            text = f"{j.sign} {j.ours.mean:.1f}" if j.ours else j.sign
            out.append(
                f'<rect x="{x + 2}" y="{y + 2}" width="{width - 4}" height="{height - 4}" rx="5" '
                f'fill="{FILLS[j.sign]}" stroke="{ink}"/>'
            )
            out.append(f'<text x="{x + width / 2}" y="{y + 25}" text-anchor="middle">{text}</text>')
    signs = {word: sign for sign, word in ledger.VERDICTS.values()}
    x, y = 0, top + height * len(rows) + 28
    for word, count in ledger.counts(list(cells.values())).items():
        out.append(
            f'<rect x="{x}" y="{y - 14}" width="20" height="20" rx="4" fill="{FILLS[signs[word]]}" stroke="#333"/>'
        )
        out.append(f'<text x="{x + 10}" y="{y + 1}" text-anchor="middle">{signs[word]}</text>')
        out.append(f'<text x="{x + 27}" y="{y + 1}">{word} {count}</text>')
        x += 42 + 7.4 * len(f"{word} {count}")
    return "\n".join([*out, "</svg>", ""])


def alt_text() -> str:
    cells = [j for j in judge_all() if j.claim.kind == "cell"]
    found = ", ".join(f"{count} {word}" for word, count in ledger.counts(cells).items() if count)
    return f"The {len(cells)} cells of Table 1: {found}."


def landing() -> str:
    """The summary for the first page: the picture and the tallies."""
    return (
        f"```{{figure}} ../_build/generated/scoreboard.svg\n:name: fig-intro-scoreboard\n:figclass: ink\n"
        f":alt: {alt_text()}\n\nThe cells of Table 1: our mean over seeds and the verdict.\n```\n\n"
        f"{tally('Numbers', 'cell', 'bound', 'accuracy', 'speed')} "
        f"{tally('Statements', 'order', 'par', 'growth', 'closeness')} {tally('Figures', 'figure')} "
        "The {doc}`/book/scoreboard` has every one of them.\n"
    )


def tally(title: str, *kinds: str) -> str:
    """Numbers: 36 (3 reproduced, 33 not run yet)."""
    found = [j for j in judge_all() if j.claim.kind in kinds]
    words = ", ".join(f"{count} {word}" for word, count in ledger.counts(found).items() if count)
    return f"{title}: {len(found)} ({words})."


# --- writing ---------------------------------------------------------------------------------------------------------


def write(folder: Path = GENERATED) -> None:
    """Write every generated part; a file that would not change is left alone, so that its page is not read again."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "scoreboard.md": scoreboard,
        "scoreboard.svg": picture,
        "landing.md": landing,
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
