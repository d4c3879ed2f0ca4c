"""Sphinx extension of the book: a cache keyed on gslib, MathJax shipped with the pages, the address
from one place."""

import hashlib
import importlib.util
import logging as loggers
import os
import platform
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import bibliography
import citation
import pages
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from pybtex.plugin import register_plugin
from repository import ROOT, address
from sphinx.util import logging

from gsbook import files, sources

LOGGER = logging.getLogger(__name__)
# What a chapter's output depends on beside the files of both packages and the records.
SETTINGS = ("GSLIB_BUDGET", "GSLIB_DATA", "GSLIB_RESULTS", "GSLIB_OFFLINE")
VERSIONS = ("torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "sympy")
MATHJAX = [  # what the pages can load, see mathjax3_config: no menu, and so no 5 MB of speech
    "startup.js",
    "core.js",
    "input/tex.js",
    "input/tex/extensions",
    "output/chtml.js",
    "output/chtml/fonts",
    "a11y/assistive-mml.js",
]


def fingerprint():
    """Hash of all that a chapter's output depends on beside the chapter: gslib, the records,
    budget, data, versions."""
    digest = hashlib.sha256()
    folders = [(ROOT / "gslib", "*.py"), (ROOT / "gsbook", "*"), (ROOT / "results", "*")]
    if other := files.named("GSLIB_RESULTS"):
        folders.append((other, "*"))
    for folder, pattern in folders:
        for path in sorted(folder.rglob(pattern)):
            passing = path.name[0] == "." or path.suffix == ".tmp" or path.name == "tested.json"
            if path.is_file() and not passing and "__pycache__" not in path.parts:
                digest.update(path.relative_to(folder.parent).as_posix().encode())
                digest.update(path.read_bytes())
    settings = [os.environ.get(name, "") for name in SETTINGS]
    settings += [platform.python_version(), *(version(name) for name in VERSIONS)]
    settings += [sources.find(name, "train")[0] for name in ("binarized_mnist", "mnist")]
    digest.update("\n".join(settings).encode())
    return digest.hexdigest()[:12]


def configure(app, config):
    """Runs before the theme and MyST-NB read their configuration."""
    cache = Path(app.outdir).parent / "cache" / fingerprint()
    # MyST-NB reads a page again when this path changes, and finds an empty cache there: everything
    # runs again.
    config.nb_execution_cache_path = str(cache)
    if cache.parent.is_dir():
        for old in cache.parent.iterdir():
            if old != cache and old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
    url = address()
    config.html_theme_options |= {
        "repository_url": url,
        "use_repository_button": True,
        "use_issues_button": True,
        # Else a hidden header has twins of all buttons, and the theme's scripts bind to these.
        "navbar_persistent": [],
        "article_header_end": ["language-switch.html", "article-header-buttons.html"],
    }
    pages.write()
    links = {"address": f"<{url}>", "issues": f"<{url}/issues>", "edition": citation.in_words()}
    config.myst_substitutions = {**config.myst_substitutions, **links}


def escape(app, what, name, obj, options, lines):
    """Docstrings are written to be read in a terminal: keep the stars and bars of [*E, D] and
    p(x|z) as they are, outside of directives and of code."""
    block = example = False
    for i, line in enumerate(lines):
        block = line.startswith(".. ") or (block and (not line or line.startswith(" ")))
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not block and not example:
            parts = re.split(r"(:math:`[^`]*`|`[^`]*`)", line)
            parts[::2] = [re.sub(r"\*(?=[A-Z]\b|,)|\|", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "".join(parts)
        block = block or line.endswith("::")
    if what == "property":
        lines.insert(
            0, "\\ "
        )  # napoleon takes "words: words" in a property's first line for its type


def check_images(app, doctree):
    """Every image needs a text for readers who do not see it, and every figure of a chapter a
    caption."""
    page = app.env.docname
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            LOGGER.warning("image without alt text: %s", image["uri"], location=(page, image.line))
        figure = image.parent
        while figure is not None and not isinstance(figure, nodes.figure):
            figure = figure.parent
        if page.startswith("notebooks/") and (
            figure is None or not any(figure.findall(nodes.caption))
        ):
            LOGGER.warning(
                "figure without a caption: %s", image["uri"], location=(page, image.line)
            )


def renew_static(app, env, added, changed, removed):
    """Sphinx copies the style and the scripts only when it reads a page: read the first where one
    of them changed."""
    copies = (
        (path, Path(app.outdir, "_static", path.name))
        for path in (ROOT / "book" / "_static").iterdir()
    )
    fresh = all(copy.is_file() and copy.read_bytes() == path.read_bytes() for path, copy in copies)
    return [] if fresh else [app.config.root_doc]


def run_chapters(app, env, added, changed, removed):
    """Run the chapters that will be read, as many at once as there are cores. MyST-NB then finds
    their outputs in its cache; one that fails it runs again, for the warning."""
    if app.config.nb_execution_mode == "cache":
        cache = get_cache(app.config.nb_execution_cache_path)
        files = {page: ROOT / f"{page}.ipynb" for page in sorted(added | changed)}
        found = [str(path) for path in files.values() if path.is_file()]
        for path in found:
            cache.add_nb_to_project(path)
        if waiting := cache.list_unexecuted(found):
            LOGGER.info("Running %d chapters, which takes some minutes.", len(waiting))
            executor = load_executor("local-parallel", cache, loggers.getLogger(__name__))
            timeout = app.config.nb_execution_timeout
            for path in executor.run_and_cache(filter_uris=found, timeout=timeout).succeeded:
                LOGGER.info("Executed notebook: %s", path)
    return []


def mend_roles(app, page, template, context, doctree):
    """Docutils marks references as a list of what is no list item, which confuses screen
    readers."""
    for wrong, right in (
        ('<div role="list" class="citation-list">', '<div class="citation-list">'),
        (' role="doc-biblioentry"', ""),
        (' role="doc-backlink"', ""),
    ):
        context["body"] = context.get("body", "").replace(wrong, right)


def copy_mathjax(app, exception):
    """Copy the part of MathJax that the pages load, so that they need no network."""
    if exception is None and app.builder.format == "html":
        package = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]
        source, target = Path(package, "static", "mathjax"), Path(app.outdir, "_static", "mathjax")
        for name in MATHJAX:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name, dirs_exist_ok=True)
            else:
                shutil.copy2(source / name, target / name)


def setup(app):
    app.add_config_value(
        "comments_config", {}, ""
    )  # Jupyter Book sets it, for an extension that we leave out
    register_plugin("pybtex.style.formatting", "book", bibliography.BookStyle)
    app.connect("config-inited", configure, priority=1)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon
    app.connect("doctree-read", check_images)
    app.connect("env-get-outdated", renew_static)
    app.connect("env-get-outdated", run_chapters)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", copy_mathjax)
    app.setup_extension("kit")
    app.setup_extension("aids")
    app.setup_extension("light")
    app.setup_extension("status")
    # Raise env_version when what is kept of a page read changes: all pages are then read again.
    return {"env_version": 3, "parallel_read_safe": True, "parallel_write_safe": True}
