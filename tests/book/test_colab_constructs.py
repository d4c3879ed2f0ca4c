"""The editions for Colab: what each construct of the chapters becomes."""

import json

import pytest
from test_colab import colab, foreign


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
        ("{prf:ref}`that of $x_{i}$ <thm-other>`", f"[that of $x_{{i}}$]({THERE}#scrollTo=cell1)"),
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
