"""Code and reports fit the page: 88 columns of code, 80 of what code prints.

The browser measures the built pages; here, what a chapter will show is read from its sources.
"""

import ast
import contextlib
import io

import pytest
from sources import NOTEBOOKS, cells

import gslib
from gsbook.reader import plots

CODE, REPORT = 88, 80


def too_long(text, limit):
    return [line for line in text.splitlines() if len(line) > limit]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_fit(path):
    assert [line for _, text in cells(path, "code") for line in too_long(text, CODE)] == []


def shown(path):
    """What a chapter hands to plots.source, as (expression, the thing itself)."""
    names = {"gslib": gslib}
    for _, text in cells(path, "code"):
        for statement in ast.parse(text).body:
            call = getattr(statement, "value", None)
            renamed = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name)
            if isinstance(statement, ast.Import | ast.ImportFrom) or renamed:
                with contextlib.suppress(NameError):  # another name for what a cell computes
                    exec(ast.unparse(statement), names)
            elif isinstance(call, ast.Call) and ast.unparse(call.func) == "plots.source":
                for argument in map(ast.unparse, call.args):
                    yield argument, eval(argument, names)


SHOWN = {f"{path.stem[:2]}: {name}": thing for path in NOTEBOOKS for name, thing in shown(path)}


@pytest.mark.parametrize("thing", SHOWN.values(), ids=SHOWN)
def test_shown_sources_fit(thing):
    assert too_long(plots.source_text(thing), CODE) == []


def test_chapters_show_sources():
    assert len(SHOWN) >= 15


@pytest.mark.parametrize("name", gslib.ESTIMATORS)
def test_reports_of_the_grader_fit(name):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        print(gslib.check(name, samples=200))
    assert said.getvalue().strip()
    assert too_long(said.getvalue(), REPORT) == []
