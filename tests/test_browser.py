"""The built book as a reader meets it: its links, pictures and headings, then every page in headless Chromium."""

import csv
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import yaml
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import citation  # noqa: E402
import kit  # noqa: E402
import pages as tools  # noqa: E402

BOOK = ROOT / "_build" / "html"
STAMP = ROOT / "_build" / "built"  # `make book` leaves it after a build without a warning
PHONE, DESKTOP = {"width": 375, "height": 812}, {"width": 1280, "height": 900}


def why_no_book():
    if not (STAMP.exists() and (BOOK / "index.html").exists()):
        return "NO BUILT BOOK: its pages were NOT tested. Run `make book browser`."
    sources = [ROOT / "_toc.yml", ROOT / "_config.yml", *ROOT.glob("notebooks/*.ipynb")]
    sources += [
        path
        for path in ROOT.glob("book/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    newest = max(sources, key=lambda path: path.stat().st_mtime)
    if newest.stat().st_mtime > STAMP.stat().st_mtime:
        return f"THE BUILT BOOK IS OLDER than {newest.relative_to(ROOT)}: it was NOT tested. Run `make book browser`."
    return ""


def chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


if NO_BOOK := why_no_book():
    pytest.skip(NO_BOOK, allow_module_level=True)
NO_CHROMIUM = (
    "NO CHROMIUM: the book was NOT tested in a browser. "
    "Install it (Debian: apt-get install chromium) or set CHROMIUM to its program."
)
in_browser = pytest.mark.skipif(not chromium(), reason=NO_CHROMIUM)


# --- what the files say


class Page(HTMLParser):
    """Ids, links, images and headings of one file."""

    def __init__(self, path):
        super().__init__()
        self.in_article = False
        self.path, self.ids, self.links, self.images, self.headings = path, set(), [], [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {
            attributes[name]
            for name in ("id", "name")
            if attributes.get(name) and (name == "id" or tag == "a")
        }
        link = attributes.get(
            "href" if tag in ("a", "link") else "src" if tag in ("img", "script", "source") else ""
        )
        if link and not re.match(r"https?:|mailto:|data:|javascript:", link):
            self.links.append(link)
        if tag == "meta" and attributes.get("http-equiv") == "Refresh":
            self.links.append(attributes["content"].split("url=")[-1])
        if tag == "img":
            self.images.append(attributes)
        self.in_article |= tag == "article"  # before it comes a second title, for print only
        if self.in_article and re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        self.in_article &= tag != "article"

    def target(self, link):
        """File and anchor that a link leads to."""
        file, anchor = urldefrag(link)
        file = unquote(file.split("?")[0])
        return (self.path.parent / file).resolve() if file else self.path, unquote(anchor)


def crawl():
    """All pages that a reader can reach from the first, or through the search field."""
    pages, queue = {}, [BOOK / name for name in ("index.html", "search.html", "genindex.html")]
    while queue:
        path = queue.pop(0)
        if path not in pages and path.suffix == ".html" and path.exists():
            pages[path] = Page(path)
            queue += [pages[path].target(link)[0] for link in pages[path].links]
    return pages


PAGES = crawl()


def name(path):
    return path.relative_to(BOOK).with_suffix("").as_posix()


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


# --- the figures of the paper and their kits

CHAPTERS = frozenset().union(*(chapter["labels"] for chapter in tools.chapters().values()))
FIGURES = {
    figure: (label, claim)
    for label, drawn in kit.kits().items()
    if label in CHAPTERS
    for figure, claim in drawn.items()
}
of_the_paper = pytest.mark.parametrize("figure", FIGURES)


@of_the_paper
def test_a_figure_of_the_paper_has_an_anchor_and_a_page_that_leads_there(figure):
    stub = PAGES[BOOK / f"{figure}.html"]
    path, anchor = stub.target(stub.links[0])
    assert anchor == figure
    assert {figure, FIGURES[figure][0]} <= PAGES[path].ids
    assert f'href="../{figure}.html"' in PAGES[BOOK / "book" / "cite.html"].text


@of_the_paper
def test_a_figure_of_the_paper_has_its_files(figure):
    folder = BOOK / kit.FOLDER
    picture = ElementTree.parse(folder / f"{figure}.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(picture.findall(".//*")) > 10
    printed = (folder / f"{figure}.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert b"%%EOF" in printed[-10:]
    (entry,) = parse_file(folder / f"{figure}.bib").entries.values()
    assert entry.fields["url"] == citation.site(f"{figure}.html")
    data = folder / f"{figure}.csv"
    if data.exists():
        rows = list(csv.DictReader(data.open(encoding="utf-8", newline="")))
        assert all(float(list(row.values())[5]) > -1e9 for row in rows if list(row.values())[5])
        assert {row["panel"] for row in rows} >= {"1"}
    elif figure != "figure-5b":  # a picture of digits; else nothing has run, or a drawing
        assert kit.runs(FIGURES[figure][1]) == {}


@of_the_paper
def test_a_figure_of_the_paper_has_its_kit_below_it(figure):
    label, claim = FIGURES[figure]
    page = next(page for page in PAGES.values() if label in page.ids and figure in page.ids)
    below = page.text[page.text.index(f'id="{label}"') :]
    block = re.search(r'</figure>\s*(<details class="figure-kit">.*?</details>)', below, re.DOTALL)[
        1
    ]
    assert f"/{figure}.html" in block
    for ending in ("svg", "pdf", "csv", "bib"):
        linked = re.search(rf'href="([^"]+/{kit.FOLDER}/[\w-]+\.{ending})"', block)
        assert bool(linked) == (BOOK / kit.FOLDER / f"{figure}.{ending}").exists(), ending
    keys = {key for path, keys in kit.runs(claim).items() for key in keys}
    shown = {
        Path(path).stem + "_" + key
        for path, text in re.findall(r'<li><a href="([^"]+)">[^<]+</a>:(.*?)</li>', block)
        for key in re.findall(r"<code>(.*?)</code>", text)
    }
    assert shown == keys


def test_every_page_names_the_edition():
    silent = [
        name(path)
        for path, page in PAGES.items()
        if '="Refresh"' not in page.text and citation.in_words() not in page.text
    ]
    assert silent == []


# --- what a browser makes of them


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all pages; what it asks of other hosts, it does not find."""
    from playwright.sync_api import sync_playwright

    flags = [
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield browser
        browser.close()


def open_page(browser, path, script="", **settings):
    """The page as a tab, with the errors and requests since its start noted on it; `script` runs before all others."""
    settings = {"viewport": DESKTOP, "color_scheme": "light", "reduced_motion": "reduce"} | settings
    tab = browser.new_context(**settings).new_page()
    tab.add_init_script(script)
    tab.errors, tab.requests = [], []
    tab.on(
        "console",
        lambda message: tab.errors.append(message.text) if message.type == "error" else None,
    )
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("requestfailed", lambda request: tab.errors.append(f"{request.url}: {request.failure}"))
    tab.on("request", lambda request: tab.requests.append(request.url))
    tab.goto(path.as_uri(), wait_until="load")
    tab.evaluate("window.MathJax?.startup?.promise")
    return tab


AXE_RULES = {  # all rules once, and again those that can differ in the dark or on a phone
    "light": None,
    "dark": ["color-contrast", "link-in-text-block"],
    "phone": ["scrollable-region-focusable", "target-size", "aria-hidden-focus"],
}


def violations(tab, theme):
    """Serious and critical findings of axe-core, each with its first elements."""
    options = {"resultTypes": ["violations"], "iframes": False, "preload": False}
    if AXE_RULES[theme]:
        options["runOnly"] = AXE_RULES[theme]
    return [
        f"{rule['id']}: {len(rule['nodes'])} times, as in "
        + "; ".join(
            f"{node['html'][:150]} {node['failureSummary'].splitlines()[1].strip()}"
            for node in rule["nodes"][:3]
        )
        for rule in tab.evaluate("options => axe.run(document, options)", options)["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


# What reaches out of the window, unless a box around it scrolls; hidden and screen-reader-only elements aside.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth, wide = [];
  for (const element of document.body.querySelectorAll("*:not(mjx-math *, mjx-assistive-mml, mjx-assistive-mml *)")) {
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (box.right <= width + 1 || box.width < 2 || box.height < 2 || style.visibility == "hidden") continue;
    let around = element.parentElement, free = !wide.some((w) => w.contains(element));
    for (; around && free; around = around.parentElement) {
      const s = getComputedStyle(around);
      free = !["auto", "scroll"].includes(s.overflowX) && s.position != "fixed";
    }
    if (free && style.position != "fixed") wide.push(element);
  }
  const say = (e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute("class") ?? ""}"> ${e.textContent.slice(0, 60)}`;
  const scroll = document.documentElement.scrollWidth;
  return (scroll > width ? [`the page is ${scroll} px wide`] : []).concat(wide.slice(0, 5).map(say));
}"""


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


@in_browser
def test_loads_without_errors_and_only_from_the_book(found):
    assert found["errors"] == []
    assert found["elsewhere"] == []


@in_browser
def test_is_accessible_in_both_themes_and_on_a_phone(found):
    assert {theme: found[theme] for theme in AXE_RULES} == {theme: [] for theme in AXE_RULES}


@in_browser
def test_fits_a_phone(found):
    assert found["wide"] == []


@in_browser
def test_search_finds_a_chapter(browser):
    tab = open_page(browser, BOOK / "search.html")
    tab.goto((BOOK / "search.html").as_uri() + "?q=temperature")
    tab.locator("#search-results li a[href*='notebooks/']").first.wait_for(timeout=10_000)
    tab.context.close()


# --- previews of links


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


@in_browser
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


@in_browser
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


@in_browser
def test_a_finger_follows_the_link_and_no_preview_stays(reading):
    link = reading.locator(".bd-article a[href^='#equation-']:not(.headerlink)").first
    link.scroll_into_view_if_needed()
    link.tap()
    reading.wait_for_function("link => location.hash === link", arg=link.get_attribute("href"))
    reading.wait_for_timeout(400)
    assert not reading.locator(PREVIEW).count()


@in_browser
def test_a_link_to_another_page_shows_a_formula_set_in_type(browser):
    tab = open_page(browser, BOOK / "book" / "concordance.html", color_scheme="dark")
    tab.locator(".bd-article a[href*='.html#equation-']").first.hover()
    tab.wait_for_selector(f"{PREVIEW} mjx-container")
    box = tab.locator(PREVIEW).bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= DESKTOP["width"]
    assert tab.errors == []
    tab.context.close()


@in_browser
def test_a_kit_opens_from_the_keyboard_and_is_accessible_when_open(browser):
    from axe_playwright_python.base import AXE_SCRIPT

    figure = max(FIGURES, key=lambda figure: len(kit.runs(FIGURES[figure][1])))  # the longest block
    tab = open_page(browser, next(path for path, page in PAGES.items() if figure in page.ids))
    block = tab.locator("details.figure-kit").first
    assert not block.locator("a").first.is_visible()
    block.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert block.locator("a").first.is_visible()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "SVG"
    tab.evaluate(AXE_SCRIPT)
    tab.evaluate(
        "document.querySelectorAll('mjx-container').forEach((formula) => formula.replaceWith('formula'))"
    )
    assert violations(tab, "light") == []
    tab.set_viewport_size(PHONE)
    tab.wait_for_timeout(500)  # the page waits for the end of the resizing
    assert (tab.evaluate(TOO_WIDE), violations(tab, "phone")) == ([], [])
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert violations(tab, "dark") == []
    tab.context.close()


# --- the interactive simplex


@pytest.fixture(scope="module")
def simplex(browser):
    path = next(path for path, page in PAGES.items() if 'class="gs-simplex"' in page.text)
    tab = open_page(browser, path, has_touch=True)
    tab.locator(".gs-simplex canvas").scroll_into_view_if_needed()
    yield tab
    assert tab.errors == []
    tab.context.close()


def said(tab):
    return tab.locator(".gs-simplex [role=status]").inner_text()


def at(tab, u, v):
    """A point of the canvas, in the window's pixels."""
    box = tab.locator(".gs-simplex canvas").bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def drawn(tab):
    return tab.locator(".gs-simplex canvas").evaluate("canvas => canvas.toDataURL()")


@in_browser
def test_simplex_obeys_the_keyboard(simplex):
    before = said(simplex)
    simplex.locator(".gs-simplex canvas").focus()
    simplex.keyboard.press("ArrowRight")
    moved = said(simplex)
    assert moved != before
    simplex.keyboard.press("ArrowLeft")
    assert said(simplex) == before

    warmth = simplex.locator(".gs-simplex output").inner_text()
    simplex.keyboard.press("Tab")  # to the slider
    for _ in range(20):
        simplex.keyboard.press("ArrowRight")
    assert float(simplex.locator(".gs-simplex output").inner_text()) > float(warmth)
    assert said(simplex) != before  # fewer samples near a corner

    picture = drawn(simplex)
    simplex.keyboard.press("Tab")  # to the box that shows the density
    simplex.keyboard.press("Space")
    assert drawn(simplex) != picture
    simplex.keyboard.press("Space")


@in_browser
def test_simplex_obeys_the_mouse(simplex):
    simplex.mouse.move(*at(simplex, 0.5, 0.6))
    simplex.mouse.down()
    middle = said(simplex)
    simplex.mouse.move(*at(simplex, 0.25, 0.75), steps=3)
    corner = said(simplex)
    simplex.mouse.up()
    assert middle != corner
    simplex.mouse.move(*at(simplex, 0.6, 0.6))
    assert said(simplex) == corner  # released


@in_browser
def test_simplex_obeys_a_finger_and_the_page_stays_where_it_is(simplex):
    simplex.set_viewport_size(PHONE)
    simplex.locator(".gs-simplex canvas").scroll_into_view_if_needed()
    start, end = at(simplex, 0.5, 0.4), at(simplex, 0.35, 0.8)
    scrolled = simplex.evaluate("window.scrollY")
    finger = simplex.context.new_cdp_session(simplex)
    texts = []
    for kind, point in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
        points = [{"x": point[0], "y": point[1]}] if point else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        texts.append(said(simplex))
    assert texts[0] != texts[1] == texts[2]
    assert simplex.evaluate("window.scrollY") == scrolled
    simplex.set_viewport_size(DESKTOP)


@in_browser
def test_simplex_follows_the_theme(simplex):
    light = drawn(simplex)
    simplex.emulate_media(color_scheme="dark")
    simplex.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    simplex.wait_for_function(
        "light => document.querySelector('.gs-simplex canvas').toDataURL() != light", arg=light
    )


# --- gradients against temperature


def page_with(figure):
    return next(path for path, page in PAGES.items() if f"gs-{figure}" in page.text)


def text_of(tab, figure):
    return tab.locator(f".gs-{figure} [role=status]").inner_text()


@pytest.fixture
def variance(browser):
    tab = open_page(browser, page_with("variance"), has_touch=True)
    tab.locator(".gs-variance .gs-chart").scroll_into_view_if_needed()
    yield tab
    assert tab.errors == []
    tab.context.close()


def temperature(tab):
    return float(tab.locator(".gs-variance output").inner_text())


@in_browser
def test_variance_obeys_the_keyboard(variance):
    assert not variance.locator(".gs-variance img").is_visible()
    before = text_of(variance, "variance")
    variance.locator(".gs-variance input[type=range]").focus()
    variance.keyboard.press("ArrowLeft")
    assert temperature(variance) == pytest.approx(10**-0.05, abs=0.01)
    variance.keyboard.press("Home")
    assert temperature(variance) == pytest.approx(0.1)
    assert text_of(variance, "variance") != before
    cells = variance.locator(".gs-variance tbody tr").first.locator("td")
    cold = float(cells.nth(1).inner_text())
    variance.keyboard.press("End")
    assert temperature(variance) == pytest.approx(10)
    assert (
        float(cells.nth(1).inner_text()) < cold
    )  # the standard deviation falls with the temperature
    variance.keyboard.press("Home")
    variance.locator(".gs-variance input[type=radio]").nth(2).focus()
    variance.keyboard.press("ArrowRight")  # the mean of ten times as many draws
    assert float(cells.nth(1).inner_text()) == pytest.approx(cold / 10**0.5, rel=0.1)
    variance.locator(".gs-variance select").focus()
    variance.keyboard.press("ArrowUp")  # a linear loss, for which MuProp is perfect
    assert "(MuProp)" in text_of(variance, "variance")


@in_browser
def test_variance_obeys_mouse_and_finger_and_the_page_stays_where_it_is(variance):
    box = variance.locator(".gs-chart").bounding_box()
    x, y = box["x"] + 60, box["y"] + 120
    variance.mouse.move(x, y)
    variance.mouse.down()
    first = temperature(variance)
    variance.mouse.move(x + 100, y, steps=3)
    second = temperature(variance)
    variance.mouse.up()
    variance.mouse.move(x + 10, y)
    assert first < second == temperature(variance)

    variance.set_viewport_size(PHONE)
    variance.locator(".gs-chart").scroll_into_view_if_needed()
    box, scrolled = (
        variance.locator(".gs-chart").bounding_box(),
        variance.evaluate("window.scrollY"),
    )
    y = max(box["y"], 120) + 100
    finger, seen = variance.context.new_cdp_session(variance), []
    for kind, x in (("touchStart", 100), ("touchMove", 250), ("touchEnd", None)):
        finger.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y}] if x else []},
        )
        seen.append(temperature(variance))
    assert seen[0] < seen[1] == seen[2]
    assert variance.evaluate("window.scrollY") == scrolled


# --- the code of a digit, with a model of random weights in place of the trained one


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    from test_interactive import interactive, stand_in

    path = stand_in(tmp_path_factory.mktemp("weights") / "model.safetensors")
    return interactive.script("gsLatent", interactive.latent(path))


@pytest.fixture(scope="module")
def bench(browser, random_model):
    tab = open_page(browser, page_with("latent"), random_model, has_touch=True)
    yield tab
    assert tab.errors == []
    tab.context.close()


@pytest.fixture
def latent(bench):
    """The page with the code of a three."""
    bench.set_viewport_size(DESKTOP)
    for digit in (5, 3):
        bench.locator(f".gs-digits input[value='{digit}']").check()
    return bench


def decoded(tab):
    """The ink of the picture, from the transparency of its pixels."""
    image = "canvas.getContext('2d').getImageData(0, 0, 28, 28).data"
    return tab.locator(".gs-picture").evaluate(
        f"canvas => [...{image}].filter((_, i) => i % 4 == 3).map((a) => a / 255)"
    )


def code(tab):
    chosen = (
        "group => [...group.querySelectorAll('button')].findIndex((b) => b.ariaChecked == 'true')"
    )
    return tab.locator(".gs-switches [role=radiogroup]").evaluate_all(
        f"groups => groups.map({chosen})"
    )


@in_browser
def test_latent_decodes_as_torch_does(latent, random_model):
    import torch
    from test_interactive import interactive, read

    data = read(random_model)
    for digit in (3, 5):
        latent.locator(f".gs-digits input[value='{digit}']").check()
        assert code(latent) == data["codes"][digit]
        probabilities = interactive.decode(data, torch.tensor(data["codes"][digit])).tolist()
        assert decoded(latent) == pytest.approx(probabilities, abs=0.01)


@in_browser
def test_latent_obeys_the_keyboard(latent):
    start, picture = code(latent), decoded(latent)
    assert latent.locator(".gs-switches [tabindex='0']").count() == 1
    latent.locator(".gs-walk input").focus()
    latent.keyboard.press("Tab")  # to the chosen class of the first unit
    latent.keyboard.press("ArrowRight")
    assert code(latent) == [(start[0] + 1) % 10, *start[1:]]
    assert decoded(latent) != picture
    assert f"Unit 1 is class {(start[0] + 1) % 10 + 1}" in text_of(latent, "latent")
    latent.keyboard.press("ArrowDown")
    latent.keyboard.press("ArrowLeft")
    assert code(latent) == [(start[0] + 1) % 10, (start[1] - 1) % 10, *start[2:]]
    latent.keyboard.press("ArrowRight")
    latent.keyboard.press("ArrowUp")
    latent.keyboard.press("ArrowLeft")
    assert code(latent) == start
    assert decoded(latent) == picture
    assert latent.locator(".gs-switches [tabindex='0']").count() == 1


@in_browser
def test_latent_obeys_mouse_and_finger(latent):
    start = code(latent)
    unused = [(k + 1) % 10 for k in start]
    switch = latent.locator(".gs-switches [role=radiogroup]")
    switch.nth(2).locator("button").nth(unused[2]).click()
    latent.set_viewport_size(PHONE)
    switch.nth(9).locator("button").nth(unused[9]).tap()
    changed = [*start[:2], unused[2], *start[3:9], unused[9], *start[10:]]
    assert code(latent) == changed
    assert (
        latent.locator(".gs-picture").bounding_box()["y"] > 50
    )  # in view below the bar of the page, with the switch


@in_browser
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_latent_walks_from_one_digit_to_another(latent, random_model, motion):
    from test_interactive import read

    codes = read(random_model)["codes"]
    latent.emulate_media(reduced_motion=motion)
    latent.locator(".gs-walk select").select_option("7")
    button, slider = latent.locator(".gs-play"), latent.locator(".gs-walk input")
    length = sum(a != b for a, b in zip(codes[3], codes[7], strict=True))
    assert int(slider.get_attribute("max")) == length
    slider.press("ArrowRight")
    assert sum(a != b for a, b in zip(code(latent), codes[3], strict=True)) == 1
    button.click()
    if motion == "reduce":  # nothing moves by itself
        latent.wait_for_timeout(800)
        assert slider.input_value() == "2"
        slider.press("End")
    else:
        there = "n => document.querySelector('.gs-walk input').value == n"
        latent.wait_for_function(there, arg=str(length), timeout=20_000)
    assert code(latent) == codes[7]


@in_browser
def test_latent_is_accessible_and_fits_a_phone(browser, random_model):
    from axe_playwright_python.base import AXE_SCRIPT

    tab = open_page(browser, page_with("latent"), random_model, viewport=PHONE)
    tab.evaluate(AXE_SCRIPT)
    tab.evaluate(
        "document.querySelectorAll('mjx-container').forEach((formula) => formula.replaceWith('formula'))"
    )
    assert (tab.evaluate(TOO_WIDE), violations(tab, "phone"), violations(tab, "light")) == (
        [],
        [],
        [],
    )
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert violations(tab, "dark") == []
    tab.context.close()


@in_browser
@pytest.mark.parametrize("figure", ["variance", "latent"])
def test_what_stands_in_for_an_interactive_figure(browser, figure, random_model):
    """On paper, where scripts are off, and while there is no trained model."""
    still, live = f".gs-{figure} img", f".gs-{figure} .gs-live"
    tab = open_page(browser, page_with(figure), random_model)
    assert tab.locator(live).is_visible()
    assert not tab.locator(still).is_visible()
    tab.emulate_media(media="print")
    assert not tab.locator(live).is_visible()
    assert tab.locator(still).is_visible()
    tab.context.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page_with(figure).as_uri())
    assert plain.locator(still).is_visible()
    plain.context.close()


@in_browser
def test_without_a_model_the_page_says_so(browser):
    none = "Object.defineProperty(window, 'gsLatent', {get: () => null, set: () => null})"
    tab = open_page(browser, page_with("latent"), none)
    assert "not trained yet" in tab.locator(".gs-latent .gs-live").inner_text()
    assert tab.errors == []
    tab.context.close()


@in_browser
@pytest.mark.parametrize("figure", ["variance", "latent"])
def test_interactive_figures_do_not_move_the_text_below(browser, figure, random_model):
    early = (
        "document.addEventListener('DOMContentLoaded', "
        "() => { window.early = document.querySelectorAll('.gs-live').length; })"
    )
    tab = open_page(browser, page_with(figure), random_model + early, viewport=PHONE)
    assert tab.evaluate("window.early") == 1  # before the parser shows anything of the page
    high = tab.locator(f"figure.gs-{figure}").bounding_box()["height"]
    tab.locator(f".gs-{figure} input[type=range]").press("End")
    assert tab.locator(f"figure.gs-{figure}").bounding_box()["height"] == high
    tab.context.close()
