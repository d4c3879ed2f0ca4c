"""The set-up cell of a chapter, run with a Python that has nothing but a pretended pip."""

import os
import subprocess
import sys

from repository import address
from sources import code_lines, setup_cell

import notebooks

PIP = """
import pathlib, sys
arguments = sys.argv[1:]
with open("pip.log", "a") as log:
    print(*arguments, file=log)
named = "--target" in arguments
target = pathlib.Path(arguments[arguments.index("--target") + 1] if named else {site!r})
if any("LOCAL" in argument for argument in arguments):
    (target / "gslib" / "estimators").mkdir(parents=True)
    (target / "gslib" / "__init__.py").write_text("ESTIMATORS = 'ours'")
    (target / "gslib" / "estimators" / "__init__.py").touch()
    (target / "gumbel_softmax_book-1.dist-info").mkdir()
    metadata = "Name: gumbel-softmax-book\\nVersion: 1\\nRequires-Dist: torch>=2\\n"
    metadata += "Requires-Dist: tqdm>=4; extra == 'book'\\n"
    metadata += "Requires-Dist: distributed>=2; extra == 'cluster'\\n"
    (target / "gumbel_softmax_book-1.dist-info" / "METADATA").write_text(metadata)
"""


def run_setup(folder, *, foreign=False, ours=False):
    """Run the cell in an empty folder; what it printed, whose gslib it ends with, calls of pip."""
    site = folder / "site"
    for name in ("torch", "numpy"):
        (site / f"{name}-9.8.dist-info").mkdir(parents=True)
        (site / f"{name}.py").touch()
        (site / f"{name}-9.8.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 9.8\n")
    (site / "pip.py").write_text(PIP.format(site=str(site)))
    if foreign or ours:
        (site / "gslib" / ("estimators" if ours else "commands")).mkdir(parents=True)
        (site / "gslib" / "__init__.py").write_text(
            "ESTIMATORS = 'ours'" if ours else "import no_such_module"
        )
    if ours:
        (site / "gslib" / "estimators" / "__init__.py").touch()
    (folder / "an empty folder").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "-c", setup_cell() + "\nprint('gslib:', gslib.ESTIMATORS)"],
        cwd=folder / "an empty folder",
        env={**os.environ, "PYTHONPATH": str(site), "GSLIB_SOURCE": "LOCAL"},
        capture_output=True,
        text=True,
        check=True,
    )
    log = folder / "an empty folder" / "pip.log"
    return done.stdout, log.read_text().splitlines() if log.exists() else []


def test_set_up_does_nothing_where_gslib_is_installed(tmp_path):
    printed, calls = run_setup(tmp_path, ours=True)
    assert printed == "gslib: ours\n"
    assert calls == []


def test_set_up_installs_gslib_and_keeps_torch_and_numpy(tmp_path):
    printed, calls = run_setup(tmp_path)
    assert printed == "gslib: ours\n"
    assert len(calls) == 1
    source = f"file://{tmp_path}/an%20empty%20folder/LOCAL"
    wanted = f"install --quiet gumbel-softmax-book[book] @ {source} torch==9.8 numpy==9.8"
    assert set(calls[0].split()) == set(wanted.split())


def test_set_up_goes_round_another_package_called_gslib(tmp_path):
    printed, calls = run_setup(tmp_path, foreign=True)
    assert "Another package called gslib is at" in printed
    assert printed.endswith("gslib: ours\n")
    ours, needs = calls
    assert "--no-deps" in ours
    assert needs == "install --quiet torch>=2 tqdm>=4 torch==9.8 numpy==9.8"
    assert (
        tmp_path / "site" / "gslib" / "__init__.py"
    ).read_text() == "import no_such_module"  # untouched


def test_set_up_is_short_and_installs_from_the_address():
    cell = notebooks.SETUP_CELL.format(address=address())
    assert f"git+{address()}" in cell
    assert len(code_lines(cell)) <= 25
    assert max(map(len, cell.splitlines())) <= 120
