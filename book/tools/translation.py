"""The translation of the book: its files in ja/, and how they join with the English pages.

    python book/tools/translation.py update PAGE…         let ja/PAGE.md follow the English page
    python book/tools/translation.py update hints         let ja/hints.yml follow the exercises
    python book/tools/translation.py check [PAGE…]        list what is stale or different
    python book/tools/translation.py check --release      fail on what is stale, too
    python book/tools/translation.py confirm PAGE KEY…    these pieces say what the English says

A PAGE is named as in _toc.yml: notebooks/02_discrete_choices, book/prerequisites. ja/PAGE.md holds
its translation piece by piece. A line `<!-- KEY HASH -->` stands above each piece:

    <!-- 782d382a 5f0c1b9e -->
    {the cell of this id in Japanese}

    <!-- fig-choices-between:caption 0b51a3c4 -->
    {the caption of this figure}

KEY is the id of a cell of text, `LABEL:caption` or `LABEL:alt` of a figure that code draws, in a
page the heading of a section, or in the glossary `term:ENTRY`. HASH is that of the English text
that was translated: where the English has changed since, the piece is stale. A piece that is still
in English is missing. Code cells and outputs are never here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from colab import ROLE, TARGET, directive, parser, shown, text_of
from repository import ROOT, address
from words import say

from notebooks import colab

FOLDER = ROOT / "ja"
HEADER = re.compile(r"^<!-- (\S+) ([0-9a-f]{8}) -->\n", re.MULTILINE)
JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # kana and kanji
GLOSSARY = "book/glossary"
# These stay English, and say so.
ENGLISH = (
    "book/api", "book/concordance", "book/choices", "book/protocol", "book/speed", "book/cluster",
    "book/status", "book/errata", "book/publishing",
)  # fmt: skip

# Directives whose body is text; the body of all others stays as it is.
OF_TEXT = {
    *("admonition", "dropdown", "exercise", "figure", "margin", "list-table"),
    *("note", "tip", "hint", "important", "warning", "caution", "danger", "seealso"),
}
# Those whose argument is a title, beside prf:theorem and its like.
TITLED = {"admonition", "dropdown", "exercise", "margin", "list-table"}


def digest(text: str) -> str:
    """Eight characters that stand for an English text, wherever the book has its address."""
    same = text.strip().replace(address(), "ADDRESS")
    return hashlib.sha256(same.encode()).hexdigest()[:8]


@cache
def pages() -> list[str]:
    """All pages of the table of contents, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


# --- the English pieces ---------------------------------------------------------------------------


def english(page: str, root: Path = ROOT) -> dict[str, str]:
    """Key -> English text of all pieces of a page that hold words, in their order."""
    notebook = root / f"{page}.ipynb"
    if notebook.exists():
        found = of_cells(json.loads(notebook.read_text(encoding="utf-8"))["cells"])
    else:
        text = (root / f"{page}.md").read_text(encoding="utf-8")
        found = of_glossary(text) if page == GLOSSARY else sections(text)
    return {key: text for key, text in found.items() if wordy(text)}


def of_cells(cells: list[dict]) -> dict[str, str]:
    found = {}
    for cell in cells:
        if cell["cell_type"] == "markdown" and "colab" not in cell["metadata"].get("tags", []):
            found[cell["id"]] = text_of(cell)
        label, caption, alt = shown(cell)
        if label:
            found |= {f"{label}:caption": caption, f"{label}:alt": alt}
    return found


def sections(text: str) -> dict[str, str]:
    """The sections of a page in Markdown by their headings; a label above a heading is with it."""
    lines, starts = text.split("\n"), []
    for token in parser().parse(text):
        if token.type == "heading_open" and token.level == 0:
            start = token.map[0]
            while start and re.fullmatch(r"\([\w-]+\)=", lines[start - 1]):
                start -= 1
            title = lines[token.map[0]].lstrip("# ")
            starts.append((start, slug(title)))
    found = {}
    for (start, name), (end, _) in zip(starts, [*starts[1:], (len(lines), "")], strict=True):
        while name in found:
            name += "-again"
        found[name] = "\n".join(lines[start:end]).strip("\n")
    return found


ENTRIES = re.compile(r"^```\{glossary\}\n(?::\w+:\n)*(.*?)^```$", re.DOTALL | re.MULTILINE)


def of_glossary(text: str) -> dict[str, str]:
    """The glossary's introduction, then the definition of each entry by its first term."""
    found = {"glossary": ENTRIES.sub("", text).strip()}
    for part in re.split(r"\n\s*\n", ENTRIES.search(text)[1]):
        lines = part.strip("\n").split("\n")
        body = "\n".join(line.strip() for line in lines if line.startswith(" "))
        if body:
            found[f"term:{slug(lines[0])}"] = body
    return found


WORDLESS = (
    r"^\$\$.*?\$\$.*?$|\$[^$\n]+\$",
    r"^`{3,}\{(solution-start|solution-end|bibliography|include)\}[^\n]*$|^:\w+:[^\n]*$",
    r"^`{3,}(\{[\w:-]+\})?",
)


def wordy(text: str) -> bool:
    """Whether there is something to translate: letters outside directives, formulas and roles."""
    for markup in WORDLESS:
        text = re.sub(markup, " ", text, flags=re.DOTALL | re.MULTILINE)
    return bool(re.search(r"[^\W\d_]{2}", ROLE.sub(" ", text)))


# --- the translated pieces ------------------------------------------------------------------------


@dataclass
class Piece:
    """A translated text, and the hash of the English one that it says."""

    hash: str
    text: str


def file_of(page: str, folder: Path = FOLDER) -> Path:
    return folder / f"{page}.md"


def translated(page: str, folder: Path = FOLDER) -> dict[str, Piece]:
    """Key -> piece of a page's file; nothing where there is none.

    Raises ValueError where a key stands twice or text stands above the first header.
    """
    path = file_of(page, folder)
    if not path.exists():
        return {}
    return parsed(path.read_text(encoding="utf-8"), f"{folder.name}/{page}.md")


def parsed(text: str, where: str) -> dict[str, Piece]:
    before, *rest = HEADER.split(text)
    if before.strip():
        raise ValueError(f"{where}: text above the first header, {before.strip()[:60]!r}. "
                         "A piece begins with a line <!-- KEY HASH -->.")  # fmt: skip
    found: dict[str, Piece] = {}
    for key, hash, body in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        if key in found:
            raise ValueError(f"{where}: {key} stands twice. Remove one of the two pieces.")
        found[key] = Piece(hash, body.strip("\n"))
    return found


def written(pieces: dict[str, Piece]) -> str:
    """The text of a file."""
    return "\n".join(f"<!-- {k} {p.hash} -->\n{p.text}\n" for k, p in pieces.items())


def align(originals: dict[str, str], pieces: dict[str, Piece]) -> dict[str, Piece]:
    """Key of the English text -> its piece, for those that have one.

    A cell's id depends on its text, so that a changed cell is another one. What has no partner by
    its key takes the one that stands at the same place, between the same neighbours.
    """
    keys = list(pieces)
    found = {key: pieces[key] for key in originals if key in pieces}
    lost: dict[str | None, list[str]] = {}  # by the piece before it
    last = None
    for key in keys:
        if key in originals:
            last = key
        else:
            lost.setdefault(last, []).append(key)
    last = None
    for key in originals:
        if key in pieces:
            last = key
        elif waiting := lost.get(last):
            twin = next((k for k in waiting if kind(k) == kind(key)), None)
            if twin:
                waiting.remove(twin)
                found[key] = pieces[twin]
    return {key: found[key] for key in originals if key in found}


def kind(key: str) -> str:
    """What a key names: a cell or section, a caption, an alternative text, an entry."""
    first, _, last = key.partition(":")
    return "" if not last else "term" if first == "term" else last


# --- is it the same? ------------------------------------------------------------------------------


@dataclass
class Structure:
    """What a translation must leave as it is: blocks in their order, and what stands in lines."""

    blocks: list[tuple] = field(default_factory=list)
    roles: Counter = field(default_factory=Counter)  # citations, links, numbers, results
    formulas: set[str] = field(default_factory=set)
    code: set[str] = field(default_factory=set)
    terms: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)  # in lines; § for what is no words

    @classmethod
    def of(cls, text: str) -> Structure:
        self = cls()
        self.read(text)
        return self

    def read(self, text: str) -> None:
        lines = text.split("\n")
        rows = 0
        for token in parser().parse(text):
            if token.type == "heading_open":
                self.blocks.append(("heading", token.tag))
            elif token.type in ("math_block", "math_block_label", "amsmath"):
                self.blocks.append(("formula", " ".join(token.content.split()), token.info))
            elif token.type == "myst_target":
                self.blocks.append(("label", token.content))
            elif token.type in ("tr_open", "table_open"):
                rows = rows + 1 if token.type == "tr_open" else 0
            elif token.type == "table_close":
                self.blocks.append(("table", f"{rows} rows"))
            elif token.type == "html_block":
                self.blocks.append(("html", *re.findall(r"<[^>]+>", token.content)))
            elif block := directive(token):
                self.directive(*block)
            elif token.type in ("fence", "colon_fence", "code_block"):
                self.blocks.append(("code", token.info, token.content))
            elif token.type in ("dl_open", "dt_open", "dd_open"):
                self.blocks.append((token.type,))
            elif token.type == "front_matter":
                self.blocks.append((token.type, lines[token.map[0]]))
            elif token.type == "inline":
                self.line(token)

    def directive(self, name, argument, options, body) -> None:
        title = name in TITLED or name.startswith("prf:")
        kept = tuple(sorted((k, v) for k, v in options.items() if k != "alt"))
        self.blocks.append(("directive", name, "" if title else argument, *kept))
        if title:
            self.read(argument)
        if name in OF_TEXT or name.startswith("prf:"):
            self.read(body)
        else:
            self.blocks.append(("body", body))

    def line(self, token) -> None:
        self.said.append("".join(map(seen, token.children or ())))
        for part in token.children or ():
            if part.type == "myst_role":
                name, content = part.meta["name"], " ".join(part.content.split())
                own = TARGET.fullmatch(content)
                target = own[2] if own else content
                if name == "term":
                    self.terms.add(target)
                elif name.startswith("cite"):
                    self.roles.update((name, key.strip()) for key in target.split(","))
                else:
                    self.roles[name, target] += 1
            elif part.type in ("math_inline", "math_inline_double"):
                self.formulas.add(" ".join(part.content.split()))
            elif part.type == "code_inline":
                self.code.add(part.content)
            elif part.type == "link_open":
                self.roles["link", part.attrGet("href")] += 1
            elif part.type == "image":
                self.roles["image", part.attrGet("src")] += 1
            elif part.type == "substitution_inline":
                self.roles["substitution", part.content] += 1


def seen(part) -> str:
    """What a reader sees of a part of a line; § is a formula, code, a role or an image."""
    if part.type in ("text", "html_inline"):
        return part.content if part.type == "text" else ""
    return "§" if part.content else {"softbreak": " ", "hardbreak": "\n"}.get(part.type, "")


MARK = "[、。（）「」『』：；！？]"
GAP = re.compile(rf".{{,9}}(?:\S +{MARK}|{MARK} +\S|[ぁ-鿿] +[ぁ-鿿]).{{,9}}")


def differences(original: str, translation: str) -> list[str]:
    """What a translation says in another way than by its words, each in a sentence."""
    a, b = Structure.of(original), Structure.of(translation)
    found = []
    for one, other in zip(a.blocks, b.blocks, strict=False):
        if one != other:
            found.append(f"where the English has {name_of(one)} stands {name_of(other)}")
            break
    else:
        for extra, of in (
            (a.blocks[len(b.blocks) :], "missing"),
            (b.blocks[len(a.blocks) :], "new"),
        ):
            found += [f"{of}: {name_of(block)}" for block in extra[:1]]
    for what in ("roles", "formulas", "code", "terms"):
        one, other = Counter(getattr(a, what)), Counter(getattr(b, what))
        found += [f"missing: {name_of(x)}" for x in one - other]
        found += [f"new: {name_of(x)}" for x in other - one]
    if "".join(b.said).count("*") > "".join(a.said).count("*"):
        found.append("* or ** that marks nothing: put brackets, 「」 and 。 outside of the stars")
    return found


def gaps(text: str) -> list[str]:
    """Where the reader of a translation sees a space that does not belong there."""
    return [
        f"a space where none should be: {found[0]}"
        for line in Structure.of(one_line(text)).said
        for found in GAP.finditer(line)
    ]


def name_of(thing) -> str:
    words = " ".join(map(str, thing)) if isinstance(thing, tuple) else f"`{thing}`"
    return words if len(words) < 90 else words[:87] + "…"


# --- the state of a page --------------------------------------------------------------------------


STALE = "stale: the English has changed"


@dataclass
class State:
    """One English text, its translation if there is one, and what is wrong with that."""

    key: str
    original: str
    piece: Piece | None = None
    differs: list[str] = field(default_factory=list)

    @property
    def missing(self) -> bool:
        return self.piece is None or not JAPANESE.search(self.piece.text)

    @property
    def stale(self) -> bool:
        return not self.missing and self.piece.hash != digest(self.original)

    def __str__(self) -> str:
        if self.missing:
            return "missing"
        words = [STALE] if self.stale else []
        return "; ".join([*words, *self.differs])


def states(page: str, root: Path = ROOT) -> dict[str, State]:
    """Key -> state of all texts of a page."""
    originals = english(page, root)
    pieces = align(originals, translated(page, root / FOLDER.name))
    found = {}
    for key, original in originals.items():
        state = State(key, original, pieces.get(key))
        if not state.missing:
            state.differs = differences(original, state.piece.text)
        found[key] = state
    return found


# --- joining --------------------------------------------------------------------------------------

NOTE = """\
```{{admonition}} 英語版が更新されています
:class: warning stale
{text}
```"""
PAGE_NOTE = """\
```{{note}}
:class: untranslated
{text}
```"""
OLD = (
    "この箇所の英語版は、翻訳の後で書き改められました。以下は改訂前の訳です。"
    "最新の内容は、ページ上部の「English」から開く英語版の同じ箇所をご覧ください。"
)
CHANGED = (
    "この箇所は英語版の改訂に翻訳がまだ追いついていません。以下では英語の本文をそのまま示します。"
)
OLD_CAPTION = "（英語版はこの説明の翻訳後に改訂されました。）"
BUTTON = "[Colabで開く]({url})"
UNTRANSLATED = "このページの翻訳はまだありません。以下は英語版の本文です。"
PARTLY = "このページの翻訳は途中です。まだ訳されていない箇所は英語のまま示します。"
STAYS = "このページは英語のみで提供しています。"


def noted(text: str, words: str) -> str:
    """A text with a yellow note before it, or after the heading that it begins with."""
    note = NOTE.format(text=words)
    head = re.match(r"(?:\([\w-]+\)=\n)*#+ .*\n*", text)
    return f"{head[0].rstrip()}\n\n{note}\n\n{text[head.end() :]}" if head else f"{note}\n\n{text}"


LETTER = r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
STOP = r"[、。」）：！？]"  # after it, a line may go on with a formula or a Latin word, too
MARKS = r"\s*([-+*] |\d+\. |#|>|\||`{3,}|:{3,}|\$\$|:[\w-]+:|\([\w-]+\)=|<!--|$)"
FENCE = re.compile(r"\s*(`{3,}|~{3,}|:{3,})(.*)")
# Directives whose lines are no text.
NO_TEXT = r"\{(math|raw|code|code-block|code-cell|bibliography|include|glossary)\}"


def one_line(text: str) -> str:
    """Lines that end and begin with Japanese become one: no browser drops the space between."""
    out: list[str] = []
    open_fences: list[tuple[str, bool]] = []  # its marks, and whether it holds no text
    for line in text.split("\n"):
        last = out[-1] if out else ""
        goes_on = re.search(LETTER + "$", last) and re.match(r"\s*" + LETTER, line)
        goes_on = goes_on or (re.search(STOP + "$", last) and not re.match(MARKS, line))
        literal = bool(open_fences) and open_fences[-1][1]
        if goes_on and not literal and not re.match(r"\s*(#|`{3,}|:{3,}|\||<!--|:[\w-]+:)", last):
            out[-1] = last + line.lstrip()
            continue
        out.append(line)
        if fence := FENCE.fullmatch(line):
            if open_fences and not fence[2].strip() and fence[1] == open_fences[-1][0]:
                open_fences.pop()
            elif not literal:
                code = not fence[2].startswith("{") or bool(re.match(NO_TEXT, fence[2]))
                open_fences.append((fence[1], code))
    return "\n".join(out)


def joined(state: State) -> str:
    """The text that a page of the translated book shows."""
    if state.missing:
        return state.original
    if kind(state.key) == "alt":
        return state.original if state.differs else " ".join(state.piece.text.split("\n"))
    if kind(state.key) == "caption":
        if state.differs:
            return state.original
        return one_line(state.piece.text) + (OLD_CAPTION if state.stale else "")
    if state.differs:
        return noted(state.original, CHANGED)
    text = one_line(state.piece.text)
    return noted(text, OLD) if state.stale and kind(state.key) != "term" else text


def page_note(page: str, found: dict[str, State]) -> str:
    """What stands below the title of a page that is not translated, or not all of it."""
    if page in ENGLISH:
        return STAYS
    missing = sum(state.missing for state in found.values())
    return "" if not missing else UNTRANSLATED if missing == len(found) else PARTLY


def below_title(text: str, words: str) -> str:
    head = re.match(r"# .*", text)
    if not words or not head:
        return text
    return f"{head[0]}\n\n{PAGE_NOTE.format(text=words)}\n{text[head.end() :]}"


def notebook(page: str, root: Path = ROOT, url: str = "", text: str | None = None) -> dict:
    """A chapter with the translated texts in the places of the English ones, without outputs.

    text: of the chapter, where it is not as stored.
    """
    whole = json.loads(text or (root / f"{page}.ipynb").read_text(encoding="utf-8"))
    found = states(page, root)
    for cell in whole["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "colab" in tags and file_of(page, root / FOLDER.name).exists():
            cell["source"] = [
                BUTTON.format(url=colab(url or address(), f"ja/{Path(page).name}.ipynb"))
            ]
        if "colab" in tags and (words := page_note(page, found)):
            cell["source"] = [*cell["source"], "\n\n" + PAGE_NOTE.format(text=words)]
        if "setup" in tags:
            shown_as = cell["metadata"]["mystnb"]
            shown_as |= {key: say(text, "ja") for key, text in shown_as.items()}
        if cell["id"] in found:
            cell["source"] = joined(found[cell["id"]]).splitlines(keepends=True)
        label = shown(cell)[0]
        if f"{label}:caption" in found:
            cell["metadata"]["mystnb"]["figure"]["caption"] = joined(found[f"{label}:caption"])
        if f"{label}:alt" in found:
            cell["metadata"]["mystnb"]["image"]["alt"] = joined(found[f"{label}:alt"])
    return whole


def markdown(page: str, root: Path = ROOT) -> str:
    """A page in Markdown, translated."""
    source = (root / f"{page}.md").read_text(encoding="utf-8")
    found = states(page, root) if page not in ENGLISH else {}
    if page == GLOSSARY:
        import terms

        text = terms.page(source, found)
    else:
        texts = sections(source)
        text = "\n\n".join(joined(found[k]) if k in found else t for k, t in texts.items()) + "\n"
    return below_title(text, page_note(page, found))


# --- following the English ------------------------------------------------------------------------


@cache
def known() -> dict[str, str]:
    """Hash of an English text -> its translation, of all files: 'References' is in every one."""
    return {
        piece.hash: piece.text
        for path in sorted(FOLDER.rglob("*.md"))
        for piece in parsed(path.read_text(encoding="utf-8"), path.name).values()
        if JAPANESE.search(piece.text)
    }


def updated(page: str, root: Path = ROOT) -> str:
    """The file of a page that follows the English one: keys of today, what is new in English."""
    originals = english(page, root)
    pieces = align(originals, translated(page, root / FOLDER.name))
    for key, text in originals.items():
        now = digest(text)
        if key not in pieces or not JAPANESE.search(pieces[key].text):
            pieces[key] = Piece(now, known().get(now, text))
    return written({key: pieces[key] for key in originals})


# --- hints ----------------------------------------------------------------------------------------

HINTS = FOLDER / "hints.yml"
ABOVE_HINTS = """\
# 演習のヒント：英語の文と、その日本語。英語のままの行は未訳。
# python book/tools/translation.py update hints が、新しいヒントを加え、なくなったものを除く。
"""


def wanted_hints() -> dict[str, list[str]]:
    """Chapter -> the English hints of its exercises; what is said of any answer comes first."""
    from gsbook.answers import CHAPTERS
    from gsbook.reader import exercises

    said = ("BLANK", "RIGHT", "STOPS", "NO_FUNCTION", "NOT_RIGHT")
    found = {"any": [getattr(exercises, name) for name in said]}
    for chapter in CHAPTERS:
        hints = [hint for one in chapter.EXERCISES.values() for hint in one.wrong]
        found[chapter.__name__.rsplit(".", 1)[-1]] = list(dict.fromkeys(hints))
    return found


def kept_hints() -> dict[str, str]:
    return yaml.safe_load(HINTS.read_text(encoding="utf-8")) if HINTS.exists() else {}


def updated_hints() -> str:
    """The file of hints with those of today, a comment above each chapter's."""
    kept, parts = kept_hints(), [ABOVE_HINTS]
    for chapter, hints in wanted_hints().items():
        lines = [f"{quoted(hint)}: {quoted(kept.get(hint, hint))}" for hint in hints]
        parts.append("\n".join([f"# --- {chapter}", *lines]) + "\n")
    return "\n".join(parts)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def missing_hints() -> list[str]:
    kept = kept_hints()
    hints = [hint for chapter in wanted_hints().values() for hint in chapter]
    return [hint for hint in hints if not JAPANESE.search(kept.get(hint, ""))]


# --- commands -------------------------------------------------------------------------------------


def problems(wanted: list[str], root: Path = ROOT) -> tuple[list[str], int, int]:
    """(lines on pieces that differ or have no place, number of stale ones, of missing ones)."""
    lines, stale, missing = [], 0, 0
    for page in (name for name in wanted if name not in ENGLISH):
        try:
            found = states(page, root)
        except ValueError as error:  # of a file that cannot be read
            lines.append(str(error))
            continue
        for key, state in found.items():
            missing += state.missing
            stale += state.stale
            if not state.missing and str(state):
                lines.append(f"{FOLDER.name}/{page}.md, {key}: {state}")
            if not state.missing:
                lines += [
                    f"{FOLDER.name}/{page}.md, {key}: {gap}" for gap in gaps(state.piece.text)
                ]
        placed = [state.piece for state in found.values()]
        lines += [
            f"{FOLDER.name}/{page}.md, {key}: no English text has this key, and none stands here; "
            "`update` removes it"
            for key, piece in translated(page, root / FOLDER.name).items()
            if not any(piece.text == one.text for one in placed if one)
        ]
    return lines, stale, missing


def main(arguments: list[str]) -> int:
    parse = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parse.add_argument("command", choices=("update", "check", "confirm"))
    parse.add_argument("--release", action="store_true", help="fail on stale pieces, too")
    parse.add_argument("names", nargs="*", metavar="PAGE or KEY")
    given = parse.parse_args(arguments)
    names = [name.removeprefix("ja/").removesuffix(".md") for name in given.names]
    started = [page for page in pages() if file_of(page).exists()]
    if given.command == "confirm":
        if not names or names[0] not in started:
            parse.error(f"confirm needs a page first, one of {', '.join(started)}; got {names[:1]}")
        return confirm(names[0], given.names[1:])
    wanted = names or started
    if wanted == ["hints"] and given.command == "update":
        HINTS.write_text(updated_hints(), encoding="utf-8")
        return 0
    there = [page for page in pages() if page not in ENGLISH]
    if unknown := [page for page in wanted if page not in there]:
        parse.error(f"no page to translate: {', '.join(unknown)}; there are {', '.join(there)}")
    if given.command == "update":
        for page in wanted:
            file_of(page).parent.mkdir(parents=True, exist_ok=True)
            file_of(page).write_text(updated(page), encoding="utf-8")
            print(f"{FOLDER.name}/{page}.md follows {page}")
        return 0
    lines, stale, missing = problems(wanted)
    hints = len(missing_hints())
    print("\n".join([*lines, f"{stale} stale, {missing} missing, {hints} hints in English"]))
    different = any(STALE not in line for line in lines)  # what is stale may differ as well
    return int(different or (given.release and bool(stale)))


def confirm(page: str, keys: list[str]) -> int:
    """Note that these pieces, or `all`, say what the English says today."""
    originals, pieces = english(page), translated(page)
    for key in originals if keys == ["all"] else keys:
        if key not in originals or key not in pieces:
            print(f"{FOLDER.name}/{page}.md has no {key}: `update` it first", file=sys.stderr)
            return 1
        pieces[key].hash = digest(originals[key])
    file_of(page).write_text(written(pieces), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
