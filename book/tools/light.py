"""Light pages: one style sheet of the rules that the book uses, and icons in the page.

The theme's own files weigh 2.5 MB on every page: all icons of Font Awesome, as a script and as
fonts, the style of parts that the book has not, a library for menus that browsers have of their
own, and the index of the search. A page keeps what it needs: its dozen icons as SVG, the rules
whose classes occur in the book, and the index on the page of the search.
"""

from __future__ import annotations

import math
import re
from functools import cache
from itertools import count
from pathlib import Path

from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
SHEET = "book-all.css"
STYLES = (  # in the order of a page; from _static
    "basic.css", "pygments.css", "styles/theme.css", "styles/pydata-sphinx-theme.css",
    "styles/sphinx-book-theme.css", "togglebutton.css", "copybutton.css", "mystnb.*.css",
    "exercise.css", "proof.css", "kit.css", "book.css", "figures.css",
)  # fmt: skip
SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")

# Drawn for the book on a sheet of 24 x 24, as strokes.
ICONS = {
    "bars": "M3 6h18M3 12h18M3 18h18",
    "list": "M9 6h12M9 12h12M9 18h12M3 6h2M3 12h2M3 18h2",
    "magnifying-glass": "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L21 21",
    "circle-half-stroke": "M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18M13 7h5M13 12h7M13 17h5",
    "sun": "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2"
    "M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
    "moon": "M19.5 14.5A8 8 0 019.5 4.5a8 8 0 1010 10z",
    "angle-left": "M15 5l-7 7 7 7",
    "angle-right": "M9 5l7 7-7 7",
    "arrow-up": "M12 20V4M5 11l7-7 7 7",
    "download": "M12 3v12M7 10l5 5 5-5M4 20h16",
    "expand": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    "code": "M8 6l-6 6 6 6M16 6l6 6-6 6",
    "file": "M6 3h8l4 4v14H6zM14 3v4h4",
    "file-pdf": "M6 3h8l4 4v14H6zM14 3v4h4M9 13h6M9 17h4",
    "github": "M6 8v8M6 4a2 2 0 100 4 2 2 0 000-4zM6 16a2 2 0 100 4 2 2 0 000-4z"
    "M18 4a2 2 0 100 4 2 2 0 000-4zM18 8c0 5-12 3-12 8",
    "lightbulb": "M9 17a6 6 0 116 0v1H9zM10 21h4",
    "rocket": "M12 3c4 3 5 7 4 13H8C7 10 8 6 12 3zM8 12l-3 5h3M16 12l3 5h-3M12 9v2M10 19l2 3 2-3",
}


def icon(match: re.Match) -> str:
    """An element of Font Awesome as a picture of its own."""
    classes = match["classes"].split()
    names = [c[3:] for c in classes if c.startswith("fa-") and c[3:] in ICONS]
    if not names:
        LOGGER.warning("no icon for %r: draw one in book/tools/light.py", match["classes"])
        return ""
    own = [c for c in classes if not re.fullmatch(r"fa[srb]?|fa-.*", c)]
    mode = re.search(r'data-mode="\w+"', match["rest"])
    return (
        f'<svg class="{" ".join(["icon", *own])}" {mode[0] if mode else ""} viewBox="0 0 24 24" '
        f'aria-hidden="true"><path d="{ICONS[names[0]]}"/></svg>'
    )


def lighten(html: str, page: str, legible=lambda name: 0) -> str:
    """A page of the theme without what no reader needs. legible: the width that an image needs."""
    html = re.sub(
        r'(<figure[^>]*>\s*)(<img[^>]* src="[^"]*?([^/"]+)"[^>]*>)',
        lambda m: (
            f'{m[1]}<div class="figure-full" style="--legible: {legible(m[3]):.0f}px">{m[2]}</div>'
        ),
        html,
    )
    html = re.sub(
        r'<(?P<tag>i|span) class="(?P<classes>(?:[\w-]+ +)*fa[srb]?(?:-\w+)? +fa-[^"]*)"'
        r"(?P<rest>[^>]*)>\s*</(?P=tag)>",
        icon,
        html,
    )
    html = re.sub(r"<img[^>]*logo_colab[^>]*>", "", html)  # the text beside it says Colab
    number = count(1)
    # Menus open as the browser's own popovers, which need no script.
    html = re.sub(
        r'data-bs-toggle="dropdown" aria-expanded="false"(.*?)<ul class="dropdown-menu"',
        lambda m: (
            f'popovertarget="menu-{(k := next(number))}"{m[1]}'
            f'<ul class="dropdown-menu" popover id="menu-{k}"'
        ),
        html,
        flags=re.DOTALL,
    )
    unused = ["fontawesome.js", "bootstrap.js", *(SEARCH if page != "search" else ())]
    html = re.sub(rf'<script[^>]* src="[^"]*({"|".join(unused)})[^"]*"></script>\s*', "", html)
    html = re.sub(r'<link rel="preload" as="script"[^>]*>\s*', "", html)
    known = "|".join(re.escape(name).replace(r"\*", "[0-9a-f]+") for name in STYLES)
    sheet = re.compile(rf'<link[^>]* href="([^"]*?_static/)(?:{known})(?:\?[^"]*)?"[^>]*>\s*')
    if first := sheet.search(html):
        link = f'<link rel="stylesheet" href="{first[1]}{SHEET}">\n'
        html = html[: first.start()] + link + sheet.sub("", html[first.start() :])
    return html


SMALLEST = 9  # px of text on a phone


@cache
def legible(path: Path) -> float:
    """Width from which the text of an SVG has 9 px, exponents aside; 0 for other pictures."""
    svg = path.read_text(encoding="utf-8") if path.suffix == ".svg" else ""
    width = re.search(r'viewBox="\S+ \S+ (\S+)', svg)
    texts = re.findall(r"<text.*?</text>", svg, re.DOTALL)
    sizes = [[float(n) for n in re.findall(r"font(?:-size)?: ([\d.]+)px", text)] for text in texts]
    return (
        SMALLEST / min(map(max, filter(None, sizes)), default=math.inf) * float(width[1])
        if width
        else 0
    )


# --- the style sheet ---

TOKEN = re.compile(
    r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^{};"'/]+|/""", re.DOTALL
)


def purge(css: str, used: set[str]) -> str:
    """The rules of a style sheet that can apply where only these classes and ids occur."""
    return _purge(iter(TOKEN.findall(css)), used)


def _purge(tokens, used: set[str]) -> str:
    kept = head = ""
    for token in tokens:
        if token.startswith("/*"):
            kept += token if token.startswith("/*!") and not token.count("Font Awesome") else ""
        elif token == "{" and re.match(r"@(media|supports|layer|container)\b", head.strip()):
            inner = _purge(tokens, used)
            kept += f"{head.strip()}{{{inner}}}\n" if inner.strip() else ""
            head = ""
        elif token == "{":
            body, depth = "", 1
            for part in tokens:
                depth += (part == "{") - (part == "}")
                if not depth:
                    break
                body += "" if part.startswith("/*") else part
            if head := _selectors(head.strip(), body, used):
                kept += f"{head}{{{body.strip()}}}\n"
            head = ""
        elif token == "}":
            return kept
        elif token == ";":
            head = ""  # @charset, @import: all is in this one file
        else:
            head += token
    return kept


def _selectors(head: str, body: str, used: set[str]) -> str:
    """The selectors of a rule that can match; none of those of Font Awesome."""
    if head.startswith("@"):
        return "" if "Font Awesome" in body or "fa-" in head else head
    if re.search(r"content: *(var\(--pst-icon|[\"']\\f)", body):
        return ""  # a letter of a font that is not there
    found = []
    for selector in re.split(r",(?![^()]*\))", head):
        plain = re.sub(r"\([^()]*(\([^()]*\)[^()]*)*\)", "", re.sub(r"\[[^]]*\]", "", selector))
        if all(name in used for name in re.findall(r"[.#](-?[A-Za-z_](?:[\w-]|\\.)*)", plain)):
            found.append(selector.strip())
    return ",".join(found)


def names(html: str) -> set[str]:
    """Classes and ids of a page."""
    found = set()
    for value in re.findall(r'\s(?:class|id)="([^"]*)"', html):
        found.update(value.split())
    return found


def write_sheet(app, exception):
    """Write the one style sheet, when all pages are there."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    used = set()
    for path in Path(app.outdir).rglob("*.html"):
        used |= names(path.read_text(encoding="utf-8"))
    for path in [*static.glob("*.js"), *static.glob("scripts/*theme.js")]:
        if not path.name.endswith("-data.js"):
            used |= set(re.findall(r"[A-Za-z_][\w-]+", path.read_text(encoding="utf-8")))
    paths = [path for name in STYLES for path in sorted(static.glob(name))]
    text = "".join(purge(path.read_text(encoding="utf-8"), used) for path in paths)
    (static / SHEET).write_text(text, encoding="utf-8")


def wrap(app):
    """All pages go through `lighten` on their way to the disk."""
    if app.builder.format != "html":
        return
    render = app.builder.templates.render

    def width(name: str) -> float:
        source = next((src for src, made in app.builder.images.items() if made == name), None)
        return legible(Path(app.srcdir, source)) if source else 0

    def light(template, context):
        html = render(template, context)
        return lighten(html, context["pagename"], width) if template.endswith(".html") else html

    app.builder.templates.render = light


def setup(app):
    app.connect("builder-inited", wrap, priority=900)
    app.connect("build-finished", write_sheet, priority=900)  # after all pages
    return {"parallel_read_safe": True, "parallel_write_safe": True}
