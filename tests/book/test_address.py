"""The address of the book: in one place, moved whole or not at all, and never run."""

import re
import shutil
import subprocess
import tomllib

import pytest
from sources import BUILT, NOTEBOOKS, ROOT, run_tool, source_files

import notebooks

SIXTH = next(path for path in NOTEBOOKS if path.stem.startswith("06_"))


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(ROOT, tmp_path / "book", ignore=BUILT)


def contents(root):
    return {
        path: path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_address_stands_in_one_place(copy):
    new = "https://example.org/someone/elsewhere"
    old = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    done = run_tool(copy, "--address", new)
    assert done.returncode == 0, done.stderr
    for tool in ("notebooks", "colab", "citation"):
        assert run_tool(copy, "--check", tool=f"book/tools/{tool}.py").returncode == 0, tool

    owner, name = old.split("/")[-2:]
    places = re.compile(f"{owner}/{name}|{owner}\\.github\\.io")
    assert [
        str(path.relative_to(copy))
        for path in source_files(copy)
        if places.search(path.read_text("utf-8"))
    ] == []
    for name in (
        "README.md",
        "CITATION.cff",
        ".zenodo.json",
        "pyproject.toml",
        *(
            f"{folder}/{path.name}"
            for path in NOTEBOOKS
            for folder in ("notebooks", "notebooks/colab")
        ),
    ):
        assert "someone/elsewhere" in (copy / name).read_text(encoding="utf-8"), name

    assert run_tool(copy, "--address", old).returncode == 0  # and back again
    for path, text in contents(copy).items():
        assert text == (ROOT / path.relative_to(copy)).read_bytes(), path


def test_an_address_that_begins_like_another_one_leaves_that_alone(copy):
    old = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    longer = f"See {old}-2, {old}.github and {old}s, but {old}/issues and {old}."
    (copy / "book" / "more.md").write_text(longer)
    assert run_tool(copy, "--address", "https://example.org/a/b").returncode == 0
    new = "https://example.org/a/b"
    expected = f"See {old}-2, {old}.github and {old}s, but {new}/issues and {new}."
    assert (copy / "book" / "more.md").read_text() == expected


REFUSED = [
    "",
    "example.org/a/b",
    "http://example.org/a/b",
    "https://example.org/a",
    "https://example.org/a/",
    "https://example.org/a/b/",
    "https://example.org/a/b/c",
    "https://example.org/a/b.git",
    "https://example.org//b",
    "https://a/b/c?x=y#z",
    "https://a/b/c?x=y",
    "https://a/b/c#z",
    "https://a/b/c;x",
    "https://a/b/c&x",
    "https://a/b/c%20d",
    "https://a/b/c d",
    "https://a/b/c\n",
    "https://a/b/c\\d",
    'https://a/b/c"',
    "https://a/b/c'",
    "https://a/b/c`id`",
    "https://a/b/{c}",
    "https://a/b/<c>",
    "https://a/b/c)",
    "https://a/b/..",
    "https://a/../c",
    "https://a/b/c.",
    "https://name:word@a/b/c",
    "https://a:b/b/c",
    "https://a..b/b/c",
    "https://-a/b/c",
    "https://ä/b/c",
    "https://a/b/ç",
    "https:///b/c",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_of_another_form_is_refused(url):
    with pytest.raises(SystemExit) as stopped:
        notebooks.move(url)
    assert str(stopped.value).startswith("--address must be https://host/owner/repository")
    assert repr(url) in str(stopped.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/a-b/c.d_e-1",
        "https://git.example.org:8443/Group/Book",
        "https://host/a/b",
        "https://codeberg.org/_a/0",
    ],
)
def test_an_address_of_the_form_is_taken(url):
    assert notebooks.checked(url, "here") == url


def no_title(copy):
    path = copy / SIXTH.relative_to(ROOT)
    path.write_text(path.read_text("utf-8").replace('"# The other', '"The other'), "utf-8")


def unknown_role(copy):
    path = copy / SIXTH.relative_to(ROOT)
    path.write_text(path.read_text("utf-8").replace("{cite}", "{site}"), "utf-8")


def no_room(copy):
    (copy / "pyproject.toml.new").mkdir()  # stands in for a disk that is full at the last file


def no_readme(copy):
    (copy / "README.md").unlink()


def query(copy):
    return "https://a/b/c?x=y#z"


@pytest.mark.parametrize("fault", [no_title, unknown_role, no_room, no_readme, query])
def test_all_files_move_or_none(copy, fault):
    url = fault(copy) or "https://example.org/a/b"
    before = contents(copy)
    done = run_tool(copy, "--address", url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert contents(copy) == before


def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(tmp_path):
    first, second, third = (tmp_path / name for name in "abc")
    first.write_text("old")
    second.mkdir()
    with pytest.raises(IsADirectoryError, match="b"):
        notebooks.write_all(dict.fromkeys((third, first, second), "new"))
    assert first.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_colab_opens_what_is_on_github_alone():
    there = "https://colab.research.google.com/github/a/b/blob/main/notebooks/colab/x.ipynb"
    assert notebooks.colab("https://github.com/a/b", "x.ipynb") == there
    assert notebooks.colab("https://gitlab.com/a/b", "x.ipynb") == "https://gitlab.com/a/b"


def test_a_move_that_was_stopped_half_way_is_finished_by_the_same_command(copy):
    new = "https://example.org/a/b"
    half, whole = copy, shutil.copytree(copy, copy.with_name("whole"))
    assert run_tool(whole, "--address", new).returncode == 0
    for path in [half / "README.md", *half.glob("notebooks/0*.ipynb")]:
        shutil.copy(whole / path.relative_to(half), path)
    assert run_tool(half, "--address", new).returncode == 0
    assert list(contents(half).values()) == list(contents(whole).values())


def test_an_address_written_by_hand_is_checked_too(copy):
    project = copy / "pyproject.toml"
    project.write_text(
        re.sub(r'^Repository = ".+"', 'Repository = "https://a/b"', project.read_text(), flags=re.M)
    )
    for tool in ("notebooks", "colab", "citation"):
        done = run_tool(copy, "--check", tool=f"book/tools/{tool}.py")
        assert done.returncode == 1
        assert done.stderr.startswith("pyproject.toml: Repository must be https://host")


@pytest.mark.parametrize(
    "url",
    [
        "https://a/b/c?x=y#z",
        'https://a/b/c"; touch owned; "',
        "https://a/b/`touch owned`",
        "$$(touch owned)",
        "",
    ],
)
def test_make_hands_the_address_on_and_runs_nothing_in_it(tmp_path, url):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > called\nexit 1\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    done = subprocess.run(
        ["make", "address", f"URL={url}"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert not (tmp_path / "owned").exists()
    called = tmp_path / "called"
    expected = ["book/tools/notebooks.py", "--address", url.replace("$$", "$")]
    assert (called.read_text().splitlines() if called.exists() else []) == (expected if url else [])
