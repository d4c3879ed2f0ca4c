"""One look for all estimators: apart without colour, legible, and the same file every time."""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import gslib
from gsbook.reader import plots


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context():
        plots.use_style()
        yield
        plt.close("all")


def test_every_estimator_has_a_look():
    for table in (plots.LABELS, plots.COLORS, plots.LINESTYLES, plots.MARKERS):
        assert set(table) == set(gslib.ESTIMATORS)


def test_looks_differ_without_colour():
    assert len(set(plots.MARKERS.values())) == len(plots.MARKERS)


@pytest.mark.parametrize("name", plots.COLORS)
def test_contrast_on_white_is_at_least_3(name):
    rgb = np.array(mpl.colors.to_rgb(plots.COLORS[name]))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3  # WCAG 2, criterion 1.4.11


def test_estimator_style_names_the_known_ones():
    assert plots.estimator_style("sf", marker="")["marker"] == ""
    with pytest.raises(KeyError, match="gumbel_softmax"):
        plots.estimator_style("reinforce")


def test_the_same_figure_is_the_same_file():
    files = []
    for _ in range(2):
        fig, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], **plots.estimator_style("sf"))
        ax.fill_between([0, 1], [0, 1], hatch="/")
        fig.savefig(buffer := io.BytesIO(), format="svg", metadata={"Date": None})
        files.append(buffer.getvalue())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("shape", "sheet"),
    [((12, 784), (58, 298)), ((3, 392), (14, 88)), ((1, 5, 4), (5, 4))],
    ids=["digits", "halves", "one small image"],
)
def test_digits_lays_out_a_sheet(shape, sheet):
    image = plots.digits(torch.ones(shape)).images[0].get_array()
    assert image.shape == (*sheet, 4)
    assert not image[..., :3].any()  # black ink,
    assert set(np.unique(image[..., 3])) <= {0, 1}  # on nothing


def test_digits_reads_bytes_and_binary_alike():
    grey = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    assert np.allclose(plots.digits(grey).images[0].get_array()[..., 3], [[0, 0.2, 1]])
    binary = torch.tensor([[[0, 1, 1]]], dtype=torch.uint8)
    assert np.allclose(plots.digits(binary).images[0].get_array()[..., 3], [[0, 1, 1]])


@pytest.mark.parametrize("shape", [(784,), (2, 100), (0, 784)])
def test_digits_names_the_shape_it_cannot_draw(shape):
    with pytest.raises(ValueError, match=str(list(shape))[1:-1]):
        plots.digits(torch.zeros(shape))


class Named(list):
    """As tensors of torch 2.11 and before, which rename their axes."""

    def rename(self, **names):
        raise RuntimeError(names)


def test_a_heat_map_takes_what_renames_no_rows():
    ax = plots.heat_map(Named([[1.0, 2.0]]))
    assert [text.get_text() for text in ax.texts] == ["1.0", "2.0"]


def test_a_heat_map_writes_its_numbers_and_leaves_gaps_empty():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [-2.0, 0.0]}, index=["st", "other"])
    ax = plots.heat_map(frame, center=0)
    assert [text.get_text() for text in ax.texts] == ["1.0", "-2.0", "0.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ST", "other"]
    mesh = ax.collections[0]
    mesh.update_scalarmappable()
    colors = mesh.get_facecolors().reshape(2, 2, 4)
    assert colors[0, 1, 2] > colors[0, 1, 0]  # below the centre blue,
    assert colors[0, 0, 0] > colors[0, 0, 2]  # above it orange,
    assert colors[1, 1, 3] < 0.02  # at it the page itself
    rows = plots.figure_data(ax.figure).splitlines()[1:]
    assert rows == [
        "1,,ST,cell,a,1,",
        "1,,ST,cell,b,-2,",
        "1,,other,cell,a,,",
        "1,,other,cell,b,0,",
    ]


def test_seeds_are_all_drawn_and_one_seed_has_no_interval():
    asked = []
    values = {"st": [3.0, 1.0, 2.0], "none": [], "mine": [5.0]}
    ax = plots.seeds(values, interval=lambda x: asked.append(sorted(x)) or (0.5, 3.5))
    assert asked == [[1.0, 2.0, 3.0]]
    dots = [dots.get_offsets()[:, 0].tolist() for dots in ax.collections if len(dots.get_offsets())]
    assert sorted(dots, key=len) == [[5.0], [3.0, 1.0, 2.0]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ST", "none", "mine"]
    drawn = "\n".join(plots.figure_data(ax.figure).splitlines())
    assert "0.5" in drawn
    assert "3.5" in drawn


def test_seeds_that_are_not_there_are_said_to_be_missing():
    assert plots.seeds({"st": []}).texts[0].get_text() == "not run yet"
