"""Drawings of networks whose layers and shapes are read off the model, so that a drawing cannot differ from the code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import log2, prod

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Polygon
from torch import Tensor, nn

TALL = 0.62  # of a side of 28 pixels, where columns stand 1 apart
WIDE = 0.035  # of a doubling of channels
SLANT = 0.4  # of the edges that lead away from the reader


@dataclass(frozen=True)
class Layer:
    """One layer as it ran, with its shapes without the batch axis.

    branch: its input is another input of the network, and its output is added to that of the layer before.

    >>> Layer("linear", (784,), (200,)).shape
    (200,)
    """

    text: str
    source: tuple[int, ...]
    shape: tuple[int, ...]
    relu: bool = False
    branch: bool = False


def layers(model: nn.Module, run: Callable[[], object]) -> list[Layer]:
    """The layers with weights that `run` passes in `model`, in this order, as forward hooks see them.

    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1568, 5))
    >>> [(layer.text, layer.shape, layer.relu) for layer in layers(model, lambda: model(torch.zeros(1, 1, 28, 28)))]
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

    rows: title -> (names of the inputs, `layers`, name of the output). A tensor is a box, as high as its image and the
    wider the more channels it has; its shape stands below it, and above an arrow the layer that makes the next one. The
    second and further inputs, one for each branch, come from above.

    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
    >>> axes = networks({"q(y | x)": (("x",), layers(model, lambda: model(torch.zeros(1, 1, 28, 28))), "logits")})
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
                text = f"{names.pop(1)}: {_shape(layer.source)} → {_shape(layer.shape)},\nadded before the ReLU"
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
