"""The figure kit and the citation: data of figures, their files and addresses, one edition, the workflow."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from pybtex.database import parse_string

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import citation  # noqa: E402
import concordance  # noqa: E402
import kit  # noqa: E402
import ledger  # noqa: E402
import svgs  # noqa: E402
import tables  # noqa: E402

from gslib import plots  # noqa: E402
from gslib.experiment import Records, summary  # noqa: E402
from notebooks import BRANCH, address  # noqa: E402

DRAWN = [
    (label, name, claim) for label, drawn in kit.kits().items() for name, claim in drawn.items()
]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


# --- the data of a figure


def data(figure):
    """The rows below the head, as dictionaries."""
    return list(csv.DictReader(io.StringIO(plots.figure_data(figure))))


def points(rows, kind):
    return [
        (row["series"], row["x"], row["y"], row["upper"]) for row in rows if row["kind"] == kind
    ]


def test_data_has_all_that_is_drawn():
    figure, ax = plt.subplots()
    ax.plot([0, 1.23456789], [2, np.nan], label="a, b")
    ax.axhline(5, label="best")
    ax.bar([1, 2], [3, 4], label="up")
    ax.barh([1], [7], label="across")
    ax.scatter([8], [9], label="cloud")
    ax.vlines([1], 0, 2, label="stem")
    ax.fill_between([0, 1, 2], [0, 1, 2], [3, 4, 5], label="_a, b")
    ax.stairs([6, 7], [0, 1, 2], label="outline")
    rows = data(figure)
    assert points(rows, "line")[:3] == [
        ("a, b", "0", "2", ""),
        ("a, b", "1.23457", "", ""),
        ("best", "", "5", ""),
    ]
    assert points(rows, "bar") == [
        ("up", "1", "3", ""),
        ("up", "2", "4", ""),
        ("across", "7", "1", ""),
    ]
    assert points(rows, "dot") == [("cloud", "8", "9", "")]
    assert points(rows, "stroke") == [("stem", "1", "0", ""), ("stem", "1", "2", "")]
    assert points(rows, "band") == [
        ("a, b", "0", "0", "3"),
        ("a, b", "1", "1", "4"),
        ("a, b", "2", "2", "5"),
    ]
    assert points(rows, "step") == [("outline", "0.5", "6", ""), ("outline", "1.5", "7", "")]


def test_data_names_panels_and_axes():
    figure, axes = plt.subplots(1, 2)
    for i, ax in enumerate(axes):
        ax.plot([0], [i])
        ax.set(title=f"panel {i}", ylabel=f"loss {i}")
    figure.supxlabel("step")
    rows = data(figure)
    assert [(row["panel"], row["title"], row["step"], row["y"]) for row in rows] == [
        ("1", "panel 0", "0", "0"),
        ("2", "panel 1", "0", "1"),
    ]


def test_a_picture_and_a_graph_have_no_data():
    assert plots.figure_data(plots.digits(np.ones((2, 784))).figure) == ""
    assert plots.figure_data(plots.computation_graph("x  [a]", "x>a").figure) == ""
    assert plots.figure_data(plots.learning_curves({}).figure) == ""


def test_data_of_learning_curves_are_the_mean_and_the_range_over_seeds():
    curves = {0: [100.0, 90.0], 1: [102.0, None]}
    runs = {
        seed: {"curve": {"step": [1000, 2000], "test": losses}} for seed, losses in curves.items()
    }
    rows = data(plots.learning_curves({"st": summary.Cell("x", 2000, runs)}).figure)
    x, y = "training steps, in thousands", "test loss (nats)"
    assert [(row["kind"], row["series"], row[x], row[y], row["upper"]) for row in rows] == [
        ("line", "ST", "1", "101", ""),
        ("line", "ST", "2", "90", ""),
        ("band", "ST", "1", "100", "102"),
        ("band", "ST", "2", "90", "90"),
    ]


def test_the_same_figure_is_the_same_pdf():
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    assert plots._pdf(figure) == plots._pdf(figure)


# --- the kit of a figure


def test_every_figure_of_the_paper_has_one_name():
    names = [name for _, name, _ in DRAWN]
    assert len(names) == len(set(names))
    assert {claim.id for claim in ledger.load() if claim.kind == "figure"} <= set(names)
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
    "claim", [c for c in ledger.load() if c.kind == "figure" and c.rows], ids=lambda c: c.id
)
def test_the_runs_of_a_figure_are_those_that_it_draws(claim):
    records = Records(ROOT / "results" / "table1")
    cells = [cell for row in claim.rows for cell in summary.row(records, row)[1].values()]
    named = kit.runs(claim)
    drawn = {run["key"] for cell in cells for run in cell.runs.values()}
    assert {key for keys in named.values() for key in keys} == drawn
    for path, keys in named.items():
        assert set(keys) <= {
            json.loads(line)["key"] for line in (ROOT / path).read_text().splitlines()
        }


def test_runs_of_other_records_are_named_by_folder_and_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    Records(tmp_path / "results" / "speed").add(
        [{"key": f"{cell}_seed=0", "cell": cell} for cell in ("ten", "hundred")]
    )
    claim = ledger.Claim(
        "figure-9", "figure", "", "Figure 9", "figure_verdict", "", records="results/speed"
    )
    both = {
        "results/speed/ten.jsonl": ["ten_seed=0"],
        "results/speed/hundred.jsonl": ["hundred_seed=0"],
    }
    assert kit.runs(claim) == both
    one = ledger.Claim(
        "figure-9",
        "figure",
        "",
        "Figure 9",
        "figure_verdict",
        "",
        records="results/speed",
        cell="ten",
    )
    assert kit.runs(one) == {"results/speed/ten.jsonl": ["ten_seed=0"]}


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
        "python -m gslib run sbn-bernoulli",
    ):
        assert part in text


def test_a_block_says_what_there_is_not():
    text, _ = block("figure-2", "svg")
    assert "a drawing and has no data" in text
    assert "No recorded run" in text
    assert ".csv" not in text
    assert ".pdf" not in text


def test_two_figures_of_the_paper_in_one_of_ours_share_a_block():
    text, _ = block("figure-1b", "svg")
    assert "figure-1a.svg" in text
    assert "figure-1b.svg" in text
    assert "Figures 1a and 1b" in text
    assert (
        len(parse_string(text[text.index("@misc") : text.index("<p>To draw")], "bibtex").entries)
        == 2
    )


CELL = "from gslib import plots\nimport matplotlib.pyplot as plt\nplots.use_style()\nplt.plot([1, 2], [3, 4]);"


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A book of one chapter with one figure, which draws anew the paper's Figure 2; its cells beyond it fail."""
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
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    monkeypatch.setenv("GSLIB_KIT", "")
    return tmp_path


def test_a_figure_is_drawn_again(chapter):
    written = kit.draw("figure-2", chapter / "out")
    assert {path.name for path in written} == {
        f"figure-2.{ending}" for ending in ("svg", "pdf", "csv", "bib")
    }
    root = ElementTree.parse(chapter / "out" / "figure-2.svg").getroot()
    assert [e.text for e in root[:2]] == ["A line.", "It rises."]
    assert (chapter / "out" / "figure-2.pdf").read_bytes().startswith(b"%PDF-")
    assert (chapter / "out" / "figure-2.csv").read_text().splitlines()[1:] == [
        "1,,,line,1,3,",
        "1,,,line,2,4,",
    ]


def test_a_figure_of_the_books_own_is_drawn_again(chapter):
    path = chapter / "notebooks" / "01_one.ipynb"
    path.write_text(path.read_text().replace("fig-choices-graphs", "fig-one-own"))
    written = kit.draw("fig-one-own", chapter / "out")
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
        kit.draw("figure-99", chapter)


def test_files_that_a_figure_has_no_more_are_removed(tmp_path):
    kit.save(tmp_path, "figure-2", {"svg": b"<svg/>", "csv": b"1", "bib": b"@"})
    kit.save(tmp_path, "figure-2", {"svg": b"<svg/>", "csv": b"", "bib": b"@"})
    assert {path.name for path in tmp_path.iterdir()} == {"figure-2.svg", "figure-2.bib"}


# --- words in pictures, parts of them, and tables


def drawing():
    """Two rows of two panels each, as SVG and as data."""
    plots.use_style()
    figure, axes = plt.subplots(2, 2)
    for i, ax in enumerate(axes.flat):
        ax.plot([0, 1], [i, i])
        ax.set_title(f"panel {'abcd'[i]}")
    return plots._svg(figure), plots.figure_data(figure)


def test_text_of_a_figure_is_text():
    root = ElementTree.fromstring(drawing()[0])
    texts = {"".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"panel a", "panel d"} <= texts


def test_a_picture_says_what_it_is_whose_and_under_which_licence():
    words = {"title": "A < B", "text": "Four panels.", "author": "Ada", "source": "https://x.org/a"}
    root = ElementTree.fromstring(svgs.described(drawing()[0], **words))
    svg, dc = "{http://www.w3.org/2000/svg}", "{http://purl.org/dc/elements/1.1/}"
    assert [e.tag for e in root[:3]] == [f"{svg}title", f"{svg}desc", f"{svg}metadata"]
    assert (root[0].text, root[1].text) == ("A < B", "Four panels.")
    assert root.find(f".//{dc}source").text == "https://x.org/a"
    licence = root.find(".//{http://creativecommons.org/ns#}license")
    assert svgs.LICENCE in licence.attrib.values()
    assert len(root.findall(f".//{svg}metadata")) == 1


def test_a_part_of_a_figure_has_its_own_panels_alone():
    svg, data = drawing()
    whole = ElementTree.fromstring(svg)
    height = float(whole.get("viewBox").split()[3])
    for first, last, has, lacks in ((1, 2, "panel a", "panel c"), (3, 4, "panel c", "panel a")):
        part = svgs.part(svg, first, last)
        assert has in part
        assert lacks not in part
        assert float(ElementTree.fromstring(part).get("viewBox").split()[3]) < 0.7 * height
        panels = [line.split(",")[0] for line in svgs.part_of_data(data, first, last).splitlines()]
        assert set(panels[1:]) == {str(first), str(last)}


@pytest.mark.parametrize(("table", "n"), [("table-1", 28), ("table-2", 6)])
def test_tables_are_data_that_agree_with_the_ledger(table, n):
    numbers = list(csv.DictReader(io.StringIO(tables.numbers(table))))
    seeds = list(csv.DictReader(io.StringIO(tables.seeds(table))))
    assert len(numbers) == n
    judged = {
        (j.claim.cell, j.claim.figure): j
        for j in (ledger.judge(c) for c in ledger.load() if c.kind in ("cell", "bound", "accuracy"))
    }
    for row in numbers:
        cell = "-".join(filter(None, (row["row"], row["method"])))
        j = judged[cell, row["figure"]]
        own = [r for r in seeds if (r["row"], r["method"]) == (row["row"], row["method"])]
        assert row["verdict"] == j.verdict
        assert float(row["paper"]) == j.claim.value
        assert len(own) == int(row["n"]) + int(row["diverged"])
        values = [float(r[row["figure"]]) for r in own if r[row["figure"]]]
        assert np.mean(values) == pytest.approx(float(row["mean"]), rel=1e-5)
        assert {r["steps"] for r in own} <= {row["steps"]}
        if j.ours and j.ours.n > 1:
            assert float(row["low"]) < float(row["mean"]) < float(row["high"])


# --- the edition and the citation


def test_the_edition_stands_in_one_place(tmp_path):
    for path in ("book/tools", "book/references.bib", "pyproject.toml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, tmp_path / path)
    project = tmp_path / "pyproject.toml"
    version, released = citation.edition()
    project.write_text(
        project.read_text()
        .replace(f'version = "{version}"', 'version = "9.8.7"')
        .replace(f"released = {released}", "released = 2031-02-03")
    )
    tool = [sys.executable, tmp_path / "book" / "tools" / "citation.py"]
    (tmp_path / "CITATION.cff").write_text((ROOT / "CITATION.cff").read_text())
    assert subprocess.run([*tool, "--check"], check=False).returncode == 1
    subprocess.run(tool, check=True)
    assert subprocess.run([*tool, "--check"], check=False).returncode == 0
    found = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert (found["version"], found["date-released"]) == ("9.8.7", date(2031, 2, 3))
    assert (found["preferred-citation"]["edition"], found["preferred-citation"]["year"]) == (
        "9.8.7",
        2031,
    )
    said = subprocess.run(
        [sys.executable, "-c", "import citation as c; print(c.bibtex(), c.in_words())"],
        check=True,
        cwd=tmp_path / "book" / "tools",
        capture_output=True,
        text=True,
    ).stdout
    assert "edition 9.8.7}" in said
    assert "year = {2031}" in said
    assert "Edition 9.8.7, 3 February 2031" in said


def test_the_edition_is_typed_nowhere_else():
    typed = re.compile(rf"(?<![\d.]){re.escape(citation.edition()[0])}(?![\d.])")
    files = [
        path
        for folder in ("book", "gslib", "notebooks")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".md", ".yml", ".ipynb", ".css", ".js")
    ]
    named = {
        path.name
        for path in [*files, *ROOT.glob("*.*")]
        if path.is_file() and typed.search(path.read_text("utf-8"))
    }
    assert named == {
        "pyproject.toml",
        "CITATION.cff",
        "errata.md",
        "citation.py",
    }  # the last gives an example
    assert len(typed.findall((ROOT / "pyproject.toml").read_text())) == 1


def test_footers_name_the_edition(monkeypatch):
    monkeypatch.setattr(citation, "edition", lambda: ("9.8.7", date(2031, 2, 3)))
    app = SimpleNamespace(env=SimpleNamespace(found_docs={"book/errata", "book/cite"}))
    context = {"pathto": lambda page: f"../{page}.html", "theme_extra_footer": "Code: MIT."}
    kit.footer(app, "notebooks/x", "page.html", context, None)
    assert context["theme_extra_footer"].startswith("Code: MIT.")
    assert (
        '<a href="../book/errata.html">Edition 9.8.7, 3 February 2031</a>'
        in context["theme_extra_footer"]
    )


def test_the_page_of_errata_begins_with_this_edition():
    text = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
    assert re.search(r"^### (.+)$", text, re.MULTILINE)[1] == citation.in_words()
    assert "{{ issues }}" in text


def test_citation_file_is_current_and_complete():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert text == citation.cff(), "run python book/tools/citation.py"
    found = yaml.safe_load(text)
    assert found["cff-version"] == "1.2.0"
    known = {
        "cff-version",
        "message",
        "title",
        "abstract",
        "type",
        "authors",
        "version",
        "date-released",
        "license",
        "url",
        "repository-code",
        "keywords",
        "preferred-citation",
        "references",
    }  # of the schema's top level
    assert set(found) == known
    for entry in (found, found["preferred-citation"], *found["references"]):
        assert {"type", "title", "authors"} <= set(entry)
        assert all(
            isinstance(entry.get(name, ""), str) for name in ("title", "version", "edition", "url")
        )
    assert found["repository-code"] == address()
    assert found["url"] == citation.site()


def test_title_and_author_are_the_books():
    book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert (book["title"], book["author"]) == (citation.TITLE, citation.AUTHOR)


def test_bibtex_names_persons_and_doi_where_there_are_some(monkeypatch):
    project = citation.project()
    project["project"]["authors"] = [{"name": "Ada Lovelace"}, {"name": "George Boole"}]
    project["tool"][citation.KEY]["doi"] = "10.1000/182"
    assert "doi" not in citation.bibtex()
    monkeypatch.setattr(citation, "project", lambda: project)
    entry = parse_string(citation.bibtex(), "bibtex").entries[citation.KEY]
    assert [str(person) for person in entry.persons["author"]] == ["Lovelace, Ada", "Boole, George"]
    assert entry.fields["doi"] == "10.1000/182"


def test_bibtex_of_book_and_paper():
    entries = parse_string(citation.bibtex() + citation.paper(), "bibtex").entries
    assert set(entries) == {"gumbel-softmax-book", "jang2017"}
    assert entries["gumbel-softmax-book"].fields["url"] == citation.site()


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("https://github.com/some-one/book", "https://some-one.github.io/book/figure-2.html"),
        ("https://example.org/some-one/book", "https://example.org/some-one/book"),
    ],
)
def test_addresses_to_cite_derive_from_the_one_address(monkeypatch, repository, page):
    monkeypatch.setattr(citation, "address", lambda: repository)
    assert citation.site("figure-2.html") == page


def test_moving_the_book_moves_its_citation(tmp_path):
    for path in ("book", "pyproject.toml", "README.md", "CITATION.cff"):
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, tmp_path / path)
    tools = tmp_path / "book" / "tools"
    subprocess.run(
        [sys.executable, tools / "notebooks.py", "--address", "https://github.com/a/b"], check=True
    )
    found = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert (found["repository-code"], found["url"]) == (
        "https://github.com/a/b",
        "https://a.github.io/b/",
    )
    assert (
        subprocess.run([sys.executable, tools / "citation.py", "--check"], check=False).returncode
        == 0
    )


# --- the workflow


@pytest.fixture(scope="module")
def workflow():
    found = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    )
    return found | {"on": found.pop(True)}  # YAML 1.1 reads the word "on" as true


def steps(job):
    return [step.get("uses") or step["run"] for step in job["steps"]]


def test_workflow_does_what_the_gate_does(workflow):
    targets = [
        re.findall(r"^\s*make (\w+)", text, re.MULTILINE)
        for text in (
            (ROOT / ".ci" / "run").read_text(),
            "\n".join(steps(workflow["jobs"]["build"])),
        )
    ]
    assert targets[0] == ["lint", "test", "book", "browser"]
    assert targets[1] == [*targets[0], "pdf"]
    assert set(targets[1]) <= set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def test_workflow_may_do_no_more_than_it_must(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["build"]
    assert workflow["jobs"]["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert "secrets" not in (ROOT / ".github" / "workflows" / "book.yml").read_text()


def test_workflow_deploys_main_alone(workflow):
    assert set(workflow["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert workflow["on"]["push"]["branches"] == [BRANCH]
    deploy = workflow["jobs"]["deploy"]
    assert deploy["needs"] == "build"
    assert (
        deploy["if"]
        == f"github.event_name != 'pull_request' && github.ref == 'refs/heads/{BRANCH}'"
    )
    assert {"group", "cancel-in-progress"} == set(workflow["concurrency"])


def test_workflow_uses_official_actions_by_version_and_caches_pip(workflow):
    used = [step for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [
        step["uses"] for step in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
    ] == []
    python = next(step["with"] for step in used if step["uses"].startswith("actions/setup-python"))
    assert python["cache"] == "pip"
    assert all((ROOT / path).is_file() for path in python["cache-dependency-path"].split())
    upload = next(
        step["with"] for step in used if step["uses"].startswith("actions/upload-pages-artifact")
    )
    assert upload["path"] == "_build/html"
