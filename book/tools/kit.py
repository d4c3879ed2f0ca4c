"""The figure kit: below every figure of a chapter its files and citation, and how to draw it again.

gsbook/claims.yml says which figure of a chapter (its label) draws which figure of the paper (its
id). The chapter's output holds it as SVG, PDF and CSV, see gsbook.reader.plots.use_style. Its files
have the id for their name, and so have an anchor, a label for cross references, and a page that
leads to it: figure-4a.html. These names stay when a chapter moves. Figures of the book's own have
kits, too, by the names of their labels, and so have Tables 1 and 2, on the page of the scoreboard.
"""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cache
from html import escape
from pathlib import Path

import citation
import markup
import scoreboard
import svgs
import tables
from docutils import nodes
from repository import BRANCH, LANGUAGE, address
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from words import say

from gsbook import ledger
from gsbook.experiments.table1 import plan

FOLDER = "_static/figures"  # of the built book
NAMES = {
    "image/svg+xml": "svg",
    "application/pdf": "pdf",
    "text/plain": "csv",
}  # of an output -> of a file
FILES = {"svg": "SVG", "pdf": "PDF", "csv": say("data (CSV)"), "bib": "BibTeX"}
STUB = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url={url}">
<title>{title}</title>
</head>
<body><h1>{title}</h1><p><a href="{url}">{text}</a></p></body>
</html>
"""


@cache
def kits() -> dict[str, dict[str, ledger.Figure]]:
    """Label of a chapter's figure -> what it draws anew, by name: figure-4a, or figure-4a-2 where
    another is the first."""
    found = defaultdict(dict)
    for claim in ledger.figures():
        for i, label in enumerate(claim.labels, 1):
            found[label][claim.id if i == 1 else f"{claim.id}-{i}"] = claim
    return dict(found)


def drawn_by(figure: nodes.figure) -> dict[str, ledger.Figure]:
    """What a figure draws anew, by name."""
    return {name: claim for label in figure["ids"] for name, claim in kits().get(label, {}).items()}


def own(figure: nodes.figure, page: str) -> str | None:
    """The name of a figure of the book's own: its label, in the chapters."""
    names = [name for name in figure["ids"] if name.startswith("fig-")]
    return names[0] if names and page.startswith("notebooks/") else None


def title(names) -> str:
    """Figure 4a; Figures 1a and 1b."""
    numbers = [name.removeprefix("figure-") for name in names]
    plural = say("Figures {a} and {b}", a=numbers[0], b=numbers[-1])
    return say("Figure {n}", n=numbers[0]) if len(numbers) == 1 else plural


def drawn_anew(claim: ledger.Figure) -> str:
    return f"{claim.location} of Jang, Gu and Poole (2017) drawn anew"


def bibtex(name: str, claim: ledger.Figure) -> str:
    what = f"{drawn_anew(claim)}. {claim.claim}"
    return citation.bibtex(what, f"-{name}", f"{name}.html")


def own_bibtex(name: str, caption: str, page: str) -> str:
    return citation.bibtex(caption, f"-{name}", f"{page}.html#{name}")


def again(name: str) -> str:
    """The three lines that draw a figure again."""
    return (
        f"git clone {address()} book && cd book\npip install -r requirements.txt\n"
        f"python book/tools/redraw.py {name}\n"
    )


def save(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Write the files of a figure by their endings, and remove those that it has no more."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending in (*NAMES.values(), "bib"):
        path = folder / f"{name}.{ending}"
        path.write_bytes(files[ending]) if files.get(ending) else path.unlink(missing_ok=True)


# --- in the built book


def outputs(figure: nodes.figure, source: Path) -> dict[str, bytes]:
    """The files of a figure as its cell put them out, by their endings; of a picture from a file,
    the SVG."""
    found = {}
    for part in figure.findall(
        lambda node: node.get("mime_type") in NAMES if isinstance(node, nodes.Element) else False
    ):
        image = next(iter(part.findall(nodes.image)), None)
        content = (source / image["uri"]).read_bytes() if image else part.astext().strip().encode()
        found[NAMES[part["mime_type"]]] = content if image or not content else content + b"\n"
    image = next(iter(figure.findall(nodes.image)), None)
    if not found and image and image["uri"].endswith(".svg"):
        found["svg"] = (source / image["uri"]).read_bytes()
    return found


def described(files: dict[str, bytes], caption: str, alt: str, source: str, panels=()):
    """The files of one figure, with words in the SVG; of a part of a figure, its own panels."""
    files = {ending: content for ending, content in files.items() if content}
    if panels and "svg" in files:
        files["svg"] = svgs.part(files["svg"].decode(), *panels).encode()
    if panels and "csv" in files:
        files["csv"] = svgs.part_of_data(files["csv"].decode(), *panels).encode()
    if "svg" in files:
        words = {"title": caption, "text": alt, "author": citation.AUTHOR, "source": source}
        files["svg"] = svgs.described(files["svg"].decode(), **words).encode()
    return files


def links(name: str, endings, top: str) -> str:
    """Links to the files of a figure, as far as it has them."""
    found = [
        f'<a href="{top}{FOLDER}/{name}.{ending}" download>{words}</a>'
        for ending, words in FILES.items()
        if ending in endings or ending == "bib"
    ]
    return f'<p class="figure-kit-files">{" ".join(found)}</p>'


def block(drawn: dict[str, ledger.Figure], files: dict[str, bytes], top: str) -> list[nodes.Node]:
    """The kit below a figure that is drawn anew; top: the way to the first page from here."""
    name, claim = next(iter(drawn.items()))
    lasting = " ".join(f'<a href="{top}{name}.html">{name}.html</a>' for name in drawn)
    parts = [f"{title([name])}: {links(name, files, top)}" for name in drawn]
    start = [
        f'<details class="figure-kit"><summary>{say("Figure kit")}: {title(drawn)}</summary>',
        *([links(name, files, top)] if len(drawn) == 1 else parts),
        say(
            "<p>Address to cite, which stays when chapters move: {address}. {data}</p>",
            address=lasting,
            data=_data(claim, files),
        ),
    ]
    entry = nodes.literal_block(
        text := "\n".join(bibtex(*one) for one in drawn.items()), text, language="bibtex"
    )
    return [raw(*start), entry, *_drawing(name), raw(_records(claim), "</details>")]


def own_block(name: str, files: dict[str, bytes], top: str) -> list[nodes.Node]:
    """The kit below a figure of the book's own."""
    start = f'<details class="figure-kit"><summary>{say("Figure kit")}</summary>'
    drawn = _drawing(name) if "pdf" in files else []  # a picture from a file, no cell draws
    return [raw(start, links(name, files, top)), *drawn, raw("</details>")]


def _drawing(name: str) -> list[nodes.Node]:
    lines = nodes.literal_block(text := again(name), text, language="bash")
    return [raw(say("<p>To draw it again:</p>")), lines]


def raw(*lines: str) -> nodes.raw:
    return nodes.raw("", "\n".join(lines), format="html")


def _data(claim: ledger.Figure, files: dict) -> str:
    if "csv" in files:
        return say("The data are the lines, dots, bars and bands as drawn.")
    if claim.rows:
        return say("Its runs are still to come, so there are no data.")
    return say("It is a drawing and has no data.")


def _records(claim: ledger.Figure) -> str:
    found = claim.runs(scoreboard.evidence())
    lines = [plan.again(row, scoreboard.evidence().scale([row])) for row in claim.rows]
    train = "".join(f" <code>{escape(line)}</code>" for line in lines)
    if not found:
        if train:
            return say("<p>No run is recorded yet; to run:{train}</p>", train=train)
        return say("<p>No recorded run is behind it: the chapter computes all that it shows.</p>")
    items = [
        f'<li><a href="{address()}/blob/{BRANCH}/{path}">{Path(path).name}</a>: '
        + ", ".join(
            f"<code>{escape(key.removeprefix(Path(path).stem + '_'))}</code>" for key in keys
        )
        + "</li>"
        for path, keys in found.items()
    ]
    start = say(
        "<p>Run records behind it, by their keys, which begin with the name of the file:</p><ul>"
    )
    end = say("<p>To train them again:{train}</p>", train=train) if train else ""
    return "\n".join([start, *items, "</ul>", end])


class Anchors(SphinxTransform):
    """Gives every figure that is drawn anew a second label, by the paper's number: figure-4a."""

    default_priority = 400  # before labels are collected

    def apply(self, **_):
        for figure in self.document.findall(nodes.figure):
            for name in drawn_by(figure):
                figure["ids"].append(name)
                self.document.ids[name], self.document.nameids[name] = figure, name
                self.document.nametypes[name] = True


class Kits(SphinxPostTransform):
    """Puts a kit below every figure that is drawn anew, and its files into the built book."""

    default_priority = 3  # MyST-NB then chooses one form of each output and drops the others
    formats = ("html",)

    def run(self, **_):
        page, folder = self.env.docname, Path(self.app.outdir, FOLDER)
        top = "../" * page.count("/")
        for figure in list(self.document.findall(nodes.figure)):
            drawn, name = drawn_by(figure), own(figure, page)
            if not drawn and not name:
                continue
            found = outputs(figure, Path(self.env.srcdir))
            caption = next(figure.findall(nodes.caption), nodes.caption())
            cited = "".join(
                f"${part.astext()}$" if isinstance(part, nodes.math) else part.astext()
                for part in caption.children
            )
            alt = next((i["alt"] for i in figure.findall(nodes.image) if i.get("alt")), "")
            for one, claim in drawn.items():
                source = citation.site(f"{one}.html")
                files = described(found, drawn_anew(claim), alt, source, claim.panels)
                save(folder, one, files | {"bib": bibtex(one, claim).encode()})
            if not drawn:
                files = described(
                    found, caption.astext(), alt, citation.site(f"{page}.html#{name}")
                )
                save(folder, name, files | {"bib": own_bibtex(name, cited, page).encode()})
            kit = block(drawn, files, top) if drawn else own_block(name, files, top)
            place = figure.parent.index(figure) + 1
            figure.parent[place:place] = kit


def configure(app, config):
    os.environ["GSLIB_KIT"] = "1"  # for the kernels that run the notebooks
    config.kits = repr(
        (kits(), citation.bibtex(), Path(__file__).read_text(encoding="utf-8"))
    )  # write pages again
    for name, text in {
        "book": f"```bibtex\n{citation.bibtex()}```\n",
        "paper": f"```bibtex\n{citation.paper()}```\n",
        "figures": listing(),
        "tables": "\n".join(f"```{{raw}} html\n{table_block(name)}```\n" for name in tables.TITLES),
    }.items():
        markup.save(markup.GENERATED / f"cite-{name}.md", text)


def table_block(name: str) -> str:
    """The kit of a table, in HTML, for the page of the scoreboard."""
    up = f"../{FOLDER}/{name}"
    return (
        f'<details class="figure-kit"><summary>{say("Table kit")}: '
        f"{say(name.replace('-', ' ').title())}</summary>\n"
        f'<p class="figure-kit-files"><a href="{up}.csv" download>{say("numbers (CSV)")}</a> '
        f'<a href="{up}-seeds.csv" download>{say("one row per seed (CSV)")}</a> '
        f'<a href="{up}.bib" download>BibTeX</a></p>\n<p>{escape(say(tables.TITLES[name]))}. '
        + say(
            "A number has its seeds (n), mean, 95 % interval, training steps, learning rate and "
            "verdict."
        )
        + "</p></details>\n"
    )


def write_tables(app, exception):
    """The files of the tables' kits."""
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir, FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        for name, what in tables.TITLES.items():
            entry = citation.bibtex(what, f"-{name}", "book/scoreboard.html")
            for file, text in {**tables.files(name), f"{name}.bib": entry}.items():
                (folder / file).write_text(text, encoding="utf-8")


def listing() -> str:
    """The figures of the paper in Markdown, each with ours and the address that stays."""
    have = frozenset().union(*(chapter["labels"] for chapter in markup.chapters().values()))
    rows = []
    for label, drawn in kits().items():
        for name, claim in drawn.items():
            there = [markup.label_link(label), f'<a href="../{name}.html">{name}.html</a>']
            rows.append(
                [
                    say(claim.location),
                    say(claim.claim),
                    *(there if label in have else [say("not drawn yet"), "–"]),
                ]
            )
    head = [say("Figure"), say("What it shows"), say("Ours"), say("Address")]
    return markup.table(head, rows)


def footer(app, page, template, context, doctree):
    """Every page says which edition it is of."""
    if {"book/errata", "book/cite"} <= app.env.found_docs:
        edition, cite = (context["pathto"](f"book/{name}") for name in ("errata", "cite"))
        context["theme_extra_footer"] = (context.get("theme_extra_footer") or "") + (
            f' <a href="{edition}">{citation.in_words()}</a>{say(". ")}'
            + say("{sentence}.", sentence=f'<a href="{cite}">{say("How to cite")}</a>')
        )


def stubs(app, exception):
    """A page for each figure that leads to where it stands now: figure-4a.html."""
    if exception is None and app.builder.format == "html":
        labels = app.env.get_domain("std").anonlabels
        for name in (name for drawn in kits().values() for name in drawn if name in labels):
            page, anchor = labels[name][:2]
            text = STUB.format(
                url=f"{app.builder.get_target_uri(page)}#{anchor}",
                title=title([name]),
                text=say("{title} in the book", title=title([name])),
                language=LANGUAGE,
            )
            Path(app.outdir, f"{name}.html").write_text(text, encoding="utf-8")


def setup(app):
    app.add_config_value("kits", "", "html")
    app.add_css_file("kit.css")
    app.add_transform(Anchors)
    app.add_post_transform(Kits)
    app.connect("config-inited", configure)
    app.connect("html-page-context", footer)
    app.connect("build-finished", stubs)
    app.connect("build-finished", write_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
