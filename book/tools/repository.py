"""The repository: where it is, its public address, which pyproject.toml has, and which edition of
the book is built."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "main"

# The edition that is built. japanese.py joins the Japanese one in a folder of its own.
LANGUAGE = os.environ.get("GSLIB_LANGUAGE", "en")
SOURCE = ROOT if LANGUAGE == "en" else ROOT / "_build" / LANGUAGE  # of its pages

# https://host/owner/repository. What else an address may hold, such as a query, a fragment, a quote
# or a name and a password, would break the links, commands and files that are made from it.
NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
ADDRESS = re.compile(rf"https://{HOST}(?:\.{HOST})*(?::[0-9]{{1,5}})?/{NAME}/{NAME}(?<!\.git)")


def address() -> str:
    """The public address, like https://github.com/owner/name; stops where it is of another form."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "(.+)"$', text, re.MULTILINE)
    if not found:
        raise SystemExit(
            "pyproject.toml: no line 'Repository = \"https://…\"' below [project.urls]"
        )
    return checked(found[1], "pyproject.toml: Repository")


def checked(url: str, where: str) -> str:
    """The address itself, or the end of the program with a sentence that names it."""
    if not ADDRESS.fullmatch(url):
        raise SystemExit(
            f"{where} must be https://host/owner/repository, of letters, digits, '.', '_' and '-', "
            f"without .git, a final slash, or a part after '?' or '#'; got {url!r}"
        )
    return url
