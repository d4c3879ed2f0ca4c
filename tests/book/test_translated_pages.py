"""What becomes of the Japanese: the glossary, what Sphinx made of it, the editions for Colab."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import colab  # noqa: E402
import glossary  # noqa: E402
import languages  # noqa: E402
import terms  # noqa: E402
import translation  # noqa: E402

# --- the glossary


def test_terms_are_found_as_words_of_their_own():
    assert terms.english("離散（discrete）") == "discrete"
    assert terms.english("スコア関数") == "score-function estimator"
    assert re.search(terms.as_word("温度"), "高い温度では")
    assert not re.search(terms.as_word("温度"), "室温度計")
    assert re.search(terms.as_word("KL"), "KL情報量")
    assert not re.search(terms.as_word("KL"), "KLD")


def test_the_glossary_has_all_entries_by_their_readings_with_the_english_term():
    page = translation.markdown("book/glossary")
    found = re.findall(r"^\S.*$", translation.ENTRIES.search(page)[1], re.MULTILINE)
    assert {term for entry in glossary.entries() for term in entry} <= set(found)
    firsts = [terms.japanese(entry[0]) for entry in glossary.entries()]
    assert all(first in found for first in firsts)
    order = [found.index(name) for name in ("softmax", "アニーリング", "ガウス分布", "離散")]
    assert order == sorted(order)


def test_to_train_is_no_link_to_the_training_split(monkeypatch):
    monkeypatch.setattr(glossary, "LANGUAGE", "ja")
    assert "訓練データ" in glossary.used()
    assert not glossary.SHORT & glossary.used().keys()
    assert all(terms.english(form) for form in glossary.SHORT)


# --- what Sphinx made of it


def test_titles_of_exercises_stand_in_japanese_brackets_and_others_stay():
    title = '<p class="admonition-title">'
    made = f'{title}<span class="caption-number">演習 2.1 </span> (題)</p>'
    assert languages.full_width(made) == made.replace(" </span> (題)", "</span>（題）")
    made = f'{title}解答：<a class="x" href="#ex-a"> 演習 2.1 (題)</a></p>'
    assert languages.full_width(made).endswith(">演習 2.1（題）</a></p>")
    for stays in (f"{title}ヒント</p>", f"{title}演習 2.1</p>", "<p>損失 (loss)</p>"):
        assert languages.full_width(stays) == stays


def test_what_belongs_together_stays_on_one_line_but_code_is_left_alone():
    formula = r'<span class="math notranslate nohighlight">\(x\)</span>'
    body = f'<p title="方法">{formula}、{formula}の方法は95 %。</p><pre>方法 5 %</pre>'
    assert languages.unbroken(body) == (
        f'<p title="方法"><span class="whole">{formula}、</span>{formula}の'
        '<span class="whole">方法</span>は95\u00a0%。</p><pre>方法 5 %</pre>'
    )
    assert languages.unbroken(f"(as {formula}), or ({formula} alone)") == (
        f'(as <span class="whole">{formula}),</span> or '
        f'<span class="whole">({formula}</span> alone)'
    )


def test_the_space_before_a_link_in_a_title_is_not_a_part_of_it():
    context = {"body": '<p class="admonition-title">Solution to<a href="#a"> Exercise 2.1</a></p>'}
    languages.keep_together(None, None, None, context, None)
    assert '>Solution to <a href="#a">Exercise 2.1</a>' in context["body"]


# --- the editions for Colab


@pytest.fixture(scope="module")
def edition():
    path = colab.FOLDER / "ja" / "02_discrete_choices.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_an_edition_in_japanese_has_the_code_of_the_english_one(edition):
    path = colab.FOLDER / "02_discrete_choices.ipynb"
    english = json.loads(path.read_text(encoding="utf-8"))["cells"]
    titles = re.compile(r"^# @title .*\n|\nos\.environ\[\"GSLIB_LANGUAGE\"\].*")
    code, ours = (
        [titles.sub("", colab.text_of(cell)) for cell in cells if cell["cell_type"] == "code"]
        for cells in (english, edition)
    )
    assert ours == code
    assert [cell["id"] for cell in edition] == [cell["id"] for cell in english]


def test_an_edition_in_japanese_asks_for_hints_in_japanese(edition, monkeypatch):
    setup = next(colab.text_of(c) for c in edition if c["cell_type"] == "code")
    assert 'os.environ["GSLIB_LANGUAGE"] = "ja"' in setup
    from gsbook.reader.exercises import check

    monkeypatch.setenv("GSLIB_LANGUAGE", "ja")
    assert "クラスの数を足しています" in str(check("ex-choices-1", lambda a, b: a * b))
    assert check("ex-choices-1", lambda a, b: b**a)
    monkeypatch.delenv("GSLIB_LANGUAGE")
    assert str(check("ex-choices-1", lambda a, b: b**a)) == "Right."


def test_no_word_of_english_frames_an_edition_in_japanese(edition):
    text = "\n".join(colab.text_of(cell) for cell in edition)
    for english in ("Solution to", "Exercise", "The figure in words", "Set-up", "Fig."):
        assert english not in text
    assert "演習2.1" in text
    assert "図2.1" in text
    assert "/ja/notebooks/02_discrete_choices.html" in text
