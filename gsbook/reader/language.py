"""Hints in the reader's language, which GSLIB_LANGUAGE names: English, or ja for Japanese."""

from __future__ import annotations

import os
from functools import cache

import yaml

from gsbook.places import PACKAGE


@cache
def hints() -> dict[str, str]:
    """English hint -> Japanese one. In the repository they are in `ja`; installed, in the package
    `gsbook_ja`."""
    for name in ("gsbook_ja", "ja"):
        path = PACKAGE.parent / name / "hints.yml"
        if path.exists():
            return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {}


def say(text: str, **values) -> str:
    """A hint, with values in the places of the names in braces; in English where there is no other.

    >>> say("{n} coins", n=2)
    '2 coins'
    """
    if os.environ.get("GSLIB_LANGUAGE") == "ja":
        text = hints().get(text, text)
    return text.format(**values) if values else text
