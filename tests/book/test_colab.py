"""The editions for Colab: each is its chapter, in Markdown (beside the built book: browser)."""

import json
import re
import sys

import nbformat
import pytest
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from test_book import NOTEBOOKS, ROOT

sys.path.insert(0, str(ROOT / "book" / "tools"))
import citation
import colab

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
    monkeypatch.setattr(colab, "FOLDER", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert colab.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert EDITIONS[0].name in said
    assert "99_old" in said
    assert EDITIONS[1].name not in said
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert colab.main([]) == 0
    assert colab.main(["--check"]) == 0
    assert len(list(tmp_path.iterdir())) == len(EDITIONS)


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


def markdown(*texts):
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# One"}]
    for i, text in enumerate(texts):
        kind = "code" if text.startswith("# code") else "markdown"
        cells.append({"cell_type": kind, "id": f"cell{i}", "metadata": {}, "source": text})
    return cells


OTHER = markdown(
    "$$ a $$ (eq-other)",
    "```{prf:theorem} Big\n:label: thm-other\n\nIt is so.\n```",
    "(part)=\n## A part",
)


def edition(*texts):
    """The texts of the cells that stand for these cells, in the second of two chapters."""
    chapters = {"01_zero": OTHER, "02_one": markdown(*texts)}
    labels = colab.Labels(chapters, chapters)
    made = json.loads(
        colab.Edition("02_one", chapters["02_one"], labels, "https://github.com/a/b").text()
    )
    return ["".join(cell["source"]) for cell in made["cells"][1:]]


THERE = "https://colab.research.google.com/github/a/b/blob/main/notebooks/colab/01_zero.ipynb"


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("Code `{eq}` and ``a {eq}`x` b`` stay.", "Code `{eq}` and ``a {eq}`x` b`` stay."),
        ("By {eq}`eq-other`.", f"By [(1.1)]({THERE}#scrollTo=cell0)."),
        ("By {prf:ref}`thm-other`.", f"By [Theorem 1.1]({THERE}#scrollTo=cell1)."),
        ("See {ref}`part`.", f"See [One]({THERE}#scrollTo=cell2)."),
        ("See {ref}`that <part>`.", f"See [that]({THERE}#scrollTo=cell2)."),
        ("See {doc}`/notebooks/01_zero`.", f"See [One]({THERE})."),
        ("The {doc}`log of choices </book/choices>`.", "The [log of choices](https://a.github.io/b/book/choices.html)."),
        ("{term}`logit`", "[logit](https://a.github.io/b/book/glossary.html#term-logit)"),
        ("as {cite:t}`jang2017` say", "as Jang et al. [[2017](#jang2017)] say"),
        (
            "so {cite}`jang2017,maddison2017`",
            "so [[Jang et al., 2017](#jang2017), [Maddison et al., 2017](#maddison2017)]",
        ),
        ("before\n\n% hidden\n\nafter", "before\n\nafter"),
        ("## Why?\n\n### How?", "## 2.1. Why?\n\n### How?"),
        (
            "$$ a $$ (eq-mine)\n\nin {eq}`eq-mine`",
            '<a id="eq-mine"></a>\n\n$$\na \\tag{2.1}\n$$\n\nin [(2.1)](#eq-mine)',
        ),
        (
            "```{admonition} Look\n:class: tip\n- one\n\n$$\na \\\\\nb\n$$ (eq-mine)\n```",
            '> **Look**\n>\n> - one\n>\n> <a id="eq-mine"></a>\n>\n> $$ a \\\\ b \\tag{2.1} $$',
        ),
        (
            "```{note}\n:class: dropdown\nText with $a$.\n```",
            "<details>\n<summary>Note</summary>\n\nText with $a$.\n\n</details>",
        ),
        (":::{warning}\nCareful.\n:::", "> **Warning**\n>\n> Careful."),
        ("```{seealso} the\npaper\n```", "> **See also**\n>\n> the\n> paper"),
        (
            "- item\n\n  ```{tip}\n  Nested.\n  ```\n- last",
            "- item\n\n  > **Tip**\n  >\n  > Nested.\n- last",
        ),
        (
            "````{tip}\nA\n```python\n'''`{eq}`'''\n```\n````",
            "> **Tip**\n>\n> A\n> ```python\n> '''`{eq}`'''\n> ```",
        ),
        ("````text\n```{note}\nno note\n```\n````", "````text\n```{note}\nno note\n```\n````"),
        (
            "| a | b |\n|---|---|\n| {eq}`eq-other` | $x$ |",
            f"| a | b |\n|---|---|\n| [(1.1)]({THERE}#scrollTo=cell0) | $x$ |",
        ),
        ("```{prf:proof}\nClear.\n```", "*Proof.* Clear. ∎"),
        ("```{prf:proof}\nSince\n\n$$ a $$\n```", "*Proof.* Since\n\n$$\na\n$$\n\n∎"),
        (
            "```{prf:lemma}\n:label: lem\n\nSo.\n```\n\n{prf:ref}`lem`",
            '> <a id="lem"></a>**Lemma 2.1.**\n>\n> So.\n\n[Lemma 2.1](#lem)',
        ),
    ],
)  # fmt: skip
def test_a_construct_becomes_plain(myst, plain):
    assert edition(myst) == [plain]
    assert foreign(plain) == [] or "`" in myst


@pytest.mark.parametrize(
    ("myst", "named"),
    [
        ("a {kbd}`x`", "kbd"),
        ("```{tableofcontents}\n```", "tableofcontents"),
        ("{eq}`eq-nowhere`", "eq-nowhere"),
        ("{cite}`nobody2000`", "nobody2000"),
        ("text[^1]\n\n[^1]: a note", "footnote"),
        ("word\n: its meaning", "dl_open"),
        ("{{ edition }}", "substitution"),
        ("\\begin{align}\na\n\\end{align}", "amsmath"),
        ("```{exercise} No label\nHow?\n```", "label ''"),
        ("```{note}\n---\nclass: tip\n---\nSo.\n```", "lines of dashes"),
        ("```{figure} a.svg\n:alt: A.\n\nNo name.\n```", "label None"),
        ("```{solution-start} ex-no\n```", "ex-no"),
        (
            "```{exercise} A\n:label: a\n\nB\n```\n```{solution-start} a\n```\n{glue:text}`b`",
            "glue",
        ),
        ("{glue:text}`lost` is it", "needs a line 'from"),
    ],
)
def test_what_cannot_be_said_plainly_is_refused_with_its_place(myst, named):
    with pytest.raises(ValueError, match=r"notebooks/02_one.ipynb, cell 2: ") as fault:
        edition("fine", myst)
    assert named in str(fault.value)


def test_an_exercise_its_blank_and_its_folded_solution():
    made = edition(
        "```{exercise} Try\n:label: ex-a\n\nWhat is it?\n```",
        "# code\nanswer = ...",
        "```{solution-start} ex-a\n:class: dropdown\n```\n\nIt is $a$.",
        "# code\nanswer = 1",
        "Nearly done.\n\n```{solution-end}\n```\n\nIn {numref}`ex-a` we tried.",
    )
    title = "Solution to Exercise 2.1 (Try)"
    assert made == [
        '<a id="ex-a"></a>\n\n### Exercise 2.1 (Try)\n\nWhat is it?',
        "# code\nanswer = ...",
        f"<details>\n<summary>{title}</summary>\n\nIt is $a$.\n\n</details>",
        f"# @title {title}\n# code\nanswer = 1",
        f"<details>\n<summary>{title}</summary>\n\nNearly done.\n\n</details>",
        "In [Exercise 2.1](#ex-a) we tried.",
    ]


def test_a_sentence_with_results_is_said_by_code(capsys):
    made = edition(
        "# code\nfrom gsbook.reader.glue import glue\nglue('a-b', 0.25)",
        "First, $e^{x}$. Then {glue:text}`a-b:.1f` of {eq}`eq-other`. Last.\n\n"
        "- so {glue:text}`late`\n- and so on",
        "# code\nglue('late', len('four'))",
    )
    assert made[1] == "First, $e^{x}$."
    assert made[3] == "Last."
    assert made[4].splitlines()[1] == "glue('late', len('four'))"
    names = {}
    for code in (made[0], made[2], made[4]):
        *body, last = colab.ast.parse(code).body
        exec(compile(colab.ast.Module(body, []), "cell", "exec"), names)
        names["said"] = eval(compile(colab.ast.Expression(last.value), "cell", "eval"), names)
        if code == made[2]:
            said = names["said"]._repr_markdown_()
            assert said == f"Then 0.2 of\n[(1.1)]({THERE}#scrollTo=cell0)."
    assert str(names["said"]) == "- so 4\n- and so on"


def test_a_result_that_is_not_there_yet_is_an_error_that_says_what_to_do():
    from gsbook.reader.glue import say

    with pytest.raises(KeyError, match="run the cells above"):
        say("{{no-such-result}}")


def test_a_page_without_a_number_shifts_no_number_and_its_figures_have_none():
    figure = "```{figure} a.svg\n:name: fig-a\n:alt: A.\n\nOne.\n```\n\nSee {numref}`fig-a`."
    exercise = "```{exercise} Try\n:label: ex-a\n\nWhat?\n```\n\n## Why?"
    chapters = {"00_page": markdown(figure, exercise), "01_one": markdown("$$ a $$ (eq-a)")}
    labels = colab.Labels(chapters, ["01_one"])
    texts = [
        colab.Edition(name, cells, labels, "https://github.com/a/b").text()
        for name, cells in chapters.items()
    ]
    page, chapter = (json.loads(text)["cells"] for text in texts)
    assert "".join(page[0]["source"]) == "# One"
    assert "**Figure.** One." in "".join(page[1]["source"])
    assert "See [Figure](#fig-a)." in "".join(page[1]["source"])
    assert "### Exercise 1 (Try)" in "".join(page[2]["source"])
    assert "\n## Why?" in "".join(page[2]["source"])
    assert "".join(chapter[0]["source"]) == "# 1. One"
    assert r"\tag{1.1}" in "".join(chapter[1]["source"])
