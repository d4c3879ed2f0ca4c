"""The files of kits: words in pictures, parts of them, and Tables 1 and 2 as data."""

import csv
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import svgs
import tables

from gsbook.reader import figure_data, plots

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawing():
    """Two rows of two panels each, as SVG and as data."""
    plots.use_style()
    figure, axes = plt.subplots(2, 2)
    for i, ax in enumerate(axes.flat):
        ax.plot([0, 1], [i, i])
        ax.set_title(f"panel {'abcd'[i]}")
    return figure_data.svg(figure), figure_data.figure_data(figure)


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
    judged = {(j.claim.cell, j.claim.figure): j for j in tables._judged(table)}
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
