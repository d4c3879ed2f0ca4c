"""Draw one figure of the paper, or of a chapter, again, without the book.

python book/tools/redraw.py figure-4a     figure-4a.svg, .pdf, .csv and .bib in this folder
"""

import base64
import os
import sys
from pathlib import Path

import citation
import nbformat
from kit import NAMES, bibtex, described, drawn_anew, kits, own_bibtex, save
from nbclient import NotebookClient
from repository import ROOT


def draw(name: str, folder: Path) -> list[Path]:
    """Run the chapter as far as a figure, and write what the figure's cell put out."""
    label = next((label for label, drawn in kits().items() if name in drawn), name)
    path, notebook = chapter_until(label)
    if notebook is None or (label == name and name in kits()):
        known = ", ".join(name for drawn in kits().values() for name in drawn)
        raise SystemExit(f"the book draws no {name!r}; it knows {known}")
    os.environ["GSLIB_KIT"] = "1"
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [output.get("data", {}) for output in notebook.cells[-1].outputs]
    data = next(data for data in outputs if "image/svg+xml" in data)
    found = {NAMES[kind]: content.encode() for kind, content in data.items() if kind in NAMES}
    found["pdf"] = base64.b64decode(found["pdf"])
    settings = notebook.cells[-1].metadata["mystnb"]
    caption, alt = settings["figure"]["caption"], settings["image"]["alt"]
    claim, page = kits().get(label, {}).get(name), f"notebooks/{path.stem}"
    source = citation.site(f"{name}.html" if claim else f"{page}.html#{label}")
    what = drawn_anew(claim) if claim else caption.replace("$", "")
    found = described(found, what, alt, source, claim.panels if claim else ())
    found["bib"] = (bibtex(name, claim) if claim else own_bibtex(name, caption, page)).encode()
    save(folder, name, found)
    return [folder / f"{name}.{ending}" for ending, content in found.items() if content]


def chapter_until(label: str | None):
    """(path, notebook) of the chapter that has a figure, as far as its cell; None where none
    has."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, 4)
        for i, cell in enumerate(notebook.cells):
            if label and cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == label:
                notebook.cells = notebook.cells[: i + 1]
                return path, notebook
    return None, None


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(*draw(sys.argv[1], Path.cwd()), sep="\n")
