"""The Japanese edition: joins ja/ with the English pages and with the outputs of their build, and
lets Sphinx render it to _build/html/ja.

    python book/tools/japanese.py             after the English build, see `make book`
    python book/tools/japanese.py --release   fail where a text is stale, or the build warns

No notebook runs: the outputs are those that the English build has cached. Whatever goes wrong here
leaves the English pages as they are; a page that could not be made leads to the English one.
"""

from __future__ import annotations

import os

os.environ["GSLIB_LANGUAGE"] = "ja"  # before the tools below are read

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import translation
import yaml
from aids import PDF, note_pdf
from jupyter_cache import get_cache
from repository import ROOT, SOURCE
from words import say

HTML = ROOT / "_build" / "html" / "ja"
LINKED = ("book/_static", "book/_templates", "book/references.bib")
STUB = """\
<!DOCTYPE html>
<html lang="ja">
<head>
<meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url={url}">
<title>English</title>
</head>
<body><p><a href="{url}">この版はまだありません。英語版へ</a></p></body>
</html>
"""


# --- the pages ------------------------------------------------------------------------------------


def with_outputs(page: str, whole: dict, cache) -> tuple[str, float | None]:
    """The text of a translated notebook with the outputs of the English one, and its run time; none
    where the cache has no run of that one."""
    whole = nbformat.from_dict(whole)
    english = nbformat.read(ROOT / f"{page}.ipynb", as_version=4)
    try:
        record = cache.match_cache_notebook(english)
    except KeyError:
        return nbformat.writes(whole) + "\n", None
    _, ran = cache.merge_match_into_notebook(english)
    for cell, other in zip(whole.cells, ran.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = other.outputs, other.execution_count
    return nbformat.writes(whole) + "\n", record.data.get("execution_seconds")


def write(path: Path, text: str) -> None:
    """Write a file unless it has this text: Sphinx reads a page again when it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def join() -> list[str]:
    """Write the sources of all pages, and what Sphinx needs beside them; what could not be done."""
    folders = sorted((ROOT / "_build" / "cache").glob("*"))
    if not folders:
        raise FileNotFoundError("there are no outputs: build the English book first (make book)")
    cache = get_cache(str(folders[-1]))
    times, complaints, wanted = {}, [], set()
    for page in translation.pages():
        chapter = (ROOT / f"{page}.ipynb").exists()
        make = translation.notebook if chapter else translation.markdown
        try:
            text = make(page)
        except Exception as error:
            complaints.append(f"{error} The page {page} stays English.")
            source = (ROOT / f"{page}.{'ipynb' if chapter else 'md'}").read_text(encoding="utf-8")
            text = json.loads(source) if chapter else source
        if chapter:
            text, times[page] = with_outputs(page, text, cache)
            if times[page] is None:
                complaints.append(f"{page}: no outputs, since the English build has not run it")
        path = SOURCE / f"{page}.{'ipynb' if chapter else 'md'}"
        write(path, text)
        wanted.add(path)
    for path in [*SOURCE.glob("book/*.md"), *SOURCE.glob("notebooks/*.ipynb")]:
        if path not in wanted:
            path.unlink()
    for name in LINKED:
        if (ROOT / name).exists() and not (SOURCE / name).is_symlink():
            (SOURCE / name).symlink_to(ROOT / name)
    write(SOURCE / "times.json", json.dumps(times, indent=1))
    write(SOURCE / "_config.yml", yaml.safe_dump(config(), allow_unicode=True))
    write(SOURCE / "_toc.yml", yaml.safe_dump(contents(), allow_unicode=True, sort_keys=False))
    return complaints


def config() -> dict:
    """The settings of the English book, but for its language and for running notebooks."""
    found = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    found["title"] = say(found["title"])
    found["html"]["extra_footer"] = say(found["html"]["extra_footer"].strip())
    found["execute"]["execute_notebooks"] = "off"
    sphinx = found["sphinx"]
    sphinx["local_extensions"] = {
        name: str(ROOT / folder) for name, folder in sphinx["local_extensions"].items()
    }
    sphinx["config"] |= {
        "language": "ja",
        "nb_code_prompt_show": say("Show code cell {type}"),
        "nb_code_prompt_hide": say("Hide code cell {type}"),
    }
    return found


def contents() -> dict:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc["parts"]:
        part["caption"] = say(part["caption"])
    return toc


# --- the build ------------------------------------------------------------------------------------


def render() -> tuple[bool, list[str]]:
    """Let Jupyter Book render the joined pages: whether it came to its end, and its warnings."""
    tool = Path(sys.executable).with_name("jupyter-book")
    environment = os.environ | {"GSLIB_LANGUAGE": "ja"}
    done = subprocess.run(
        [tool, "build", SOURCE, "-n", "--keep-going"],
        cwd=ROOT, env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    warnings = [line for line in lines if "WARNING" in line or "ERROR" in line]
    if done.returncode:
        warnings += lines[-20:]
    return done.returncode == 0, warnings


def publish(made: Path) -> None:
    """Copy what has changed into the book, and remove what is no more."""
    for path in sorted(made.rglob("*")):
        to = HTML / path.relative_to(made)
        if path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        elif not to.exists() or to.read_bytes() != path.read_bytes():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to)
    for path in sorted(HTML.rglob("*"), reverse=True):
        if path != HTML / PDF and not (made / path.relative_to(HTML)).exists():
            path.rmdir() if path.is_dir() else path.unlink()
    note_pdf(HTML)


def stubs() -> None:
    """For each English page that has no Japanese one, a page that leads to it."""
    for path in sorted(HTML.parent.rglob("*.html")):
        name = path.relative_to(HTML.parent)
        if name.parts[0] != "ja" and not (HTML / name).exists():
            url = "../" * len(name.parts) + name.as_posix()
            (HTML / name).parent.mkdir(parents=True, exist_ok=True)
            (HTML / name).write_text(STUB.format(url=url), encoding="utf-8")


def build() -> list[str]:
    """Make the edition; what there is to complain of."""
    complaints = join()
    ended, warnings = render()
    if ended:
        publish(SOURCE / "_build" / "html")
    if warnings or not ended:  # a page that was read with a warning would pass the next time
        shutil.rmtree(SOURCE / "_build" / ".doctrees", ignore_errors=True)
    return complaints + warnings


def main(arguments: list[str]) -> int:
    if not (ROOT / "ja").is_dir():
        return 0
    lines, stale, missing = [], 0, 0
    try:
        complaints = build()
        lines, stale, missing = translation.problems(translation.pages())
    except Exception as error:  # the English book stands, whatever a translation holds
        complaints = [f"{type(error).__name__}: {error}"]
    stubs()
    print(*complaints, *lines, sep="\n")
    if complaints:
        print("The Japanese edition is NOT as it should be: see above.", file=sys.stderr)
    print(f"The Japanese edition is at {HTML}/index.html: {stale} stale, {missing} missing pieces")
    return int("--release" in arguments and bool(complaints or lines or stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
