"""The glossary's terms in Japanese: ja/terms.yml, by the English terms of book/glossary.md."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import yaml
from repository import ROOT

FILE = ROOT / "ja" / "terms.yml"
BRACKETS = re.compile(r"[（(].*")


@cache
def table() -> dict[str, dict]:
    """English term -> {ja, yomi, also}: what stands for it, its reading, and other forms."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def japanese(term: str) -> str:
    """The term of the text, or the English one while it has none."""
    return table().get(term, {}).get("ja", term)


@cache
def forms() -> dict[str, str]:
    """Japanese form, in small letters -> the English term."""
    found: dict[str, str] = {}
    for key in ("ja", "also"):
        for term, entry in table().items():
            given = entry.get(key, [])
            for form in [given] if isinstance(given, str) else given:
                found.setdefault(form.lower(), term)
    return found


def english(phrase: str) -> str | None:
    """The English term of a Japanese phrase; brackets with its English may stand behind it."""
    return forms().get(BRACKETS.sub("", phrase).strip(" 。、:：").lower())


LETTERS = ("A-Za-z0-9-", "ァ-ヺー", "㐀-鿿々")  # words do not go on in letters of their own kind


def as_word(form: str) -> str:
    """A pattern for a form where it is a word of its own: 温度 but not 室温度計."""
    before, after = (
        next((kind for kind in LETTERS if re.match(f"[{kind}]", letter)), "")
        for letter in (form[0], form[-1])
    )
    start, end = f"(?<![{before}])" if before else "", f"(?![{after}])" if after else ""
    return f"{start}{re.escape(form)}{end}"


def reading(term: str) -> tuple[bool, str]:
    """What an entry is sorted by: Latin letters first, then the Japanese syllables."""
    text = table().get(term, {}).get("yomi") or japanese(term)
    # Katakana as hiragana, and no marks: ば after は, not after all of them.
    flat = unicodedata.normalize("NFKD", text).lower()
    flat = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in flat)
    return not flat[0].isascii(), flat


def page(source: str, found: dict) -> str:
    """The page of the glossary: each entry with its Japanese terms and its English ones."""
    from translation import ENTRIES, joined, slug

    block = ENTRIES.search(source)
    entries = []
    for part in re.split(r"\n\s*\n", block[1]):
        names = [line for line in part.strip("\n").split("\n") if not line.startswith(" ")]
        state = found.get(f"term:{slug(names[0])}") if names and names[0] else None
        if state:
            lines = [*dict.fromkeys([*map(japanese, names), *names])]
            body = "\n".join("  " + line if line else "" for line in joined(state).split("\n"))
            entries.append((reading(names[0]), "\n".join(lines) + f"\n{body}\n"))
    whole = "```{glossary}\n" + "\n".join(text for _, text in sorted(entries)) + "```"
    return joined(found["glossary"]).replace("\n\n\n", "\n\n") + f"\n\n{whole}\n"
