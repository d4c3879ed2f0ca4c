"""The editions for Colab beside the built book: the same numbers, titles, references; buttons."""

import json
import re
from functools import cache

import pytest
from bs4 import BeautifulSoup
from built import BOOK  # without a fresh built book, this skips what is here, too
from test_colab import EDITIONS, NOTEBOOKS, citation, colab, each_edition, notebooks, prose


@cache
def soup(chapter):
    html = (BOOK / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8")
    return BeautifulSoup(html, "html.parser")


@pytest.fixture
def page(path):
    return soup(path.stem)


@cache
def labels():
    names, numbered = colab.contents()
    read = {p.stem: json.loads(p.read_text(encoding="utf-8"))["cells"] for p in NOTEBOOKS}
    return colab.Labels({name: read[name] for name in names}, numbered)


def words(element):
    return " ".join(element.get_text().split()).rstrip("#").strip()


@each_edition
def test_numbers_titles_and_citations_are_those_of_the_built_book(path, page):
    article = page.find("article")
    found = {}
    for formula in article.select("div.math[id^=equation-]"):
        found[formula["id"].removeprefix("equation-")] = words(formula.select_one(".eqno"))
    for figure in article.select("figure[id]:has(.caption-number)"):
        found[figure["id"]] = words(figure.select_one(".caption-number"))
    for block in article.select("div.exercise[id], div.proof[id]:not([id=proof])"):
        if number := block.select_one(".admonition-title .caption-number"):
            found[block["id"]] = words(number)
    numbered = colab.contents()[1]
    if path.stem not in numbered:  # the book counts their figures through all such pages
        found = {label: number for label, number in found.items() if "Fig." not in number}
    ours = {
        label: f"({number})" if kind == "Equation" else f"{kind} {number}"
        for label, (chapter, _, kind, number, _) in labels().found.items()
        if chapter == path.stem and number
    }
    assert len(ours) > 4 or path.stem not in numbered
    assert ours == found

    text = prose(path)
    titles = [re.sub(r"[*`]", "", title) for title in re.findall(r"^##? (.+)$", text, re.M)]
    assert [re.sub(r"\$(.+?)\$", r"\(\1\)", title) for title in titles] == [
        words(heading) for heading in article.select("h1, h2")
    ]
    for formula in re.findall(r"\\tag\{(.+?)\}", text):
        assert f"({formula})" in found.values()
    cited = re.findall(r"\[\[([^\[\]]+)\]\(#\w+\)(?:, \[([^\[\]]+)\]\(#\w+\))*\]", text)
    assert len(cited) == len(article.select(".bibtex-citation"))
    listed = [words(entry).partition("]")[0][1:] for entry in article.select(".citation")]
    assert re.findall(r"^- <a id=.*?</a>\[(.+?)\] ", text, re.M) == listed


@each_edition
def test_the_buttons_of_the_built_book_open_the_edition(path, page):
    links = [a["href"] for a in page.select("a[href^='https://colab.research.google.com']")]
    assert len(links) >= 2  # below the title, and in the menu
    assert set(links) == {colab.colab(notebooks.address(), path.name)}


@each_edition
def test_pictures_of_an_edition_are_in_the_built_book(path):
    for source in re.findall(r'<img src="([^"]+)"', prose(path)):
        assert source.startswith(citation.site())
        assert (BOOK / source.removeprefix(citation.site())).is_file(), source


def test_some_edition_has_a_picture():
    assert any("<img" in prose(path) for path in EDITIONS)
