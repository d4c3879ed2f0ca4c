"""gslib is taken home with torch alone, and grows by one function and one row."""

import ast
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gslib

PACKAGE = Path(gslib.__file__).parent

# Refuses every import but those of Python, of gslib, and of the modules named on the command line.
HOOK = """
import json, sys
allowed = set(json.loads(sys.argv[1])) | set(sys.stdlib_module_names) | {"gslib"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def closure(name):
    """The distributions that one needs, itself among them."""
    found, asked = set(), [Requirement(name)]
    while asked:
        wanted = canonicalize_name(asked.pop().name)
        if wanted not in found:
            found.add(wanted)
            required = map(Requirement, metadata.requires(wanted) or ())
            asked += [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def importable():
    """The top-level modules of torch and of all it needs."""
    needed = closure("torch")
    return json.dumps(
        [
            module
            for module, owners in metadata.packages_distributions().items()
            if needed & set(map(canonicalize_name, owners))
        ]
    )


def python(code, importable, folder):
    return subprocess.run(
        [sys.executable, "-c", HOOK + f"sys.path.insert(0, {str(folder)!r})\n" + code, importable],
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_gslib_needs_torch_alone(importable, tmp_path):
    code = (
        "import gslib, pkgutil, importlib\n"
        "for module in pkgutil.walk_packages(gslib.__path__, 'gslib.'):\n"
        "    if module.name != 'gslib.__main__': importlib.import_module(module.name)\n"
        "print(gslib.check('st', samples=100).unbiased, 'numpy' in sys.modules)\n"
    )
    done = python(code, importable, PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False")
    refused = python("import matplotlib", importable, PACKAGE.parent)
    assert "No module named 'matplotlib'" in refused.stderr


def test_gslib_imports_torch_and_the_standard_library_only():
    allowed = {"torch", "gslib", *sys.stdlib_module_names}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "__main__.py":  # passes on to the package that made the numbers
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module]
            assert {name.partition(".")[0] for name in names} <= allowed, path


FUNCTION = '''

def leave_one_out(program, *, uniform=None):
    """The score function with the loss of a second sample as its baseline. Unbiased; two runs."""
    with torch.no_grad():
        other = program(lambda q: q.sample(uniform=uniform))
    return sf(program, baseline=other, uniform=uniform)
'''
ROW = '    leave_one_out=Estimator(leave_one_out, "Leave-one-out"),\n'


def test_a_new_estimator_is_one_function_and_one_row(importable, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "gslib")
    functions = tmp_path / "gslib" / "estimators" / "score_function.py"
    functions.write_text(functions.read_text(encoding="utf-8") + FUNCTION, encoding="utf-8")
    table = tmp_path / "gslib" / "estimators" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    assert (
        text.count("import darn, muprop, sf\n") == text.count('    exact=Estimator(exact, "E') == 1
    )
    text = text.replace("import darn, muprop, sf\n", "import darn, leave_one_out, muprop, sf\n")
    text = text.replace("    exact=Estimator(", ROW + "    exact=Estimator(")
    table.write_text(text, encoding="utf-8")
    code = (
        "import gslib\n"
        "report = gslib.check('leave_one_out', samples=20_000)\n"
        "print(gslib.__file__, report.unbiased, gslib.ESTIMATORS['leave_one_out'].label)\n"
        "print(report)\n"
        "assert not gslib.check('st', samples=20_000).unbiased\n"
    )
    done = python(code, importable, tmp_path)
    assert done.returncode == 0, done.stderr
    file, unbiased, label = done.stdout.splitlines()[0].split()
    assert (Path(file).parent, unbiased, label) == (tmp_path / "gslib", "True", "Leave-one-out")
    assert "leave_one_out(): unbiased at this precision" in done.stdout


def test_gslib_is_short():
    """What is taken home can be read in one sitting: no long file, no long function."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 250, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                code = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    code -= node.body[0].end_lineno - node.body[0].lineno + 1
                assert code <= 40, (path, node.name)
