"""Notebooks, pages and set-up of the book, as text; the strict build checks the rest."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import median

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path("book", "tools", "notebooks.py")
sys.path.insert(0, str((ROOT / TOOL).parent))
from repository import address  # noqa: E402

import notebooks  # noqa: E402

NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
SIXTH = next(path for path in NOTEBOOKS if path.stem.startswith("06_"))
BUILT = shutil.ignore_patterns(
    ".venv",
    ".git",
    "_build",
    "build",
    "dist",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "*.egg-info",
    ".ipynb_checkpoints",
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# What has no number of its own stands before the first chapter; the summary asks nothing of its
# reader.
CHAPTERS = [path for path in NOTEBOOKS if not path.stem.startswith("00_")]
TAUGHT = [path for path in NOTEBOOKS if path.stem != "00_in_one_page"]


def cells(path, kind):
    """The cells of one kind that a person wrote, as (metadata, text)."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind and not {"setup", "colab"} & set(
            cell["metadata"].get("tags", [])
        ):
            yield cell["metadata"], "".join(cell["source"])


def code_lines(text):
    return [line for line in text.splitlines() if line.strip()]


def run_tool(root, *arguments, tool=TOOL):
    return subprocess.run(
        [sys.executable, str(root / tool), *arguments], capture_output=True, text=True, check=False
    )


# --- notebooks


def test_notebooks_are_normalised():
    done = run_tool(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_chapter_is_in_the_table_of_contents_and_on_the_landing_page():
    assert [int(path.stem[:2]) for path in CHAPTERS] == list(range(1, len(CHAPTERS) + 1))
    listed = re.findall(r"file: (notebooks/\S+)", (ROOT / "_toc.yml").read_text())
    assert listed == [f"notebooks/{path.stem}" for path in NOTEBOOKS]
    landing = (ROOT / "book" / "intro.md").read_text()
    assert [
        path.stem for path in NOTEBOOKS if f"{{doc}}`/notebooks/{path.stem}`" not in landing
    ] == []


@each_notebook
def test_code_cells_are_short(path):
    lengths = [len(code_lines(text)) for _, text in cells(path, "code")]
    assert max(lengths) <= 25
    if path in TAUGHT:  # the summary's are folded, and each draws a figure
        assert median(lengths) <= 8


def test_prose_and_code_are_in_proportion():
    words = lines = 0
    for path in NOTEBOOKS:
        for _, text in cells(path, "markdown"):
            text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
            text = re.sub(r"^(```|:::|:\w+:).*$", "", text, flags=re.MULTILINE)
            words += len(re.sub(r"\$[^$]+\$", "formula", text).split())
        lines += sum(len(code_lines(text)) for _, text in cells(path, "code"))
    if len(NOTEBOOKS) < 7:
        pytest.skip(
            f"the book is not complete yet; {words / lines:.1f} words for a line of code so far"
        )
    assert 9 <= words / lines <= 14, f"{words} words for {lines} lines of code: {words / lines:.1f}"


@each_notebook
def test_figures_have_alt_text_caption_and_name(path):
    draws = re.compile(
        r"plt\.(subplots|figure|subplot_mosaic)\(|^\s*plots\.digits\(|sns\.\w+plot\(", re.MULTILINE
    )
    for metadata, text in cells(path, "code"):
        if draws.search(text) and "remove-output" not in metadata.get("tags", []):
            book = metadata.get("mystnb", {})
            assert len(book.get("image", {}).get("alt", "")) > 20, f"no alt text: {text}"
            assert book.get("figure", {}).get("caption"), f"no caption: {text}"
            assert re.fullmatch(r"fig-[a-z0-9-]+", book["figure"].get("name", "")), (
                f"no name fig-…: {text}"
            )


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_chapters_have_goals_exercises_with_solutions_and_references(path):
    text = "\n".join(text for _, text in cells(path, "markdown"))
    assert "What you will learn" in text
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label: (\S+)", text)
    solutions = re.findall(r"\{solution(?:-start)?\} (\S+)", text)
    assert exercises
    assert sorted(exercises) == sorted(solutions)
    assert "## References" in text


@each_notebook
def test_chapters_import_only_what_colab_has_beside_our_packages(path):
    code = "\n".join(text for _, text in cells(path, "code"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    allowed = {
        "gslib",
        "gsbook",
        "torch",
        "numpy",
        "matplotlib",
        "seaborn",
        "scipy",
        "sympy",
        "tqdm",
        "IPython",
        "pandas",
    }
    assert imported <= allowed | sys.stdlib_module_names


def test_optional_cells_for_cuda_say_what_they_would_show():
    found = [text for path in NOTEBOOKS for _, text in cells(path, "code") if "cuda" in text]
    assert found
    optional = re.compile(
        r'if torch\.cuda\.is_available\(\):$.*^else:\n +print\("No CUDA here\. ', re.S | re.M
    )
    assert [text for text in found if not optional.match(text)] == []


# --- the address


TEXT = {
    "",
    ".bib",
    ".cff",
    ".css",
    ".ipynb",
    ".js",
    ".json",
    ".md",
    ".py",
    ".svg",
    ".toml",
    ".txt",
    ".yml",
}


def source_files(root):
    made = re.compile(
        r"\.venv|\.git|_?build|dist|__pycache__|\..*_cache|\.hypothesis|.*\.egg-info|\.ipynb_checkpoints"
    )
    for path in root.rglob("*"):
        if (
            path.suffix in TEXT
            and path.is_file()
            and not any(map(made.fullmatch, path.relative_to(root).parts))
        ):
            yield path


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


# --- the set-up cell, run with a Python that has nothing but a pretended pip


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


def setup_cell():
    """The generated cell, which is the same in each notebook."""
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    return next(
        "".join(c["source"]) for c in notebook["cells"] if "setup" in c["metadata"].get("tags", [])
    )


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
    (folder / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "-c", setup_cell() + "\nprint('gslib:', gslib.ESTIMATORS)"],
        cwd=folder / "empty",
        env={**os.environ, "PYTHONPATH": str(site), "GSLIB_SOURCE": "LOCAL"},
        capture_output=True,
        text=True,
        check=True,
    )
    log = folder / "empty" / "pip.log"
    return done.stdout, log.read_text().splitlines() if log.exists() else []


def test_set_up_does_nothing_where_gslib_is_installed(tmp_path):
    printed, calls = run_setup(tmp_path, ours=True)
    assert printed == "gslib: ours\n"
    assert calls == []


def test_set_up_installs_gslib_and_keeps_torch_and_numpy(tmp_path):
    printed, calls = run_setup(tmp_path)
    assert printed == "gslib: ours\n"
    assert len(calls) == 1
    source = f"file://{tmp_path}/empty/LOCAL"
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


# --- README, requirements, files


def test_the_example_of_the_readme_runs(capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert len(code_lines(code)) <= 12
    names = {}
    exec(code, names)
    assert "tensor" in capsys.readouterr().out
    learned = torch.sigmoid(names["logits"]).detach()
    assert torch.allclose(learned, torch.tensor([0.0, 1.0, 1.0]), atol=0.1)


def test_requirements_pin_the_toolchain_and_leave_torch_free():
    wanted = {
        "jupyter-book": "1.0.4.post1",
        "sphinx": "7.4.7",
        "sphinx-book-theme": "1.3.0",
        "myst-nb": "1.4.0",
        "myst-parser": "3.0.1",
        "sphinx-proof": "0.4.0",
        "sphinx-exercise": "1.2.1",
        "sphinx-design": "0.8.0",
        "sphinxcontrib-bibtex": "2.7.0",
        "jupyter-cache": "1.0.1",
        "nbval": "0.11.0",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert "-e .[book,cluster]" in lines
    lines += project["optional-dependencies"]["book"]
    pinned = dict(line.split("  #")[0].split("==") for line in lines if "==" in line)
    assert wanted.items() <= pinned.items()
    assert project["name"] == "gumbel-softmax-book"
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[a-z-]+>=[\d.]+", requirement), f"{requirement}: lower bounds only"


def test_all_packages_are_installed():
    """Those of both folders, each of which has an `__init__`; the records; hints in Japanese."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for folder in ("gslib", "gsbook")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert sorted(listed) == sorted(found | {"gsbook_ja", "gsbook_results"})


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile(r"(?<![\w.:])/(?:root|work|tmp|home/\w+|Users/\w+)/")
    named = [
        str(path.relative_to(ROOT))
        for path in source_files(ROOT)
        if path != Path(__file__) and machine.search(path.read_text(encoding="utf-8"))
    ]
    assert named == []


def test_references_are_complete():
    entries = re.findall(
        r"@(\w+)\{(\S+),\n(.*?)\n\}", (ROOT / "book" / "references.bib").read_text(), re.DOTALL
    )
    keys = [key for _, key, _ in entries]
    assert len(keys) == len(set(keys)) > 20
    for _, key, fields in entries:
        names = set(re.findall(r"^\s*(\w+) = ", fields, re.MULTILINE))
        assert {"title", "author", "year"} <= names, key
        arxiv = re.search(r"eprint = \{(.*)\}", fields)
        assert arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}", arxiv[1]), key
