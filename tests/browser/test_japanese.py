"""The Japanese edition in a browser: the way to it and back, its search, letters and previews."""

import re

import pytest
from built import BOOK, DESKTOP, PAGES, PHONE, name, open_page

JAPANESE = BOOK / "ja"
PAGE = "notebooks/02_discrete_choices.html"
PLACE = "why-does-back-propagation-stop-at-a-sample"


@pytest.fixture
def page(browser):
    """A page in a tab: (path, settings) -> tab."""
    tabs = []

    def page(path, **settings):
        tabs.append(open_page(browser, path, **settings))
        return tabs[-1]

    yield page
    for tab in tabs:
        assert [error for error in tab.errors if "search" not in tab.url] == []
        tab.context.close()


def test_every_page_is_there_in_both_languages_and_they_name_each_other():
    english = {name(path) for path, page in PAGES.items() if not page.japanese}
    japanese = {name(path).removeprefix("ja/") for path, page in PAGES.items() if page.japanese}
    pages = {page for page in english if page.startswith(("notebooks/", "book/"))}
    assert pages <= japanese
    for page in pages:
        for path in (BOOK / f"{page}.html", JAPANESE / f"{page}.html"):
            links = re.findall(
                r'rel="alternate" hreflang="([\w-]+)" href="([^"]+)"', PAGES[path].text
            )
            found = dict(links)
            assert found["en"].endswith(f"/{page}.html")
            assert found["ja"] == found["en"].replace(page, f"ja/{page}")
            assert found["x-default"] == found["en"]


def test_anchors_of_a_translated_page_are_those_of_the_english_one():
    english, japanese = PAGES[BOOK / PAGE].ids, PAGES[JAPANESE / PAGE].ids
    kept = {id for id in english if not re.fullmatch(r"(id|menu-)[\w-]*", id)}
    assert sorted(kept - japanese) == []
    terms = {id for id in PAGES[BOOK / "book" / "glossary.html"].ids if id.startswith("term-")}
    assert terms <= PAGES[JAPANESE / "book" / "glossary.html"].ids


def press(tab):
    """Click the switch where it is: Playwright's own click would scroll the page."""
    box = tab.locator(".language-switch:visible").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_switch_leads_to_the_same_place_and_back(page, size):
    tab = page(BOOK / PAGE, viewport=size, has_touch=size == PHONE)
    tab.locator(f"#{PLACE}").evaluate("section => section.scrollIntoView()")
    assert tab.locator(".language-switch:visible").inner_text() == "日本語"
    press(tab)
    tab.wait_for_url(f"**/ja/{PAGE}#{PLACE}")
    assert tab.evaluate("document.documentElement.lang") == "ja"
    assert "なぜ誤差逆伝播は" in tab.locator(f"#{PLACE} > h2").inner_text()
    tab.wait_for_function(
        f"Math.abs(document.getElementById('{PLACE}').getBoundingClientRect().top) < 200"
    )
    press(tab)
    tab.wait_for_url(lambda url: url == f"{(BOOK / PAGE).as_uri()}#{PLACE}")
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_formulas_show_in_a_table_that_is_a_list_on_a_phone(page):
    tab = page(JAPANESE / "book" / "notation.html", viewport=PHONE)
    tab.wait_for_selector("table.as-list mjx-container")
    assert (
        tab.evaluate("""[...document.querySelectorAll("table mjx-container")]
        .filter((formula) => formula.getBoundingClientRect().width < 2).length""")
        == 0
    )


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("摂動ロジット", "glossary.html"),
        ("ハードアテンション", "02_discrete_choices.html"),
        ("期待損失", "02_discrete_choices.html"),
        ("誤差逆伝播はサンプル", "02_discrete_choices.html"),
        ("鎖", "02_discrete_choices.html"),
        ("Gumbel-Softmax", ".html"),
    ],
)
def test_the_search_finds_japanese_words(page, words, first):
    tab = page(JAPANESE / "search.html")
    tab.goto(f"{(JAPANESE / 'search.html').as_uri()}?q={words}")
    tab.locator(f"#search-results li a[href*='{first}']").first.wait_for(timeout=10_000)


def test_letters_are_of_a_japanese_font_upright_and_none_is_missing(page):
    tab = page(JAPANESE / PAGE)
    style = "([query, key]) => getComputedStyle(document.querySelector(query))[key]"
    family = tab.evaluate(style, [".bd-article p", "fontFamily"])
    assert '"Hiragino Sans"' in family
    assert '"Noto Sans JP"' in family
    emphasis = ".bd-article em:not(.latin)"
    assert tab.evaluate(style, [emphasis, "fontStyle"]) == "normal"
    assert tab.evaluate(style, [emphasis, "textEmphasisStyle"]) != "none"
    assert tab.evaluate(style, [".bd-article p", "wordBreak"]) == "auto-phrase"
    pictures = """letters => letters.map((letter) => {
        const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
        pen.font = `40px ${getComputedStyle(document.querySelector(".bd-article p")).fontFamily}`;
        pen.fillText(letter, 10, 60);
        return canvas.toDataURL();
    })"""
    nothing, *letters = tab.evaluate(pictures, ["\U000effff", *"離散変数のサンプルを引く"])
    if len(set(letters)) == 1:
        pytest.skip("NO JAPANESE FONT: letters were NOT tested. Debian: fonts-noto-cjk")
    assert nothing not in letters


def test_a_term_shows_its_japanese_explanation(page):
    tab = page(JAPANESE / PAGE)
    link = tab.locator(".bd-article a:has(> .term-use)", has_text="誤差逆伝播").first
    assert link.get_attribute("href").endswith("glossary.html#term-back-propagation")
    link.hover()
    box = tab.wait_for_selector("#book-preview:not([hidden])")
    assert "連鎖律で逆向きにたどり" in box.inner_text()


def test_the_page_and_its_buttons_speak_japanese(page):
    tab = page(JAPANESE / PAGE)
    text = tab.locator("article.bd-article").inner_text()
    for part in ("読むのに約", "演習 2.1", "図 2.1", "図の資料", "Colabで開く", "準備（表示）"):
        assert part in text, part
    for part in ("minutes to read", "Exercise 2.1", "Fig. 2.1", "Figure kit", "Open in Colab"):
        assert part not in text, part
    assert "notebooks/colab/ja/02_discrete_choices.ipynb" in tab.content()


@pytest.mark.parametrize(
    "english",
    [
        "Show code cell", "Hide code cell", "Solution to", "Search this book", "Link to this",
        "Toggle primary sidebar", "Toggle hidden content", 'aria-label="Main"', "<p>Proof. ",
    ],
)  # fmt: skip
def test_no_page_has_words_of_the_theme_in_english(english):
    pages = [page for page in PAGES.values() if page.japanese and "<article" in page.text]
    assert len(pages) > 20
    assert [name(page.path) for page in pages if english in page.text] == []


def test_interactive_figures_speak_japanese(page):
    path = next(p for p, found in PAGES.items() if found.japanese and "gs-simplex" in found.text)
    tab = page(path)
    tab.locator(".gs-simplex canvas").scroll_into_view_if_needed()
    assert "確率（輪）" in tab.locator(".gs-simplex [role=status]").inner_text()
    assert "温度" in tab.locator(".gs-simplex .gs-controls").inner_text()
