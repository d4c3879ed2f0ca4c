"""SVG files of the kits: words that say what they show, licence and source; parts of a figure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html import escape

LICENCE = "https://creativecommons.org/licenses/by/4.0/"
SPACES = {
    "": "http://www.w3.org/2000/svg",
    "xlink": "http://www.w3.org/1999/xlink",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "cc": "http://creativecommons.org/ns#",
}
GAP = 2  # points below a row: half a stroke
WORDS = """\
<title>{title}</title>
<desc>{text}</desc>
<metadata>
 <rdf:RDF xmlns:rdf="{rdf}" xmlns:dc="{dc}" xmlns:cc="{cc}">
  <cc:Work rdf:about="">
   <dc:title>{title}</dc:title>
   <dc:description>{text}</dc:description>
   <dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator>
   <dc:source>{source}</dc:source>
   <dc:format>image/svg+xml</dc:format>
   <cc:license rdf:resource="{licence}"/>
  </cc:Work>
 </rdf:RDF>
</metadata>
"""


def described(svg: str, *, title: str, text: str, author: str, source: str) -> str:
    """An SVG with title and description, and with author, source and licence as metadata."""
    svg = re.sub(r"\s*<(metadata|title|desc)>.*?</\1>", "", svg, flags=re.DOTALL)
    said = {"title": title, "text": text, "author": author, "source": source, "licence": LICENCE}
    words = WORDS.format(**{key: escape(value) for key, value in (SPACES | said).items() if key})
    return re.sub(r"(<svg\b[^>]*>)\s*", lambda start: f"{start[1]}\n{words}", svg, count=1)


def part(svg: str, first: int, last: int) -> str:
    """The panels first to last, 1 for the first, of a figure whose rows share their axis of x.

    The other panels are taken out, and the sheet is cut below the row before the next part.
    """
    for name, address in SPACES.items():
        ElementTree.register_namespace(name, address)
    root = ElementTree.fromstring(svg)
    inside, outside = [], []
    for parent in root.iter():
        for group in list(parent):
            if axes := re.fullmatch(r"axes_(\d+)", group.get("id", "")):
                kept = first <= int(axes[1]) <= last
                (inside if kept else outside).append(_height(group))
                if not kept:
                    parent.remove(group)
    left, top, width, height = map(float, root.get("viewBox").split())
    upper, lower = min(y for y, _ in inside), max(y for _, y in inside)
    above = [bottom for _, bottom in outside if bottom <= upper]
    below = [y for y, _ in outside if y >= lower]
    start = max(above) + GAP if above else top
    end = lower + GAP if below else top + height
    root.set("viewBox", f"{left:g} {start:g} {width:g} {end - start:g}")
    root.set("height", f"{end - start:g}pt")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _height(group: ElementTree.Element) -> tuple[float, float]:
    """Upper and lower edge of a panel: those of its background, the first path in it."""
    path = next(group.iter(f"{{{SPACES['']}}}path")).get("d")
    ys = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
    return min(ys), max(ys)


def part_of_data(csv: str, first: int, last: int) -> str:
    """The rows of some panels of a figure's data, see gsbook.reader.figure_data."""
    head, *rows = csv.splitlines(keepends=True)
    return head + "".join(row for row in rows if first <= int(row.split(",", 1)[0]) <= last)
