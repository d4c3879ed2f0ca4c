"""The glossary and the chapters: each entry leads to the place that defines it, and first uses lead
to the entry.

book/glossary.md holds the entries. A chapter defines a term by printing it in bold; the lists below
say which entry a bold phrase belongs to where the two are spelt differently, and which bold phrases
are no terms.
"""

from __future__ import annotations

import json
import re

import terms
from colab import contents
from docutils import nodes
from repository import LANGUAGE, ROOT, SOURCE
from sphinx import addnodes
from words import say

FILE = ROOT / "book" / "glossary.md"
PAGE = "book/glossary"

SPELLINGS = {  # bold phrase of a chapter, in lower case and singular -> entry
    "binary concrete": "binary Concrete distribution",
    "centred": "centred logits",
    "classe": "class",
    "concrete": "Concrete distribution",
    "enumerate": "enumeration",
    "exponential": "exponential distribution",
    "gaussian": "Gaussian distribution",
    "input-dependent": "input-dependent baseline",
    "kendall'": "Kendall's coefficient",
    "logistic": "logistic distribution",
    "monte carlo": "Monte Carlo estimate",
    "pathwise": "pathwise estimator",
    "relax": "relaxation",
    "score-function": "score-function estimator",
    "spearman'": "Spearman's coefficient",
    "standard gumbel distribution": "Gumbel distribution",
    "straight-through": "straight-through estimator",
    "test": "test split",
    "the score function": "score-function estimator",
    "training": "training split",
    "validation": "validation split",
}
# Stars that open and close; Japanese has no space before them.
BOLD = (r"(?<![\w)*])" if LANGUAGE == "en" else r"(?<!\*)") + r"\*\*(?=\S)([^*]+?)(?<=\S)\*\*"
NO_TERMS = {"idea", "formula", "properties"}
# Entries that are not printed in bold where they are explained.
EXPLAINED = {"Kullback-Leibler divergence": "notebooks/07_discrete_vae"}
# Everyday words: they are in the glossary, but a chapter does not link them.
EVERYDAY = {
    "accuracy",
    "action",
    "axis",
    "class",
    "continuous",
    "derivative",
    "slope",
    "evidence",
    "example",
    "input",
    "learning",
    "loss",
    "margin",
    "mask",
    "masking",
    "model",
    "parameter",
    "pixel",
    "program",
    "record",
    "sample",
    "sampler",
    "score",
    "seed",
    "separable",
    "shape",
    "split",
    "state",
    "target",
    "token",
    "uniform",
    "weight",
}
# Short for the splits where a chapter defines these; 訓練する is any training, and no link.
SHORT = {"訓練", "検証", "テスト"}


def entries() -> list[list[str]]:
    """The terms of each entry of the glossary, the main one first."""
    block = re.search(
        r"^```\{glossary\}\n(?::\w+:\n)*(.*?)^```$", FILE.read_text(encoding="utf-8"), re.S | re.M
    )[1]
    found = [re.findall(r"^\S.*$", part, re.M) for part in re.split(r"\n\s*\n", block)]
    return [terms for terms in found if terms]


def key(phrase: str) -> str:
    """A phrase without capitals, full stop and the s of the plural."""
    phrase = re.sub(r"\s+", " ", phrase).strip(" .:,").lower().replace("’", "'")
    return phrase if phrase in NO_TERMS else re.sub(r"(?<![su])s$", "", phrase)


def entry_of(phrase: str) -> str | None:
    """The main term of the entry that a bold phrase belongs to."""
    phrase = (LANGUAGE != "en" and terms.english(phrase)) or phrase
    wanted = key(SPELLINGS.get(key(phrase), phrase))
    return next((group[0] for group in entries() if wanted in map(key, group)), None)


def in_bold() -> list[tuple[str, str]]:
    """(page, phrase) of all that the chapters print in bold, in their order."""
    found = []
    for path in sorted((SOURCE / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                bold = re.findall(BOLD, "".join(cell["source"]))
                found += [(f"notebooks/{path.stem}", phrase) for phrase in bold]
    return found


def homes() -> dict[str, str]:
    """Main term of each entry -> the page that explains it: where it is first in bold, or else
    another of its terms."""
    first: dict[str, str] = {}
    for page, phrase in in_bold():
        phrase = (LANGUAGE != "en" and terms.english(phrase)) or phrase
        first.setdefault(key(SPELLINGS.get(key(phrase), phrase)), page)
    found = {}
    for group in entries():
        pages = [first.get(key(term)) for term in group]
        found[group[0]] = EXPLAINED.get(group[0]) or next(filter(None, pages), None)
    return found


def anchor(term: str) -> str:
    return "def-" + re.sub(r"\W+", "-", term.lower()).strip("-")


# --- while Sphinx reads a page --------------------------------------------------------------------


def connect(app, doctree):
    """Give definitions an anchor, entries a link to it, and first uses in a chapter a link to the
    entry."""
    page = app.env.docname
    if PAGE not in app.env.found_docs or not (page == PAGE or page.startswith("notebooks/")):
        return
    app.env.note_dependency(str(FILE))
    if page == PAGE:
        for path in (ROOT / "notebooks").glob("*.ipynb"):
            app.env.note_dependency(str(path))
        lead_back(doctree)
    else:
        defined = mark_definitions(app, doctree, page)
        link_first_uses(doctree, page, defined)


def mark_definitions(app, doctree, page) -> set[str]:
    """Anchors at the bold phrases; the main terms that this chapter defines, here for the first
    time or again."""
    home, defined = homes(), set()
    for bold in doctree.findall(nodes.strong):
        term = entry_of(bold.astext())
        if term and term not in defined:
            defined.add(term)
            if home[term] == page:
                bold["ids"].append(anchor(term))
                bold["classes"].append("definition")
                app.env.get_domain("std").note_hyperlink_target(anchor(term), page, anchor(term))
    return defined


def name_of(page: str) -> str:
    """Chapter 7, or the title of a notebook before the first chapter."""
    numbered, chapter = contents()[1], page.removeprefix("notebooks/")
    if chapter in numbered:
        return say("Chapter\u00a0{n}", n=numbered.index(chapter) + 1)
    cells = json.loads((SOURCE / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).removeprefix("# ").strip()


def lead_back(doctree) -> None:
    """After each entry the chapter that explains it, as a link to the very place."""
    home, marked = homes(), {entry_of(phrase) for _, phrase in in_bold()}
    before, after = (" ", ".") if LANGUAGE == "en" else ("（", "）")
    for item in doctree.findall(nodes.definition_list_item):
        term = entry_of(item[0].astext())
        if page := home.get(term):
            kind, target = ("ref", anchor(term)) if term in marked else ("doc", f"/{page}")
            link = addnodes.pending_xref(
                "",
                nodes.inline("", name_of(page)),
                refdomain="std",
                reftype=kind,
                reftarget=target,
                refexplicit=True,
                refdoc=PAGE,
                refwarn=True,
            )
            list(item.findall(nodes.paragraph))[-1].extend(
                [nodes.Text(before), link, nodes.Text(after)]
            )


NOT_TEXT = (
    nodes.title,
    nodes.rubric,
    nodes.caption,
    nodes.strong,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.reference,
    nodes.raw,
    nodes.citation,
    nodes.table,
    addnodes.pending_xref,
)


def running(text) -> bool:
    """Whether a piece of text is running text: no heading, code, formula, link or table, and in no
    exercise."""
    node = text.parent
    while node is not None:
        if (
            isinstance(node, NOT_TEXT)
            or re.search("exercise|solution", node.tagname)
            or node.get("nb_element") == "cell_code"
        ):
            return False
        node = node.parent
    return True


def used() -> dict[str, tuple[str, str]]:
    """What a text may say, in small letters -> the main term of its entry, and the term to link
    where that is another. In Japanese, where words have no ends, none of a single letter."""
    found = {
        term.lower(): (group[0], "")
        for group in entries()
        for term in group
        if term not in EVERYDAY
    }
    if LANGUAGE != "en":
        for form, term in terms.forms().items():
            if term.lower() in found and len(form) > 1 and form not in SHORT:
                found[form] = (found[term.lower()][0], term)
    return found


def link_first_uses(doctree, page, defined) -> None:
    """The first use of a term that another chapter defines becomes a link."""
    known = used()
    longest_first = sorted(known, key=len, reverse=True)
    if LANGUAGE == "en":
        words = rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})s?(?![\w-])"
    else:
        words = f"({'|'.join(map(terms.as_word, longest_first))})"
    pattern = re.compile(words, re.IGNORECASE)
    done = set(defined)
    for text in filter(running, list(doctree.findall(nodes.Text))):
        pieces, at = [], 0
        for match in pattern.finditer(text):
            entry, target = known[match[1].lower()]
            if entry not in done:
                done.add(entry)
                words = nodes.inline("", match[0], classes=["term-use"])
                link = addnodes.pending_xref(
                    "",
                    words,
                    refdomain="std",
                    reftype="term",
                    reftarget=target or match[1],
                    refexplicit=True,
                    refdoc=page,
                    refwarn=True,
                )
                pieces += [nodes.Text(text[at : match.start()]), link]
                at = match.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[at:])])
