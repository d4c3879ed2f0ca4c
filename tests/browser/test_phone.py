"""What a phone shows: verdicts, figures in full; and the first screen and zoom."""

import pytest
from built import BOOK, CHAPTERS, DESKTOP, PHONE, TOO_WIDE, open_page


def inside(tab, locator):
    """Whether an element can be seen in whole without scrolling."""
    box, size = locator.bounding_box(), tab.viewport_size
    return (
        box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= size["width"]
        and box["y"] + box["height"] <= size["height"]
    )


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize(
    ("first", "words"),
    [("book/intro.html", "What was found"), ("ja/book/intro.html", "わかったこと")],
    ids=["en", "ja"],
)
def test_the_first_screen_says_what_was_found(browser, size, first, words):
    tab = open_page(browser, BOOK / first, viewport=size)
    assert inside(tab, tab.locator(f"p:has(strong:text('{words}'))"))
    cells = tab.locator("table.cells tbody td")
    assert cells.count() == 28
    if size == DESKTOP:
        assert inside(tab, tab.locator("table.cells tbody"))
    cells.last.scroll_into_view_if_needed()
    for cell in cells.all():
        box = cell.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= size["width"]
    tab.context.close()


def test_verdicts_are_seen_without_scrolling_on_a_phone(browser):
    tab = open_page(browser, BOOK / "book" / "scoreboard.html", viewport=PHONE)
    rows = tab.locator("table.as-list tbody tr")
    assert rows.count() > 40
    verdicts = tab.locator("table.as-list [data-label^='Verdict']")
    assert verdicts.count() > 40
    for verdict in verdicts.all():
        box = verdict.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE["width"]
    tab.set_viewport_size(DESKTOP)
    tab.wait_for_timeout(400)
    assert tab.locator("table.as-list").count() == 0  # a table again
    tab.context.close()


def test_a_wide_figure_opens_in_full_by_tap_and_from_the_keyboard(browser):
    tab = open_page(browser, next(p for p in CHAPTERS if p.name.startswith("05_")), viewport=PHONE,
                    has_touch=True)  # fmt: skip
    figure = tab.locator("figure:has(> .figure-full + button)").first
    image = figure.locator(".figure-full img")
    image.scroll_into_view_if_needed()
    above, below = (figure.locator(part).bounding_box() for part in (".figure-full", "button"))
    assert below["y"] >= above["y"] + above["height"]  # it hides no part of the figure
    image.tap()
    whole = tab.locator("#figure-dialog[open] img")
    natural = image.evaluate("image => image.naturalWidth")
    assert whole.bounding_box()["width"] >= natural > PHONE["width"]
    assert whole.get_attribute("alt") == image.get_attribute("alt")
    tab.locator("#figure-dialog button").tap()
    whole.wait_for(state="hidden")
    button = figure.locator("button")
    button.focus()
    tab.keyboard.press("Enter")
    whole.wait_for(state="visible")
    tab.keyboard.press("Escape")
    whole.wait_for(state="hidden")
    assert button.evaluate("button => button === document.activeElement")
    assert tab.errors == []
    tab.context.close()


@pytest.mark.parametrize(
    "path", [BOOK / "book" / "intro.html", *CHAPTERS[::4]], ids=lambda path: path.stem
)
def test_a_page_works_at_twice_its_size(browser, path):
    """200 % zoom in a window of 1280 x 800 is a window of 640 x 400."""
    tab = open_page(browser, path, viewport={"width": 640, "height": 400}, device_scale_factor=2)
    assert tab.evaluate(TOO_WIDE) == []
    tab.locator(".primary-toggle").click()
    tab.locator("#pst-primary-sidebar-modal a").first.wait_for(state="visible")
    tab.context.close()
