"""The repository: where it is, and its public address, which pyproject.toml has."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "main"


def address() -> str:
    """The public address, such as https://github.com/owner/name."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "(.+)"$', text, re.MULTILINE)
    if not found:
        raise SystemExit(
            "pyproject.toml: no line 'Repository = \"https://…\"' below [project.urls]"
        )
    return found[1]
