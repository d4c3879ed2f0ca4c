"""What a figure draws, as data: the CSV and the PDF that its kit brings."""

import csv
import io
import itertools
import math
import re

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer


def pdf(figure):
    """A figure as PDF without a date, so that equal figures are equal files."""
    from IPython.core.pylabtools import print_figure

    return print_figure(figure, "pdf", metadata={"CreationDate": None})


def svg(figure):
    """A figure as SVG without a date, with two decimals of a point, which halves it."""
    from IPython.core.pylabtools import print_figure

    def shorter(tag):
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag[0])

    text = re.sub(r"<[^!?>]+>", shorter, print_figure(figure, "svg", metadata={"Date": None}))
    # Formulas name one font only.
    return re.sub("(font-family: 'DejaVu Sans')(?=\")", r"\1, Verdana, sans-serif", text)


def figure_data(figure):
    """What a figure draws, as CSV: a row for each point of a line, dot, tip of a bar, end of a stroke, edge of a
    band or cell of a heat map.

    Columns: panel (1, 2, … among the axes), its title, series (the label), kind, x, y, and upper, the other edge of a
    band. x and y are called as the axes are, where all panels agree. Axes that are switched off have no scale, so for
    pictures and graphs the text is empty.

    >>> figure, ax = plt.subplots()
    >>> _ = ax.plot([0, 1], [0.5, 0.25], label="loss")
    >>> print(figure_data(figure).splitlines()[1])
    1,,loss,line,0,0.5,
    """
    panels = [ax for ax in figure.axes if ax.axison]
    rows = [(i, ax.get_title(), *row) for i, ax in enumerate(panels, 1) for row in _drawn(ax)]
    if not rows:
        return ""
    head = ["panel", "title", "series", "kind", "x", "y", "upper"]
    for place, names in (
        (4, {ax.get_xlabel() for ax in panels} | {figure.get_supxlabel()}),
        (5, {ax.get_ylabel() for ax in panels} | {figure.get_supylabel()}),
    ):
        if len(names := names - {""}) == 1:
            head[place] = names.pop()
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value):
    if isinstance(value, str | int):
        return value
    return f"{value:.6g}" if math.isfinite(value) else ""


def _drawn(ax):
    """(series, kind, x, y, upper) of all that axes draw in data coordinates."""

    def series(artist):
        label = str(artist.get_label())
        return "" if re.match(r"_child\d|_nolegend_|_container", label) else label.removeprefix("_")

    for line in ax.lines:
        in_x, in_y = line.get_transform().contains_branch_seperately(
            ax.transData
        )  # a line across the axes has one
        for x, y in np.column_stack(line.get_data(orig=False)) if in_x or in_y else ():
            yield series(line), "line", x if in_x else "", y if in_y else "", ""
    for bars in ax.containers:
        for bar in bars if isinstance(bars, BarContainer) else ():
            (left, bottom), (right, top) = bar.get_bbox().get_points()
            across = bars.orientation == "horizontal"
            yield (
                series(bars),
                "bar",
                right if across else (left + right) / 2,
                (bottom + top) / 2 if across else top,
                "",
            )
    for collection in ax.collections:
        if isinstance(collection, QuadMesh):
            yield from _cells(ax, np.ma.filled(collection.get_array(), np.nan))
        elif isinstance(collection, PathCollection):
            for x, y in np.ma.filled(collection.get_offsets(), np.nan):
                yield series(collection), "dot", x, y, ""
        elif isinstance(collection, LineCollection):
            for x, y in itertools.chain.from_iterable(collection.get_segments()):
                yield series(collection), "stroke", x, y, ""
        elif isinstance(collection, PolyCollection):
            points = np.concatenate(
                [path.vertices for path in collection.get_paths()] or [np.empty((0, 2))]
            )
            for x in np.unique(points[:, 0]):
                edge = points[points[:, 0] == x, 1]
                yield series(collection), "band", x, edge.min(), edge.max()
    for steps in ax.patches:
        if isinstance(steps, mpl.patches.StepPatch):
            values, edges, _ = steps.get_data()
            for x, y in zip((edges[1:] + edges[:-1]) / 2, values, strict=True):
                yield series(steps), "step", x, y, ""


def _cells(ax, values):
    """(row, "cell", column, value, "") of a heat map, by the names at its axes or else by number."""
    names = [
        [label.get_text() for label in labels] if len(labels) == size else [*range(1, size + 1)]
        for labels, size in zip(
            (ax.get_yticklabels(), ax.get_xticklabels()), values.shape, strict=True
        )
    ]
    for row, line in zip(names[0], values, strict=True):
        for column, value in zip(names[1], line, strict=True):
            yield row, "cell", column, value, ""
