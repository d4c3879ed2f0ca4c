"""One look for every figure of the book.

Figures are drawn for a white page: dark ink on a transparent sheet. The book's style sheet inverts
their lightness in dark mode. Estimators keep one colour, one line style and one marker through the
whole book, so that no figure needs colour to be read. The colours are Okabe and Ito's, darkened to
a contrast of at least 3:1 on white.
"""

import ast
import inspect
import itertools
import os
import sys
import textwrap

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from gsbook.reader.figure_data import figure_data, pdf, svg
from gsbook.reader.looks import COLORS, LABELS, LINESTYLES, MARKERS

_SPARE = (
    ("#6b6b6b", "--", "1"),
    ("#8a5a00", "-.", "2"),
    ("#4b4b9f", ":", "3"),
    ("#a03050", (0, (5, 1)), "4"),
)
for _name, _look in zip([n for n in LABELS if n not in COLORS], itertools.cycle(_SPARE)):
    COLORS[_name], LINESTYLES[_name], MARKERS[_name] = _look

_STYLE = {
    "figure.figsize": (6.0, 3.6),
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.dpi": 200,
    "svg.hashsalt": "gumbel-softmax-book",  # the same figure is the same file
    "svg.fonttype": "none",  # text stays text, in SVG as in PDF
    "pdf.fonttype": 42,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],  # much alike in width
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "font.size": 13,  # a figure shrinks to 60 % on a phone
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "axes.prop_cycle": mpl.cycler(
        color=[COLORS[k] for k in ("sf", "gumbel_softmax", "muprop", "st", "exact")]
    )
    + mpl.cycler(linestyle=["-", "--", "-.", ":", (0, (3, 1, 1, 1))]),
}


def use_style():
    """Set the book's look for every figure drawn from here on.

    In a notebook, figures become SVG without a date, so that equal figures are equal files. Colab
    shows outputs on its own dark sheet, which would hide dark ink: there the figure brings a white
    one. Where GSLIB_KIT is set, as while the book is built, the outputs also have each figure as
    PDF and, as their plain text, its data.

    >>> use_style()
    >>> plt.rcParams["axes.facecolor"]
    'none'
    """
    mpl.rcParams.update(_STYLE)
    if "google.colab" in sys.modules:
        mpl.rcParams.update({"figure.facecolor": "white", "savefig.facecolor": "white"})
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
        formatters = sys.modules["IPython"].get_ipython().display_formatter.formatters
        formatters["image/svg+xml"].for_type(mpl.figure.Figure, svg)
        if os.environ.get("GSLIB_KIT"):
            formatters["application/pdf"].for_type(mpl.figure.Figure, pdf)
            formatters["text/plain"].for_type(
                mpl.figure.Figure, lambda figure, text, _: text.text(figure_data(figure))
            )


def estimator_style(name, **changes):
    """Keywords for ``ax.plot`` that draw one estimator as everywhere in the book.

    ``ax.plot(tau, bias, **estimator_style("gumbel_softmax"))`` sets colour, line style, marker and
    label; ``changes`` override them. An unknown name raises ``KeyError`` with the known ones.

    >>> estimator_style("st", color="black")
    {'color': 'black', 'linestyle': ':', 'marker': 'v', 'label': 'ST'}
    """
    if name not in LABELS:
        raise KeyError(f"no estimator is called {name!r}; known are {', '.join(LABELS)}")
    style = {
        "color": COLORS[name],
        "linestyle": LINESTYLES[name],
        "marker": MARKERS[name],
        "label": LABELS[name],
    }
    return style | changes


def digits(images, ax=None, *, columns=10, gap=2):
    """Draw images side by side, row by row, as dark ink on a transparent sheet; returns the axes.

    images: [n, 784] (28 x 28), [n, 392] (the 14 x 28 half of a digit) or [n, height, width]; a
    tensor or an array, in 0..1 or, as bytes, in 0..255. ``columns`` images stand in a row, ``gap``
    pixels apart. Another shape raises ``ValueError``.

    >>> digits(np.ones((20, 784))).images[0].get_size()  # two rows of ten
    (58, 298)
    """
    ink = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images, dtype=float)
    shape = list(ink.shape)
    if ink.ndim == 2 and ink.shape[1] in (784, 392):
        ink = ink.reshape(len(ink), ink.shape[1] // 28, 28)
    if ink.ndim != 3 or len(ink) == 0:
        raise ValueError(
            f"digits needs images [n, 784], [n, 392] or [n, height, width], got {shape}"
        )
    ink = np.clip(ink / (255 if ink.max() > 1.5 else 1), 0, 1)

    n, height, width = ink.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 4)
    )  # black, its alpha is the ink
    for i in range(n):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width, 3] = ink[i]

    if ax is None:
        cell = min(0.6, 6.0 / columns)  # inches
        _, ax = plt.subplots(figsize=(cell * columns, cell * rows * height / width))
    ax.imshow(sheet, interpolation="nearest")
    ax.set_axis_off()
    return ax


def learning_curves(cells, ax=None, *, curve="test"):
    """Draw recorded learning curves, the mean and the range over seeds for each estimator; returns
    the axes.

    cells: estimator -> `Cell`, as `results.row` of Table 1 gives them; none is drawn as an empty
    frame that says so. curve: "test", "valid" or "train". The first tenth of training is cut off at
    the top. Diverged runs count up to where they diverged.

    >>> learning_curves({}).texts[0].get_text()
    'not run yet'
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(6.0, 4.8))
    top, bottom = [], []
    for name, cell in cells.items():
        steps, losses = cell.curve(curve)
        steps, losses = np.array(steps) / 1000, np.ma.masked_invalid(np.array(losses, float))
        mean, low, high = (f(0).filled(np.nan) for f in (losses.mean, losses.min, losses.max))
        ax.plot(steps, mean, markevery=0.1, **estimator_style(name))
        ax.fill_between(
            steps, low, high, color=COLORS[name], alpha=0.2, linewidth=0, label=f"_{LABELS[name]}"
        )
        top.append(np.nanmax(high[len(steps) // 10 :], initial=0))
        bottom.append(np.nanmin(low))
    ax.set(xlabel="training steps, in thousands", ylabel=f"{curve} loss (nats)")
    if cells:
        ax.set_ylim(min(bottom) - 1, max(top))
        ax.figure.legend(
            *ax.get_legend_handles_labels(), loc="outside lower center", ncols=3
        )  # off the curves
    else:
        nothing(ax)
    return ax


_SHADES = [(0.55, 0.55, 0.55, 0), (0.55, 0.55, 0.55, 1)]  # from the page to ink
_APART = [
    (0, "#3f97cfff"),
    (0.5, "#3f97cf00"),
    (0.5, "#d9813f00"),
    (1, "#d9813fff"),
]  # round a centre


def heat_map(values, ax=None, *, center=None, fmt=".1f", **options):
    """Draw a table of numbers as shades, each number in its cell; returns the axes.

    values: [rows, columns], a DataFrame, an array or a tensor; rows that are estimators get their
    names, and a cell without a number stays empty. center: the number where the shade is that of
    the page; smaller ones are then blue, larger ones orange. fmt: how a number is written. options:
    for `seaborn.heatmap`.

    >>> ax = heat_map([[1.0, 2.5], [3.0, 4.0]])
    >>> [text.get_text() for text in ax.texts]
    ['1.0', '2.5', '3.0', '4.0']
    """
    import seaborn as sns

    values = values.rename(index=LABELS) if hasattr(values, "columns") else np.asarray(values)
    shades = LinearSegmentedColormap.from_list("shades", _SHADES if center is None else _APART)
    look = {"annot": True, "fmt": fmt, "cmap": shades, "center": center, "cbar": False}
    look |= {
        "linewidths": 1,
        "linecolor": "#80808060",
        "annot_kws": {"fontsize": 11, "color": "black"},
    }
    ax = sns.heatmap(values, ax=ax, **look | options)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="", ylabel="")
    return ax


def alignment(word, sounds, looks, ax=None):
    """Draw where a network looks as it reads a word: letters across, sounds down, a cell the darker
    the likelier the look; returns the axes.

    looks: [at least as many as sounds, at least as many as letters], probabilities; one more column
    than the word has letters is the mark of its end. The likelier looks have their per cent.

    >>> ax = alignment("at", ["AE", "T"], np.array([[0.9, 0.1], [0.25, 0.75]]))
    >>> [text.get_text() for text in ax.texts]
    ['90', '10', '25', '75']
    """
    import pandas as pd

    looks = np.asarray(looks.detach().cpu() if hasattr(looks, "detach") else looks, dtype=float)
    looks = looks[: len(sounds), : len(word) + 1]
    letters = [*word, "."][: looks.shape[1]]
    frame = pd.DataFrame(100 * looks, index=list(sounds), columns=letters)
    written = np.array([[f"{x:.0f}" if x >= 9.5 else "" for x in row] for row in 100 * looks])
    return heat_map(frame, ax, fmt="", annot=written, vmin=0, vmax=100, square=True)


def seeds(values, ax=None, *, interval=None, label="nats"):
    """Draw distributions over seeds, one below the other: seeds as dots, mean and interval in
    black.

    values: estimator (or another name) -> one number per seed. interval: (numbers) -> (low, high),
    drawn where there are two numbers or more. label: of the axis. A name without numbers keeps its
    line; no numbers at all are drawn as an empty frame that says so.

    >>> ax = seeds({"st": [110.0, 111.0], "sf": [112.0]}, interval=lambda x: (min(x), max(x)))
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['ST', 'SF']
    """
    import seaborn as sns

    if ax is None:
        _, ax = plt.subplots()
    found = [(name, number) for name, numbers in values.items() for number in numbers]
    if not found:
        return nothing(ax)
    names, numbers = zip(*found, strict=True)
    colors = {LABELS.get(name, name): COLORS.get(name, "#555555") for name in values}
    look = {"x": np.array(numbers), "y": [LABELS.get(name, name) for name in names]}
    look |= {"order": list(colors), "orient": "h", "ax": ax}
    bar = interval and (lambda x: tuple(interval(x)) if len(x) > 1 else (x.mean(), x.mean()))
    line = {"linewidth": 1.5, "linestyle": "-"}
    mark = {"marker": "|", "markersize": 14, "markeredgewidth": 1.5, "linestyle": "none"}
    sns.pointplot(**look, errorbar=bar, color="black", capsize=0.2, err_kws=line, **mark)
    dots = {"hue": look["y"], "palette": colors, "size": 6, "alpha": 0.8}
    sns.stripplot(**look, **dots, jitter=False, legend=False, zorder=3)
    ax.set(xlabel=label, ylabel="")
    return ax


def nothing(ax, text="not run yet"):
    """Mark the axes of a figure whose runs are still to come; returns them.

    >>> nothing(plt.gca(), "no such run").texts[-1].get_text()
    'no such run'
    """
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")
    ax.set(xticks=[], yticks=[])
    return ax


def table(frame, decimals=1):
    """A pandas DataFrame as a table of the page: estimators by their names, numbers rounded, a dash
    where there is none.

    >>> import pandas as pd
    >>> "Gumbel-Softmax" in table(pd.DataFrame({"nats": [101.25]}, index=["gumbel_softmax"])).data
    True
    """
    from IPython.display import HTML

    frame = frame.rename(index=LABELS)
    if frame.index.nlevels == frame.columns.nlevels == 1:  # else the index has a line for its name
        frame = frame.rename_axis(index=None, columns=frame.index.name)
    html = frame.to_html(float_format=f"{{:.{decimals}f}}".format, na_rep="–", border=0)
    return HTML(html)


def source_text(function):
    """A function or method as it stands in its module, without its docstring."""
    text = textwrap.dedent(inspect.getsource(function))
    first, lines = ast.parse(text).body[0].body[0], text.splitlines()
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines)


def source(*functions):
    """Show functions or methods as a highlighted code block.

    The text comes from `inspect.getsource`, so that what a page shows is what runs.

    >>> source(gslib.functional.zero_valued)  # in a notebook, the code itself
    <IPython.core.display.Markdown object>
    """
    from IPython.display import Markdown, display

    code = "\n\n\n".join(map(source_text, functions))
    display(Markdown(f"```python\n{code}\n```"))
