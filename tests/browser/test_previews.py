"""What a link shows before it is followed."""

import pytest
from built import BOOK, DESKTOP, PAGES, name, open_page

PREVIEW = "#book-preview:not([hidden])"


@pytest.fixture(scope="module")
def reading(browser):
    """A chapter that has links of all kinds."""
    path = next(
        path
        for path, page in PAGES.items()
        if name(path).startswith("notebooks/")
        and all(
            piece in page.text
            for piece in ("term-use", 'href="#equation-', 'href="#fig-', 'class="citation"')
        )
    )
    tab = open_page(browser, path, has_touch=True)
    yield tab
    assert tab.errors == []
    tab.context.close()


def gone(tab):
    tab.wait_for_selector("#book-preview", state="hidden")


@pytest.mark.parametrize(
    ("link", "shows"),
    [
        ("a:has(> .term-use)", ""),
        ("a[href^='#equation-']:not(.headerlink)", "mjx-container"),
        ("a[href^='#fig-']:not(.headerlink)", "img[alt]"),
        ("p a.internal[href^='#id']:not(:has(.term-use))", "em"),
    ],
    ids=["term", "formula", "figure", "reference"],
)
def test_a_link_shows_what_it_leads_to_under_the_mouse(reading, link, shows):
    found = reading.locator(f".bd-article {link}").first
    found.hover()
    box = reading.wait_for_selector(f"{PREVIEW} {shows}".strip())
    assert reading.locator(PREVIEW).inner_text().strip()
    assert found.get_attribute("aria-describedby") == "book-preview"
    assert not reading.locator(f"{PREVIEW} a, {PREVIEW} [id]").count()
    at = box.bounding_box()
    reading.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2, steps=8)
    reading.wait_for_timeout(400)
    assert reading.locator(PREVIEW).count()  # the mouse may rest on it
    reading.mouse.move(2, 2)
    gone(reading)
    assert found.get_attribute("aria-describedby") is None


def test_a_preview_comes_with_the_keyboard_and_goes_with_escape(reading):
    link = reading.locator(".bd-article a:has(> .term-use)").first
    reading.keyboard.press("Tab")  # from now on the keyboard is in use
    link.focus()
    reading.wait_for_selector(PREVIEW)
    reading.keyboard.press("Escape")
    gone(reading)
    assert link.evaluate("link => link === document.activeElement")
    reading.keyboard.press("Tab")
    reading.keyboard.press("Shift+Tab")
    reading.wait_for_selector(PREVIEW)
    reading.keyboard.press("Tab")
    reading.wait_for_function("""() => document.querySelector("#book-preview").hidden
        || document.querySelector("[aria-describedby=book-preview]") === document.activeElement""")
    reading.evaluate("document.activeElement.blur()")
    gone(reading)


def test_a_finger_follows_the_link_and_no_preview_stays(reading):
    link = reading.locator(".bd-article a[href^='#equation-']:not(.headerlink)").first
    link.scroll_into_view_if_needed()
    link.tap()
    reading.wait_for_function("link => location.hash === link", arg=link.get_attribute("href"))
    reading.wait_for_timeout(400)
    assert not reading.locator(PREVIEW).count()


def test_a_link_to_another_page_shows_a_formula_set_in_type(browser):
    tab = open_page(browser, BOOK / "book" / "concordance.html", color_scheme="dark")
    tab.locator(".bd-article a[href*='.html#equation-']").first.hover()
    tab.wait_for_selector(f"{PREVIEW} mjx-container")
    box = tab.locator(PREVIEW).bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= DESKTOP["width"]
    assert tab.errors == []
    tab.context.close()
