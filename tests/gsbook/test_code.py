"""The code hash: blind to words and layout, sharp for code, and it looks where imports lead."""

import ast
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gsbook import code
from gsbook.experiments import TABLE1, TABLE2
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table2.config import FewLabels
from gslib import ESTIMATORS, kl

ROOT = Path(code.__file__).parents[1]

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
    return repr(code.canonical(ast.parse(source)))


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
def copied(tmp_path, monkeypatch):
    """Both packages in a folder where they can be changed; their code is read from there."""
    for name in code.OWN:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    original = code.source
    monkeypatch.setattr(code, "source", lambda name: tmp_path / original(name).relative_to(ROOT))
    monkeypatch.setattr(code, "STARTED", math.inf)
    read = code.read  # what a test may put in its place has no cache
    read.cache_clear()
    yield tmp_path
    read.cache_clear()


def own(experiment, **changes):
    """The code of a run of Table 1 or 2."""
    return code.code_of(experiment.modules(replace(RUNS[experiment.name], **changes)))


RUNS = {
    "table1": Config("vae", "bernoulli", "gumbel_softmax", lr=1e-3),
    "table2": FewLabels("gumbel_softmax", 1.0),
}
NUMERIC = {"gslib.functional", "gslib.distributions", "gslib.program"}


def test_the_code_of_a_run_is_what_its_numbers_need():
    one, two = own(TABLE1), own(TABLE2)
    assert one.keys() & two.keys() >= NUMERIC | {"gslib.estimators.pathwise", "gsbook.engine.run"}
    assert "gsbook.experiments.table1.train" in one
    assert "gsbook.experiments.table1.evaluate" in one
    assert "gsbook.experiments.table1.config" in one
    assert "gsbook.experiments.table2.train" in two
    assert "gslib.estimators.exact" in two, "it judges all methods"
    assert "gslib.estimators.exact" not in one
    for found in (one, two):
        for name in found:
            assert not name.startswith(("gsbook.reader", "gsbook.answers", "gsbook.ledger")), name
            assert not name.endswith(("results", "plan", "choices", "record")), name
        assert not found.keys() & {"gsbook.data", "gsbook.claims", "gsbook.verdicts", "gslib.check"}


def test_a_run_knows_its_own_estimator_alone():
    assert "gslib.estimators.score_function" in own(TABLE1, estimator="sf")
    gumbel = own(TABLE1)
    assert code.code_of(["gslib.estimators.score_function"]).keys() <= {
        *own(TABLE1, estimator="darn")
    }
    assert gumbel.keys() >= {"gslib.estimators.pathwise"}
    assert "gslib.estimators.score_function" not in gumbel
    assert "gslib.estimators.pathwise" not in own(TABLE1, estimator="sf")


@pytest.mark.parametrize("experiment", [TABLE1, TABLE2], ids=["table1", "table2"])
def test_every_change_of_a_module_is_seen_and_no_other(copied, experiment, monkeypatch):
    before, read = own(experiment), code.read
    for path in sorted(copied.rglob("*.py")):
        name = ".".join(path.relative_to(copied).with_suffix("").parts)
        # Only the file that changes is read again.
        anew = {True: read.__wrapped__, False: read}
        monkeypatch.setattr(code, "read", lambda n, name=name, anew=anew: anew[n == name](n))
        text = path.read_text()
        path.write_text(text + "\nCHANGED = 1\n")
        differing = {n for n, found in own(experiment).items() if found != before.get(n)}
        assert differing == ({name} & before.keys()), name
        path.write_text("# A comment.\n" + text)
        assert own(experiment) == before
        path.write_text(text)


def test_an_import_inside_a_function_is_followed(copied):
    path = copied / "gslib" / "program.py"
    path.write_text(path.read_text() + "\n\ndef late():\n    from gsbook.verdicts import t\n")
    code.read.cache_clear()
    assert "gsbook.verdicts" in own(TABLE1)


def test_a_name_of_a_package_leads_to_the_module_that_defines_it():
    tree = ast.parse("from gslib.estimators import sf\nfrom gslib import functional, kl")
    assert set(code.imports(tree)) == {
        "gslib.estimators.score_function",
        "gslib.functional",
        kl.__module__,
    }
    assert code.imports(ast.parse("import torch\nfrom gslib import ESTIMATORS")) == []


def test_all_imports_of_a_module_count_together():
    tree = ast.parse(
        "from gslib import functional\nimport torch, gslib.program\nimport gslib._checks"
    )
    assert code.imports(tree) == ["gslib._checks", "gslib.functional", "gslib.program"]


def test_a_name_that_comes_from_elsewhere_leads_nowhere():
    import gsbook.experiments.table1 as package

    package.elsewhere = re.compile
    try:
        assert code.home(package.__name__, "elsewhere") == ""
    finally:
        del package.elsewhere


def test_code_hash_ignores_empty_fields_that_a_newer_python_has():
    (old,) = ast.parse("def f(): pass").body
    names = {"_fields": (*old._fields, "new")}
    newer = type("FunctionDef", (ast.FunctionDef,), names)
    parts = {name: getattr(old, name) for name in old._fields}
    assert code.canonical(newer(**parts, new=None)) == code.canonical(old)
    assert code.canonical(newer(**parts, new=[])) == code.canonical(old)
    assert code.canonical(newer(**parts, new=["T"])) != code.canonical(old)


def test_digest_names_a_set_of_modules():
    a, b = {"x": "1", "y": "2"}, {"y": "2", "x": "1"}
    assert code.digest(a) == code.digest(b) != code.digest(a | {"x": "3"})
    assert re.fullmatch("[0-9a-f]{12}", code.digest(a))


def test_a_module_that_was_edited_after_the_process_began_is_refused(tmp_path):
    """Its hash would stand for code that does not run."""
    script = "from gsbook import code; from pathlib import Path; import os, sys, time\n"
    script += "path = Path(code.source('gslib.program'))\n"
    script += "os.utime(path, (time.time() + 9, time.time() + 9))\n"
    script += "code.read('gslib.divergences'); code.read('gslib.program')"
    for package in ("gslib", "gsbook"):
        shutil.copytree(ROOT / package, tmp_path / package)
    ran = subprocess.run(
        [sys.executable, "-c", "import gslib; " + script],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "program.py has changed since this process began" in ran.stderr


# What decides numbers and is no module that `code_of` hashes: a row that differs makes other
# runs, so records of before need `results/equivalent_code.json` or another name for the estimator.
TABLE = {
    "sf": (None, "input", (), None, None),
    "darn": (None, "signal", ("form",), None, None),
    "muprop": (None, "signal", (), None, None),
    "annealed_st": ("slope", None, (), "sloped", "st"),
    "gumbel_softmax": ("tau", None, (), None, None),
    "st_gumbel_softmax": ("tau", None, (), None, None),
    "vimco": (None, None, (), "multi_sample", None),
}


def test_rows_that_records_stand_on_are_what_they_were():
    for name, row in ESTIMATORS.items():
        target, inner = (getattr(f, "__name__", None) for f in (row.target, row.inner))
        found = row.schedule, row.baseline, row.options, target, inner
        assert found == TABLE.get(name, (None, None, (), None, None)), name
        assert row.function.__name__ == name
