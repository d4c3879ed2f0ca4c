"""Notebooks, requirements and files of the book, as text; the strict build checks the rest."""

import re
import sys
import tomllib
from pathlib import Path
from statistics import median

import book_build
import pictures
import pytest
import torch
from sources import NOTEBOOKS, ROOT, cells, code_lines, run_tool, source_files

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# What has no number of its own stands before the first chapter; the summary asks nothing of its
# reader.
CHAPTERS = [path for path in NOTEBOOKS if not path.stem.startswith("00_")]
TAUGHT = [path for path in NOTEBOOKS if path.stem != "00_in_one_page"]


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


def test_chapters_run_again_when_what_they_read_changes(tmp_path, monkeypatch):
    """Records of a folder of the caller's own, too; but nothing that merely passes by."""
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))
    before = book_build.fingerprint()
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "x.tmp").touch()
    assert book_build.fingerprint() == before
    (tmp_path / "table1").mkdir()
    (tmp_path / "table1" / "x.jsonl").touch()
    assert book_build.fingerprint() != before


def test_the_books_own_pictures_can_be_drawn():
    assert pictures.draws(0.1, 5)[0].shape == (5, 2)
