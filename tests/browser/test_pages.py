"""Every page of the built book in Chromium: errors, weight, accessibility, and whether it fits."""

from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from built import (
    AXE_RULES,
    BOOK,
    CHAPTERS,
    CUT,
    DESKTOP,
    GAPS,
    GLYPHS,
    PAGES,
    PAPER,
    PHONE,
    READ,
    SMALL,
    TOO_WIDE,
    axe,
    name,
    open_page,
    violations,
)

WEIGHT = 1_500_000  # bytes of a page before compression, the fonts of MathJax aside


def weight(tab):
    """Bytes of all that a page has loaded, but for the fonts of MathJax."""
    urls = {url.split("?")[0] for url in tab.requests if url.startswith("file:")}
    paths = [Path(unquote(urlparse(url).path)) for url in urls if "/chtml/fonts/" not in url]
    return sum(path.stat().st_size for path in paths)


@pytest.fixture(scope="module", params=READ, ids=name)
def found(request, browser):
    """All that there is to complain of on one page."""
    tab = open_page(browser, request.param, viewport=PHONE)
    tab.wait_for_timeout(100)  # tables become lists when the formulas in them are set
    found = {"wide": tab.evaluate(TOO_WIDE), "small": tab.evaluate(SMALL)}
    found["gaps"] = tab.evaluate(GAPS)
    found["formulas"] = tab.locator(
        "mjx-merror, mjx-container[tabindex='0']:not([display])"
    ).count()
    found["weight"] = weight(tab)
    tab.set_viewport_size(DESKTOP)
    tab.wait_for_timeout(300)
    found["cut"] = tab.evaluate(CUT)
    found["glyphs"] = tab.evaluate(GLYPHS)
    tab.set_viewport_size({"width": 720, "height": 1000})  # A4 without its margins
    tab.emulate_media(media="print")
    found["paper"] = tab.evaluate(PAPER)
    found["buttons"] = tab.locator(
        ".bd-header-article:visible, .bd-sidebar-primary:visible, .figure-full + button:visible"
    ).count()
    found["folded"] = tab.locator(".solution > .admonition-title ~ *").evaluate_all(
        "all => all.filter((e) => !e.checkVisibility()).length"
    )
    tab.emulate_media(media="screen")
    tab.set_viewport_size(PHONE)
    axe(tab)
    tab.wait_for_timeout(600)  # the theme waits for the end of the resizing
    found["phone"] = violations(tab, "phone")
    tab.set_viewport_size(DESKTOP)
    # Colours take most of the time, and those of the Japanese edition are the English ones.
    colours = not PAGES[request.param].japanese
    found["light"] = violations(tab, "light", colours)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    found["dark"] = violations(tab, "dark", colours)
    tab.context.close()
    elsewhere = [
        url for url in tab.requests if not url.startswith((BOOK.as_uri() + "/", "data:", "blob:"))
    ]
    return found | {"errors": tab.errors, "elsewhere": elsewhere}


def test_loads_without_errors_and_only_from_the_book(found):
    assert found["errors"] == []
    assert found["elsewhere"] == []
    assert found["weight"] < WEIGHT


def test_is_accessible_in_both_themes_and_on_a_phone(found):
    assert {theme: found[theme] for theme in AXE_RULES} == {theme: [] for theme in AXE_RULES}


def test_fits_a_phone(found):
    assert found["wide"] == []
    assert found["small"] == []


def test_nothing_is_cut_on_a_desktop(found):
    assert found["cut"] == []


def test_no_letter_is_of_a_font_that_is_not_there(found):
    assert found["glyphs"] == []


def test_formulas_are_set_and_no_stops_of_the_keyboard(found):
    assert found["formulas"] == 0


def test_a_closed_solution_is_no_higher_than_its_title(found):
    assert found["gaps"] == []


def test_paper_shows_the_text_and_cuts_nothing(found):
    assert found["paper"] == []
    assert (found["buttons"], found["folded"]) == (0, 0)


def test_a_pale_kind_of_token_is_found(browser):
    tab = open_page(browser, next(p for p in CHAPTERS if p.name.startswith("00_reading")))
    axe(tab)
    assert violations(tab, "light") == []
    tab.add_style_tag(content=".highlight .kn { color: #ccc !important }")
    (found,) = violations(tab, "light")
    assert found.startswith("color-contrast")
    tab.context.close()
