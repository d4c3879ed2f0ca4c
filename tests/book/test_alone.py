"""What the chapters' run alone rests on: the set-up cell and the kernel "alone" (see alone.py)."""

import ast
import json
import subprocess
from importlib import metadata
from pathlib import Path

import alone
import pytest
from jupyter_client.manager import start_new_kernel
from packaging.utils import canonicalize_name
from sources import setup_cell

OURS = "gumbel-softmax-book"
WHERE = """\
import os, sys
from importlib import metadata
import gslib, numpy, torch
site = next(path for path in sys.path if path.startswith(sys.prefix) and "site-packages" in path)
new = [d.metadata["Name"] for d in metadata.distributions(path=[site])]
print(([gslib.__file__, numpy.__file__, torch.__file__], site, new, os.listdir()))
"""


@pytest.fixture(scope="module")
def folder():
    return alone.prepared()


def test_set_up_installs_what_is_missing_and_leaves_torch_and_numpy(folder):
    if reason := (folder / "no-index").read_text():
        pytest.skip(
            f"THE SET-UP CELL WAS NOT TESTED IN FULL: there is no package index here ({reason})"
        )
    (site,) = folder.glob("environment/lib/python*/site-packages")
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["before"] == versions["after"]
    assert str(site) not in versions["after"]
    new = {canonicalize_name(d.name) for d in metadata.distributions(path=[str(site)])}
    assert OURS in new
    assert not new & alone.needed(*alone.COLAB)


def test_an_installed_gslib_has_the_records_and_weights(folder, tmp_path):
    shown = folder / "colab", folder / "others"
    python, site = alone.environment(tmp_path / "environment", *shown)
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    code = (
        "from gsbook import claims, places; from gsbook.experiments.table1.results import results\n"
        "print(places.results_folder(), results().folder, len(claims.stated()))"
    )
    book, table, found = alone.run(python, code, tmp_path).split()
    assert Path(book).is_relative_to(site)
    assert int(found) > 0
    assert Path(table) == Path(book, "table1")
    repository = folder / "repository"
    records = [path for path in repository.glob("results/**/[!.]*") if path.is_file()]
    assert records
    for path in records:
        there = Path(book, path.relative_to(repository / "results"))
        assert there.read_bytes() == path.read_bytes(), path


def test_a_chapter_finds_nothing_but_what_its_set_up_cell_brings(folder):
    manager, client = start_new_kernel(startup_timeout=600, kernel_name="alone")
    printed = []

    def keep(message):
        printed.append(message["content"].get("text", ""))

    try:
        for code in ("import gslib", setup_cell(), WHERE):
            reply = client.execute_interactive(code, timeout=300, output_hook=keep)
            expected = "error" if code == "import gslib" else "ok"
            assert reply["content"]["status"] == expected, printed
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    (ours, *theirs), site, new, around = ast.literal_eval("".join(printed).splitlines()[-1])
    assert Path(ours).is_relative_to(site)
    assert Path(site).is_relative_to(folder)
    assert all(Path(file).is_relative_to(folder / "colab") for file in theirs)
    assert [canonicalize_name(name) for name in new] == [OURS]
    assert around == []
