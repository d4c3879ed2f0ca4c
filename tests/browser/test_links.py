"""The files of the built book: links, pictures, headings, and what every page has."""

import re

import citation
import yaml
from built import BOOK, PAGES, ROOT, name


def test_all_that_the_table_of_contents_lists_can_be_reached():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [
        toc["root"],
        *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"]),
    ]
    assert set(listed) <= set(map(name, PAGES))


def test_links_within_the_book_lead_somewhere():
    dead = set()
    for page in PAGES.values():
        for link in page.links:
            path, anchor = page.target(link)
            if not path.is_file() or not path.is_relative_to(BOOK):
                dead.add(f"{name(page.path)}: no file for {link}")
            elif anchor and path in PAGES and anchor not in PAGES[path].ids:
                dead.add(f"{name(page.path)}: no anchor for {link}")
    assert sorted(dead) == []


def test_images_have_a_text_for_those_who_do_not_see_them():
    silent = {
        f"{name(page.path)}: {image.get('src')}"
        for page in PAGES.values()
        for image in page.images
        if not (image.get("alt") or "").strip()
    }
    assert sorted(silent) == []


def test_headings_begin_with_one_title_and_leave_out_no_level():
    wrong = {}
    for path, page in PAGES.items():
        steps = zip([0, *page.headings], page.headings, strict=False)
        if page.headings and (
            page.headings.count(1) != 1 or any(after > before + 1 for before, after in steps)
        ):
            wrong[name(path)] = page.headings
    assert wrong == {}


def test_chapters_say_how_long_they_take_to_read_and_to_run():
    line = re.compile(
        r'"chapter-time">About \d+ minutes? to read · \d+ (second|minute)s? to run \(\w+, [CG]PU\)<'
    )
    chapters = [page for path, page in PAGES.items() if name(path).startswith("notebooks/")]
    assert chapters
    assert [name(page.path) for page in chapters if len(line.findall(page.text)) != 1] == []


def test_glossary_and_chapters_lead_to_each_other():
    text = PAGES[BOOK / "book" / "glossary.html"].text
    entries = re.findall(r"<dd>(.*?)</dd>", text, re.DOTALL)
    assert len(entries) > 100
    assert [
        entry
        for entry in entries
        if not re.search(r'href="\.\./notebooks/\w+\.html(#def-\S+)?"', entry)
    ] == []
    for path, page in PAGES.items():
        if name(path).startswith("notebooks/"):
            assert '<a class="reference internal" href="../book/glossary.html#term-' in page.text, (
                name(path)
            )


def test_every_page_names_the_edition():
    silent = []
    for path, page in PAGES.items():
        edition = f"第{citation.edition()[0]}版" if page.japanese else citation.in_words()
        if '="Refresh"' not in page.text and edition not in page.text:
            silent.append(name(path))
    assert silent == []


def test_figures_are_set_in_the_font_of_the_book():
    """Text of a figure stays text: a letter of mathematical fonts would be an empty box."""
    families = [
        (path.name, family)
        for path in (BOOK / "_images").glob("*.svg")
        for family in re.findall(r"font(?:-family)?: ([^;\"]*)", path.read_text(encoding="utf-8"))
    ]
    assert len(families) > 1000
    assert [found for found in families if "DejaVu Sans" not in found[1]] == []
