"""The Japanese edition: its files, what differs from the English, and how both are joined."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import colab  # noqa: E402
import glossary  # noqa: E402
import languages  # noqa: E402
import scoreboard  # noqa: E402
import terms  # noqa: E402
import translation  # noqa: E402
import words  # noqa: E402

BEGUN = [page for page in translation.pages() if translation.file_of(page).exists()]

TEXT = r"""## A title

A **coin** with $p$, see {eq}`eq-a`, {numref}`fig-a` and {cite}`jang2017`. It is {glue:text}`n:.1f`.

$$ y = x^2 $$ (eq-a)

```{exercise} Too many
:label: ex-a

What is `K`?
```

| a | b |
|---|---|
| 1 | 2 |

**Which?**
: This one.

**Why?**
: It is so.

```python
x = 1
```"""
JAPANESE = r"""## 題

{cite}`jang2017` のコインは**確率**（probability）$p$ をもちます。
{numref}`fig-a` と {eq}`eq-a` を見てください。
値は {glue:text}`n:.1f` です。

$$ y = x^2 $$ (eq-a)

```{exercise} 多すぎる
:label: ex-a

`K` とは何でしょうか。
```

| あ | い |
|---|---|
| 1 | 2 |

**どれですか。**
: これです。

**なぜですか。**
: そうだからです。

```python
x = 1
```"""


# --- the files of this book


@pytest.mark.parametrize("page", BEGUN)
def test_a_translation_has_what_the_english_has_but_for_its_words(page):
    differing, _, _ = translation.problems([page])
    assert [line for line in differing if translation.STALE not in line] == []


@pytest.mark.parametrize("page", BEGUN)
def test_a_file_stays_as_it_is_when_it_follows_the_english(page):
    text = translation.file_of(page).read_text(encoding="utf-8")
    pieces = translation.translated(page)
    assert translation.written(pieces) == text
    states = translation.states(page).values()
    if all(state.piece and not state.stale for state in states):  # else keys follow the English
        assert set(translation.parsed(translation.updated(page), page)) == set(pieces)


def test_every_file_is_one_of_a_page_that_can_be_translated():
    stored = {
        path.relative_to(translation.FOLDER).with_suffix("").as_posix()
        for path in translation.FOLDER.rglob("*.md")
    }
    assert stored <= set(translation.pages()) - set(translation.ENGLISH)


def test_all_that_pages_say_has_its_japanese():
    asked = words.asked()
    assert len(asked) > 100
    assert sorted(asked - words.table().keys()) == []
    for english, japanese in words.table().items():
        names = set(re.findall(r"\{\w+\}", japanese)) - {"{n}"}
        assert names <= set(re.findall(r"\{\w+\}", english)), english


def test_what_the_ledger_and_the_theme_say_has_its_japanese():
    assert {*scoreboard.DETAILS, *languages.FIXED} <= words.table().keys()
    said = {detail for j in scoreboard.judge_all() for detail in j.details}
    said |= {detail for j in scoreboard.judge_all() for detail in j.claim.against_itself() or ()}
    assert len(said) > 5
    for detail in said:
        assert words.say_like(detail, *scoreboard.DETAILS, language="en") == detail
        assert translation.JAPANESE.search(
            words.say_like(detail, *scoreboard.DETAILS, language="ja")
        )


def test_words_of_templates_become_japanese_in_the_written_pages(tmp_path):
    page, script = tmp_path / "a" / "page.html", tmp_path / "_static" / "togglebutton.js"
    for path, text in {
        page: '<nav aria-label="Page"><b title="Toggle primary sidebar">Main</b>',
        script: 'aria-label="Toggle hidden content"',
    }.items():
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    languages.translate_fixed(SimpleNamespace(outdir=str(tmp_path)), None)
    assert page.read_text(encoding="utf-8") == (
        '<nav aria-label="このページの内容"><b title="目次の開閉">Main</b>'
    )
    assert script.read_text(encoding="utf-8") == 'aria-label="内容の開閉"'


def test_hints_in_japanese_have_the_same_names_in_braces():
    for english, japanese in translation.kept_hints().items():
        assert re.findall(r"\{\w+\}", english) == re.findall(r"\{\w+\}", japanese)
    assert translation.HINTS.read_text(encoding="utf-8") == translation.updated_hints()


def test_terms_are_those_of_the_glossary_and_no_form_has_two_entries():
    known = {term for entry in glossary.entries() for term in entry}
    assert sorted(terms.table().keys() - known) == []
    assert len(terms.table()) >= 161
    seen = {}
    for term, entry in terms.table().items():
        for form in [entry["ja"], *entry.get("also", [])]:
            assert seen.setdefault(form, term) == term, form


# --- what differs


def test_other_words_in_another_order_make_no_difference():
    assert translation.differences(TEXT, JAPANESE) == []


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("$$ y = x^2 $$ (eq-a)\n\n", "", "formula y = x^2"),
        ("x^2", "x^3", "formula"),
        ("(eq-a)\n", "(eq-b)\n", "formula"),
        ("## ", "### ", "heading"),
        (":label: ex-a", ":label: ex-b", "ex-b"),
        ("{exercise}", "{admonition}", "exercise"),
        ("{cite}`jang2017` の", "", "cite jang2017"),
        ("{numref}`fig-a`", "図", "numref fig-a"),
        ("{glue:text}`n:.1f`", "3.1", "glue:text n:.1f"),
        ("$p$", "$q$", "`q`"),
        ("`K`", "K", "`K`"),
        ("| 1 | 2 |\n", "", "rows"),
        ("**なぜですか。**\n: そうだからです。\n", "", "dt_open"),
        ("x = 1\n", "x = 2\n", "code"),
        ("**確率**（probability）", "**確率（probability）**は", "**"),
        ("多すぎる\n:label: ex-a\n\n", "多すぎる\n:label: ex-a\n\n*多い。*では、", "* or **"),
    ],
)
def test_what_was_dropped_or_altered_is_found(there, instead, said):
    assert there in JAPANESE
    found = translation.differences(TEXT, JAPANESE.replace(there, instead, 1))
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    ("there", "instead", "seen"),
    [
        ("# 題", "# 題\n\n**考え方。** 数は", "考え方。 数は"),
        ("# 題", "# 題\n\n*低温。*\n$p$ のとき", "低温。 §"),
        ("確率**（probability）", "確率** （probability）", "確率 （prob"),
        ("を見てください。", "を 見てください。", "を 見て"),
        ("`K` とは何でしょうか。", "`K` とは 、何でしょうか。", "§ とは 、何で"),
        ("| あ |", "| あ。 い |", "あ。 い"),
    ],
)
def test_a_space_that_does_not_belong_there_is_found(there, instead, seen):
    assert translation.gaps(JAPANESE) == []
    assert there in JAPANESE
    found = translation.gaps(JAPANESE.replace(there, instead, 1))
    assert len(found) == 1
    assert seen in found[0]


def test_such_a_space_fails_the_check_but_leaves_the_page_in_japanese(tmp_path, monkeypatch):
    page = "notebooks/06_other_estimators"
    lay(tmp_path, page)
    path = translation.file_of(page, tmp_path / "ja")
    text = path.read_text(encoding="utf-8")
    assert "**考え方**。サンプルではなく" in text
    path.write_text(text.replace("**考え方**。サンプル", "**考え方。** サンプル"), encoding="utf-8")
    lines, stale, missing = translation.problems([page], tmp_path)
    assert (len(lines), stale, missing) == (1, 0, 0)
    assert "考え方。 サンプル" in lines[0]
    assert any("**考え方。** サンプル" in text for text in joined_texts(page, tmp_path).values())
    monkeypatch.setattr(translation, "problems", lambda wanted: (lines, stale, missing))
    assert translation.main(["check"]) == 1


def test_hints_and_words_have_no_such_space_either():
    for text in [*translation.kept_hints().values(), *words.table().values()]:
        assert translation.gaps(text) == []


def test_a_chapter_with_a_dropped_formula_is_refused(tmp_path):
    page = "notebooks/02_discrete_choices"
    lay(tmp_path, page)
    path = translation.file_of(page, tmp_path / "ja")
    text = path.read_text(encoding="utf-8")
    formula = re.search(r"\$\$[^$]+\$\$ \(eq-choices-exact\)\n", text)[0]
    path.write_text(text.replace(formula, ""), encoding="utf-8")
    lines, _, _ = translation.problems([page], tmp_path)
    assert len(lines) == 1
    key = re.search(r", (\w+): missing: formula", lines[0])[1]
    shown = joined_texts(page, tmp_path)[key]
    assert "What we want to be small is" in shown  # English, and so no label is lost
    assert "stale" in shown


# --- what is stale


def lay(folder, page):
    """A copy of a page and its translation in a folder."""
    for name in (f"{page}.ipynb", f"{page}.md", f"ja/{page}.md"):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


def joined_texts(page, folder):
    whole = translation.notebook(page, folder)
    return {cell["id"]: "".join(cell["source"]) for cell in whole["cells"]}


def alter(folder, page, old, new):
    """Change a sentence of a chapter, and with it the id of its cell, as notebooks.py does."""
    import notebooks

    path = folder / f"{page}.ipynb"
    whole = json.loads(path.read_text(encoding="utf-8"))
    for cell in whole["cells"]:
        cell["source"] = "".join(cell["source"]).replace(old, new)
    text = notebooks.normalise(whole, path.name, "https://github.com/gumbel/book")
    path.write_text(text, encoding="utf-8")


def test_a_stale_sentence_is_marked_and_counted_until_it_is_confirmed(tmp_path):
    page = "notebooks/02_discrete_choices"
    lay(tmp_path, page)
    assert translation.problems([page], tmp_path) == ([], 0, 0)
    alter(tmp_path, page, "With this gradient the model learns", "So the model learns")
    lines, stale, missing = translation.problems([page], tmp_path)
    assert (stale, missing) == (1, 0)
    assert "stale" in lines[0]
    shown = [text for text in joined_texts(page, tmp_path).values() if "stale" in text]
    assert len(shown) == 1
    assert "この勾配を使って" in shown[0]  # the reader keeps the Japanese
    assert translation.OLD in shown[0]

    text = translation.updated(page, tmp_path)
    assert "この勾配を使って" in text
    translation.file_of(page, tmp_path / "ja").write_text(text, encoding="utf-8")
    assert translation.problems([page], tmp_path)[1] == 1  # its key follows, its hash does not


def test_a_stale_caption_says_so_and_a_changed_label_leaves_the_english(tmp_path):
    page = "notebooks/02_discrete_choices"
    lay(tmp_path, page)
    alter(tmp_path, page, "label: ex-choices-5", "label: ex-choices-6")
    path = tmp_path / f"{page}.ipynb"
    old = "The label cannot."
    path.write_text(
        path.read_text(encoding="utf-8").replace(old, "No label can."), encoding="utf-8"
    )
    whole = translation.notebook(page, tmp_path)
    captions = [colab.shown(cell)[1] for cell in whole["cells"]]
    assert sum(translation.OLD_CAPTION in caption for caption in captions if caption) == 1
    text = "\n".join("".join(cell["source"]) for cell in whole["cells"])
    assert "ex-choices-6" in text
    assert "ex-choices-5\n:class" in text  # of its solution, which did not change
    assert translation.CHANGED in text


def test_a_new_cell_is_missing_and_a_removed_one_is_told(tmp_path):
    page = "notebooks/02_discrete_choices"
    lay(tmp_path, page)
    path = tmp_path / f"{page}.ipynb"
    whole = json.loads(path.read_text(encoding="utf-8"))
    new = {"cell_type": "markdown", "id": "new", "metadata": {}, "source": ["Quite new words."]}
    at = next(i for i, cell in enumerate(whole["cells"]) if cell["id"] == "8ad208cd")
    whole["cells"][at + 5 : at + 5] = [new]
    del whole["cells"][at]
    path.write_text(json.dumps(whole), encoding="utf-8")
    lines, stale, missing = translation.problems([page], tmp_path)
    assert (stale, missing) == (0, 1)
    assert "8ad208cd" in lines[0]
    assert joined_texts(page, tmp_path)["new"] == "Quite new words."


def test_a_release_refuses_what_is_stale(monkeypatch, capsys):
    problems = {"clean": ([], 0, 3), "old": (["x: stale: the English has changed"], 1, 0),
                "other": (["x: missing: formula"], 0, 0)}  # fmt: skip
    for name, (plain, release) in {"clean": (0, 0), "old": (0, 1), "other": (1, 1)}.items():
        monkeypatch.setattr(translation, "problems", lambda wanted, name=name: problems[name])
        assert translation.main(["check"]) == plain
        assert translation.main(["check", "--release"]) == release
    assert "1 stale" in capsys.readouterr().out


# --- the format


def test_a_file_is_read_as_it_was_written():
    text = "<!-- a1b2c3d4 0123abcd -->\n# 題\n\n<!-- fig-a:caption 89abcdef -->\n説明。\n二行。\n"
    pieces = translation.parsed(text, "x.md")
    assert list(pieces) == ["a1b2c3d4", "fig-a:caption"]
    assert pieces["fig-a:caption"] == translation.Piece("89abcdef", "説明。\n二行。")
    assert translation.written(pieces) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words\n<!-- a 0123abcd -->\nx\n", "above the first header"),
        ("<!-- a 0123abcd -->\nx\n<!-- a 0123abcd -->\ny\n", "stands twice"),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(ValueError, match=said):
        translation.parsed(text, "x.md")


def test_sections_of_a_page_are_found_by_their_headings():
    text = (
        "# One\n\nWords.\n\n(label)=\n## Two, or 2?\n\n```\n# no heading\n```\n\n## Two, or 2?\nx"
    )
    found = translation.sections(text)
    assert list(found) == ["one", "two-or-2", "two-or-2-again"]
    assert found["two-or-2"].startswith("(label)=\n## Two")
    assert "no heading" in found["two-or-2"]


def test_what_holds_no_words_needs_no_translation():
    for text in ("````{solution-end}\n````", "$$ x = y $$ (eq-a)", "{doc}`/notebooks/01_x`"):
        assert not translation.wordy(text)
    for text in ("# References", "```{note}\nWords.\n```", "````{solution-end}\n````\n\nWords."):
        assert translation.wordy(text)


def test_lines_of_japanese_become_one_and_all_others_stay():
    code = "\n\n- 項目。\n- 次\n\n## 題\n本文。\n\n```\nあ。\nい\n```\n"
    text = translation.one_line("日本語、\nその続き。\n$x$ と\nEnglish" + code)
    assert text == "日本語、その続き。$x$ と\nEnglish" + code
    box = "```{note}\n:class: tip\nあ。\nい。\n```\n\nう。\nえ。"
    assert translation.one_line(box) == "```{note}\n:class: tip\nあ。い。\n```\n\nう。え。"
