"""No typed results: decimals beside nats, %, times or ms in the prose come from glue, or are the
paper's and say so.

    python book/tools/prose.py     list the offending sentences of the notebooks and pages

A sentence may hold such a number if it cites a source ({cite}), says that the number is the paper's
("the paper"), or supposes it ("suppose"). Numbers that a run gave are put in by glue. Code,
mathematics and links are not prose.
"""

from __future__ import annotations

import json
import re
import sys

from repository import ROOT

UNIT = r"(?:nats?\b|%|per\s+cent\b|percentage\b|(?:[×x]|times|-?fold)(?=$|[\s,.;:)])|"
UNIT += r"ms\b|milliseconds?\b|seconds?\b)"
RESULT = re.compile(rf"(?<![\w.])[-−+]?\d+\.\d+\s*(?:±\s*\d+(?:\.\d+)?\s*)?{UNIT}")
ALLOWED = re.compile(
    r"\{cite[^}]*\}|\bthe paper\b|\bpaper's\b|\bthe authors'|\{glue|\bsuppose\b", re.IGNORECASE
)
NOT_PROSE = (
    # fenced code
    r"^(`{3,}|~{3,})\{?(?:bibliography|code-cell|code|python|bash|text|math|list-table)\b.*?^\1\s*$",
    r"\$\$.*?\$\$",
    r"(?<!\\)\$[^$\n]+\$",
    r"\]\([^)]*\)",
)
CODE_OR_ROLE = re.compile(r"(\{[\w:]+\})?`[^`\n]*`")


def sentences(text: str) -> list[str]:
    """The sentences of a Markdown text, without code, mathematics and the addresses of links."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    text = CODE_OR_ROLE.sub(lambda match: match[0] if match[1] else " ", text)
    # A sentence ends at .!? before a space and no lower-case letter, at a blank line, a new item, a
    # heading or a table row.
    pieces = re.split(r"(?<=[.!?])\s+(?![a-z])|\n\s*\n|\n\s*[-*|] |\n\s*\d+\. |\n#+ |\|\s*\n", text)
    return [" ".join(piece.split()) for piece in pieces if piece.strip()]


def offenders(text: str) -> list[str]:
    """The sentences that hold a typed result."""
    return [s for s in sentences(text) if RESULT.search(s) and not ALLOWED.search(s)]


def prose() -> dict[str, str]:
    """Place -> text: the markdown cells and captions of the notebooks, the pages in Markdown, the
    log of choices."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                found[f"{path.name}, cell {i}"] = "".join(cell["source"])
            shown = cell["metadata"].get("mystnb", {})
            caption = "\n\n".join(
                filter(
                    None,
                    [shown.get("figure", {}).get("caption"), shown.get("image", {}).get("alt")],
                )
            )
            if caption:
                found[f"{path.name}, cell {i}, caption"] = caption
    found |= {
        path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))
    }
    found["choices.yml"] = (ROOT / "book" / "choices.yml").read_text(encoding="utf-8")
    return found


def main() -> int:
    found = [(place, sentence) for place, text in prose().items() for sentence in offenders(text)]
    for place, sentence in found:
        print(f"{place}: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
