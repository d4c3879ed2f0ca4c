"""The reader's aids: how long a chapter takes to read and to run, and what a link would show.

Reading time counts the text, the code and the formulas of a chapter; exercises' solutions, the
set-up cell and what the code prints are not counted. Run time is what the notebook took when the
book was built, from MyST-NB's own record.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag

import concordance
import glossary
import torch
from bs4 import BeautifulSoup
from docutils import nodes
from myst_nb.sphinx_ext import NbMetadataCollector
from sphinx import addnodes
from sphinx.util.index_entries import split_index_msg
from words import say, say_like

WORDS, LINES, FORMULAS = 200, 20, 6  # of prose, of code and displayed, that one minute reads
CHARACTERS = 500  # of Japanese
PDF = "gumbel-softmax-book.pdf"


# --- time -----------------------------------------------------------------------------------------


def reading_minutes(doctree) -> int:
    """Whole minutes for the text, the code and the displayed formulas of a page."""
    words = lines = formulas = 0
    waiting = list(doctree.children)
    while waiting:
        node = waiting.pop()
        skip = isinstance(node, nodes.Element) and (
            "solution" in node.tagname
            or node.get("nb_element") == "cell_code_output"
            or "tag_setup" in node["classes"]
        )
        if skip or isinstance(node, (nodes.raw, nodes.comment, nodes.citation)):
            continue
        if isinstance(node, nodes.math_block):
            formulas += 1
        elif isinstance(node, nodes.math):
            words += 1
        elif isinstance(node, nodes.literal_block):
            lines += sum(bool(line.strip()) for line in node.astext().splitlines())
        elif isinstance(node, nodes.Text):
            text, japanese = re.subn(r"[\u3040-\u30ff\u3400-\u9fff]", " ", node)
            words += len(text.split()) + japanese * WORDS / CHARACTERS
        else:
            waiting += node.children
    return math.ceil(words / WORDS + lines / LINES + formulas / FORMULAS)


def run_time(seconds: float) -> str:
    """34 seconds, or 3 minutes from 90 seconds on."""
    if seconds >= 90:
        return say("{n} minutes", n=round(seconds / 60))
    n = max(1, round(seconds))
    return say("{n} seconds", n=n) if n > 1 else say("1 second")


def show_times(app, doctree):
    """Below the title of a chapter: minutes to read, and the run time of this build."""
    page = app.env.docname
    if not page.startswith("notebooks/"):
        return
    n = reading_minutes(doctree)
    text = say("About {n} minutes to read", n=n) if n > 1 else say("About 1 minute to read")
    ran = (NbMetadataCollector.get_exec_data(app.env, page) or {}).get("runtime")
    if ran is not None:
        device = "GPU" if torch.cuda.is_available() else "CPU"
        budget = os.environ.get("GSLIB_BUDGET", "smoke")
        text += say(" · {time} to run ({where})", time=run_time(ran), where=f"{budget}, {device}")
    title = next(iter(doctree.findall(nodes.title)))
    title.parent.insert(
        title.parent.index(title) + 1, nodes.paragraph("", text, classes=["chapter-time"])
    )


# --- where it is in the paper ---------------------------------------------------------------------


def note_paper(app, doctree):
    """In the margin beside a formula of the paper: which one it is there, with a link to the
    concordance."""
    page = app.env.docname
    if not page.startswith("notebooks/") or "book/concordance" not in app.env.found_docs:
        return
    app.env.note_dependency(str(concordance.FILE))
    places = {
        label: entry["paper"] for entry in concordance.entries() for label in entry["formulas"]
    }
    for formula in list(doctree.findall(nodes.math_block)):
        if place := places.get(formula.get("label")):
            link = addnodes.pending_xref(
                "",
                nodes.inline("", say_like(place, "Equation {n}", "Section {n}", "Appendix {n}")),
                refdomain="std",
                reftype="doc",
                refexplicit=True,
                reftarget="/book/concordance",
                refdoc=page,
                refwarn=True,
            )
            note = nodes.container(
                "",
                nodes.paragraph("", say("In the paper: "), link),
                classes=["margin", "paper-note"],
            )
            formula.parent.insert(formula.parent.index(formula), note)


def index_definitions(app, doctree):
    """For the search: a term leads to its definition, a number of the paper to its explanation."""
    page = app.env.docname
    if not page.startswith("notebooks/"):
        return
    chapter = page.removeprefix("notebooks/")
    found = [
        ("single", term.astext(), name, "main", None)
        for term in doctree.findall(nodes.strong)
        for name in term["ids"]
        if name.startswith("def-")
    ]
    for entry in concordance.entries():
        if labels := entry["sections"].get(chapter):
            name = f"equation-{labels[0]}" if labels[0].startswith("eq-") else labels[0]
            first = "main" if next(iter(entry["sections"])) == chapter else ""
            found.append(("single", entry["paper"], name, first, None))
    doctree.append(addnodes.index(entries=found))


def index_what_was_not_written(app):
    """The search's entries of pages that this build did not write: Sphinx 7.4 loads its index of
    the build before without them."""
    indexer = getattr(app.builder, "indexer", None)
    for page in app.env.found_docs - indexer._index_entries.keys() if indexer else ():
        indexer._index_entries[page] = sorted(
            {
                (text, target, main)
                for node in app.env.get_doctree(page).findall(addnodes.index)
                for kind, value, target, main, _ in node["entries"]
                for text in split_index_msg(kind, value)
            }
        )
    return []


# --- previews -------------------------------------------------------------------------------------

# What a link to these shows. A page has the previews of its own targets; those of other pages are
# in previews.js.
TARGET = re.compile(r"(equation-|fig-|term-).+")


def preview(page: BeautifulSoup, name: str, folder: str) -> str:
    """The HTML that stands for a target: a formula, a figure with its caption, or the text of a
    glossary entry."""
    target = page.find(id=name)
    if target is None:
        return ""
    if target.name == "dt":
        target = target.find_next_sibling("dd")
    target = BeautifulSoup(str(target), "html.parser").find()
    for kit in target.select(".headerlink, details, script"):
        kit.decompose()
    for image in target.find_all("img"):
        image["src"] = posixpath.normpath(posixpath.join(folder, image["src"]))
    for element in target.find_all(True):
        for attribute in ("id", "href", "title", "loading"):
            element.attrs.pop(attribute, None)
    inside = target.decode_contents().strip()
    return (
        f'<div class="math notranslate nohighlight">{inside}</div>'
        if name.startswith("equation-")
        else inside
    )


def write_previews(app, exception):
    """Write _static/previews.js: what links to other pages of the book would show, and whether
    there is a PDF."""
    if exception is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    read = {}

    def page(path):
        if path not in read:
            read[path] = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        return read[path]

    found = {}
    for path in [*folder.glob("notebooks/*.html"), *folder.glob("book/*.html")]:
        for link in page(path).select("article a.internal[href]"):
            file, name = urldefrag(unquote(link["href"]))
            other = (path.parent / file).resolve()
            if file and TARGET.fullmatch(name) and other.is_file():
                where = other.relative_to(folder.resolve()).as_posix()
                if f"{where}#{name}" not in found:
                    found[f"{where}#{name}"] = preview(page(other), name, posixpath.dirname(where))
    text = json.dumps(
        {key: html for key, html in sorted(found.items()) if html}, ensure_ascii=False, indent=0
    )
    (folder / "_static" / "previews.js").write_text(
        f"window.bookPreviews = {text};\n", encoding="utf-8"
    )
    note_pdf(folder)


def note_pdf(folder: Path) -> None:
    """Write _static/pdf.js, which names the PDF if it is there and no page that it holds is
    newer."""
    file = folder / PDF
    pages = [*folder.glob("notebooks/*.html"), *folder.glob("book/*.html")]
    fresh = file.exists() and all(path.stat().st_mtime <= file.stat().st_mtime for path in pages)
    (folder / "_static" / "pdf.js").write_text(
        f"window.bookPdf = {json.dumps(PDF if fresh else '')};\n", encoding="utf-8"
    )


def setup(app):
    app.connect("doctree-read", show_times)
    app.connect("doctree-read", note_paper)
    app.connect("doctree-read", glossary.connect)
    app.connect("doctree-read", index_definitions)
    app.connect("html-collect-pages", index_what_was_not_written)
    app.connect("build-finished", write_previews)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
