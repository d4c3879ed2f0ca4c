"""How to cite the book: edition and address from pyproject.toml, and all that derives from them.

    python book/tools/citation.py           write CITATION.cff and .zenodo.json
    python book/tools/citation.py --check   change nothing; fail if one is not what would be written
    python book/tools/citation.py --check --tag v0.1.0   fail also if the tag names another edition

Reference managers and GitHub read CITATION.cff. The archive Zenodo, which gives an edition its DOI,
reads .zenodo.json. A new edition is a new version and a new date in pyproject.toml, then this
command; a DOI goes there, too. Page footers, BibTeX and figure kits follow when the book is built.
"""

import argparse
import json
import re
import sys
import tomllib
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from repository import ROOT, address
from words import say

TITLE = "Gumbel-Softmax, from zero to every number"
AUTHOR = "The Gumbel-Softmax Book contributors"
KEY = "gumbel-softmax-book"

BIBTEX = """\
@misc{{{key},
  author = {{{author}}},
  title = {{{{{title}}}}},
  howpublished = {{{how}}},
  year = {{{year}}},
  version = {{{version}}},
  url = {{{url}}}{doi}
}}
"""
ABSTRACT = """\
The paper "Categorical Reparameterization with Gumbel-Softmax" (Jang, Gu and Poole, 2017) explained
from school mathematics on and repeated number by number, with recorded runs, in notebooks that run
on real handwritten digits."""
KEYWORDS = [
    "Gumbel-Softmax",
    "Concrete distribution",
    "gradient estimation",
    "discrete latent variables",
    "reproducibility",
]
CFF = """\
# Written by book/tools/citation.py from pyproject.toml, which has the edition and the address.
cff-version: 1.2.0
message: If you use this book or its module gslib, please cite it, and the paper that it is about.
title: "{title}: an open, executable book"
abstract: >-
  {abstract}
type: software
authors:
  - name: {author}
version: "{version}"
date-released: {released}
license: MIT
{doi}repository-code: {address}
url: {site}
keywords: [{keywords}]
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


def persons() -> str:
    """The authors for BibTeX: the persons that pyproject.toml names, or all contributors as one."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = [author["name"] for author in tomllib.loads(text)["project"].get("authors", ())]
    return " and ".join(named) or f"{{{AUTHOR}}}"


def edition() -> tuple[str, date]:
    """The number of the edition and its date, from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)
    return project["project"]["version"], project["tool"][KEY]["released"]


def doi() -> str:
    """The DOI of the book, all editions together, from pyproject.toml; empty while it has none.

    Raises SystemExit for what is no DOI.
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)["tool"][KEY].get("doi", "")
    if found and not re.fullmatch(r"10\.\d{4,9}/[\w.;()/:-]+", found):
        raise SystemExit(f"pyproject.toml: doi must be like 10.5281/zenodo.123, got {found!r}")
    return found


def in_words() -> str:
    """Edition 0.1.0, 24 November 2026."""
    version, released = edition()
    day = {"day": released.day, "month": f"{released:%B}", "n": released.month}
    return say(
        "Edition {version}, {day} {month} {year}", version=version, year=released.year, **day
    )


def site(path: str = "", repository: str = "") -> str:
    """The public address of a page of the book: on GitHub its Pages, elsewhere the repository."""
    repository = repository or address()
    url = urlsplit(repository)
    if url.hostname != "github.com":
        return repository
    owner, name = url.path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/{path}"


def in_latex(text: str) -> str:
    """Text for BibTeX; what stands between dollars is mathematics already."""
    parts = re.split(r"(\$[^$]+\$)", text)
    parts[::2] = [re.sub(r"(?<!\\)[%&#_]", r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def bibtex(title: str = TITLE, suffix: str = "", path: str = "") -> str:
    """The BibTeX entry of the book, or of a part with a page of its own."""
    version, released = edition()
    how = f"{'In: ' + TITLE + ', an' if suffix else 'An'} open, executable book, edition {version}"
    return BIBTEX.format(
        key=KEY + suffix,
        author=persons(),
        title=in_latex(title),
        how=how,
        year=released.year,
        version=version,
        url=site(path),
        doi=f",\n  doi = {{{doi()}}}" if doi() else "",
    )


def paper() -> str:
    """The BibTeX entry of the paper, from book/references.bib."""
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return re.search(r"^@\w+\{jang2017,.*?^\}\n", text, re.M | re.S)[0]


def cff(repository: str = "") -> str:
    """The text of CITATION.cff."""
    version, released = edition()
    return CFF.format(
        title=TITLE,
        author=AUTHOR,
        abstract=ABSTRACT.replace("\n", "\n  "),
        keywords=", ".join(KEYWORDS),
        version=version,
        released=released,
        doi=f"doi: {doi()}\n" if doi() else "",
        address=repository or address(),
        site=site("", repository),
    )


def zenodo(repository: str = "") -> str:
    """The text of .zenodo.json, in the archive's own names of fields."""
    version, released = edition()
    related = [
        {"relation": "isSupplementTo", "identifier": repository or address()},
        {"relation": "isDocumentedBy", "identifier": site("", repository)},
        {"relation": "references", "identifier": "arXiv:1611.01144"},
    ]
    record = {
        "title": f"{TITLE}: an open, executable book",
        "upload_type": "software",
        "description": f"<p>{' '.join(ABSTRACT.split())}</p>",
        "creators": [{"name": AUTHOR}],
        "version": version,
        "publication_date": released.isoformat(),
        "language": "eng",
        "access_right": "open",
        "license": "MIT",
        "notes": "Code: MIT. Text and figures: CC BY 4.0.",
        "keywords": KEYWORDS,
        "related_identifiers": related,
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def files(repository: str = "") -> dict[Path, str]:
    """File -> its text, at the present address or at another one."""
    return {ROOT / "CITATION.cff": cff(repository), ROOT / ".zenodo.json": zenodo(repository)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if out of date")
    parser.add_argument("--tag", help="fail if this is not the tag of the edition")
    given = parser.parse_args(arguments)
    faults = []
    if given.tag and given.tag != f"v{edition()[0]}":
        faults.append(f"the tag {given.tag} is not v{edition()[0]}, the version in pyproject.toml")
    for path, text in files().items():
        if not given.check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            faults.append(f"{path.name} is out of date: run python book/tools/citation.py")
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
