"""Sphinx extension of both editions: from a page to the same page in the other language, and what
the Japanese edition needs: anchors of the English pages, its search, words of the theme."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import citation
import sphinx.locale
import translation
import words
from myst_nb.sphinx_ext import NbMetadataCollector
from repository import LANGUAGE, ROOT, SOURCE
from sphinx import search
from sphinx.transforms import SphinxTransform

NAMES = {"en": "English", "ja": "日本語"}
OTHER = {"en": "ja", "ja": "en"}[LANGUAGE]
TIMES = SOURCE / "times.json"  # page -> seconds that its notebook took, from the English build
CATALOGUES = ("sphinx", "booktheme", "exercise", "proof", "togglebutton")


# --- from one language to the other ---------------------------------------------------------------


def switch(app, page, template, context, doctree):
    """The link to the same page in the other language, and what search engines read of it."""
    if not (ROOT / "ja").is_dir():  # a book in one language
        return
    up = "../" * page.count("/")
    url = f"{up}ja/{page}.html" if LANGUAGE == "en" else f"{up}../{page}.html"
    context["language_switch"] = {"url": url, "code": OTHER, "name": NAMES[OTHER]}
    address = citation.site()
    if not address.endswith("/"):  # a repository elsewhere, whose pages have no address
        return
    links = {"en": f"{address}{page}.html", "ja": f"{address}ja/{page}.html"}
    links["x-default"] = links["en"]
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<link rel="alternate" hreflang="{code}" href="{link}">' for code, link in links.items()
    )


class SameAnchors(SphinxTransform):
    """Gives the sections of a Japanese page the anchors of the English ones, whose titles they are
    made of: a link to a place then holds in both."""

    default_priority = 350  # targets have gone to their sections, and labels are not collected yet

    def apply(self, **_):
        kept = ROOT / "_build" / ".doctrees" / f"{self.env.docname}.doctree"
        if not kept.exists():
            return
        english = [s["ids"] for s in pickle.loads(kept.read_bytes()).findall(is_section)]
        sections = list(self.document.findall(is_section))
        if len(sections) != len(english):
            return
        renamed = {}
        for section, ids in zip(sections, english, strict=True):
            for old in section["ids"]:
                renamed[old] = ids[0] if old not in ids else old
                self.document.ids.pop(old, None)
            section["ids"] = list(ids)
        for section in sections:
            self.document.ids |= dict.fromkeys(section["ids"], section)
        for name, id in self.document.nameids.items():
            self.document.nameids[name] = renamed.get(id, id)


def is_section(node) -> bool:
    return node.tagname == "section"


# --- the search -----------------------------------------------------------------------------------

KATAKANA, MIXED = "ァ-ヺー", "ぁ-ゟ㐀-鿿々"
WORD = rf"[{KATAKANA}]+|[{MIXED}]+|(?:(?![{KATAKANA}{MIXED}])%s)+"


def pieces(text: str) -> list[str]:
    """What of a text goes into the index: words in Latin letters or katakana as they are, and of
    kanji and hiragana every two neighbours, and each kanji by itself.

    A dictionary would cut a text in one way and a question in another. Neighbours are the same in
    both, and so every part of a sentence finds it.

    >>> pieces("摂動ロジットは")
    ['摂動', '摂', '動', 'ロジット', 'は']
    """
    found = []
    for word in re.findall(WORD % r"\w", text):
        if re.match(f"[{MIXED}]{{2}}", word):
            found += [word[i : i + 2] for i in range(len(word) - 1)]
            found += re.findall("[㐀-鿿]", word)
        else:
            found.append(word)
    return found


SPLIT = r"""
function splitQuery(query) {
  const found = [];
  for (const [word] of query.matchAll(/WORD/gu)) {
    if (!/^[MIXED]{2}/u.test(word)) found.push(word);
    else for (let i = 0; i < word.length - 1; i++) found.push(word.slice(i, i + 2));
  }
  return found;
}
"""


class Neighbours(search.SearchLanguage):
    """The search of the Japanese edition; the script cuts a question as `pieces` cuts a text."""

    lang = "ja"
    language_name = "Japanese"
    js_splitter_code = SPLIT.replace("WORD", WORD % r"[\p{Letter}\p{Number}_]")
    js_splitter_code = js_splitter_code.replace("MIXED", MIXED)

    def split(self, input):
        return pieces(input)

    def stem(self, word):
        return word.lower()

    def word_filter(self, word):
        return True


# --- the Japanese edition -------------------------------------------------------------------------

LATIN = re.compile(r"<em>([^<\u3040-\u30ff\u3400-\u9fff]*)</em>")
# What the extension of exercises and theorems puts around their titles is for Latin letters.
TITLE = re.compile(r'(<p class="admonition-title">[^\n(]*?) ?(</span>)? \((.*)\)((?:</a>)?</p>)')
# Browsers break lines beside a formula, where a bracket or a stop is left alone, and in some words.
FORMULA = r'<span class="math notranslate nohighlight">(?:(?!</span>).)*</span>'
BEFORE, BEHIND = r"[(\[“（「『]", r"[)\].,;:!?”、。，．）」』：；！？]"
GLUED = f"{BEFORE}*{FORMULA}{BEHIND}+|{BEFORE}+{FORMULA}"
WHOLE = re.compile(
    r"<(pre|script|style|svg|title)\b.*?</\1>|(" + GLUED + r")|<[^>]*>|"
    r"(第\d+章|図\d+[ab]?|一部分|部分集合|平方根|方程式|方法|方向|方策|間違い|手書き|前向き|"
    "全(?:クラス|ユニット|画像))|"
    r"(?<=\d)( )%",
    re.DOTALL,
)
IN_ENGLISH = (translation.UNTRANSLATED, translation.STAYS)


def full_width(body: str) -> str:
    """Titles of exercises and theorems in Japanese brackets, without the spaces beside them.

    >>> full_width('<p class="admonition-title">解答：<a href="#a"> 演習 2.1 (題)</a></p>')
    '<p class="admonition-title">解答：<a href="#a">演習 2.1（題）</a></p>'
    >>> full_width('<p class="admonition-title"><span class="n">定理 3.1 </span> (題)</p>')
    '<p class="admonition-title"><span class="n">定理 3.1</span>（題）</p>'
    """
    return TITLE.sub(
        lambda m: f"{m[1]}{m[2] or ''}（{m[3]}）{m[4]}".replace("> 演習", ">演習"), body
    )


def unbroken(body: str) -> str:
    """What belongs together stays on one line.

    >>> unbroken("<p>方法は95 %。</p><pre>方法</pre>")
    '<p><span class="whole">方法</span>は95\xa0%。</p><pre>方法</pre>'
    >>> unbroken('the test (<span class="math notranslate nohighlight">m</span>) of')
    'the test <span class="whole">(<span class="math notranslate nohighlight">m</span>)</span> of'
    """

    def whole(found):
        if found[4]:
            return "\u00a0%"
        text = found[2] or found[3]
        return f'<span class="whole">{text}</span>' if text else found[0]

    return WHOLE.sub(whole, body)


def mark_languages(app, page, template, context, doctree):
    """Latin words keep their italics, and pages that are in English say so to screen readers."""
    body = LATIN.sub(r'<em class="latin">\1</em>', context.get("body", ""))
    body = full_width(body).replace("<p>Proof. ", f"<p>{words.say('Proof', 'ja')}。")
    if any(words in body for words in IN_ENGLISH):
        body = body.replace("<section ", '<section lang="en" ', 1)
        body = re.sub(
            r'<div class="untranslated', '<div lang="ja" class="untranslated', body, count=1
        )
    context["body"] = body


def keep_together(app, page, template, context, doctree):
    """In both languages; and the line under a link does not begin below the space before it."""
    body = re.sub(
        r'(<p class="admonition-title">[^<]*)(<a [^>]*>) ', r"\1 \2", context.get("body", "")
    )
    context["body"] = unbroken(body)


def configure(app, *_):
    """The words of the theme and of the extensions, where their own are missing or others. Some
    bring theirs when the settings are read, some when the builder is there."""
    for name in CATALOGUES:
        if catalogue := sphinx.locale.translators.get(("general", name)):
            catalogue._catalog |= (
                words.table()
            )  # a NullTranslations has none, but Japanese is there


# What the theme's templates and a script say in English alone, whatever the language.
FIXED = (
    "Toggle primary sidebar", "Toggle secondary sidebar", "Toggle hidden content",
    "Search this book...", "Main", "Page",
)  # fmt: skip
COPY = """messages['ja'] = {'copy': 'コピー', 'copy_to_clipboard': 'クリップボードにコピー',
  'copy_success': 'コピーしました', 'copy_failure': 'コピーできません'};
"""
ATTRIBUTE = re.compile(rf'\b(title|aria-label|placeholder)="({"|".join(map(re.escape, FIXED))})"')


def translate_fixed(app, failed):
    """Put words into what templates and scripts have made, once the pages are written."""
    for path in (*Path(app.outdir).rglob("*.html"), Path(app.outdir, "_static", "togglebutton.js")):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        ours = ATTRIBUTE.sub(lambda found: f'{found[1]}="{words.say(found[2], "ja")}"', text)
        if ours != text:
            path.write_text(ours, encoding="utf-8")
    path = Path(app.outdir, "_static", "copybutton.js")  # knows no Japanese
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text and COPY not in text:
        path.write_text(text.replace("let locale = 'en'", COPY + "let locale = 'en'", 1), "utf-8")


def write_words(app):
    """The sentences of the pages' scripts."""
    table = {
        text: words.table()[text] for text in sorted(words.in_scripts() & words.table().keys())
    }
    text = f"window.bookWords = {json.dumps(table, ensure_ascii=False, indent=0)};\n"
    path = Path(app.outdir, "_static", "words.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def note_times(app, doctree):
    """What a chapter took when the English edition ran it."""
    times = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    if (seconds := times.get(app.env.docname)) is not None:
        NbMetadataCollector.set_exec_data(app.env, app.env.docname, {"runtime": seconds})


def setup(app):
    app.add_js_file("say.js", priority=200)
    app.connect("html-page-context", switch)
    if LANGUAGE == "ja":
        app.add_js_file("words.js", priority=201)
        app.add_css_file("ja.css", priority=900)
        app.add_transform(SameAnchors)
        app.connect("config-inited", configure, priority=100)  # before titles of numbers are made
        app.connect("builder-inited", configure, priority=900)
        app.connect("builder-inited", write_words)
        app.connect("html-page-context", mark_languages)
        app.connect("build-finished", translate_fixed)
        app.connect("doctree-read", note_times, priority=100)  # before the reader's aids
        app.add_search_language(Neighbours)
    app.connect("html-page-context", keep_together)  # after the titles have their brackets
    return {"parallel_read_safe": True, "parallel_write_safe": True}
