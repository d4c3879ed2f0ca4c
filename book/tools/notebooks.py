"""Normalise the notebooks, and keep the repository's public address in one place.

    python book/tools/notebooks.py                 normalise every notebook in notebooks/
    python book/tools/notebooks.py --check         change nothing; fail where one is not normalised
    python book/tools/notebooks.py --address URL   move the book to another public address

A normalised notebook has no outputs and no execution counts, cell ids that depend on their text
alone, only the metadata that the book reads (tags and mystnb), and two generated cells after its
title: the Colab button, and a set-up cell that works alone in an empty folder.

The address stands in pyproject.toml (project.urls). README.md, CITATION.cff, .zenodo.json, the
pages in book/, the notebooks and their editions for Colab hold copies of it. --address rewrites all
of them, or, where it is refused or fails, none.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from urllib.parse import urlsplit

from repository import BRANCH, ROOT, address, checked

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

COLAB_CELL = "[Open in Colab]({colab})"

# Runs where nothing of the book is installed, so it may use the standard library only. GSLIB_SOURCE
# names another source to install from, such as a local copy of the repository; the tests use it.
SETUP_CELL = """\
# Finds gslib, the module of this book, or installs it. torch and numpy stay as they are.
import importlib.metadata, importlib.util, os, pathlib, subprocess, sys

def found(name):
    try:
        return importlib.util.find_spec(name)
    except Exception:
        return None

if not found("gslib.estimators"):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    source = os.environ.get("GSLIB_SOURCE", "git+{address}")
    source = source if "://" in source else pathlib.Path(source).resolve().as_uri()
    kept = [f"{{n}}=={{importlib.metadata.version(n)}}" for n in ("torch", "numpy") if found(n)]
    if not found("gslib"):
        subprocess.run([*pip, f"gumbel-softmax-book[book] @ {{source}}", *kept], check=True)
    else:  # gsutil has a gslib of its own
        print("Another package called gslib is at", found("gslib").origin, "- ours goes before it.")
        subprocess.run([*pip, "--no-deps", "-U", "--target", "book-gslib", source], check=True)
        sys.path.insert(0, os.path.abspath("book-gslib"))
        needs = importlib.metadata.requires("gumbel-softmax-book")
        needs = [n.split(";")[0] for n in needs if "extra" not in n or "book" in n]
        subprocess.run([*pip, *needs, *kept], check=True)
    for name in [name for name in sys.modules if name.split(".")[0] == "gslib"]:
        del sys.modules[name]
    importlib.invalidate_caches()
import gslib
"""


def colab(url, name):
    """The address that opens an edition in Colab, which knows repositories of GitHub by path."""
    if urlsplit(url).hostname != "github.com":  # there Colab would open a stranger's repository
        return url
    return f"https://colab.research.google.com/github{urlsplit(url).path}/blob/{BRANCH}/notebooks/colab/{name}"


def normalise(notebook, name, url):
    """The normalised text of a notebook given as a dict.

    Raises ValueError where its first cell is no title.
    """
    cells = [
        c for c in notebook["cells"] if not {"setup", "colab"} & set(c["metadata"].get("tags", []))
    ]
    title = "".join(cells[0]["source"]).strip() if cells else ""
    if not cells or cells[0]["cell_type"] != "markdown" or not re.fullmatch(r"# .+", title):
        raise ValueError(
            f"{name}: the first cell must be the title alone, '# …', got {title[:60]!r}"
        )
    button = {"cell_type": "markdown", "metadata": {"tags": ["colab"]}}
    button["source"] = COLAB_CELL.format(colab=colab(url, name))
    prompt = {"code_prompt_show": "Set-up (show)", "code_prompt_hide": "Set-up (hide)"}
    setup = {"cell_type": "code", "metadata": {"mystnb": prompt, "tags": ["setup", "hide-input"]}}
    setup["source"] = SETUP_CELL.format(address=url)
    cells[1:1] = [button, setup]

    seen = {}
    clean = []
    for cell in cells:
        source = "\n".join(line.rstrip() for line in "".join(cell["source"]).splitlines()).strip(
            "\n"
        )
        if not source:
            continue
        digest = hashlib.sha256(f"{cell['cell_type']} {source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        metadata = {
            key: cell["metadata"][key] for key in ("mystnb", "tags") if cell["metadata"].get(key)
        }
        new = {
            "cell_type": cell["cell_type"],
            "id": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}",
        }
        new |= {"metadata": metadata, "source": source.splitlines(keepends=True)}
        if cell["cell_type"] == "code":
            new |= {"execution_count": None, "outputs": []}
        clean.append(dict(sorted(new.items())))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    whole = {"cells": clean, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def normalise_all(folder, url, *, check=False):
    """Normalise all notebooks of a folder (with ``check``, none); names of those that were not."""
    changed = []
    for path in sorted(folder.glob("*.ipynb")):
        old = path.read_text(encoding="utf-8")
        new = normalise(json.loads(old), path.name, url)
        if new != old:
            changed.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    return changed


def moved(new):
    """File -> its text once the address is ``new``, pyproject.toml last; changes nothing."""
    import citation
    import colab as edition  # these import this module

    old = re.compile(re.escape(address()) + r"(?![\w-]|\.(?!git\b)\w)")  # no longer one
    pages = [*sorted(ROOT.glob("book/*.md")), *sorted(ROOT.glob("ja/**/*.md"))]
    copies = [ROOT / "README.md", *pages, ROOT / "pyproject.toml"]
    texts = {path: old.sub(new, path.read_text(encoding="utf-8")) for path in copies}
    chapters = {
        path: normalise(json.loads(path.read_text(encoding="utf-8")), path.name, new)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }
    named = {path.stem: text for path, text in chapters.items()}
    made = edition.editions(new, named) | edition.in_japanese(*edition.contents(), new, named)
    editions = {edition.FOLDER / name: text for name, text in made.items()}
    return {**chapters, **editions, **citation.files(new), **texts}


def write_all(texts):
    """Write all files or none. Should it be killed half-way, the same command goes on."""
    fresh = {path: path.with_name(path.name + ".new") for path in texts}
    try:
        for path, text in texts.items():
            fresh[path].write_text(text, encoding="utf-8")
    except OSError:
        for path in fresh.values():
            if path.is_file():
                path.unlink()
        raise
    was = {path: path.read_bytes() if path.is_file() else None for path in texts}
    done = []
    try:
        for path in texts:
            os.replace(fresh[path], path)
            done.append(path)
    except OSError:
        for path in done:
            path.unlink() if was[path] is None else path.write_bytes(was[path])
        for path in fresh.values():
            path.unlink(missing_ok=True)
        raise


def move(new):
    """Write the address ``new`` wherever the present one stands."""
    checked(new, "--address")
    try:
        write_all(moved(new))
    except (OSError, ValueError) as fault:
        raise SystemExit(f"The address stays {address()}, no file is changed: {fault}") from None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if a notebook is not normalised"
    )
    parser.add_argument("--address", metavar="URL", help="the repository's new public address")
    arguments = parser.parse_args()
    if arguments.address is not None:
        if arguments.check:
            parser.error("--check changes nothing, --address does: give one of the two")
        move(arguments.address)
    changed = normalise_all(ROOT / "notebooks", address(), check=arguments.check)
    verdict = (
        "not normalised: run python book/tools/notebooks.py" if arguments.check else "normalised"
    )
    for name in changed:
        print(f"notebooks/{name}: {verdict}")
    return 1 if arguments.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
