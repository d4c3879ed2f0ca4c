"""Draw the book's own pictures: the logo, the icon, and Gumbel-Softmax samples on the simplex.

    python book/tools/pictures.py

All three show draws of the Gumbel-Softmax distribution with three classes. Their greys and colours
can be read on a white and on a dark page alike, since README.md is shown on either.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch

from gsbook.reader import plots
from gslib import functional

STATIC = Path(__file__).resolve().parents[1] / "_static"
PROBS = torch.tensor([0.5, 0.3, 0.2])
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
COLORS = ["#2f86c5", "#d9663a", "#2f9a77"]
GREY = "#808080"


def draws(tau, n, seed=1):
    """n points of the plane for n draws [n, 3] at temperature tau, and the class that each draw is
    closest to."""
    generator = torch.Generator().manual_seed(seed)
    y = functional.gumbel_softmax(
        PROBS.log().expand(n, 3), tau, uniform=lambda t: torch.rand(t.shape, generator=generator)
    ).numpy()
    return y @ CORNERS, y.argmax(-1)


def simplex():
    """Samples at four temperatures, from one-hot to uniform."""
    plots.use_style()
    mpl.rcParams.update({"axes.grid": False, "font.size": 17})
    fig, axes = plt.subplots(1, 4, figsize=(9, 2.6))
    for ax, tau in zip(axes, (0.1, 0.5, 1.0, 5.0), strict=True):
        points, classes = draws(tau, 250)
        ax.plot(*CORNERS[[0, 1, 2, 0]].T, color=GREY, linewidth=1.2)
        for k, marker in enumerate("os^"):
            ax.plot(
                *points[classes == k].T,
                marker,
                color=COLORS[k],
                markersize=3,
                alpha=0.5,
                clip_on=False,
                mew=0,
            )
        ax.set(aspect="equal", xlim=(-0.08, 1.08), ylim=(-0.08, 0.95))
        ax.text(0.5, -0.14, rf"$\tau$ = {tau:g}", ha="center", va="top")
        ax.set_axis_off()
    fig.savefig(STATIC / "simplex.svg", metadata={"Date": None})
    plt.close(fig)


def triangle(points, classes, radius, width):
    """An SVG of the simplex with a dot at every point; ``width`` is that of the triangle's line."""

    def place(point):
        return 8 + 48 * point[0], 54 - 48 * point[1]

    corners = " ".join("{:.1f},{:.1f}".format(*place(c)) for c in CORNERS)
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{COLORS[k]}"/>'
        for (x, y), k in zip(map(place, points), classes, strict=True)
    ]
    look = f'fill="none" stroke="{GREY}" stroke-width="{width}" stroke-linejoin="round"'
    outline = f'<polygon points="{corners}" {look}/>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
    return "\n".join([head, outline, *dots, "</svg>"]) + "\n"


if __name__ == "__main__":
    simplex()
    (STATIC / "logo.svg").write_text(triangle(*draws(0.5, 60, seed=4), 1.7, 1.6))
    (STATIC / "favicon.svg").write_text(triangle(CORNERS, range(3), 8, 5))
