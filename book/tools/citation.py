"""How to cite the book: the edition and the address from pyproject.toml, and all that derives from them.

    python book/tools/citation.py           write CITATION.cff
    python book/tools/citation.py --check   change nothing; fail if CITATION.cff is not what would be written

A new edition is a new version and a new date in pyproject.toml, then this command. Page footers, BibTeX and figure kits
follow when the book is built.
"""

import re
import sys
import tomllib
from datetime import date
from urllib.parse import urlsplit

from notebooks import ROOT, address

TITLE = "Gumbel-Softmax, from zero to every number"
AUTHOR = "The Gumbel-Softmax Book contributors"
KEY = "gumbel-softmax-book"

BIBTEX = """\
@misc{{{key},
  author = {{{author}}},
  title = {{{{{title}}}}},
  howpublished = {{{how}}},
  year = {{{year}}},
  version = {{{version}}},{doi}
  url = {{{url}}}
}}
"""
CFF = """\
# Written by book/tools/citation.py from pyproject.toml, which has the edition and the address.
cff-version: 1.2.0
message: If you use this book or its module gslib, please cite it, and the paper that it is about.
title: "{title}: an open, executable book"
abstract: >-
  The paper "Categorical Reparameterization with Gumbel-Softmax" (Jang, Gu and Poole, 2017) explained from school
  mathematics on and repeated number by number, with recorded runs, in notebooks that run on real handwritten digits.
type: software
authors:
  - name: {author}
version: "{version}"
date-released: {released}
license: MIT
repository-code: {address}
url: {site}
keywords: [Gumbel-Softmax, Concrete distribution, gradient estimation, discrete latent variables, reproducibility]
preferred-citation:
  type: book
  title: "{title}"
  authors:
    - name: {author}
  edition: "{version}"
  year: {released.year}
  url: {site}
  repository-code: {address}
references:
  - type: conference-paper
    title: Categorical Reparameterization with Gumbel-Softmax
    authors:
      - {{family-names: Jang, given-names: Eric}}
      - {{family-names: Gu, given-names: Shixiang}}
      - {{family-names: Poole, given-names: Ben}}
    year: 2017
    collection-title: International Conference on Learning Representations
    identifiers:
      - {{type: other, value: "arXiv:1611.01144"}}
"""


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def persons() -> str:
    """The authors for BibTeX: the persons that pyproject.toml names, or all contributors as one."""
    named = [author["name"] for author in project()["project"].get("authors", ())]
    return " and ".join(named) or f"{{{AUTHOR}}}"


def edition() -> tuple[str, date]:
    """The number of the edition and its date, from pyproject.toml."""
    found = project()
    return found["project"]["version"], found["tool"][KEY]["released"]


def in_words() -> str:
    """Edition 0.1.0, 24 November 2026."""
    version, released = edition()
    return f"Edition {version}, {released.day} {released:%B %Y}"


def site(path: str = "") -> str:
    """The public address of a page of the book: on GitHub its Pages, elsewhere the repository."""
    url = urlsplit(address())
    if url.hostname != "github.com":
        return address()
    owner, name = url.path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/{path}"


def bibtex(title: str = TITLE, suffix: str = "", path: str = "") -> str:
    """The BibTeX entry of the book, or of a part with a page of its own."""
    version, released = edition()
    how = f"{'In: ' + TITLE + ', an' if suffix else 'An'} open, executable book, edition {version}"
    doi = project()["tool"][KEY].get("doi")
    return BIBTEX.format(
        key=KEY + suffix,
        author=persons(),
        title=title,
        how=how,
        year=released.year,
        version=version,
        doi=f"\n  doi = {{{doi}}}," if doi else "",
        url=site(path),
    )


def paper() -> str:
    """The BibTeX entry of the paper, from book/references.bib."""
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return re.search(r"^@\w+\{jang2017,.*?^\}\n", text, re.M | re.S)[0]


def cff() -> str:
    """The text of CITATION.cff."""
    version, released = edition()
    return CFF.format(
        title=TITLE,
        author=AUTHOR,
        version=version,
        released=released,
        address=address(),
        site=site(),
    )


def main(arguments: list[str]) -> int:
    path = ROOT / "CITATION.cff"
    if "--check" not in arguments:
        path.write_text(cff(), encoding="utf-8")
    elif path.read_text(encoding="utf-8") != cff():
        print("CITATION.cff is out of date: run python book/tools/citation.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
