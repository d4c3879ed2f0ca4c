"""The strict build, on a book of one small chapter: what runs again when, what fails it, and that
it needs no network."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = r"""The number is {glue:text}`one:.1f`, see {eq}`eq-one` and {numref}`fig-one-1`, as {cite}`jang2017` said.

$$
y_i \propto \exp((\log\pi_i + g_i) / \tau)
$$ (eq-one)

```{exercise}
:label: ex-one-1
Count.
```

```{solution} ex-one-1
:class: dropdown
One.
```

## References

```{bibliography}
:filter: docname in docnames
```"""
TOC = """\
format: jb-book
root: book/front
parts:
  - caption: Chapters
    numbered: 2
    chapters:
      - file: notebooks/01_one
"""
GLUE = "from gsbook.reader.glue import glue\nglue('one', 1.0)\nprint('it ran')"
FIGURE = "from matplotlib import pyplot as plt\nfrom gsbook.reader import plots\nplots.use_style()\nplt.plot([0, 1]);"


def code(source, **mystnb):
    metadata = {"mystnb": mystnb} if mystnb else {}
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def markdown(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write(book, *cells):
    notebook = {
        "cells": [markdown("# One"), *cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (book / "notebooks" / "01_one.ipynb").write_text(json.dumps(notebook))
    subprocess.run(
        [sys.executable, "book/tools/notebooks.py"], cwd=book, check=True, capture_output=True
    )


def build(book):
    """Build as `make book` does; whether it passed, how many notebooks it ran, and all that it
    said."""
    command = ["jupyter-book", "build", ".", "-W", "-n", "--keep-going"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(book),  # its own packages, with its own claims
        "GSLIB_RESULTS": str(book / "results"),
    }
    done = subprocess.run(
        command, cwd=book, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode:
        shutil.rmtree(book / "_build" / ".doctrees", ignore_errors=True)
    return done.returncode == 0, said.count("Executed notebook"), said


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = tmp_path_factory.mktemp("one") / "book-of-one"
    for folder in ("book", "gslib", "gsbook"):
        shutil.copytree(ROOT / folder, book / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, book / name)
    # The one figure draws anew what a chapter of the whole book does.
    claims = book / "gsbook" / "claims.yml"
    claims.write_text(
        claims.read_text(encoding="utf-8").replace("fig-choices-graphs", "fig-one-1"),
        encoding="utf-8",
    )
    (book / "notebooks").mkdir()
    (book / "results").mkdir()
    (book / "book" / "front.md").write_text("# Front\n")
    (book / "_toc.yml").write_text(TOC)
    figure = code(
        FIGURE,
        image={"alt": "A line that rises."},
        figure={"caption": "A line.", "name": "fig-one-1"},
    )
    write(book, code(GLUE), figure, markdown(TEXT))
    passed, ran, said = build(book)
    assert passed, said
    assert ran == 1
    return book


def test_the_page_has_all_and_loads_nothing_from_elsewhere(book):
    html = (book / "_build" / "html" / "notebooks" / "01_one.html").read_text(encoding="utf-8")
    for piece in (
        "1.0",
        "it ran",
        "A line that rises.",
        "A line.",
        "Solution to",
        "Jang",
        "Open in Colab",
    ):
        assert piece in html, piece
    opened = re.findall(r"colab\.research\.google\.com/[^\"]+/blob/main/([^\"]+)", html)
    assert opened == 2 * [
        "notebooks/colab/01_one.ipynb"
    ]  # the theme's button, and the one below the title
    loaded = re.findall(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)\"|<link[^>]*rel=\"[^\"]*(?:stylesheet|icon|preload)"
        r"[^>]*href=\"([^\"]+)\"",
        html,
    )
    loaded = [script or link for script, link in loaded]
    assert any("mathjax/startup.js" in path for path in loaded)
    assert [path for path in loaded if "//" in path] == []
    missing = [
        path
        for path in loaded
        if not (book / "_build" / "html" / "notebooks" / path.split("?")[0]).resolve().exists()
    ]
    assert missing == []
    assert list((book / "_build" / "html" / "_static" / "mathjax").rglob("*.woff"))


def test_a_figure_of_the_paper_has_its_kit_also_when_its_chapter_is_not_run_again(book):
    html = book / "_build" / "html"
    files = (f"_static/figures/figure-2.{ending}" for ending in ("svg", "pdf", "csv", "bib"))
    names = ["notebooks/01_one.html", "figure-2.html", *files]
    first = {name: (html / name).read_bytes() for name in names}
    assert b'<details class="figure-kit">' in first[names[0]]
    assert b"url=notebooks/01_one.html#figure-2" in first[names[1]]
    assert b'id="figure-2"' in first[names[0]]
    assert first[names[-2]].decode().splitlines()[1:] == ["1,,,line,0,0,", "1,,,line,1,1,"]
    for folder in (html, html.parent / ".doctrees"):
        shutil.rmtree(folder)
    passed, ran, said = build(book)
    assert passed, said
    assert ran == 0
    assert {name: (html / name).read_bytes() for name in names} == first


def tool(book, *arguments):
    """Run a tool of the book on its own packages: its exit status, and all that it said."""
    environment = {**os.environ, "PYTHONPATH": str(book), "GSLIB_RESULTS": str(book / "results")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=book,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_japanese_edition_has_the_outputs_of_the_english_one_and_never_breaks_it(book):
    english = (book / "_build" / "html" / "notebooks" / "01_one.html").read_bytes()
    (book / "ja").mkdir()
    assert (
        tool(book, "book/tools/translation.py", "update", "notebooks/01_one", "book/front")[0] == 0
    )
    file = book / "ja" / "notebooks" / "01_one.md"
    text = file.read_text(encoding="utf-8")
    for there, instead in {
        "# One": "# 一つ",
        "The number is": "数は",
        "Count.": "数えてください。",
        "A line that rises.": "上がる線。",
        "A line.": "一本の線。",
    }.items():
        assert there in text
        text = text.replace(there, instead)
    file.write_text(text, encoding="utf-8")

    status, said = tool(book, "book/tools/japanese.py")
    assert status == 0, said
    assert "NOT as it should be" not in said, said
    page = book / "_build" / "html" / "ja" / "notebooks" / "01_one.html"
    html = page.read_text(encoding="utf-8")
    assert '<html lang="ja"' in html
    for piece in ("数は", "1.0", "it ran", "上がる線。", "一本の線。", "数えてください。", "Jang"):
        assert piece in html, piece
    assert 'href="../../notebooks/01_one.html"' in html  # the way back
    assert not list((book / "_build" / "ja").rglob("executed/*"))  # nothing ran
    front = (page.parents[1] / "book" / "front.html").read_text(encoding="utf-8")
    assert "このページの翻訳はまだありません" in front

    notebook = book / "notebooks" / "01_one.ipynb"
    was = notebook.read_text(encoding="utf-8")
    notebook.write_text(was.replace("Count.", "Count again."), encoding="utf-8")
    subprocess.run([sys.executable, "book/tools/notebooks.py"], cwd=book, check=True)
    (book / "ja" / "book" / "front.md").write_text("no header\n", encoding="utf-8")
    status, said = tool(book, "book/tools/japanese.py")
    assert status == 0, said
    assert "ja/book/front.md" in said  # the broken file is named, and its page is in English
    assert "1 stale" in said
    html = page.read_text(encoding="utf-8")
    assert "数えてください。" in html
    assert "英語版が更新されています" in html
    release = "import japanese; japanese.build = list; exit(japanese.main(['--release']))"
    start = "import sys; sys.path.insert(0, 'book/tools'); "
    assert tool(book, "-c", start + release)[0] == 1
    (book / "ja" / "book" / "front.md").unlink()
    notebook.write_text(was, encoding="utf-8")
    assert (book / "_build" / "html" / "notebooks" / "01_one.html").read_bytes() == english


def test_a_change_in_gslib_runs_all(book):
    path = book / "gslib" / "models" / "vae.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    passed, ran, _ = build(book)
    assert passed
    assert ran == 1


def test_faults_fail_the_build_and_all_are_named(book):
    dead = markdown("See {numref}`fig-of-nothing`.")
    no_caption = code(FIGURE, image={"alt": "A line."})
    write(book, code(GLUE), dead, no_caption, code(FIGURE), code("1 / 0"))
    passed, _, said = build(book)
    assert not passed
    for fault in (
        "fig-of-nothing",
        "figure without a caption",
        "image without alt text",
        "CellExecutionError",
    ):
        assert re.search(f"WARNING: .*{fault}", said), fault
