"""The figure kit: names, files, runs and citation of every figure that the book draws anew."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import citation
import concordance
import kit
import matplotlib.pyplot as plt
import pytest
import redraw
import scoreboard
from pybtex.database import parse_string
from repository import BRANCH, address

from gsbook import ledger
from gsbook.experiments.table1 import results as table1
from gsbook.records import Records

ROOT = Path(__file__).resolve().parents[2]


DRAWN = [
    (label, name, claim) for label, drawn in kit.kits().items() for name, claim in drawn.items()
]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_every_figure_of_the_paper_has_one_name():
    names = [name for _, name, _ in DRAWN]
    assert len(names) == len(set(names))
    assert {claim.id for claim in ledger.figures()} <= set(names)
    assert [name for name in names if not re.fullmatch(r"figure-\d+[a-z]?(-\d+)?", name)] == []


def test_no_label_of_a_chapter_takes_the_name_of_a_figure_of_the_paper():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        labels = concordance.labels(json.loads(path.read_text(encoding="utf-8"))["cells"])
        assert labels & {name for _, name, _ in DRAWN} == set()


@pytest.mark.parametrize(
    ("name", "claim"),
    [(name, claim) for _, name, claim in DRAWN],
    ids=[name for _, name, _ in DRAWN],
)
def test_bibtex_of_a_figure(name, claim):
    ((key, entry),) = parse_string(kit.bibtex(name, claim), "bibtex").entries.items()
    version, released = citation.edition()
    assert key == f"gumbel-softmax-book-{name}"
    assert claim.location in entry.fields["title"]
    assert entry.fields["howpublished"].endswith(f"edition {version}")
    assert entry.fields["version"] == version
    assert entry.fields["year"] == str(released.year)
    assert entry.fields["url"] == citation.site(f"{name}.html")


@pytest.mark.parametrize(
    "claim", [c for c in ledger.figures() if c.rows], ids=lambda claim: claim.id
)
def test_the_runs_of_a_figure_are_those_that_it_draws(claim):
    cells = [cell for row in claim.rows for cell in table1.row(table1.results(), row)[1].values()]
    named = claim.runs(scoreboard.evidence())
    drawn = {run["key"] for cell in cells for run in cell.runs.values()}
    assert {key for keys in named.values() for key in keys} == drawn
    for path, keys in named.items():
        lines = (ROOT / path).read_text().splitlines()
        assert set(keys) <= {json.loads(line)["key"] for line in lines}


def test_runs_of_other_records_are_named_by_folder_and_cell(tmp_path):
    for cell in ("ssl-classes-10", "ssl-classes-100"):
        methods = ("gumbel_softmax", "marginalisation")
        test = {"ratio": 2.0, **{f"{name}{end}": 1.0 for name in methods for end in ("", "_mb")}}
        config = {"classes": int(cell.rpartition("-")[2]), "seed": 0}
        run = {"key": f"{cell}_repeat=0", "cell": cell, "config": config, "test": test}
        run |= {"code": "", "device": "a machine"}
        Records(tmp_path / "speed").add([run])
    both = {f"results/speed/{cell}.jsonl": [f"{cell}_repeat=0"] for cell in FIVE_A}
    claim = next(claim for claim in ledger.figures() if claim.id == "figure-5a")
    assert claim.runs(ledger.Evidence.of(tmp_path)) == both
    assert replace(claim, cells=FIVE_A[:1]).runs(ledger.Evidence.of(tmp_path)) == {
        "results/speed/ssl-classes-10.jsonl": ["ssl-classes-10_repeat=0"]
    }


FIVE_A = ("ssl-classes-10", "ssl-classes-100")


def block(name, *endings):
    """The kit of a figure as text, with files of these endings, and what the figure draws."""
    drawn = next(drawn for drawn in kit.kits().values() if name in drawn)
    return "\n".join(
        node.astext() for node in kit.block(drawn, dict.fromkeys(endings, b""), "../")
    ), drawn


def test_a_block_has_files_bibtex_runs_and_three_lines():
    text, drawn = block("figure-3a", "svg", "pdf", "csv")
    for ending in ("svg", "pdf", "csv", "bib"):
        assert f'href="../_static/figures/figure-3a.{ending}"' in text
    assert len(kit.again("figure-3a").splitlines()) == 3
    for part in (
        kit.bibtex("figure-3a", drawn["figure-3a"]),
        kit.again("figure-3a"),
        'href="../figure-3a.html"',
        f"{address()}/blob/{BRANCH}/results/table1/sbn-bernoulli-st.jsonl",
        "python -m gsbook run sbn-bernoulli",
    ):
        assert part in text


def test_a_block_says_what_there_is_not():
    text, _ = block("figure-2", "svg")
    assert "a drawing and has no data" in text
    assert "No recorded run" in text
    assert ".csv" not in text
    assert ".pdf" not in text


def test_only_what_a_cell_draws_can_be_drawn_again():
    """A picture from a file has no PDF."""
    for files, blocks in (({"svg": b"", "pdf": b""}, 1), ({"svg": b""}, 0)):
        made = kit.own_block("fig-vae-walk", files, "../")
        assert sum("redraw.py" in node.astext() for node in made) == blocks


def test_two_figures_of_the_paper_in_one_of_ours_share_a_block():
    text, _ = block("figure-1b", "svg")
    assert "figure-1a.svg" in text
    assert "figure-1b.svg" in text
    assert "Figures 1a and 1b" in text
    assert (
        len(parse_string(text[text.index("@misc") : text.index("<p>To draw")], "bibtex").entries)
        == 2
    )


CELL = """\
from gsbook.reader import plots
import matplotlib.pyplot as plt
plots.use_style()
plt.plot([1, 2], [3, 4]);"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A book of one chapter with one figure, which draws anew the paper's Figure 2; its cells
    beyond it fail."""
    figure = {
        "cell_type": "code",
        "id": "a",
        "metadata": {
            "mystnb": {
                "figure": {"name": "fig-choices-graphs", "caption": "A line."},
                "image": {"alt": "It rises."},
            }
        },
        "source": CELL,
        "outputs": [],
        "execution_count": None,
    }
    beyond = figure | {"id": "b", "metadata": {}, "source": "1 / 0"}
    (tmp_path / "notebooks").mkdir()
    text = json.dumps(
        {"cells": [figure, beyond], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )
    (tmp_path / "notebooks" / "01_one.ipynb").write_text(text)
    monkeypatch.setattr(redraw, "ROOT", tmp_path)
    monkeypatch.setenv("GSLIB_KIT", "")
    return tmp_path


def test_a_figure_is_drawn_again(chapter):
    written = redraw.draw("figure-2", chapter / "out")
    assert {path.name for path in written} == {
        f"figure-2.{ending}" for ending in ("svg", "pdf", "csv", "bib")
    }
    root = ElementTree.parse(chapter / "out" / "figure-2.svg").getroot()
    what = "Figure 2 of Jang, Gu and Poole (2017) drawn anew"  # as in the kit
    assert [e.text for e in root[:2]] == [what, "It rises."]
    assert (chapter / "out" / "figure-2.pdf").read_bytes().startswith(b"%PDF-")
    assert (chapter / "out" / "figure-2.csv").read_text().splitlines()[1:] == [
        "1,,,line,1,3,",
        "1,,,line,2,4,",
    ]


def test_a_figure_of_the_books_own_is_drawn_again(chapter):
    path = chapter / "notebooks" / "01_one.ipynb"
    path.write_text(path.read_text().replace("fig-choices-graphs", "fig-one-own"))
    written = redraw.draw("fig-one-own", chapter / "out")
    assert {path.suffix for path in written} == {".svg", ".pdf", ".csv", ".bib"}
    text = (chapter / "out" / "fig-one-own.bib").read_text()
    (entry,) = parse_string(text, "bibtex").entries.values()
    assert entry.fields["url"] == citation.site("notebooks/01_one.html#fig-one-own")


def test_outputs_are_plain_where_no_kit_is_made(chapter):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(chapter / "notebooks" / "01_one.ipynb", 4)
    notebook.cells = notebook.cells[:1]
    NotebookClient(notebook).execute()
    assert set(notebook.cells[0].outputs[-1].data) == {"image/svg+xml", "text/plain"}
    assert "Figure size" in notebook.cells[0].outputs[-1].data["text/plain"]


def test_an_unknown_figure_is_named_with_the_known_ones(chapter):
    with pytest.raises(SystemExit, match=r"no 'figure-99'; it knows .*figure-4a"):
        redraw.draw("figure-99", chapter)


def test_files_that_a_figure_has_no_more_are_removed(tmp_path):
    kit.save(tmp_path, "figure-2", {"svg": b"<svg/>", "csv": b"1", "bib": b"@"})
    kit.save(tmp_path, "figure-2", {"svg": b"<svg/>", "csv": b"", "bib": b"@"})
    assert {path.name for path in tmp_path.iterdir()} == {"figure-2.svg", "figure-2.bib"}
