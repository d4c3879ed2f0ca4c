"""The interactive figure that reads a typed word aloud, with networks of random weights in place of
the trained ones: it reads as torch does, and anybody can use it."""

import pytest
from built import PHONE, TOO_WIDE, axe, open_page, page_with, violations
from interactive import script
from test_aloud_data import aloud, stand_in

from gsbook.experiments.reading.model import END, SAID, spell
from gsbook.words import Word


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return aloud.aloud({method: stand_in(folder, method) for method in ("marginal", "soft")})


@pytest.fixture(scope="module")
def tab(browser, data):
    tab = open_page(browser, page_with("aloud"), script("gsAloud", data), has_touch=True)
    yield tab
    assert tab.errors == []
    tab.context.close()


def shown(tab):
    """[(sound, [share of each look])] of the table."""
    look = "(cell) => Number(cell.style.getPropertyValue('--look'))"
    row = f"[row.querySelector('b').textContent, [...row.querySelectorAll('td')].map({look})]"
    rows = tab.locator(".gs-aloud tbody tr:not(.gs-empty)")
    return rows.evaluate_all(f"rows => rows.map((row) => {row})")


@pytest.mark.parametrize("method", ["marginal", "soft"])
@pytest.mark.parametrize("word", ["phone", "gumbel", "knightly", "at"])
def test_it_reads_as_torch_does(tab, data, method, word):
    tab.locator(".gs-aloud select").select_option(method)
    tab.locator(".gs-aloud input").fill(word)
    letters = spell([Word(word, ())]).letters
    sounds, looked = aloud.network(data, method).read(letters, soft=method == "soft")
    said = [SAID[k] for k in sounds[0] if k >= 0 and SAID[k] != END]
    assert [sound for sound, _ in shown(tab)] == said
    for (_, ours), theirs in zip(shown(tab), looked[0], strict=False):
        assert ours == pytest.approx(theirs[: len(word) + 1].tolist(), abs=2e-3)
    assert f"“{word}” is read" in tab.locator(".gs-aloud [role=status]").inner_text()


def test_words_to_try_and_a_word_that_is_none(tab):
    tab.locator(".gs-aloud .gs-words button").nth(1).click()
    word = tab.locator(".gs-aloud input").input_value()
    assert word == tab.locator(".gs-aloud .gs-words button").nth(1).inner_text()
    before = shown(tab)
    for wrong in ("", "caffè", "x2"):
        tab.locator(".gs-aloud input").fill(wrong)
        assert "Type a word" in tab.locator(".gs-aloud [role=status]").inner_text()
        assert tab.locator(".gs-aloud input").get_attribute("aria-invalid") == "true"
    assert shown(tab) == before
    tab.locator(".gs-aloud input").fill(word.upper())
    assert shown(tab) == before
    tab.locator(".gs-aloud input").press("Tab")
    assert tab.evaluate("document.activeElement.tagName") == "SELECT"


def test_it_is_accessible_and_fits_a_phone(browser, data):
    tab = open_page(browser, page_with("aloud"), script("gsAloud", data), viewport=PHONE)
    tab.locator(".gs-aloud input").fill("knightly")
    axe(tab)
    assert (tab.evaluate(TOO_WIDE), violations(tab, "phone"), violations(tab, "light")) == (
        [],
        [],
        [],
    )
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert violations(tab, "dark") == []
    tab.context.close()


def test_what_stands_in_for_it(browser, data):
    """On paper, where scripts are off, and while nothing is trained."""
    still, live = ".gs-aloud img", ".gs-aloud .gs-live"
    tab = open_page(browser, page_with("aloud"), script("gsAloud", data))
    assert tab.locator(live).is_visible()
    assert not tab.locator(still).is_visible()
    tab.emulate_media(media="print")
    assert not tab.locator(live).is_visible()
    assert tab.locator(still).is_visible()
    tab.context.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page_with("aloud").as_uri())
    assert plain.locator(still).is_visible()
    plain.context.close()
    none = "Object.defineProperty(window, 'gsAloud', {get: () => null, set: () => null})"
    tab = open_page(browser, page_with("aloud"), none)
    assert "not trained yet" in tab.locator(live).inner_text()
    assert tab.errors == []
    tab.context.close()


def test_words_do_not_move_the_text_below(browser, data):
    tab = open_page(browser, page_with("aloud"), script("gsAloud", data), viewport=PHONE)
    high = tab.locator("figure.gs-aloud").bounding_box()["height"]
    for word in ("at", "knightly", "?"):
        tab.locator(".gs-aloud input").fill(word)
        assert tab.locator("figure.gs-aloud").bounding_box()["height"] == high
    tab.context.close()
