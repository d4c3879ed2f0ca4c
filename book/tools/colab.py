"""The chapters as notebooks in plain Markdown, the editions that Colab and GitHub show.

    python book/tools/colab.py           write notebooks/colab, and in it those in Japanese
    python book/tools/colab.py --check   change nothing; fail and list the editions to be renewed

Chapters are written in MyST, which only the book can show. An edition says the same in plain
Markdown: roles are links, numbers and titles; numbers are the book's; solutions are folded;
captions stand under figures; sentences with glued results are cells that fill them in. There are
no outputs, for which the chapter would have to be run, and the first lines say so. A chapter with
a translation has an edition in Japanese as well, in notebooks/colab/ja.

As an extension of Sphinx, this module leads the book's Colab button to the edition.
"""

import ast
import html
import importlib
import json
import re
import sys
import textwrap
from functools import cache
from pathlib import Path

import citation
import yaml
from bibliography import BookStyle
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.backends import markdown
from pybtex.database import parse_file
from repository import LANGUAGE
from words import say

from notebooks import KERNEL, ROOT, address, colab

FOLDER = ROOT / "notebooks" / "colab"

NOTICE = """\
This notebook is {what} of the open book [{book}]({site}), made for Colab: all of the text, and
all of the code. It is stored without outputs. Figures and numbers appear as you run its
cells from top to bottom; *Runtime → Run all* runs them in one go. To read them without running
anything, open [its page in the book]({page}). Solutions are folded: a click opens them.

{links}"""

# Blocks of MyST that become quotes. Those in the first line have a title of their own.
ADMONITIONS = {
    *("admonition", "dropdown"),
    *("note", "tip", "hint", "important", "warning", "caution", "danger", "seealso", "margin"),
}
STATEMENTS = {"theorem", "proposition", "lemma", "corollary", "definition", "remark", "example"}
LEFT_OUT = {"myst_line_comment", "myst_block_break"}
UNKNOWN = ("front_matter", "amsmath", "substitution", "footnote", "dl_open")  # as a token begins

# A role, or a stretch of code, in which nothing is a role.
ROLE = re.compile(r"\{([\w:.+-]+)\}(`+)(.+?)(?<!`)\2(?!`)|(`+)(?!`).+?(?<!`)\4(?!`)", re.S)
TARGET = re.compile(r"(.*?)\s*<([^<>]+)>")  # of a role that brings its own text: text <target>
SENTENCE = re.compile(r"(?<=[.!?])\s+(?![a-z])")  # between two sentences
SENTENCES = {"en": SENTENCE, "ja": re.compile(r"(?<=[。！？])\s*(?=\S)")}
LIST = re.compile(r"\s*([-+*>|#]|\d+[.)])( |$)")  # what begins no paragraph


@cache
def parser():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


@cache
def references():
    """Key of a reference -> its label and its text in Markdown, in the book's order and style."""
    found = BookStyle().format_bibliography(parse_file(str(ROOT / "book" / "references.bib")))
    return {e.key: (e.label, " ".join(e.text.render(Plain()).split())) for e in found}


class Plain(markdown.Backend):
    """Markdown that escapes no bracket, for Colab would take that for mathematics."""

    def format_str(self, text):
        return re.sub(r"([*_`$<])", r"\\\1", text)


def text_of(cell):
    return "".join(cell["source"])


def shown(cell):
    """Label, caption and alternative text of the figure that a code cell draws."""
    book = cell["metadata"].get("mystnb", {})
    figure = book.get("figure", {})
    return figure.get("name"), figure.get("caption"), book.get("image", {}).get("alt", "")


def directive(token):
    """(name, argument, options, body) of a fence that is a directive, or None."""
    head = re.fullmatch(r"\{([\w:-]+)\}\s*(.*)", token.info.strip())
    if token.type not in ("fence", "colon_fence") or not head:
        return None
    lines, options = token.content.split("\n"), {}
    while lines and (option := re.fullmatch(r":([\w-]+):\s*(.*)", lines[0])):
        options[option[1]] = option[2]
        lines.pop(0)
    return head[1], head[2], options, "\n".join(lines).strip("\n")


NUMBERED = ("Fig.", "Figure", "Equation", "Exercise", *map(str.capitalize, sorted(STATEMENTS)))


class Labels:
    """What labels lead to, with the book's numbers: each kind is counted through a chapter.

    numbered: names of the numbered chapters. The book counts through all other pages together,
    those that are no notebooks too, so figures of these notebooks have no number here.
    """

    def __init__(self, chapters, numbered):
        self.chapters, self.numbered, others = list(chapters), list(numbered), {}
        self.titles = {name: text_of(cells[0])[1:].strip() for name, cells in chapters.items()}
        self.found = {}  # label -> (chapter, cell, kind, number, title)
        for name, cells in chapters.items():
            self.chapter, self.count = name, {} if name in self.numbered else others
            for cell in cells:
                self.cell = cell["id"]
                if cell["cell_type"] == "markdown":
                    self.scan(text_of(cell))
                elif label := shown(cell)[0]:
                    self.add("Fig.", label)

    def number(self, chapter):
        """The number of a chapter, or 0."""
        return self.numbered.index(chapter) + 1 if chapter in self.numbered else 0

    def add(self, kind, label, title=""):
        self.count[kind] = self.count.get(kind, 0) + 1
        number = f"{self.count[kind]}"
        if chapter := self.number(self.chapter):
            number = f"{chapter}.{number}"
        elif kind == "Fig.":
            kind, number = "Figure", ""
        if label:
            self.found[label] = (self.chapter, self.cell, kind, number, title)

    def scan(self, text):
        for token in parser().parse(text):
            block = directive(token)
            if token.type == "math_block_label":
                self.add("Equation", token.info)
            elif token.type == "myst_target":
                title = self.titles[self.chapter]
                self.found[token.content] = (self.chapter, self.cell, "", "", title)
            elif block:
                name, title, options, body = block
                kind = name.removeprefix("prf:")
                if kind in STATEMENTS | {"exercise"}:
                    self.add(kind.capitalize(), options.get("label"), title)
                elif name == "figure":
                    self.add("Fig.", options.get("name"))
                self.scan(body)


class Edition:
    """One chapter in plain Markdown. url: the repository's public address. english: for an edition
    in another language, the titles of the chapters that are in English alone."""

    def __init__(self, chapter, cells, labels, url, language="en", english=()):
        self.language, self.english = language, english
        self.chapter, self.chapter_cells, self.labels, self.url = chapter, cells, labels, url
        self.cited, self.section, self.solution, self.said = set(), 0, "", False
        self.at, self.cells = 0, []

    def text(self):
        """The notebook as it is stored."""
        for i, cell in enumerate(self.chapter_cells):
            self.at, tags = i, cell["metadata"].get("tags", [])
            if "colab" in tags:
                self.add("markdown", self.notice(), cell["id"])
            elif cell["cell_type"] == "markdown":
                for k, (kind, source) in enumerate(self.passages(text_of(cell))):
                    self.add(kind, source, cell["id"] + (f"-{k + 1}" if k else ""), kind == "code")
            else:
                setup = self.words("Set-up: run this cell first")
                self.code(cell, setup if "setup" in tags else self.solution)
        listed = [(key, *entry) for key, entry in references().items() if key in self.cited]
        items = "\n".join(f'- <a id="{key}"></a>[{label}] {text}' for key, label, text in listed)
        for cell in self.cells:
            source = cell["source"].replace("\1references\1", items)
            cell["source"] = source.splitlines(keepends=True)
        metadata = {"colab": {"provenance": [], "toc_visible": True}, "kernelspec": KERNEL}
        metadata |= {"language_info": {"name": "python"}}
        whole = {"cells": self.cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    def add(self, kind, source, id, folded=False):
        if "\0" in source:
            self.fail("{glue:text} in a solution or a caption")
        metadata = {"id": id}  # Colab's own, so that a link can lead to the cell
        if folded:
            metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        cell = {"cell_type": kind, "id": id, "metadata": metadata, "source": source}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        self.cells.append(dict(sorted(cell.items())))

    def words(self, text, **values):
        """The edition's own words, in its language."""
        return say(text, self.language, **values)

    def code(self, cell, title):
        source, (label, caption, alt) = text_of(cell), shown(cell)
        if self.language != "en" and "setup" in cell["metadata"].get("tags", []):
            source += f'\nos.environ["GSLIB_LANGUAGE"] = "{self.language}"  # of hints'
        source = f"# @title {title}\n{source}" if title else source
        self.add("code", source, cell["id"], folded=bool(title))
        if label:
            caption = self.caption(label, self.inline(caption), alt)
            self.add("markdown", caption, cell["id"] + "-caption")

    def caption(self, label, caption, alt=""):
        _, _, kind, number, _ = self.find(label)
        words = f"\n\n{details(self.words('The figure in words'), alt)}" if alt else ""
        numbered = self.numbered(kind, number)
        return f'<a id="{label}"></a>**{numbered}{self.words(".")}** {caption}{words}'

    def numbered(self, kind, number):
        """Exercise 3.1"""
        return self.words("{kind} {number}", kind=self.words(kind), number=number).strip()

    def notice(self):
        links, order = [], self.labels.chapters
        for k, name in enumerate(order):
            number = self.labels.number(name)
            if name == self.chapter:
                links.append(self.link_to(name, self.words("Open this notebook in Colab")))
                what = self.words("chapter {n}", n=number) if number else self.words("a page")
            elif abs(k - list(order).index(self.chapter)) == 1:
                before = self.words("Chapter {n}: ", n=number) if number else ""
                links.append(before + self.link_to(name))
        return self.words(
            NOTICE,
            what=what,
            book=self.words(citation.TITLE),
            site=self.page(""),
            page=self.page(f"notebooks/{self.chapter}"),
            links=" · ".join(links),
        )

    # --- links

    def page(self, name, anchor=""):
        """The public address of a page of the book."""
        folder = "" if self.language == "en" else f"{self.language}/"
        return citation.site(folder + (f"{name}.html{anchor}" if name else ""), self.url)

    def link_to(self, chapter, title="", anchor=""):
        folder = "" if self.language == "en" or chapter in self.english else f"{self.language}/"
        address = colab(self.url, f"{folder}{chapter}.ipynb")
        return f"[{title or self.labels.titles[chapter]}]({address}{anchor})"

    def fail(self, what):
        raise ValueError(
            f"notebooks/{self.chapter}.ipynb, cell {self.at}: {what}. "
            "Write it in another way, or teach book/tools/colab.py what Colab shall show."
        )

    def find(self, label):
        """(chapter, cell, kind, number, title) of what a label stands for."""
        if label not in self.labels.found:
            self.fail(f"no chapter has the label {label!r}")
        return self.labels.found[label]

    def label(self, target, text):
        """A link to a label; ``text`` takes its kind, number and title."""
        chapter, cell, kind, number, title = self.find(target)
        text = text.replace("{kind} {number}", self.numbered(kind, number))
        text = text.replace("{number}", number).replace("{title}", title).strip()
        if chapter == self.chapter:
            return f"[{text}](#{target})"
        return self.link_to(chapter, text, f"#scrollTo={cell}")

    def cite(self, keys, textual):
        keys = [key.strip() for key in keys.split(",")]
        if unknown := [key for key in keys if key not in references()]:
            self.fail(f"no reference {', '.join(unknown)} in book/references.bib")
        self.cited.update(keys)
        labels = [(key, references()[key][0]) for key in keys]
        if not textual:
            return f"[{', '.join(f'[{label}](#{key})' for key, label in labels)}]"
        parts = [(key, *label.rsplit(", ", 1)) for key, label in labels]
        return ", ".join(f"{names} [[{year}](#{key})]" for key, names, year in parts)

    # --- text in a line

    def inline(self, text):
        return ROLE.sub(lambda found: self.role(found[1], found[3]) if found[1] else found[0], text)

    def role(self, name, content):
        content = " ".join(content.split())
        own = TARGET.fullmatch(content)
        title, target = own.groups() if own else ("", content)
        if name in ("cite", "cite:p", "cite:t"):
            return self.cite(content, name == "cite:t")
        if name == "eq":
            return self.label(content, "({number})")
        if name in ("numref", "ref", "prf:ref"):
            default = "{title}" if name == "ref" else "{kind} {number}"
            return self.label(target, title.replace("%s", "{number}") or default)
        if name == "doc":
            name = target.strip("/")
            if (chapter := name.removeprefix("notebooks/")) in self.labels.titles:
                return self.link_to(chapter, title)
            return f"[{title or self.heading(name)}]({self.page(name)})"
        if name == "term":
            anchor = re.sub(r"[^\w]+", "-", target)
            if not title and self.language != "en":
                title = importlib.import_module("terms").japanese(target)
            return f"[{title or target}]({self.page('book/glossary', f'#term-{anchor}')})"
        if name == "glue:text":
            return f"\0{content}\0"
        return self.fail(f"role {{{name}}}`{content}`")

    def heading(self, page):
        """The title of a page that is no notebook."""
        if self.language == "en":
            text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
        else:
            text = importlib.import_module("translation").markdown(page)
        return re.search(r"^# (.+)", text, re.M)[1]

    # --- blocks

    def convert(self, text, inside=""):
        """MyST -> plain Markdown. inside: "block" in a directive, "quote" in one that is quoted."""
        lines, out, at = text.split("\n"), [], 0
        for token in parser().parse(text):
            if token.map and token.map[0] >= at:
                (start, end), raw = token.map, lines[slice(*token.map)]
                if (new := self.block(token, raw, inside)) is not None:
                    indent = "" if new.startswith(raw[0]) else re.match(r" *", raw[0])[0]
                    out += [self.inline("\n".join(lines[at:start])), textwrap.indent(new, indent)]
                    at = end
        out.append(self.inline("\n".join(lines[at:])))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")

    def block(self, token, raw, inside):
        """What stands for a block, or None for one of which only the text changes."""
        if token.type.startswith(UNKNOWN):
            return self.fail(f"{token.type} at {raw[0]!r}")
        if token.type in LEFT_OUT:
            return ""
        if token.type == "myst_target":
            return f'<a id="{token.content}"></a>\n'
        chapter = self.labels.number(self.chapter)
        if chapter and token.type == "heading_open" and not inside and token.tag in ("h1", "h2"):
            marks, title = raw[0].split(maxsplit=1)
            self.section += token.tag == "h2"
            section = f"{self.section}." if token.tag == "h2" else ""
            return f"{marks} {chapter}.{section} {self.inline(title)}"
        if token.type in ("math_block", "math_block_label"):
            return self.formula(token.content, token.info, inside)
        if found := re.fullmatch(r'<div class="gs-[\w-]+">(.+)</div>\s*', token.content, re.S):
            there = self.page(f"notebooks/{self.chapter}")
            return f"> {found[1]} [{self.words('Open it there.')}]({there})\n"
        if block := directive(token):
            return self.directive(*block)
        return "\n".join(raw) if token.type in ("fence", "code_block", "html_block") else None

    def formula(self, content, label, inside):
        tag = rf" \tag{{{self.find(label)[3]}}}" if label else ""
        anchor = f'<a id="{label}"></a>\n\n' if label else ""
        if inside == "quote":  # the marks of a quote would get into a formula of several lines
            return f"{anchor}$$ {' '.join(content.split())}{tag} $$"
        return f"{anchor}$$\n{content.strip()}{tag}\n$$"

    def directive(self, name, title, options, body):
        kind, label, title = name.removeprefix("prf:"), options.get("label", ""), self.inline(title)
        if body.startswith("---"):
            self.fail(f"{{{name}}} with its options between lines of dashes")
        if name == "exercise":
            head = f'<a id="{label}"></a>\n\n### {self.titled(label)}'
            return f"{head}\n\n{self.convert(body, 'block')}"
        if kind in STATEMENTS:
            head = f'<a id="{label}"></a>**{self.titled(label)}{self.words(".")}**'
            return quote(f"{head}\n\n{self.convert(body, 'quote')}")
        if kind == "proof":
            text = self.convert(body, "block")
            return f"{self.words('*Proof.*')} {text}" + (
                "\n\n∎" if text.endswith(("$$", "```")) else " ∎"
            )
        if name in ADMONITIONS:
            if name not in ("admonition", "dropdown"):  # these have a title of their own
                body = "\n".join(filter(None, [title, body]))
                titles = {"seealso": "See also", "margin": "Aside"}
                title = self.words(titles.get(name, name.capitalize()))
            if "dropdown" in f"{name} {options.get('class')}":
                return details(title, self.convert(body, "block"))
            return quote(f"**{title}**\n\n{self.convert(body, 'quote')}")
        if name == "figure":
            return self.picture(title, options, body)
        if name == "bibliography":
            return "\1references\1"
        return self.fail(f"directive {{{name}}}")

    def titled(self, label):
        """Exercise 3.1 (A race of clocks)"""
        _, _, kind, number, title = self.find(label)
        return self.numbered(kind, number) + (f" ({self.inline(title)})" if title else "")

    def picture(self, path, options, body):
        label, alt = options.get("name"), html.escape(options.get("alt", ""))
        image = self.page("") + f"_images/{path.rsplit('/', 1)[-1]}"
        caption = self.convert(body, "block")
        if "gs-" in options.get("figclass", ""):
            there = self.page(f"notebooks/{self.chapter}", f"#{label}")
            caption += self.words(
                " [On the page of the book]({there}) it is interactive.", there=there
            )
        there = self.page("").endswith("/")  # a book that is not on GitHub has no public pages
        image = f'<img src="{image}" alt="{alt}" style="background: white">' if there else alt
        return f"{image}\n\n{self.caption(label, caption)}"

    # --- cells

    def passages(self, text):
        """What a cell of text becomes, as (type, source) of cells: text, solutions, results."""
        lines, at = text.split("\n"), 0
        for token in [*parser().parse(text), None]:
            block = directive(token) if token else ("", "", {}, "")
            if block and (token is None or block[0] in ("solution-start", "solution-end")):
                part = self.convert("\n".join(lines[at : token.map[0] if token else None]))
                if part and self.solution:
                    yield "markdown", details(self.solution, part)
                elif part:
                    yield from self.spoken(part)
                if token is None:  # a solution goes on in the next cells
                    return
                begins = block[0] == "solution-start"
                titled = self.titled(block[1]) if begins else ""
                self.solution = (
                    self.words("Solution to {exercise}", exercise=titled) if begins else ""
                )
                at = token.map[1]

    def spoken(self, text):
        """Text, with a cell of code in place of each sentence that tells results."""
        kept = []
        for paragraph in text.split("\n\n"):
            if "\0" not in paragraph:
                kept.append(paragraph)
                continue
            sentences, space = SENTENCES[self.language], " " if self.language == "en" else ""
            pieces = [paragraph] if LIST.match(paragraph) else sentences.split(paragraph)
            tell = [i for i, piece in enumerate(pieces) if "\0" in piece]
            first, last = tell[0], tell[-1] + 1
            if kept := [*kept, *filter(None, [space.join(pieces[:first])])]:
                yield "markdown", "\n\n".join(kept)
            yield "code", self.say(space.join(pieces[first:last]))
            kept = list(filter(None, [space.join(pieces[last:])]))
        if kept:
            yield "markdown", "\n\n".join(kept)

    def say(self, text):
        """The code that shows a passage with results in it."""
        code = [text_of(cell) for cell in self.chapter_cells if cell["cell_type"] == "code"]
        module = re.search(r"^from ([\w.]*glue) import glue$", "\n".join(code), re.M)
        if not module or '"""' in text:
            self.fail("{glue:text} needs a line 'from … import glue' and no triple quotes")
        start = [f"# @title {self.words('Results, in words')}"]
        if not self.said:
            start.append(f"from {module[1]} import say")
            self.said = True
        names = [name.split(":")[0] for name in text.split("\0")[1::2]]
        start += filter(None, map(self.glued_later, dict.fromkeys(names)))
        text = re.sub("\0(.+?)\0", r"{{\1}}", text)
        wrapped = textwrap.wrap(
            " ".join(text.split()), 88, break_long_words=False, break_on_hyphens=False
        )
        if not any(LIST.match(line) for line in wrapped):
            text = "\n".join(wrapped)
        return "\n".join([*start, f'say(r"""\n{text}\n""")'])

    def glued_later(self, name):
        """The statement that glues a result further down, for a passage that comes before it."""
        for i, cell in enumerate(self.chapter_cells):
            if cell["cell_type"] == "code" and "glue(" in text_of(cell):
                for node in ast.parse(text_of(cell)).body:
                    if ast.unparse(node).startswith(f"glue({name!r},"):
                        return ast.get_source_segment(text_of(cell), node) if i > self.at else ""
        return ""


def quote(text):
    return textwrap.indent(text, "> ", lambda line: True).replace("> \n", ">\n")


def details(summary, text):
    """A folded block; without the empty lines, Markdown would not read what is in it."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


def contents():
    """(names of all notebooks in the table of contents, those of the numbered ones), in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    found = [
        (Path(chapter["file"]).name, part.get("numbered"))
        for part in toc["parts"]
        for chapter in part["chapters"]
        if chapter["file"].startswith("notebooks/")
    ]
    return [name for name, _ in found], [name for name, numbered in found if numbered]


def editions(url, texts=None):
    """Name of an edition's file -> its text, for all chapters of a book at the address ``url``.

    texts: of the chapters, by name, where they are not as stored.
    """
    names, numbered = contents()
    if texts is None:
        texts = {name: (ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8") for name in names}
    chapters = {name: json.loads(texts[name])["cells"] for name in names}
    labels = Labels(chapters, numbered)
    found = {
        f"{name}.ipynb": Edition(name, chapters[name], labels, url).text() for name in chapters
    }
    return found


def in_japanese(names, numbered, url, texts=None):
    """ja/NAME.ipynb -> its text, for the chapters that ja/ has. texts: as in `editions`."""
    translation = importlib.import_module("translation")  # it imports this module
    chapters = {
        name: translation.notebook(f"notebooks/{name}", url=url, text=(texts or {}).get(name))
        for name in names
    }
    chapters = {name: chapter["cells"] for name, chapter in chapters.items()}
    labels = Labels(chapters, numbered)
    begun = [name for name in names if translation.file_of(f"notebooks/{name}").exists()]
    english = set(names) - set(begun)
    return {
        f"ja/{name}.ipynb": Edition(name, chapters[name], labels, url, "ja", english).text()
        for name in begun
    }


def main(arguments):
    check = "--check" in arguments
    wanted = editions(address()) | in_japanese(*contents(), address())
    stored = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8")
        for path in FOLDER.rglob("*.ipynb")
    }
    changed = [n for n in sorted(wanted.keys() | stored) if wanted.get(n) != stored.get(n)]
    for name in changed:
        verdict = "out of date: run python book/tools/colab.py" if check else "written"
        print(f"notebooks/colab/{name}: {verdict if name in wanted or check else 'removed'}")
        if not check and name in wanted:
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        elif not check:
            (FOLDER / name).unlink()
    return 1 if check and changed else 0


# --- in the built book


def launch(app, page, template, context, doctree):
    """Lead the Colab button of a chapter to its edition."""
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()) if isinstance(group, dict) else ():
            if button.get("text") == "Colab":
                name = f"{page.rsplit('/', 1)[-1]}.ipynb"
                if LANGUAGE != "en" and (ROOT / LANGUAGE / f"{page}.md").exists():
                    name = f"{LANGUAGE}/{name}"
                button["url"] = colab(address(), name)


def setup(app):
    app.connect("html-page-context", launch, priority=900)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
