"""A reader finds the way: menus, search, theme, copies of code, solutions, at two sizes."""

import pytest
from built import BOOK, CHAPTERS, DESKTOP, PHONE, open_page

FIFTH = next(path for path in CHAPTERS if path.name.startswith("05_"))
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


@pytest.fixture
def page(browser, request):
    """A page in a window of a size: (path, size) -> tab."""
    tabs = []

    def page(path, size, **settings):
        tabs.append(open_page(browser, path, viewport=size, has_touch=size == PHONE, **settings))
        return tabs[-1]

    yield page
    for tab in tabs:  # results show an excerpt of their pages, which a page on a disk may not fetch
        assert [error for error in tab.errors if "search" not in tab.url] == []
        tab.context.close()


def test_two_taps_lead_from_the_first_page_to_chapter_5_on_a_phone(page):
    tab = page(BOOK / "book" / "intro.html", PHONE)
    link = tab.locator(
        "#pst-primary-sidebar-modal a[href$='05_estimator_and_straight_through.html']"
    )
    assert not link.is_visible()
    tab.locator(".primary-toggle").tap()
    link.wait_for(state="visible")
    link.tap()
    tab.wait_for_url("**/05_estimator_and_straight_through.html")


def test_a_desktop_shows_the_chapters_and_its_button_puts_them_away(page):
    tab = page(FIFTH, DESKTOP)
    link = tab.locator("#pst-primary-sidebar a[href$='06_other_estimators.html']")
    assert link.is_visible()
    tab.locator(".primary-toggle").click()
    link.wait_for(state="hidden")
    tab.locator(".primary-toggle").click()
    link.wait_for(state="visible")


def test_the_contents_of_a_chapter_open_on_a_phone_and_stand_beside_it_on_a_desktop(page):
    tab = page(FIFTH, PHONE)
    link = tab.locator("#pst-secondary-sidebar-modal a[href^='#']").nth(1)
    tab.locator(".secondary-toggle").tap()
    link.wait_for(state="visible")
    target = link.get_attribute("href")
    tab.keyboard.press("Escape")
    link.wait_for(state="hidden")
    wide = page(FIFTH, DESKTOP).locator(f"#pst-secondary-sidebar a[href='{target}']")
    assert wide.is_visible()


@SIZES
def test_the_search_button_opens_a_field_that_leads_to_results(page, size):
    tab = page(FIFTH, size)
    tab.locator(".search-button__button:visible").first.click()
    field = tab.locator("#pst-search-dialog input")
    field.wait_for(state="visible")
    field.fill("temperature")
    field.press("Enter")
    tab.locator("#search-results li a[href*='notebooks/']").first.wait_for(timeout=10_000)


@SIZES
def test_the_theme_switch_goes_round_and_stays_for_the_next_page(page, size):
    tab = page(FIFTH, size)
    theme = "document.documentElement.dataset.theme"
    seen = []
    for _ in range(3):
        tab.locator(".theme-switch-button:visible").click()
        seen.append(tab.evaluate(theme))
    assert set(seen) == {"light", "dark"}
    while tab.evaluate(theme) != "dark":
        tab.locator(".theme-switch-button:visible").click()
    tab.reload()
    assert tab.evaluate(theme) == "dark"


@SIZES
def test_code_is_copied_as_it_stands(page, size):
    tab = page(FIFTH, size)
    tab.evaluate(
        "Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: async (text) => { window.copied = text; }}})"
    )
    tab.evaluate("document.execCommand = () => { window.copied = String(getSelection()) "
                 "|| document.activeElement.value; return true; }")  # fmt: skip
    cell = tab.locator(".cell:not(.tag_setup) .cell_input").first
    cell.scroll_into_view_if_needed()
    cell.hover()
    cell.locator("button.copybtn").click()
    assert tab.evaluate("window.copied").strip() == cell.locator("pre").inner_text().strip()


@SIZES
def test_a_solution_is_folded_and_opens(page, size):
    tab = page(FIFTH, size)
    solution = tab.locator(".solution.dropdown").first
    text = solution.locator("section, div").first
    button = solution.locator("button.toggle-button")
    button.scroll_into_view_if_needed()
    assert "toggle-hidden" in solution.get_attribute("class")
    button.click()
    assert "toggle-hidden" not in solution.get_attribute("class")
    text.wait_for(state="visible")


@SIZES
def test_menus_of_the_bar_open_and_escape_closes_them(page, size):
    tab = page(FIFTH, size)
    menus = tab.locator(".bd-header-article .dropdown")
    assert menus.count() >= 2
    for i in range(menus.count()):
        items = menus.nth(i).locator("ul a, ul button")
        assert not items.first.is_visible()
        menus.nth(i).locator("button").first.click()
        for item in items.all():
            assert item.is_visible()
            box = item.bounding_box()
            assert 0 <= box["x"] <= box["x"] + box["width"] <= size["width"]
        tab.keyboard.press("Escape")
        items.first.wait_for(state="hidden")


# --- the search


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("Concrete", "04_relaxation.html#def-"),
        ("equation 3", "04_relaxation.html#equation-eq-gumbel-softmax-density"),
        ("figure 4", "09_vae_at_full_scale.html#fig-vae-bernoulli"),
        ("Gumbel-max trick", "-gumbel-max-trick"),
    ],
)
def test_the_search_finds_first_where_a_thing_is_defined(page, words, first):
    tab = page(BOOK / "search.html", DESKTOP)
    tab.goto((BOOK / "search.html").as_uri() + "?q=" + words.replace(" ", "+"))
    tab.wait_for_function("/\\d/.test(document.querySelector('.search-summary')?.textContent)")
    tab.wait_for_timeout(1500)
    link = tab.locator("#search-results li a").first.get_attribute("href")
    assert first in link.lower()
