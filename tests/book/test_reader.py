"""The reader's aids: glossary, previews, reading and run time, and the PDF, as code and text;
tests/book uses them."""

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from sphinx import addnodes

ROOT = Path(__file__).resolve().parents[2]
aids = pytest.importorskip("aids", reason="needs the book's toolchain: requirements.txt")
glossary = pytest.importorskip("glossary")
pdf = pytest.importorskip("pdf")

# --- the glossary


def test_every_term_that_a_chapter_prints_in_bold_is_in_the_glossary():
    missing = [
        f"{page}: {phrase}"
        for page, phrase in glossary.in_bold()
        if glossary.key(phrase) not in glossary.NO_TERMS and glossary.entry_of(phrase) is None
    ]
    assert missing == [], "add them to book/glossary.md, or to NO_TERMS in book/tools/glossary.py"


def test_every_entry_of_the_glossary_is_explained_in_a_chapter():
    homeless = [term for term, page in glossary.homes().items() if page is None]
    assert homeless == [], "nothing is printed in bold for them"
    for term, page in glossary.EXPLAINED.items():
        assert term in (ROOT / f"{page}.ipynb").read_text(encoding="utf-8")


def test_entries_are_once_each_and_short():
    terms = [glossary.key(term) for group in glossary.entries() for term in group]
    assert len(terms) == len(set(terms)) > 100
    definitions = re.findall(
        r"^\S.*\n((?:  .*\n)+)", glossary.FILE.read_text(encoding="utf-8"), re.M
    )
    assert [d for d in definitions if len(d.split()) > 50 or not d.strip().endswith(".")] == []


def test_the_lists_about_spelling_name_what_there_is():
    terms = {term for group in glossary.entries() for term in group}
    assert set(glossary.SPELLINGS.values()) | glossary.EVERYDAY | set(glossary.EXPLAINED) <= terms
    bold = {glossary.key(phrase) for _, phrase in glossary.in_bold()}
    assert set(glossary.SPELLINGS) | glossary.NO_TERMS <= bold


def test_first_uses_are_linked_outside_headings_code_and_bold():
    document = nodes.Element(
        "",
        *[
            nodes.title("", "Softmax"),
            nodes.literal_block("", "softmax"),
            nodes.paragraph(
                "",
                "",
                nodes.strong("", "softmax"),
                nodes.Text(" or the softmax of two logits, again softmax."),
            ),
        ],
    )
    glossary.link_first_uses(document, "notebooks/x", {"simplex"})
    links = [link.astext() for link in document.findall() if link.tagname == "pending_xref"]
    assert links == ["softmax", "logits"]
    assert document[2].astext() == "softmax or the softmax of two logits, again softmax."
    glossary.link_first_uses(document, "notebooks/x", {"softmax", "logit"})
    assert len([link for link in document.findall() if link.tagname == "pending_xref"]) == 2


def test_a_notebook_before_the_first_chapter_is_called_by_its_title():
    assert glossary.name_of("notebooks/07_discrete_vae") == "Chapter\u00a07"
    assert glossary.name_of("notebooks/00_reading_tensor_code") == "Reading tensor code"
    assert glossary.homes()["broadcasting"] == "notebooks/00_reading_tensor_code"


# --- time


def test_reading_time_counts_words_code_and_formulas_but_no_output():
    def document(**counts):
        parts = {
            "words": nodes.paragraph("", "word " * counts.get("words", 0)),
            "lines": nodes.literal_block("", "line\n\n" * counts.get("lines", 0)),
            "output": nodes.container(
                "",
                nodes.literal_block("", "line\n" * counts.get("output", 0)),
                nb_element="cell_code_output",
            ),
        }
        return nodes.Element(
            "", *parts.values(), *[nodes.math_block("", "x")] * counts.get("formulas", 0)
        )

    assert aids.reading_minutes(document(words=10 * aids.WORDS)) == 10
    assert aids.reading_minutes(document(words=10 * aids.WORDS + 1)) == 11
    assert aids.reading_minutes(document(lines=3 * aids.LINES, output=999)) == 3
    assert (
        aids.reading_minutes(document(words=aids.WORDS, lines=aids.LINES, formulas=aids.FORMULAS))
        == 3
    )


def test_the_rate_of_reading_is_stated_in_the_book():
    text = " ".join((ROOT / "book" / "intro.md").read_text(encoding="utf-8").split())
    assert f"{aids.WORDS} words, {aids.LINES} lines of code or {aids.FORMULAS} formulas" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (33.6, "34 seconds"), (89, "89 seconds"), (100, "2 minutes")],
)
def test_run_time_is_said_in_whole_units(seconds, said):
    assert aids.run_time(seconds) == said


# --- previews


@pytest.mark.parametrize(
    ("name", "shows", "hides"),
    [
        ("equation-eq-a", r"\[ y \]", "headerlink"),
        ("fig-a", 'src="_images/a.svg"', "Data"),
        ("term-logit", "A number.", "<dd"),
    ],
)
def test_a_preview_is_what_the_link_leads_to(name, shows, hides):
    page = BeautifulSoup(
        r'<div class="math" id="equation-eq-a"><span class="eqno">(1)<a class="headerlink">#</a></span>\[ y \]</div>'
        '<figure id="fig-a"><img src="../_images/a.svg" loading="lazy"><details>Data</details></figure>'
        '<dl><dt id="term-logit">logit</dt><dd><p>A number.</p></dd></dl>',
        "html.parser",
    )
    html = aids.preview(page, name, "notebooks")
    assert shows in html
    assert hides not in html
    assert "id=" not in html
    assert aids.preview(page, "fig-none", "notebooks") == ""


# --- the PDF


def test_the_book_links_a_pdf_only_while_no_page_is_newer(tmp_path):
    note, page = tmp_path / "_static" / "pdf.js", tmp_path / "notebooks" / "01_a.html"
    for path in (note, page):
        path.parent.mkdir()
        path.touch()
    aids.note_pdf(tmp_path)
    assert note.read_text() == 'window.bookPdf = "";\n'
    (tmp_path / aids.PDF).touch()
    aids.note_pdf(tmp_path)
    assert aids.PDF in note.read_text()
    later = (tmp_path / aids.PDF).stat().st_mtime + 10
    os.utime(page, (later, later))
    aids.note_pdf(tmp_path)
    assert note.read_text() == 'window.bookPdf = "";\n'


def test_the_pdf_has_all_pages_in_order_with_links_inside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "HTML", tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_a.html").write_text(
        '<article class="bd-article"><h1 id="a">A<a class="headerlink">#</a></h1><details>s</details>'
        '<img src="../_images/a.svg"><a href="#a">1</a><a href="../book/b.html#c">2</a><a href="../genindex.html">3</a>'
        '<a href="https://x.org">4</a><section id="exercise-content"><p>Try.</p></section>'
        '<section><h2>Live</h2><div class="gs-controls"></div></section></article>'
    )
    body = pdf.article("notebooks/01_a", {"notebooks/01_a", "book/b"})
    assert [a["href"] for a in body.find_all("a")] == [
        "#notebooks-01_a--a",
        "#book-b--c",
        "https://x.org",
    ]
    assert body.find("h1")["id"] == "notebooks-01_a--a"
    assert body.find("details").has_attr("open")
    assert [section.get_text() for section in body.find_all("section")] == ["Try."]
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [
        toc["root"],
        *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"]),
    ]
    assert [page for _, page in pdf.order()] == listed


def test_make_pdf_builds_the_book_and_prints_it():
    said = subprocess.run(
        ["make", "-n", "pdf"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "jupyter-book build" in said
    assert "book/tools/pdf.py" in said


def test_without_a_built_book_the_pdf_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "HTML", tmp_path)
    with pytest.raises(SystemExit, match="make book"):
        pdf.main()


def test_the_search_keeps_the_definitions_of_pages_that_were_not_written_again():
    entry = ("single", "Concrete distribution", "def-concrete", "main", None)
    doctree = nodes.container("", addnodes.index(entries=[entry]))
    indexer = SimpleNamespace(_index_entries={"written": []})
    env = SimpleNamespace(found_docs={"written", "kept"}, get_doctree=lambda page: doctree)
    app = SimpleNamespace(builder=SimpleNamespace(indexer=indexer), env=env)
    assert aids.index_what_was_not_written(app) == []
    found = [("Concrete distribution", "def-concrete", "main")]
    assert indexer._index_entries == {"written": [], "kept": found}
    other = SimpleNamespace(builder=SimpleNamespace(), env=env)  # LaTeX has no search
    assert aids.index_what_was_not_written(other) == []


def test_the_pdf_keeps_an_exercise_of_one_paragraph_and_drops_headings_of_nothing(
    tmp_path, monkeypatch
):
    (tmp_path / "page.html").write_text(
        '<article class="bd-article"><section><h1>T</h1>'
        '<section id="exercise-content"><p>Count.</p></section>'
        '<section><h2>Try it</h2><div class="gs-controls"></div></section></section></article>',
        encoding="utf-8",
    )
    monkeypatch.setattr(pdf, "HTML", tmp_path)
    body = pdf.article("page", {"page"})
    assert "Count." in body.get_text()
    assert body.find("h2") is None
