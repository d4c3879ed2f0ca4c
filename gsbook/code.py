"""What code a run's numbers come from: the modules it stands on, each with a hash of its syntax
tree."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

OWN = ("gslib", "gsbook")
STARTED = time.time()
# Not followed: what they hand over is known by its SHA-256, or computes nothing.
HANDED = {"gsbook.data", "gsbook.files"}


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """Module -> hash, of these modules and of all of ours that they import, directly or not.

    A name that a package only passes on leads to the module that defines it. The package's own
    `__init__` is not followed: it computes nothing. What the rows of `gslib.ESTIMATORS` say of the
    estimators of records is pinned by a test.

    Raises:
        RuntimeError: a module that is imported here was edited since the process began, so that the
        file is not what runs.

    >>> sorted(code_of(["gslib.program"]))[-1]
    'gslib.program'
    """
    found: dict[str, str] = {}
    waiting = sorted(set(modules))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name], imported = read(name)
            waiting += imported
    return dict(sorted(found.items()))


def digest(code: dict[str, str]) -> str:
    """One hash for a set of modules, to name folders by."""
    return hashlib.sha256(repr(sorted(code.items())).encode()).hexdigest()[:12]


@cache
def read(name: str) -> tuple[str, tuple[str, ...]]:
    """(hash of a module's syntax tree without docstrings, our modules that it imports).

    The C++ that a module builds, in the file of its own name, is part of it.
    """
    path = source(name)
    if name in sys.modules and path.stat().st_mtime > STARTED:
        raise RuntimeError(
            f"{path} has changed since this process began, which may run the older code; start it "
            "again"
        )
    tree, kernels = ast.parse(path.read_text(encoding="utf-8")), path.with_suffix(".cpp")
    whole = hashlib.sha256(repr(canonical(tree)).encode())
    whole.update(kernels.read_bytes() if kernels.exists() else b"")
    return whole.hexdigest()[:12], tuple(imports(tree))


def source(name: str) -> Path:
    """The file of a module of ours."""
    return Path(importlib.util.find_spec(name).origin)


def imports(tree: ast.AST) -> list[str]:
    """The modules of ours that a syntax tree imports, packages' `__init__` aside, sorted."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if is_ours(alias.name)}
        elif isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            found |= {home(node.module, alias.name) for alias in node.names}
    found -= {"", *HANDED}
    return sorted(name for name in found if source(name).name != "__init__.py")


def home(module: str, name: str) -> str:
    """The module that `from module import name` leads to."""
    if source(module).name != "__init__.py":
        return module
    if importlib.util.find_spec(f"{module}.{name}"):
        return f"{module}.{name}"
    there = getattr(getattr(importlib.import_module(module), name), "__module__", "")
    return there if is_ours(there) else ""


def is_ours(name: str) -> bool:
    return name.split(".")[0] in OWN


def canonical(node):
    """A syntax tree as nested tuples, without docstrings, positions and the empty fields that
    differ between Pythons."""
    if isinstance(node, list):
        return tuple(canonical(n) for n in node if not is_text(n))
    if not isinstance(node, ast.AST):
        return node
    parts = ((k, canonical(v)) for k, v in ast.iter_fields(node) if v is not None and v != [])
    return (type(node).__name__, *parts)


def is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
