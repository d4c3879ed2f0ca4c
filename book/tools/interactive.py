"""Sphinx extension of the interactive figures: their data in scripts, and scripts on their pages
alone. Data travel in scripts, since a page that is opened from a disk may not fetch files.

The data are made by variance.py, by hand, and by latent.py and aloud.py, whenever the book is
built.
"""

import json
from pathlib import Path

import aloud
import latent
import markup


def script(variable, data):
    """A script that leaves the data in a variable of the page, unless others are there already."""
    return f"window.{variable} ??= {json.dumps(data, separators=(',', ':'))};\n"


def configure(app, config):
    """Draw the still pictures of the trained networks before their pages are read; their data wait
    for the folder of the markup."""
    app.trained = {"Latent": latent.latent(latent.kept()), "Aloud": aloud.aloud(aloud.kept())}
    for name, draw in (("Latent", latent.draw_latent), ("Aloud", aloud.draw_aloud)):
        path = markup.GENERATED / f"{name.lower()}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)  # of the picture that is drawn beside it
        draw(app.trained[name], path.with_suffix(".new.svg"))
        markup.save(path, path.with_suffix(".new.svg").read_text(encoding="utf-8"))
        path.with_suffix(".new.svg").unlink()


def write_data(app):
    for name, data in app.trained.items() if app.builder.format == "html" else ():
        path = Path(app.outdir, "_static", f"{name.lower()}-data.js")
        markup.save(path, script(f"gs{name}", data))


def add_scripts(app, page, template, context, doctree):
    """Only the pages with an interactive figure load its script and its data."""
    if "gs-simplex" in context.get("body", ""):
        app.add_js_file("simplex.js")
    for name in ("variance", "latent", "aloud"):
        if f"gs-{name}" in context.get("body", ""):
            app.add_css_file("figures.css")
            app.add_js_file("figures.js")
            app.add_js_file(f"{name}-data.js")
            app.add_js_file(f"{name}.js")


def setup(app):
    app.connect("config-inited", configure)
    app.connect("builder-inited", write_data)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
