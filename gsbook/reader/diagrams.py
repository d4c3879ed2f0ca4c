"""Drawings of networks whose layers and shapes are read off the model, so that a drawing cannot
differ from the code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import log2, prod

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Polygon
from torch import Tensor, nn

TALL = 0.62  # of a side of 28 pixels, where columns stand 1 apart
WIDE = 0.035  # of a doubling of channels
SLANT = 0.4  # of the edges that lead away from the reader


@dataclass(frozen=True)
class Layer:
    """One layer as it ran, with its shapes without the batch axis.

    branch: its input is another input of the network, and its output is added to that of the layer
    before.

    >>> Layer("linear", (784,), (200,)).shape
    (200,)
    """

    text: str
    source: tuple[int, ...]
    shape: tuple[int, ...]
    relu: bool = False
    branch: bool = False


def layers(model: nn.Module, run: Callable[[], object]) -> list[Layer]:
    """The layers with weights that `run` passes in `model`, in this order, as forward hooks see
    them.

    >>> halving = nn.Conv2d(1, 8, 3, stride=2, padding=1)
    >>> model = nn.Sequential(halving, nn.ReLU(), nn.Flatten(), nn.Linear(1568, 5))
    >>> found = layers(model, lambda: model(torch.zeros(1, 1, 28, 28)))
    >>> [(layer.text, layer.shape, layer.relu) for layer in found]
    [('conv 3, stride 2', (8, 14, 14), True), ('linear', (5,), False)]
    """
    found: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        trunk = [i for i, layer in enumerate(found) if not layer.branch]
        if isinstance(module, nn.ReLU):
            found[trunk[-1]] = replace(found[trunk[-1]], relu=True)
        elif list(module.parameters(recurse=False)):
            source = tuple(inputs[0].shape[1:])
            branch = bool(trunk) and prod(source) != prod(found[trunk[-1]].shape)
            found.append(Layer(_text(module), source, tuple(output.shape[1:]), branch=branch))

    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            hooks.callback(module.register_forward_hook(note).remove)
        run()
    return found


def _text(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        kind = "up" if module.transposed else "conv"
        stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"{kind} {module.kernel_size[0]}{stride}"
    return type(module).__name__.lower()


def networks(rows: dict[str, tuple[tuple[str, ...], list[Layer], str]], axes=None):
    """Draw networks, one below the other; returns the axes.

    rows: title -> (names of the inputs, `layers`, name of the output). A tensor is a box, as high
    as its image and the wider the more channels it has; its shape stands below it, and above an
    arrow the layer that makes the next one. The second and further inputs, one for each branch,
    come from above.

    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
    >>> found = layers(model, lambda: model(torch.zeros(1, 1, 28, 28)))
    >>> axes = networks({"q(y | x)": (("x",), found, "logits")})
    >>> [text.get_text() for text in axes[0].texts if text.get_text()]
    ['x\\n1×28×28', 'conv 3\\nReLU', 'logits\\n8×26×26']
    """
    if axes is None:
        _, axes = plt.subplots(len(rows), 1, figsize=(6.0, 1.75 * len(rows)), squeeze=False)
        axes = axes[:, 0]
    columns = max(len(found) for _, found, _ in rows.values()) + 1
    for ax, (title, (names, found, end)) in zip(axes, rows.items(), strict=True):
        names, x, right = list(names), 0, 0.0
        last = [layer for layer in found if not layer.branch][-1]
        for layer in found:
            if layer.branch:
                text = f"{names.pop(1)}: {_shape(layer.source)} → {_shape(layer.shape)},"
                text += "\nadded before the ReLU"
                style = {
                    "arrowprops": _ARROW | {"relpos": (0.04, 0)},
                    "fontsize": 9,
                }  # it falls from the left of the text
                ax.annotate(text, (x + 0.16, 0.31), (x + 0.1, 0.71), **style)
                continue
            if x == 0:
                right = _box(ax, 0, layer.source, names[0])
            ax.annotate("", (x + 0.98, 0), (right + 0.03, 0), arrowprops=_ARROW)
            text = "\n".join([*layer.text.split(", "), *["ReLU"] * layer.relu])
            ax.text((right + x + 1) / 2, 0.05, text, ha="center", va="bottom", fontsize=9)
            x += 1
            right = _box(ax, x, layer.shape, end if layer is last else "")
        ax.set_title(title, loc="left")
        ax.set(xlim=(-0.1, columns + 0.2), ylim=(-0.8, 1.0))
        ax.set_axis_off()
    return axes


_ARROW = {
    "arrowstyle": "-|>",
    "mutation_scale": 11,
    "linewidth": 1.3,
    "color": "black",
    "shrinkA": 0,
    "shrinkB": 0,
}


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _box(ax, x: float, shape: tuple[int, ...], name: str) -> float:
    """Draw a tensor with its shape, and its name if it has one; returns where its right side is."""
    side, wide = (shape[-1] if len(shape) == 3 else 1), 0.05 + WIDE * log2(shape[0])
    tall = TALL * (side / 28) ** 0.5
    away = SLANT * tall * 0.5
    front = [(x, -tall / 2), (x + wide, -tall / 2), (x + wide, tall / 2), (x, tall / 2)]
    top = [front[3], front[2], (x + wide + away, tall / 2 + away), (x + away, tall / 2 + away)]
    flank = [front[1], front[2], top[2], (x + wide + away, -tall / 2 + away)]
    for face, grey in ((front, "0.75"), (top, "0.9"), (flank, "0.6")):
        ax.add_patch(Polygon(face, facecolor=grey, edgecolor="black", linewidth=1))
    ax.text(
        x, -0.42, "\n".join(filter(None, [name, _shape(shape)])), ha="left", va="top", fontsize=10
    )
    return x + wide + away


# --- stochastic computation graphs

_NODE_MARKERS = {"[": "s", "(": "o", "<": "D"}
_ROUTES = {
    "forward": {"color": "black", "linestyle": "-"},
    "backward": {"color": "#b53a00", "linestyle": (0, (4, 1.5))},
    "blocked": {"color": "#b53a00", "linestyle": (0, (1, 2))},
}


def computation_graph(layout, forward, backward="", *, blocked="", notes=None, ax=None):
    """Draw a stochastic computation graph after Schulman et al. (2015, arXiv:1506.05254); returns
    the axes.

    layout: the nodes as text, rows on lines, two spaces or more between them: ``[a]`` is computed,
    ``(z)`` sampled, ``<f>`` the loss, a bare name an input or parameters, and a dot an empty place.
    ``forward``, ``backward`` and ``blocked`` are edges as text: "a>b>c, d>b" is three of them.
    Values run along solid arrows, slopes along dashed ones beside them; a blocked slope has a
    cross. ``notes``: name -> text beside that node. An edge to an unknown node raises ``KeyError``.

    >>> ax = computation_graph("[a]  (z)  <f>", "a>z>f", blocked="f>z")
    >>> [text.get_text() for text in ax.texts[:3]]
    ['a', 'z', 'f']
    """
    rows = [re.split(r" {2,}", line.strip()) for line in layout.strip().splitlines()]
    cells = [
        (cell, x, -y) for y, row in enumerate(rows) for x, cell in enumerate(row) if cell != "."
    ]
    place = {cell.strip("[]()<>"): np.array([x, y], float) for cell, x, y in cells}
    width, height = max(map(len, rows)), len(rows)
    if ax is None:
        _, ax = plt.subplots(figsize=(1.3 * width, 1.3 * height))
    for (cell, x, y), name in zip(cells, place, strict=True):
        marker = _NODE_MARKERS.get(cell[0])
        if marker:
            style = {"markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 1.4}
            ax.plot(x, y, marker, markersize=22 if marker == "D" else 28, **style)
        ax.text(x, y, name, ha="center", va="center", fontsize=13 if len(name) < 3 else 10)
        if notes and name in notes:
            above = y == 0 and height > 1  # below the top row stand the nodes of the next one
            style = {"xytext": (0, 24 if above else -18), "va": "bottom" if above else "top"}
            ax.annotate(
                notes[name], (x, y), textcoords="offset points", ha="center", fontsize=11, **style
            )

    for route, edges in {"forward": forward, "backward": backward, "blocked": blocked}.items():
        for start, end in _edges(edges):
            unknown = {start, end} - place.keys()
            if unknown:
                raise KeyError(
                    f"edge {start}>{end}: the layout has no node {unknown}; it has "
                    f"{', '.join(place)}"
                )
            a, b = place[start], place[end]
            along = (b - a) / np.hypot(*(b - a))
            aside = (
                (route != "forward") * 0.17 * np.array([along[1], -along[0]])
            )  # to the right of the arrow's way
            style = {
                "arrowstyle": "-|>",
                "mutation_scale": 13,
                "linewidth": 1.6,
                "shrinkA": 16,
                "shrinkB": 16,
            }
            ax.annotate("", b + aside, a + aside, arrowprops=style | _ROUTES[route])
            if route == "blocked":
                middle = (a + b) / 2 + aside
                ax.plot(
                    *middle, "x", color=_ROUTES[route]["color"], markersize=11, markeredgewidth=2.5
                )
    ax.set(aspect="equal", xlim=(-0.5, width - 0.5), ylim=(0.5 - height, 0.5))
    ax.set_axis_off()
    return ax


def _edges(text):
    """The pairs in "a>b>c, d>b": (a, b), (b, c), (d, b)."""
    return [
        pair for chain in text.split(",") for pair in itertools.pairwise(chain.strip().split(">"))
    ]
