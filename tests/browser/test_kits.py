"""The figures of the paper in the built book, and their kits."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import citation
import kit
import markup
import pytest
import scoreboard
import svgs
import tables
from built import BOOK, CHAPTERS, PAGES, PHONE, TOO_WIDE, axe, open_page, violations
from pybtex.database import parse_file

LABELS = frozenset().union(*(chapter["labels"] for chapter in markup.chapters().values()))
FIGURES = {
    figure: (label, claim)
    for label, drawn in kit.kits().items()
    if label in LABELS
    for figure, claim in drawn.items()
}
DRAWN_ELSEWHERE = {"figure-5b"}  # digits alone
of_the_paper = pytest.mark.parametrize("figure", FIGURES)


@of_the_paper
def test_a_figure_of_the_paper_has_an_anchor_and_a_page_that_leads_there(figure):
    stub = PAGES[BOOK / f"{figure}.html"]
    path, anchor = stub.target(stub.links[0])
    assert anchor == figure
    assert {figure, FIGURES[figure][0]} <= PAGES[path].ids
    assert f'href="../{figure}.html"' in PAGES[BOOK / "book" / "cite.html"].text


@of_the_paper
def test_a_figure_of_the_paper_has_its_files(figure):
    folder = BOOK / kit.FOLDER
    picture = ElementTree.parse(folder / f"{figure}.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    assert [e.tag for e in picture[:3]] == [f"{svg}title", f"{svg}desc", f"{svg}metadata"]
    assert all(e.text.strip() for e in picture[:2])
    assert svgs.LICENCE in (folder / f"{figure}.svg").read_text(encoding="utf-8")
    if figure not in DRAWN_ELSEWHERE:
        assert list(picture.iter(f"{svg}text"))  # text is text
    assert len(picture.findall(".//*")) > 10
    printed = (folder / f"{figure}.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert b"%%EOF" in printed[-10:]
    (entry,) = parse_file(folder / f"{figure}.bib").entries.values()
    assert entry.fields["url"] == citation.site(f"{figure}.html")
    data = folder / f"{figure}.csv"
    if data.exists():
        rows = list(csv.DictReader(data.open(encoding="utf-8", newline="")))
        assert all(float(list(row.values())[5]) > -1e9 for row in rows if list(row.values())[5])
        first, last = FIGURES[figure][1].panels or (1, 99)
        panels = {int(row["panel"]) for row in rows}
        assert first in panels
        assert panels <= set(range(first, last + 1))
    elif figure != "figure-5b":  # a picture of digits; else nothing has run, or a drawing
        assert FIGURES[figure][1].runs(scoreboard.evidence()) == {}


@of_the_paper
def test_a_figure_of_the_paper_has_its_kit_below_it(figure):
    label, claim = FIGURES[figure]
    page = next(page for page in PAGES.values() if label in page.ids and figure in page.ids)
    below = page.text[page.text.index(f'id="{label}"') :]
    block = re.search(r'</figure>\s*(<details class="figure-kit">.*?</details>)', below, re.DOTALL)[
        1
    ]
    assert f"/{figure}.html" in block
    for ending in ("svg", "pdf", "csv", "bib"):
        linked = re.search(rf'href="([^"]+/{kit.FOLDER}/[\w-]+\.{ending})"', block)
        assert bool(linked) == (BOOK / kit.FOLDER / f"{figure}.{ending}").exists(), ending
    keys = {key for path, keys in claim.runs(scoreboard.evidence()).items() for key in keys}
    shown = {
        Path(path).stem + "_" + key
        for path, text in re.findall(r'<li><a href="([^"]+)">[^<]+</a>:(.*?)</li>', block)
        for key in re.findall(r"<code>(.*?)</code>", text)
    }
    assert shown == keys


@pytest.mark.parametrize(
    "label", sorted(x for x in LABELS - kit.kits().keys() if x.startswith("fig-"))
)
def test_a_figure_of_the_books_own_has_its_kit(label):
    page = next(PAGES[path] for path in CHAPTERS if label in PAGES[path].ids)
    below = page.text[page.text.index(f'id="{label}"') :]
    block = re.search(r'</figure>\s*(<details class="figure-kit">.*?</details>)', below, re.DOTALL)
    linked = re.findall(rf'href="[^"]+/{kit.FOLDER}/({label}\.\w+)"', block[1])
    drawn = f"{label}.pdf" in linked  # by a cell, and not once and for all
    assert (f"redraw.py {label}" in re.sub("<[^>]+>", "", block[1])) == drawn
    assert {f"{label}.svg", f"{label}.bib"} <= set(linked)
    assert [file for file in linked if not (BOOK / kit.FOLDER / file).exists()] == []


def test_figures_1a_and_1b_are_apart():
    one, two = (
        (BOOK / kit.FOLDER / f"figure-1{letter}.svg").read_text(encoding="utf-8") for letter in "ab"
    )
    assert "(a) mean" in one
    assert "(b) samples" not in one
    assert "(b) samples" in two
    assert "(a) mean" not in two


@pytest.mark.parametrize("table", tables.TITLES)
def test_the_page_of_the_scoreboard_has_the_tables_as_data(table):
    page = PAGES[BOOK / "book" / "scoreboard.html"]
    for file, text in tables.files(table).items():
        assert f'href="../{kit.FOLDER}/{file}"' in page.text
        assert (BOOK / kit.FOLDER / file).read_text(encoding="utf-8") == text


def test_a_kit_opens_from_the_keyboard_and_is_accessible_when_open(browser):
    figure = max(
        FIGURES, key=lambda figure: len(FIGURES[figure][1].runs(scoreboard.evidence()))
    )  # the longest block
    tab = open_page(browser, next(path for path, page in PAGES.items() if figure in page.ids))
    block = tab.locator("details.figure-kit").first
    assert not block.locator("a").first.is_visible()
    block.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert block.locator("a").first.is_visible()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "SVG"
    axe(tab)
    assert violations(tab, "light") == []
    tab.set_viewport_size(PHONE)
    tab.wait_for_timeout(500)  # the page waits for the end of the resizing
    assert (tab.evaluate(TOO_WIDE), violations(tab, "phone")) == ([], [])
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert violations(tab, "dark") == []
    tab.context.close()
