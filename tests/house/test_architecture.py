"""The rules of ARCHITECTURE.md: which way imports point, in no circle, and how large code is.

What is taken home (gslib) stands on torch alone; what made the numbers (gsbook) may use it, but
not the other way round. Records, the engine, the experiments and the reader's aids each know only
what lies below them.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gslib", "gsbook")
# Of gslib: torch, and what Python brings.
TAKEN_HOME = {"torch", "gslib", *sys.stdlib_module_names}
# `python -m gslib run …` of the first edition passes on to gsbook, by name, for one edition.
PASSES_ON = "gslib.__main__"
# Who must not import what, by the beginning of their names.
JUDGING = ("gsbook.claims", "gsbook.verdicts", "gsbook.ledger")
NEVER = {
    "gslib": ("gsbook",),
    "gsbook.engine": ("gsbook.experiments", "gsbook.reader", "gsbook.answers", *JUDGING),
    "gsbook.records": ("gsbook.engine", "gsbook.experiments", "gsbook.reader", *JUDGING),
    "gsbook.code": ("gsbook",),
    "gsbook.files": ("gsbook",),
    "gsbook.intervals": ("gsbook",),
    "gsbook.reader": ("gsbook.engine", "gsbook.experiments", "gsbook.records", *JUDGING),
    "gsbook.experiments": ("gsbook.reader", "gsbook.ledger", "gsbook.answers"),
}
# Experiment -> the others that it may stand on.
STANDS_ON: dict[str, tuple[str, ...]] = {
    "table1": (),
    "table2": (),
    "later": ("table1",),
    "temperature": ("table1",),
    "mistakes": ("table1",),
    "reading": (),
    "poles": (),
    "alphabets": ("table1",),
    "codes": (),
    "quantised": (),
}
NEVER |= {
    f"gsbook.experiments.{name}": tuple(
        f"gsbook.experiments.{other}" for other in STANDS_ON if other not in (name, *others)
    )
    for name, others in STANDS_ON.items()
}
NEVER |= {
    f"gsbook.experiments.{table}.{part}": (
        f"gsbook.experiments.{table}.results",
        f"gsbook.experiments.{table}.plan",
        "gsbook.records",
        *JUDGING,
    )
    for table, parts in {
        "table1": ("config", "train", "evaluate"),
        "table2": ("config", "train"),
        "poles": ("config", "world", "model", "train", "score"),
        "later": ("config", "train"),
        "alphabets": ("config", "model", "train", "evaluate"),
        "temperature": ("config", "train", "evaluate"),
        "reading": ("config", "model", "train"),
        "codes": ("config", "table", "kmeans", "model", "train"),
        "quantised": ("config", "model", "train"),
        "mistakes": ("lines", "config", "train", "evaluate"),
    }.items()
    for part in parts
}
GSLIB_CODE = 1366  # lines of code of gslib, its checks of input among them: one sitting
FILE_CODE = 250  # lines of code of a file
FUNCTION_CODE = 60  # lines of code of a function, without its docstring


def modules():
    """Name -> file, of every module of ours."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
each_module = pytest.mark.parametrize("name", MODULES)


def imports(name, *, at_import=False):
    """The modules that a module imports. at_import: without what its functions import when they are
    called, and what only a type checker sees."""
    found = set()
    waiting = [TREES[name]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative imports are not followed by the code hash"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {i if i in MODULES else node.module for i in inside}
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checked = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not (at_import and (later or checked)):
            waiting += ast.iter_child_nodes(node)
    return found


def begins(name, prefix):
    """Whether a module is, or lies in, what a prefix names."""
    return name == prefix or name.startswith(prefix if prefix.endswith(".") else f"{prefix}.")


@each_module
def test_arrows_point_down(name):
    bad = {
        f"{name} must not import {found}: {above} stands below {below}"
        for above, never in NEVER.items()
        if begins(name, above) and name != PASSES_ON
        for found in imports(name)
        for below in never
        if begins(found, below)
    }
    assert not bad


def test_the_rules_name_modules_that_exist():
    named = {*NEVER, *(name for never in NEVER.values() for name in never), PASSES_ON}
    assert named <= MODULES.keys()


def test_nothing_in_a_package_imports_the_tools_of_the_book():
    tools = {path.stem for path in (ROOT / "book" / "tools").glob("*.py")} | {"book"}
    assert [m for m in MODULES if tools & {i.split(".")[0] for i in imports(m)}] == []


@pytest.mark.parametrize("name", [name for name in MODULES if begins(name, "gslib")])
def test_gslib_needs_torch_alone(name):
    others = {found.split(".")[0] for found in imports(name)} - TAKEN_HOME
    assert not others, f"{name} imports {others}"


def test_no_circle():
    """Not among what is imported when a module is: a package's __init__ counts with its modules."""
    edges = {}
    for name in MODULES:
        found = {i for i in imports(name, at_import=True) if i in MODULES}
        for one in set(found):  # `from gslib.models.vae import …` runs gslib.models first
            parents = [one[:i] for i in range(len(one)) if one[i] == "."]
            found |= {p for p in parents if p in MODULES and not begins(name, p)}
        edges[name] = found - {name}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for following in sorted(edges[name]):
                visit(following)
            done.add(path.pop())

    for name in MODULES:
        visit(name)


@each_module
def test_code_is_not_reached_round_the_hash(name):
    """`import gslib` and then gslib.functional.f would be code that no record knows of."""
    if name in PACKAGES or name == "gsbook.__main__":
        return
    bare = {found for found in imports(name) if found in PACKAGES}
    tree = TREES[name]
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] in PACKAGES
    }
    assert not named, f"{name}: write `from gslib.module import name`, not import {bare | named}"


def code_lines(name):
    """The numbers of the lines that hold code: no docstrings, comments or blank lines."""
    words, code = set(), set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                words |= set(range(node.lineno, node.end_lineno + 1))
    text = MODULES[name].read_text(encoding="utf-8")
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent | {tokenize.ENDMARKER}:
            code |= set(range(token.start[0], token.end[0] + 1))
    return code - words


def test_gslib_is_one_sitting():
    count = sum(len(code_lines(name)) for name in MODULES if begins(name, "gslib"))
    assert count <= GSLIB_CODE


def test_gslib_reads_in_pieces():
    """No file of gslib is longer than 250 lines, no function than 40, its docstring aside."""
    for name in MODULES:
        if begins(name, "gslib"):
            text = MODULES[name].read_text(encoding="utf-8")
            assert len(text.splitlines()) <= 250, name
            for node in ast.walk(TREES[name]):
                if isinstance(node, ast.FunctionDef):
                    words = (ast.get_docstring(node, clean=False) or "").count("\n")
                    assert node.end_lineno - node.lineno + 1 - words <= 40, f"{name}.{node.name}"


@each_module
def test_files_and_functions_are_short(name):
    lines = code_lines(name)
    assert len(lines) <= FILE_CODE, f"{len(lines)} lines of code"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = lines & set(range(node.lineno, node.end_lineno + 1))
            assert len(own) <= FUNCTION_CODE, f"{node.name}: {len(own)} lines of code"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: p.stem)
def test_files_of_tests_are_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{lines} lines"
