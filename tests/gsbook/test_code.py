"""The code hash: blind to words and layout, sharp for code, and it looks where imports lead."""

import ast
import shutil

import pytest

from gsbook import code

SOURCE = '''
"""Module."""
import math  # imported

class A:
    """Class."""
    x = 1.0

    def f(self, y):
        """Function."""
        if y > 0:
            return math.exp(y * 2)
        return None
'''


def hashed(source):
    return repr(records_module._canonical(ast.parse(source)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Module."""', '"""Another\n\nmodule."""'),
        ('    """Class."""\n', ""),
        ("# imported", ""),
        ("Function.", "Something."),
        ("y * 2", "y*2"),
        ("(y * 2)", "(\n            y * 2,\n            )"),
        ("1.0", "1.00"),
        ("\n\n    def", "\n    # why\n    def"),
    ],
)
def test_code_hash_ignores_words_and_layout(old, new):
    assert old in SOURCE
    assert hashed(SOURCE.replace(old, new)) == hashed(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0", "1"),
        ("1.0", "1.5"),
        ("y * 2", "y + 2"),
        ("y * 2", "2 * y"),
        ("> 0", ">= 0"),
        ("None", "0"),
        ("math.exp", "math.expm1"),
        ("        return None\n", ""),
        ("y)", "y=0)"),
    ],
)
def test_code_hash_sees_code(old, new):
    assert old in SOURCE
    assert hashed(SOURCE.replace(old, new)) != hashed(SOURCE)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of gslib, and its code hash as it is now."""
    folder = tmp_path / "gslib"
    shutil.copytree(records_module.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(records_module, "PACKAGE", folder)
    return folder, records_module.code_hash.__wrapped__


def test_code_hash_covers_the_numeric_modules_and_no_others(package):
    folder, code_hash = package
    before = code_hash()
    assert before == records_module.code_hash()
    numeric = [
        "functional.py",
        "distributions.py",
        "program.py",
        "baselines.py",
        "models.py",
        "estimators/pathwise.py",
        "estimators/new.py",
        "experiment/config.py",
        "experiment/train.py",
        "experiment/evaluate.py",
    ]
    for path in [
        *sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.py")),
        "estimators/new.py",
    ]:
        text = (folder / path).read_text() if (folder / path).exists() else None
        (folder / path).write_text((text or "") + "\nCHANGED = 1\n")
        assert (code_hash() != before) == (path in numeric or path.startswith("estimators/")), path
        (folder / path).write_text(text) if text is not None else (folder / path).unlink()
    assert code_hash() == before
    text = (folder / "models.py").read_text()
    (folder / "models.py").write_text(
        "# A comment.\n" + text.replace('"""Flat logits', '"""The flat logits')
    )
    assert code_hash() == before
