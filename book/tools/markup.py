"""What pages made from data share: the chapters of the book, links to them, tables, files."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import concordance
import yaml
from repository import ROOT, SOURCE

from gsbook import claims

GENERATED = SOURCE / "_build" / "generated"


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


def _unbroken(cell) -> str:
    """A cell's text, which no line breaks before or after ± or within Figure 1a."""
    text = str(cell).replace(" ± ", "\u00a0±\u00a0")
    return text.replace(" ", "\u00a0") if re.fullmatch(r"\w+ [\d.]+\w?", text) else text


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(
            "| " + " | ".join(_unbroken(cell).replace("|", "\\|") for cell in line) + " |"
            for line in lines
        )
        + "\n"
    )


def plain(text) -> str:
    """Text of a file as Markdown that shows it: neither HTML nor Markdown of its own, one line."""
    line = " ".join(str(text).split())
    return re.sub(r"[\\`*_{}\[\]()#|!~$^:<>&]", lambda c: f"&#{ord(c[0])};", line)


def save(path: Path, text: str) -> None:
    """Write a file unless it holds this text already: a page is read again when it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
