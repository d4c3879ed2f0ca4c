"""What pages, figures and buttons say, in the language of the edition.

    say("About {n} minutes to read", n=12)

ja/words.yml has the Japanese of each English sentence; what it lacks is said in English.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import yaml
from repository import LANGUAGE, ROOT

FILE = ROOT / "ja" / "words.yml"
STATIC = ROOT / "book" / "_static"


@cache
def table() -> dict[str, str]:
    """English sentence -> Japanese one."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def say(text: str, language: str = LANGUAGE, **values) -> str:
    """The sentence, with values in the places of the names in braces."""
    text = table().get(text, text) if language != "en" else text
    return text.format(**values) if values else text


def say_like(text: str, *forms: str, language: str = LANGUAGE) -> str:
    """A sentence that was put together elsewhere, by the first of these forms that it has.

    >>> say_like("Equation 5", "Section {n}", "Equation {n}", language="ja")
    '式5'
    """
    for form in forms:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(form))
        if found := re.fullmatch(pattern, text):
            parts = {name: say(part, language) for name, part in found.groupdict().items()}
            return say(form, language, **parts)
    return say(text, language)


def asked(folder: Path = ROOT / "book" / "tools") -> set[str]:
    """The sentences that the tools hand to `say`, and the scripts to their own."""
    found = set()
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                if isinstance(node.args[0], ast.Constant):
                    found.add(node.args[0].value)
    return found | in_scripts()


def in_scripts() -> set[str]:
    """The sentences of the pages' scripts: say("…"), bookSay("…"), and what they put together."""
    scripts = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")]
    found = {text for script in scripts for text in re.findall(r'[sS]ay\("([^"]+)"', script)}
    return found | PLACES | set(variance_titles())


PLACES = {"in the middle", "Soft attention"} | {
    f"at the {words}"
    for words in (
        "top",
        "bottom",
        "left",
        "right",
        "top left",
        "top right",
        "bottom left",
        "bottom right",
    )
}


def variance_titles() -> list[str]:
    """The programs of the figure of gradients."""
    return re.findall(
        r'"title":"([^"]+)"', (STATIC / "variance-data.js").read_text(encoding="utf-8")
    )
