"""Docstrings, written for a terminal, on the page of the module."""

import pytest

book_build = pytest.importorskip("book_build", reason="needs Sphinx")

TEXT = """\
The bound log p(x|z), [*E, B]; `a|b` stays::

    (program, *, tau) -> |x|

After it, p(x|z).

>>> print("|z|")
|z| passes *, 4

The end: p(x|z).
"""


def test_stars_and_bars_are_escaped_but_in_code():
    lines = TEXT.splitlines()
    book_build.escape(None, "function", "f", None, {}, lines)
    assert lines[0] == r"The bound log p(x\|z), [\*E, B]; `a|b` stays::"
    assert lines[2] == "    (program, *, tau) -> |x|"
    assert lines[4] == r"After it, p(x\|z)."
    assert lines[6:8] == ['>>> print("|z|")', "|z| passes *, 4"]
    assert lines[9] == r"The end: p(x\|z)."
