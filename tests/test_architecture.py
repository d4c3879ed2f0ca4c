"""The arrows between modules that ARCHITECTURE.md forbids."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
JUDGING = ("gsbook.claims", "gsbook.verdicts", "gsbook.ledger")
NEVER = {  # module or package -> what it must not import
    "gslib": ("gsbook",),
    "gsbook.engine": ("gsbook.experiments", "gsbook.reader", "gsbook.answers", *JUDGING),
    "gsbook.records": ("gsbook.engine", "gsbook.experiments", "gsbook.reader", *JUDGING),
    "gsbook.reader": ("gsbook.engine", "gsbook.experiments", "gsbook.records", *JUDGING),
    "gsbook.intervals": ("gsbook",),
    "gsbook.experiments.table1": ("gsbook.experiments.table2",),
    "gsbook.experiments.table2": ("gsbook.experiments.table1",),
}
NEVER |= {
    f"gsbook.experiments.{table}.{part}": (f"gsbook.experiments.{table}.results", *JUDGING)
    for table, parts in {"table1": ("train", "evaluate"), "table2": ("train",)}.items()
    for part in parts
}
OLD = {("gslib.__main__", "gsbook.__main__")}  # the command of the first edition passes on
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("gslib", "gsbook")
    for path in (ROOT / package).rglob("*.py")
)


def within(module, package):
    return module == package or module.startswith(f"{package}.")


def imported(module):
    """The modules of ours that a module imports, anywhere in its text."""
    tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


@pytest.mark.parametrize("module", MODULES)
def test_no_arrow_points_up(module):
    broken = {
        name
        for package, forbidden in NEVER.items()
        if within(module, package)
        for name in imported(module)
        if any(within(name, one) for one in forbidden) and (module, name) not in OLD
    }
    assert not broken, f"{module} imports {', '.join(sorted(broken))}: see ARCHITECTURE.md"


def test_the_rules_name_modules_that_exist():
    named = {*NEVER, *(name for forbidden in NEVER.values() for name in forbidden)}
    assert named <= {*MODULES, "gslib", "gsbook"}


def test_nothing_in_a_package_imports_the_tools_of_the_book():
    tools = {path.stem for path in (ROOT / "book" / "tools").glob("*.py")}
    assert [m for m in MODULES if tools & {name.split(".")[0] for name in imported(m)}] == []


def test_code_to_take_home_stays_short():
    """No file of gslib is longer than 260 lines, no function than 40."""
    for path in (ROOT / "gslib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 260, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node, clean=False) or ""
                length = node.end_lineno - node.lineno + 1 - documented.count("\n")
                assert length <= 40, f"{path.name}: {node.name}"
