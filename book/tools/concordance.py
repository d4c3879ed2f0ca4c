"""The concordance: the paper <-> chapters <-> gslib <-> tests, from book/concordance.yml, read in all four directions."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from functools import cache

import yaml

import gslib
from notebooks import ROOT

FILE = ROOT / "book" / "concordance.yml"


@cache
def entries() -> list[dict]:
    """Items of the paper: {paper, what, sections: {chapter: [labels]}, gslib: [names], tests: [node ids]}."""
    empty = {"sections": {}, "gslib": [], "tests": []}
    return [empty | entry for entry in yaml.safe_load(FILE.read_text(encoding="utf-8"))]


def labels(cells: list[dict]) -> frozenset[str]:
    """The labels of a notebook: figures, equations, section targets, theorems and exercises."""
    found = {c["metadata"].get("mystnb", {}).get("figure", {}).get("name") for c in cells} - {None}
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            found |= set(re.findall(r"\$\$ *\(([\w-]+)\)", text)) | set(re.findall(r"^\(([\w-]+)\)=", text, re.M))
            found |= set(re.findall(r"^:(?:label|name): *([\w-]+)", text, re.M))
    return frozenset(found)


def resolve(name: str):
    """The object that a dotted name of gslib stands for; ImportError or AttributeError if there is none."""
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
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            within = [("", [node])] if isinstance(node, ast.FunctionDef) else (
                [(f"{node.name}::", node.body)] if isinstance(node, ast.ClassDef) else [])
            found |= {f"tests/{path.name}::{prefix}{f.name}" for prefix, body in within for f in body
                      if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")}
    return found


def with_equations() -> dict[str, str]:
    """Public functions and methods of gslib whose docstring names an equation -> that docstring."""
    found = {}
    for module in pkgutil.walk_packages(gslib.__path__, "gslib."):
        if "._" in module.name or module.name.endswith("__main__"):
            continue
        members = vars(importlib.import_module(module.name)).items()
        for name, thing in members:
            if name.startswith("_") or getattr(thing, "__module__", None) != module.name:
                continue
            inner = [(f"{name}.{k}", v) for k, v in vars(thing).items() if k[0] != "_"] if inspect.isclass(thing) else []
            for path, one in [(name, thing), *inner]:
                doc = inspect.getdoc(one.fget if isinstance(one, property) else one) or ""
                if (callable(one) or isinstance(one, property)) and re.search(r"equations? \d", doc):
                    found[f"{module.name}.{path}"] = doc
    return found


def page(chapters: dict, chapter_link, label_link, table) -> str:
    """The four tables in Markdown."""
    def links(sections: dict[str, list[str]]) -> str:
        parts = []
        for chapter, wanted in sections.items():
            have = chapters.get(chapter, {"labels": ()})["labels"]
            parts.append(", ".join([chapter_link(chapter), *(label_link(x) for x in wanted if x in have)]))
        return "; ".join(parts) or "–"

    def names(values) -> str:
        return ", ".join(f"`{v}`" for v in values) or "–"

    by_code, by_chapter, by_test = defaultdict(list), defaultdict(list), defaultdict(list)
    for entry in entries():
        for name in entry["gslib"]:
            by_code[name].append(entry)
        for chapter, wanted in entry["sections"].items():
            by_chapter[chapter].append((entry, wanted))
        for test in entry["tests"]:
            by_test[test].append(entry)

    def merged(group, key) -> list[str]:
        return list(dict.fromkeys(value for entry in group for value in entry[key]))

    def items(group) -> str:
        return ", ".join(dict.fromkeys(entry["paper"] for entry in group))

    def short(tests) -> str:
        return ", ".join(f"`{t.removeprefix('tests/')}`" for t in tests) or "–"

    def chapters_of(group) -> str:
        return ", ".join(chapter_link(c) for c in merged(group, "sections")) or "–"

    return "\n".join([
        "## From the paper\n",
        table(["Paper", "What", "Chapter", "gslib", "Tests"],
              [[e["paper"], e["what"], links(e["sections"]), names(e["gslib"]), short(e["tests"])] for e in entries()]),
        "## From the chapters\n",
        table(["Chapter", "Paper", "What", "There"],
              [[chapter_link(c), e["paper"], e["what"],
                ", ".join(label_link(x) for x in wanted if x in chapters.get(c, {"labels": ()})["labels"]) or "–"]
               for c in sorted(by_chapter) for e, wanted in by_chapter[c]]),
        "## From the code\n",
        table(["gslib", "Paper", "Chapter", "Tests"],
              [[f"`{name}`", items(group), chapters_of(group), short(merged(group, "tests"))]
               for name, group in sorted(by_code.items())]),
        "## From the tests\n",
        table(["Test", "Paper", "gslib"],
              [[f"`{test.removeprefix('tests/')}`", items(group), names(merged(group, "gslib"))]
               for test, group in sorted(by_test.items())]),
    ])
