"""The edition and the citation: typed once, and everything that names them follows."""

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import citation
import kit
import pytest
import yaml
from pybtex.database import parse_string
from repository import address

ROOT = Path(__file__).resolve().parents[2]


def test_captions_are_latex():
    assert citation.in_latex("by $\\log_2 n$ (95 %)") == "by $\\log_2 n$ (95 \\%)"
    assert citation.in_latex("a_b & c # 5 \\%") == "a\\_b \\& c \\# 5 \\%"
    assert "accuracies in \\%}}" in citation.bibtex("accuracies in %")


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
        for folder in ("book", "gslib", "gsbook", "notebooks")
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
        ".zenodo.json",
        "CHANGELOG.md",
        "errata.md",
        "citation.py",
    }  # the last gives an example
    assert len(typed.findall((ROOT / "pyproject.toml").read_text())) == 1


def test_the_change_log_has_this_edition_and_at_most_one_to_come():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    released = [head for head in heads if not head.endswith(", not released yet")]
    assert released[0] == citation.in_words().removeprefix("Edition ")
    assert released in (heads, heads[1:])


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


def test_the_record_for_the_archive_says_what_the_citation_file_says():
    text = (ROOT / ".zenodo.json").read_text(encoding="utf-8")
    assert text == citation.zenodo(), "run python book/tools/citation.py"
    archived, cited = json.loads(text), yaml.safe_load(citation.cff())
    assert archived["title"] == cited["title"]
    assert archived["description"] == f"<p>{cited['abstract']}</p>"
    assert [person["name"] for person in archived["creators"]] == [citation.AUTHOR]
    assert (archived["version"], archived["license"]) == (cited["version"], cited["license"])
    assert archived["publication_date"] == cited["date-released"].isoformat()
    assert archived["keywords"] == cited["keywords"]
    related = {entry["identifier"] for entry in archived["related_identifiers"]}
    paper = cited["references"][0]["identifiers"][0]["value"]
    assert related == {cited["repository-code"], cited["url"], paper}
    # what Zenodo's form of deposit knows, https://developers.zenodo.org/#representation
    assert archived["upload_type"] == "software"
    assert archived["access_right"] == "open"
    assert set(archived) <= {
        *("title", "upload_type", "description", "creators", "version", "publication_date"),
        *("language", "access_right", "license", "notes", "keywords", "related_identifiers"),
    }


def test_a_doi_stands_in_one_place_and_is_none_until_there_is_one(tmp_path, monkeypatch):
    assert "doi" not in yaml.safe_load(citation.cff())
    project = (ROOT / "pyproject.toml").read_text()
    before, after = project.split("[tool.gumbel-softmax-book]\n")
    monkeypatch.setattr(citation, "ROOT", tmp_path)
    for doi in ("10.5281/zenodo.123", "https://doi.org/10.5281/zenodo.123", "10.5281/a b"):
        entry = f'[tool.gumbel-softmax-book]\ndoi = "{doi}"\n'
        (tmp_path / "pyproject.toml").write_text(before + entry + after)
        if doi == "10.5281/zenodo.123":
            assert yaml.safe_load(citation.cff())["doi"] == doi
            fields = parse_string(citation.bibtex(), "bibtex").entries["gumbel-softmax-book"].fields
            assert fields["doi"] == doi
        else:
            with pytest.raises(SystemExit, match="doi must be like"):
                citation.cff()


def test_title_and_author_are_the_books():
    book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert (book["title"], book["author"]) == (citation.TITLE, citation.AUTHOR)


def test_bibtex_names_the_persons_where_there_are_some(tmp_path, monkeypatch):
    assert citation.persons() == f"{{{citation.AUTHOR}}}"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    people = 'authors = [{name = "Ada Lovelace"}, {name = "George Boole"}]\nreadme ='
    (tmp_path / "pyproject.toml").write_text(text.replace("readme =", people), encoding="utf-8")
    monkeypatch.setattr(citation, "ROOT", tmp_path)
    assert citation.persons() == "Ada Lovelace and George Boole"


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
    for path in (
        "book",
        "_toc.yml",
        "_config.yml",
        "notebooks",
        "pyproject.toml",
        "README.md",
        "CITATION.cff",
    ):
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
