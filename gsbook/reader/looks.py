"""How each estimator looks in every figure of the book: label, colour, line style, marker."""

from gslib.estimators import ESTIMATORS

LABELS = {name: row.label for name, row in ESTIMATORS.items()}
"""The paper's name of every estimator in ``gslib.ESTIMATORS``."""

COLORS = {
    "sf": "#005f9e",
    "darn": "#3f97cf",
    "muprop": "#00805d",
    "st": "#b5548a",
    "annealed_st": "#7a3b8f",
    "gumbel_softmax": "#b53a00",
    "st_gumbel_softmax": "#c08300",
    "reinmax": "#d0245e",
    "gumbel_rao": "#8a6a00",
    "gapped_st": "#9c5a3c",
    "rloo": "#2b6cb0",
    "double_cv": "#5b7fa6",
    "disarm": "#007a87",
    "rebar": "#4d8a00",
    "vimco": "#6a5acd",
    "local_expectation": "#6b6b6b",
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
    "reinmax": "-.",
    "gumbel_rao": (0, (5, 1)),
    "gapped_st": (0, (1, 2)),
    "rloo": (0, (5, 1)),
    "double_cv": (0, (3, 1, 1, 1)),
    "disarm": "--",
    "rebar": "-.",
    "vimco": ":",
    "local_expectation": (0, (1, 2)),
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
    "reinmax": "d",
    "gumbel_rao": "H",
    "gapped_st": "8",
    "rloo": "<",
    "double_cv": ">",
    "disarm": "p",
    "rebar": "h",
    "vimco": "x",
    "local_expectation": "+",
    "exact": "*",
}
"""One marker per estimator, for ``marker=``."""

# What an estimator looks like that has no look of its own above: the marker tells it apart.
