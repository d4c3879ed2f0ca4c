"""The built book: its files, and a page in Chromium. Without a built book, tests are skipped."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[2]

BOOK = ROOT / "_build" / "html"
STAMP = ROOT / "_build" / "built"  # `make book` leaves it after a build without a warning
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


def why_no_book():
    if not (STAMP.exists() and (BOOK / "index.html").exists()):
        return "NO BUILT BOOK: its pages were NOT tested. Run `make book browser`."
    sources = [ROOT / "_toc.yml", ROOT / "_config.yml", *ROOT.glob("notebooks/*.ipynb")]
    sources += [
        path
        for path in ROOT.glob("book/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    sources += [path for path in ROOT.glob("ja/**/*") if path.is_file()]
    newest = max(sources, key=lambda path: path.stat().st_mtime)
    if newest.stat().st_mtime > STAMP.stat().st_mtime:
        name = newest.relative_to(ROOT)
        return f"THE BUILT BOOK IS OLDER than {name}: it was NOT tested. Run `make book browser`."
    return ""


if NO_BOOK := why_no_book():
    pytest.skip(NO_BOOK, allow_module_level=True)


# --- what the files say


class Page(HTMLParser):
    """Ids, links, images and headings of one file."""

    def __init__(self, path):
        super().__init__()
        self.in_article = False
        self.path, self.ids, self.links, self.images, self.headings = path, set(), [], [], []
        self.text = path.read_text(encoding="utf-8")
        self.japanese = '<html lang="ja"' in self.text
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


CHAPTERS = [path for path in PAGES if name(path).startswith("notebooks/")]
READ = [  # not twice what the Japanese edition has in English
    path
    for path, page in PAGES.items()
    if '="Refresh"' not in page.text and '<section lang="en"' not in page.text
]


def page_with(figure):
    """The page that has an interactive figure."""
    return next(
        path
        for path, page in PAGES.items()
        if f'"gs-{figure}' in page.text or f" gs-{figure}" in page.text
    )


# --- what a browser makes of them


def open_page(browser, path, script="", **settings):
    """The page as a tab that notes errors and requests; `script` runs before all others."""
    settings = {"viewport": DESKTOP, "color_scheme": "light", "reduced_motion": "reduce"} | settings
    tab = browser.new_context(**settings).new_page()
    tab.set_default_timeout(10_000)
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


# Formulas have the colour of the text around them, and tokens of code that of their class in such
# a box: of each kind one stays, or axe would take minutes.
FEWER = """() => {
  document.querySelectorAll("mjx-container").forEach((formula) => formula.replaceWith("formula"));
  const kept = new Set();
  for (const token of document.querySelectorAll("pre span")) {
    let kind = token.className + token.style.cssText;
    for (let box = token.parentElement; box; box = box.parentElement) kind += `<${box.className}`;
    if (kept.has(kind) || !token.checkVisibility()) token.replaceWith(...token.childNodes);
    else kept.add(kind);
  }
}"""


def axe(tab):
    """Load axe-core, and leave it fewer elements that look alike."""
    from axe_playwright_python.base import AXE_SCRIPT

    tab.evaluate(AXE_SCRIPT)
    tab.evaluate(FEWER)


COLOURS = ["color-contrast", "link-in-text-block"]
AXE_RULES = {  # all rules once, and again those that can differ in the dark or on a phone
    "light": None,
    "dark": COLOURS,
    "phone": ["scrollable-region-focusable", "target-size", "aria-hidden-focus"],
}


def violations(tab, theme, colours=True):
    """Serious and critical findings of axe-core, each with its first elements."""
    if theme == "dark" and not colours:
        return []
    options = {"resultTypes": ["violations"], "iframes": False, "preload": False}
    if AXE_RULES[theme]:
        options["runOnly"] = AXE_RULES[theme]
    if not colours:
        options["rules"] = {rule: {"enabled": False} for rule in COLOURS}
    return [
        f"{rule['id']}: {len(rule['nodes'])} times, as in "
        + "; ".join(
            f"{node['html'][:150]} {node['failureSummary'].splitlines()[1].strip()}"
            for node in rule["nodes"][:3]
        )
        for rule in tab.evaluate("options => axe.run(document, options)", options)["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


# What reaches out of the window, unless a box around it scrolls; hidden elements aside.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth, wide = [];
  const all = "*:not(mjx-math *, mjx-assistive-mml, mjx-assistive-mml *)";
  for (const element of document.body.querySelectorAll(all)) {
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (box.right <= width + 1 || box.width < 2 || box.height < 2) continue;
    if (style.visibility == "hidden") continue;
    let around = element.parentElement, free = !wide.some((w) => w.contains(element));
    for (; around && free; around = around.parentElement) {
      const s = getComputedStyle(around);
      free = !["auto", "scroll"].includes(s.overflowX) && s.position != "fixed";
    }
    if (free && style.position != "fixed") wide.push(element);
  }
  const say = (e) => `<${e.tagName} class="${e.className}"> ${e.textContent.slice(0, 60)}`;
  const scroll = document.documentElement.scrollWidth;
  const page = scroll > width ? [`the page is ${scroll} px wide`] : [];
  return page.concat(wide.slice(0, 5).map(say));
}"""


# Code, reports and tables in boxes that are too small for them; what is folded is not laid out.
CUT = """() => [...document.querySelectorAll(".bd-article :is(pre, .output, table)")]
  .map((box) => box.closest(".pst-scrollable-table-container") ?? box)
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.textContent.trim().split("\\n").reduce((a, b) => a.length < b.length ? b : a))
  .map((line) => `${line.length}: ${line.trim().slice(0, 100)}`)"""

# On paper nothing scrolls.
PAPER = """() => [...document.querySelectorAll(".bd-article :is(pre, .figure-full, table)")]
  .filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .filter((box) => getComputedStyle(box).overflowX != "visible")
  .map((box) => `${box.className} ${box.textContent.trim().slice(0, 60)}`)"""

# Closed solutions, and by how much they are higher than their title.
GAPS = """() => [...document.querySelectorAll(".admonition.toggle-hidden")]
  .map((box) => box.offsetHeight - box.querySelector(".admonition-title").offsetHeight)
  .filter((gap) => gap > 8)"""

# Letters of icon fonts, which are not there: they show as empty boxes.
GLYPHS = """() => [...document.querySelectorAll("body *")].flatMap((element) =>
  ["::before", "::after"].filter((part) => {
    const style = getComputedStyle(element, part);
    return style.display != "none" && /[\\uE000-\\uF8FF]/.test(style.content);
  }).map((part) => `${element.tagName} ${element.className} ${part}`)).slice(0, 5)"""

# Text of less than 9 px, exponents aside, and figures that shrink below what their own text needs.
SMALL = """() => {
  const found = [], main = document.querySelector("main");
  const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    if (element.closest("mjx-container, sup, script, style, noscript")) continue;
    const seen = element.checkVisibility() && element.getBoundingClientRect().width > 1;
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (seen && size < 9) found.push(`${size} px: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  for (const box of document.querySelectorAll("main .figure-full")) {
    const width = box.firstElementChild.getBoundingClientRect().width;
    const least = parseFloat(box.style.getPropertyValue("--legible"));
    if (width && width < least - 1) found.push(`a figure ${width} px wide needs ${least}`);
  }
  return found.slice(0, 8);
}"""
