"""Every page of the built book in Chromium: errors, requests, accessibility, and whether it fits."""

import pytest
from built import BOOK, DESKTOP, PHONE, TOO_WIDE, name, open_page, violations


@pytest.fixture(
    scope="module",
    params=[path for path, page in PAGES.items() if '="Refresh"' not in page.text],
    ids=name,
)
def found(request, browser):
    """All that there is to complain of on one page."""
    from axe_playwright_python.base import AXE_SCRIPT

    tab = open_page(browser, request.param, viewport=PHONE)
    tab.evaluate(AXE_SCRIPT)
    found = {"wide": tab.evaluate(TOO_WIDE), "phone": violations(tab, "phone")}
    tab.set_viewport_size(DESKTOP)
    # Formulas have the colour of the text around them, and so many elements that axe would take minutes.
    tab.evaluate(
        "document.querySelectorAll('mjx-container').forEach((formula) => formula.replaceWith('formula'))"
    )
    found["light"] = violations(tab, "light")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    found["dark"] = violations(tab, "dark")
    tab.context.close()
    elsewhere = [
        url for url in tab.requests if not url.startswith((BOOK.as_uri() + "/", "data:", "blob:"))
    ]
    return found | {"errors": tab.errors, "elsewhere": elsewhere}


def test_loads_without_errors_and_only_from_the_book(found):
    assert found["errors"] == []
    assert found["elsewhere"] == []


def test_is_accessible_in_both_themes_and_on_a_phone(found):
    assert {theme: found[theme] for theme in AXE_RULES} == {theme: [] for theme in AXE_RULES}


def test_fits_a_phone(found):
    assert found["wide"] == []


def test_search_finds_a_chapter(browser):
    tab = open_page(browser, BOOK / "search.html")
    tab.goto((BOOK / "search.html").as_uri() + "?q=temperature")
    tab.locator("#search-results li a[href*='notebooks/']").first.wait_for(timeout=10_000)
    tab.context.close()
