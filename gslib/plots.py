"""One look for every figure of the book.

Figures are drawn for a white page: dark ink on a transparent sheet. The book's style sheet inverts their lightness
in dark mode. Estimators keep one colour, one line style and one marker through the whole book, so that no figure
needs colour to be read. The colours are Okabe and Ito's, darkened to a contrast of at least 3:1 on white.
"""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

LABELS = {
    "sf": "SF",
    "darn": "DARN",
    "muprop": "MuProp",
    "st": "ST",
    "annealed_st": "Annealed ST",
    "gumbel_softmax": "Gumbel-Softmax",
    "st_gumbel_softmax": "ST Gumbel-Softmax",
    "exact": "Exact",
}
"""The paper's name of every estimator in ``gslib.ESTIMATORS``."""

COLORS = {
    "sf": "#005f9e",
    "darn": "#3f97cf",
    "muprop": "#00805d",
    "st": "#b5548a",
    "annealed_st": "#7a3b8f",
    "gumbel_softmax": "#b53a00",
    "st_gumbel_softmax": "#c08300",
    "exact": "#000000",
}
"""One colour per estimator, apart also for readers who see fewer colours."""

LINESTYLES = {
    "sf": "-",
    "darn": "--",
    "muprop": "-.",
    "st": ":",
    "annealed_st": (0, (3, 1, 1, 1, 1, 1)),
    "gumbel_softmax": "-",
    "st_gumbel_softmax": "--",
    "exact": (0, (1, 1)),
}
"""One line style per estimator, for ``linestyle=``."""

MARKERS = {
    "sf": "o",
    "darn": "s",
    "muprop": "^",
    "st": "v",
    "annealed_st": "P",
    "gumbel_softmax": "D",
    "st_gumbel_softmax": "X",
    "exact": "*",
}
"""One marker per estimator, for ``marker=``."""

_STYLE = {
    "figure.figsize": (6.0, 3.6),
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "savefig.dpi": 200,
    "svg.hashsalt": "gumbel-softmax-book",  # the same figure is the same file
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
    "axes.prop_cycle": mpl.cycler(color=[COLORS[k] for k in ("sf", "gumbel_softmax", "muprop", "st", "exact")])
    + mpl.cycler(linestyle=["-", "--", "-.", ":", (0, (3, 1, 1, 1))]),
}


def use_style():
    """Set the book's look for every figure drawn from here on.

    In a notebook, figures become SVG without a date, so that equal figures are equal files. Colab shows outputs on
    its own dark sheet, which would hide dark ink: there the figure brings a white one.
    """
    mpl.rcParams.update(_STYLE)
    if "google.colab" in sys.modules:
        mpl.rcParams.update({"figure.facecolor": "white", "savefig.facecolor": "white"})
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def estimator_style(name, **changes):
    """Keywords for ``ax.plot`` that draw one estimator as everywhere in the book.

    ``ax.plot(tau, bias, **estimator_style("gumbel_softmax"))`` sets colour, line style, marker and label; ``changes``
    override them. An unknown name raises ``KeyError`` with the known ones.
    """
    if name not in LABELS:
        raise KeyError(f"no estimator is called {name!r}; known are {', '.join(LABELS)}")
    style = {"color": COLORS[name], "linestyle": LINESTYLES[name], "marker": MARKERS[name], "label": LABELS[name]}
    return style | changes


def digits(images, ax=None, *, columns=10, gap=2):
    """Draw images side by side, row by row, as dark ink on a transparent sheet; returns the axes.

    images: [n, 784] (28 x 28), [n, 392] (the 14 x 28 half of a digit) or [n, height, width]; a tensor or an array,
    in 0..1 or, as bytes, in 0..255. ``columns`` images stand in a row, ``gap`` pixels apart. Another shape raises
    ``ValueError``.
    """
    ink = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images, dtype=float)
    if ink.ndim == 2 and ink.shape[1] in (784, 392):
        ink = ink.reshape(len(ink), -1, 28)
    if ink.ndim != 3 or len(ink) == 0:
        raise ValueError(f"digits needs images [n, 784], [n, 392] or [n, height, width], got {list(ink.shape)}")
    ink = np.clip(ink / (255 if ink.max() > 1.5 else 1), 0, 1)

    n, height, width = ink.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4))  # black, its alpha is the ink
    for i in range(n):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width, 3] = ink[i]

    if ax is None:
        cell = min(0.6, 6.0 / columns)  # inches
        _, ax = plt.subplots(figsize=(cell * columns, cell * rows * height / width))
    ax.imshow(sheet, interpolation="nearest")
    ax.set_axis_off()
    return ax
