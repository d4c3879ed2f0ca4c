import matplotlib.pyplot as plt
import pytest

from gsbook.reader import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labels(ax):
    return {text.get_text() for text in ax.texts if text.get_text()}


def arrows(ax):
    return [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]


def test_every_node_and_edge_is_drawn():
    ax = plots.computation_graph(
        "x  [a]  (z)  <f>\n.  w", "x>a>z>f, w>a", "f>z", blocked="z>a", notes={"w": "0.5"}
    )
    assert labels(ax) == {"x", "a", "z", "f", "w", "0.5"}
    assert len(arrows(ax)) == 4 + 1 + 1


def test_a_name_may_hold_a_space_and_a_dot_leaves_a_gap():
    ax = plots.computation_graph(".  [log p]", "")
    (text,) = ax.texts
    assert (text.get_text(), text.get_position()) == ("log p", (1, 0))


def test_an_edge_to_an_unknown_node_names_it():
    with pytest.raises(KeyError, match="q"):
        plots.computation_graph("x  [a]", "x>q")
