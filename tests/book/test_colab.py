"""The editions for Colab: each is its chapter, in Markdown (beside the built book: browser)."""

import json
import re
import shutil

import citation
import colab
import nbformat
import pytest
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from sources import NOTEBOOKS, ROOT

import notebooks

EDITIONS = sorted((ROOT / "notebooks" / "colab").glob("*.ipynb"))
MYST = create_md_parser(
    MdParserConfig(
        enable_extensions={
            "amsmath",
            "attrs_block",
            "attrs_inline",
            "colon_fence",
            "deflist",
            "dollarmath",
            "fieldlist",
            "substitution",
        }
    ),
    RendererHTML,
)

each_edition = pytest.mark.parametrize("path", EDITIONS, ids=lambda path: path.stem)


def cells(path, kind):
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def prose(path):
    return "\n\n".join(cells(path, "markdown"))


def tokens(text):
    """All tokens of a text, those inside a line among them."""
    for token in MYST.parse(text):
        yield token
        yield from token.children or ()


# --- each edition is its chapter


def test_editions_are_up_to_date_and_there_is_one_for_each_chapter():
    assert [path.name for path in EDITIONS] == [path.name for path in NOTEBOOKS]
    wanted = colab.editions(notebooks.address())
    assert {path.name: path.read_text(encoding="utf-8") for path in EDITIONS} == wanted


def test_check_changes_nothing_and_names_what_is_out_of_date(tmp_path, monkeypatch, capsys):
    text = EDITIONS[0].read_text(encoding="utf-8")
    (tmp_path / EDITIONS[0].name).write_text(text.replace("picture", "pictures"), encoding="utf-8")
    (tmp_path / "99_old.ipynb").write_text("{}")
    for path in EDITIONS[1:]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shutil.copytree(EDITIONS[0].parent / "ja", tmp_path / "ja")
    monkeypatch.setattr(colab, "FOLDER", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.ipynb")}
    assert colab.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert EDITIONS[0].name in said
    assert "99_old" in said
    assert EDITIONS[1].name not in said
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.ipynb")}
    assert colab.main([]) == 0
    assert colab.main(["--check"]) == 0
    assert len(list(tmp_path.glob("*.ipynb"))) == len(EDITIONS)


@each_edition
def test_the_code_is_the_chapters(path):
    code = [text for text in cells(path, "code") if "\nsay(" not in text]
    untitled = [re.sub(r"\A# @title .*\n", "", text) for text in code]
    assert untitled == cells(ROOT / "notebooks" / path.name, "code")


@each_edition
def test_it_is_a_valid_notebook_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert cell.source.strip()
        assert set(cell.metadata) <= {"id", "cellView", "jupyter"}
        assert cell.metadata.id == cell.id
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, "cell", "exec")


# --- in plain Markdown


FOREIGN = (
    "myst_role",
    "myst_target",
    "myst_line_comment",
    "myst_block_break",
    "math_block_label",
    "math_inline_double",
    "amsmath",
    "colon_fence",
    "dl_open",
    "substitution",
    "footnote",
    "span_open",
    "front_matter",
    "attrs",
)


def foreign(text):
    """What of a text only MyST would understand."""
    found = [t.type for t in tokens(text) if t.type.startswith(FOREIGN)]
    found += [t.info for t in tokens(text) if t.type == "fence" and "{" in t.info]
    return found + re.findall(
        r"[\0\1]|\{[\w:.+-]+\}`|^:\w+:|^\([\w-]+\)=|\$\$ *\([\w-]+\)", text, re.M
    )


@pytest.mark.parametrize(
    "text",
    [
        "see {eq}`eq-a`",
        "```{note}\nhello\n```",
        "- item\n  ```{note}\n  hello\n  ```",
        ":::{tip}\nhello\n:::",
        "$$ a $$ (eq-a)",
        "(here)=\n# Title",
        "{{ edition }}",
        "text[^1]\n\n[^1]: a note",
        "> {doc}`/book/api`",
        "<details>\n\n{cite}`jang2017`\n\n</details>",
        "word\n: its meaning",
    ],
)
def test_myst_is_recognised(text):
    assert foreign(text)


@each_edition
def test_no_myst_is_left(path):
    assert foreign(prose(path)) == []


@each_edition
def test_the_chapter_itself_would_fail(path):
    assert len(foreign(prose(ROOT / "notebooks" / path.name))) > 20


@each_edition
def test_links_lead_somewhere(path):
    text = prose(path)
    ids = re.findall(r'<a id="([^"]+)"></a>', text)
    assert len(ids) == len(set(ids))
    links = [t.attrs["href"] for t in tokens(text) if t.type == "link_open"]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside
    assert inside <= set(ids)
    there = colab.colab(notebooks.address(), "")
    for link in (link.removeprefix(there) for link in links if link.startswith(there)):
        name, _, cell = link.partition("#scrollTo=")
        other = json.loads((ROOT / "notebooks" / "colab" / name).read_text(encoding="utf-8"))[
            "cells"
        ]
        assert not cell or cell in {c["metadata"]["id"] for c in other}, link
    for link in (
        link.removeprefix(citation.site()) for link in links if link.startswith(citation.site())
    ):
        page = link.split("#")[0].removesuffix(".html")
        assert not page or any((ROOT / f"{page}{end}").is_file() for end in (".md", ".ipynb")), link
    relative = [link for link in links if not re.match(r"#|https://", link)]
    assert relative == []


@each_edition
def test_the_first_cell_after_the_title_says_what_this_is_and_where_the_book_is(path):
    title, notice, *_ = cells(path, "markdown")
    chapter, *_ = cells(ROOT / "notebooks" / path.name, "markdown")
    number = int(path.stem[:2])  # 00 stands before pages without a number
    assert title == (chapter.replace("# ", f"# {number}. ", 1) if number else chapter)
    assert (f"is chapter {number} of" if number else "is a page of") in notice
    assert f"({citation.site(f'notebooks/{path.stem}.html')})" in notice
    assert "without outputs" in notice
    assert f"({colab.colab(notebooks.address(), path.name)})" in notice


@each_edition
def test_captions_stand_under_figures_and_solutions_are_folded(path):
    chapter = json.loads((ROOT / "notebooks" / path.name).read_text(encoding="utf-8"))["cells"]
    edition = json.loads(path.read_text(encoding="utf-8"))["cells"]
    by_id = {cell["id"]: i for i, cell in enumerate(edition)}
    solution = ""
    for cell in chapter:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for mark in re.findall(r"\{(solution-start|solution-end)\}", text):
                solution = "yes" if mark == "solution-start" else ""
            continue
        at = by_id[cell["id"]]
        ours = edition[at]
        assert ours["metadata"].get("cellView") == (
            "form" if solution or "setup" in cell["metadata"].get("tags", []) else None
        )
        if name := cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"):
            below = "".join(edition[at + 1]["source"])
            number = int(path.stem[:2])
            figure = f"Fig. {number}." if number else "Figure."
            assert below.startswith(f'<a id="{name}"></a>**{figure}')
            assert cell["metadata"]["mystnb"]["image"]["alt"] in below
    text = prose(path)
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>")
    assert all(c.count("<details>") == c.count("</details>") for c in cells(path, "markdown"))
    exercises = re.findall(r"^### (Exercise .+)$", text, re.M)
    assert len(exercises) == sum(
        t.count("{exercise}") for t in cells(ROOT / "notebooks" / path.name, "markdown")
    )
    code = "\n".join(cells(path, "code"))
    for exercise in exercises:
        assert (
            f"<summary>Solution to {exercise}</summary>" in text
            or f"# @title Solution to {exercise}" in code
        )


# --- one construct at a time
