"""The concordance: the paper <-> chapters <-> gslib <-> tests, from book/concordance.yml, read in
all four directions."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from functools import cache
from pathlib import PurePosixPath

import yaml
from repository import ROOT

import gsbook
import gslib

FILE = ROOT / "book" / "concordance.yml"


@cache
def entries() -> list[dict]:
    """Items of the paper: {paper, what, sections: {chapter: [labels]}, formulas: [labels], gslib:
    [names], tests: [node ids]}.

    sections: where a chapter treats the item; formulas: the labels of what is the paper's own
    formula.
    """
    empty = {"sections": {}, "formulas": [], "gslib": [], "tests": []}
    return [empty | entry for entry in yaml.safe_load(FILE.read_text(encoding="utf-8"))]


def labels(cells: list[dict]) -> frozenset[str]:
    """The labels of a notebook: figures, equations, section targets, theorems and exercises."""
    found = {c["metadata"].get("mystnb", {}).get("figure", {}).get("name") for c in cells} - {None}
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found |= set(re.findall(r"\$\$ *\(([\w-]+)\)", text)) | set(
                re.findall(r"^\(([\w-]+)\)=", text, re.M)
            )
            found |= set(re.findall(r"^:(?:label|name): *([\w-]+)", text, re.M))
    return frozenset(found)


def resolve(name: str):
    """The object that a dotted name of gslib stands for; ImportError or AttributeError if there is
    none."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def node_ids() -> set[str]:
    """file::function of every test function, methods as file::class::function."""
    found = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            within = (
                [("", [node])]
                if isinstance(node, ast.FunctionDef)
                else ([(f"{node.name}::", node.body)] if isinstance(node, ast.ClassDef) else [])
            )
            found |= {
                f"{file}::{prefix}{f.name}"
                for prefix, body in within
                for f in body
                if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")
            }
    return found


def with_equations() -> dict[str, str]:
    """Public functions and methods of gslib whose docstring names an equation -> that docstring."""
    found = {}
    modules = [
        module
        for package in (gslib, gsbook)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for module in modules:
        if "._" in module.name or module.name.endswith("__main__"):
            continue
        members = vars(importlib.import_module(module.name)).items()
        for name, thing in members:
            if name.startswith("_") or getattr(thing, "__module__", None) != module.name:
                continue
            inner = (
                [(f"{name}.{k}", v) for k, v in vars(thing).items() if k[0] != "_"]
                if inspect.isclass(thing)
                else []
            )
            for path, one in [(name, thing), *inner]:
                doc = inspect.getdoc(one.fget if isinstance(one, property) else one) or ""
                if (callable(one) or isinstance(one, property)) and re.search(
                    r"equations? \d", doc
                ):
                    found[f"{module.name}.{path}"] = doc
    return found


def documented(name: str) -> bool:
    """Whether the API reference has an entry for a name of gslib."""
    text = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    if re.search(rf"^\.\. auto(?:function|class):: {re.escape(name)}$", text, re.M):
        return True
    owner, _, member = name.rpartition(".")
    block = re.search(rf"^\.\. autoclass:: {re.escape(owner)}\n((?: +:.*\n)*)", text, re.M)
    members = block and re.search(r":members:(.*)", block[1])
    return bool(members) and (not members[1].strip() or member in re.split(r"[\s,]+", members[1]))


def code_link(name: str) -> str:
    """A name of gslib without its module, linked to the API reference where that has it."""
    parts = name.split(".")
    while len(parts) > 1 and inspect.ismodule(
        resolve(".".join(name.split(".")[: -len(parts) + 1]))
    ):
        parts = parts[1:]
    short = ".".join(parts)
    return f"{{py:obj}}`{short} <{name}>`" if documented(name) else f"`{short}`"


def readable(test: str) -> str:
    """tests/gslib/test_models.py::test_shapes as words: models: shapes."""
    file, *names = test.split("::")
    words = ", ".join(n.removeprefix("test_").replace("_", " ") for n in names)
    words = re.sub(r" s\b|(?<=\btorch)s\b", "’s", words)  # a name has no apostrophe
    return f"{PurePosixPath(file).stem.removeprefix('test_')}: {words}"


def page(chapters: dict, chapter_link, label_link, table) -> str:
    """The four tables in Markdown."""

    def places(chapter: str, wanted: list[str]) -> list[str]:
        have = chapters.get(chapter, {"labels": ()})["labels"]
        return [label_link(label) for label in wanted if label in have]

    def lines(parts) -> str:
        return "; ".join(dict.fromkeys(parts)) or "–"

    def papers(group) -> str:
        return ", ".join(dict.fromkeys(entry["paper"] for entry in group))

    by_code, by_chapter, by_test = defaultdict(list), defaultdict(list), defaultdict(list)
    for entry in entries():
        for group, key in ((by_code, "gslib"), (by_chapter, "sections"), (by_test, "tests")):
            for value in entry[key]:
                group[value].append(entry)

    paper_rows = [
        [
            f"**{e['paper']}.** {e['what']}",
            lines(
                ", ".join([chapter_link(c), *places(c, wanted)])
                for c, wanted in e["sections"].items()
            ),
            lines(map(code_link, e["gslib"])),
            lines(map(readable, e["tests"])),
        ]
        for e in entries()
    ]
    chapter_rows = [
        [chapter_link(c), f"**{e['paper']}.** {e['what']}", lines(places(c, e["sections"][c]))]
        for c in sorted(by_chapter)
        for e in by_chapter[c]
    ]
    code_rows = [
        [
            code_link(name),
            papers(group),
            lines(chapter_link(c) for e in group for c in e["sections"]),
            lines(readable(t) for e in group for t in e["tests"]),
        ]
        for name, group in sorted(by_code.items())
    ]
    test_rows = [
        [readable(test), papers(group), lines(code_link(n) for e in group for n in e["gslib"])]
        for test, group in sorted(by_test.items())
    ]
    return "\n".join(
        [
            "## From the paper\n",
            table(["Paper", "Chapter", "gslib", "Tests"], paper_rows),
            "## From the chapters\n",
            table(["Chapter", "Paper", "There"], chapter_rows),
            "## From the code\n",
            table(["gslib", "Paper", "Chapter", "Tests"], code_rows),
            "## From the tests\n",
            table(["Test", "Paper", "gslib"], test_rows),
        ]
    )
