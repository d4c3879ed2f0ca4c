"""Print the built book as one PDF: all pages in order, with bookmarks, page numbers and links that
work inside it.

    python book/tools/pdf.py     (make pdf; of the Japanese edition with GSLIB_LANGUAGE=ja)

The articles of _build/html become one page in _build/pdf: solutions are open, the set-up cells,
folded code and what only works on a screen are left out, the theme is the light one. Chromium
prints it to _build/html/gumbel-softmax-book.pdf, and the book then links to that. Japanese needs a
font that has its letters, such as the Debian package fonts-noto-cjk.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
import sys
from html import escape
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml
from aids import PDF, note_pdf
from bs4 import BeautifulSoup
from repository import LANGUAGE, ROOT, SOURCE, address
from words import say

HTML = ROOT / "_build" / "html" / ("" if LANGUAGE == "en" else LANGUAGE)
PAGE = ROOT / "_build" / "pdf" / f"book-{LANGUAGE}.html"
STYLE = Path(__file__).with_suffix(".css")
SCREEN_ONLY = (
    ".headerlink, .tag_hide-input > details.hide, .copybtn, script, .tag_setup, .figure-kit, "
    ".gs-controls, .backrefs, "
    "a[href^='https://colab.research.google.com/']"
)
FOOTER = (
    '<div style="width: 100%; text-align: center; font: 8px sans-serif; color: #444">'
    '<span class="pageNumber"></span></div>'
)
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


def chromium() -> str | None:
    """The program of an installed Chromium, or the one that CHROMIUM names."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def order() -> list[tuple[str, str]]:
    """(part, page) of all pages, as the table of contents has them."""
    toc = yaml.safe_load((SOURCE / "_toc.yml").read_text(encoding="utf-8"))
    rest = [
        (part["caption"], chapter["file"]) for part in toc["parts"] for chapter in part["chapters"]
    ]
    return [("", toc["root"]), *rest]


def name_of(page: str, anchor: str = "") -> str:
    """The id in the whole book of an id on one page."""
    return re.sub(r"\W+", "-", page) + (f"--{anchor}" if anchor else "")


def article(page: str, pages: set[str]) -> BeautifulSoup:
    """The article of a built page, with ids and links as the whole book needs them."""
    path = HTML / f"{page}.html"
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    body = soup.select_one("article.bd-article")
    for element in body.select(SCREEN_ONLY):
        element.decompose()
    for section in body.find_all("section"):
        inside = section.find_all(True, recursive=False)
        if len(inside) == 1 and re.fullmatch("h[2-6]", inside[0].name):
            section.decompose()  # a heading that held nothing but what only works on a screen
    for details in body.find_all("details"):
        details["open"] = ""
    for element in body.find_all(id=True):
        element["id"] = name_of(page, element["id"])
    for image in body.find_all(src=True):
        image["src"] = os.path.relpath(path.parent / image["src"], PAGE.parent).replace(os.sep, "/")
        image.attrs.pop("loading", None)
    for link in body.find_all("a", href=True):
        if re.match(r"[a-z]+:", link["href"]):
            continue
        file, anchor = urldefrag(unquote(link["href"]))
        target = (
            (path.parent / file).resolve().relative_to(HTML.resolve()).with_suffix("").as_posix()
            if file
            else page
        )
        if target in pages:
            link["href"] = f"#{name_of(target, anchor)}"
        else:
            link.unwrap()  # a page that is not printed, such as the index
    body["id"] = name_of(page)
    return body


def whole() -> str:
    """The HTML of the book on one page."""
    index = BeautifulSoup((HTML / "book" / "intro.html").read_text(encoding="utf-8"), "html.parser")
    styles = [
        link["href"].split("?")[0].removeprefix("../")
        for link in index.select("head link[rel=stylesheet]")
    ]
    config = yaml.safe_load((SOURCE / "_config.yml").read_text(encoding="utf-8"))
    mathjax = next(
        s.string for s in index.select("head script") if s.string and "window.MathJax" in s.string
    )
    mathjax = mathjax.replace('"matchFontHeight": false', '"matchFontHeight": true')
    pages = {page for _, page in order()}
    contents, articles, last = [], [], ""
    for part, page in order():
        body = article(page, pages)
        title = body.find("h1")
        if part != last:
            contents.append(f"<li class='part'>{escape(part)}</li>")
            last = part
        contents.append(f"<li><a href='#{name_of(page)}'>{title.decode_contents()}</a></li>")
        articles.append(str(body))
    there, day = os.path.relpath(HTML, PAGE.parent).replace(os.sep, "/"), datetime.date.today()
    today = say("{day} {month} {year}", day=day.day, month=f"{day:%B}", year=day.year, n=day.month)
    return f"""<!DOCTYPE html>
<html lang="{LANGUAGE}" data-theme="light" data-mode="light" class="whole-book"><head>
<meta charset="utf-8">
<title>{escape(config["title"])}</title>
{"".join(f'<link rel="stylesheet" href="{there}/{style}">' for style in styles)}
<style>{STYLE.read_text(encoding="utf-8")}</style>
<script>{mathjax}</script><script defer src="{there}/_static/mathjax/startup.js"></script>
</head><body><main class="bd-content">
<section class="title-page"><img src="{there}/_static/logo.svg" alt="">
<p class="book-title">{escape(config["title"])}</p>
<p>{escape(config["author"])}</p><p>{today}</p><p>{escape(address())}</p>
<p>{escape(config["html"]["extra_footer"].strip())}</p></section>
<nav class="book-contents"><p class="book-title">{say("Table of contents")}</p>
<ul>{"".join(contents)}</ul></nav>
{"".join(articles)}
</main></body></html>
"""


def main() -> int:
    if not (SOURCE / "_toc.yml").exists() or not (HTML / "index.html").exists():
        raise SystemExit("There is no built book to print: run `make book` first.")
    program = chromium()
    if not program:
        raise SystemExit(
            "Chromium prints the PDF, and it is not here: install it (Debian: "
            "apt-get install chromium), or "
            "set CHROMIUM to its program."
        )
    from playwright.sync_api import sync_playwright

    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(whole(), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        tab = browser.new_page()
        tab.set_default_timeout(600_000)
        tab.goto(PAGE.as_uri(), wait_until="load")
        tab.evaluate("MathJax.startup.promise.then(() => document.fonts.ready).then(() => true)")
        tab.pdf(
            path=HTML / PDF,
            format="A4",
            outline=True,
            tagged=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            margin={"top": "18mm", "bottom": "18mm", "left": "20mm", "right": "20mm"},
        )
        browser.close()
    note_pdf(HTML)
    print(f"The PDF is at {HTML / PDF}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
