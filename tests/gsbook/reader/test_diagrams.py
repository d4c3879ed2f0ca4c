"""Drawings of networks say what the model has."""

import matplotlib.pyplot as plt
import pytest
import torch

from gsbook.reader.diagrams import computation_graph, layers, networks
from gslib.models import SemiSupervisedVAE

X = torch.zeros(2, 784)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(params=[(3, 2, (4, 5, 6)), (10, 16, (16, 32, 32))], ids=["k=3", "k=10"])
def model(request):
    classes, style, channels = request.param
    return SemiSupervisedVAE(classes, style=style, channels=channels)


def rows(model):
    y, z = torch.eye(model.classes)[:2], torch.zeros(2, model.style)
    runs = {
        "q(y | x)": (("x",), lambda: model.posterior(X), "logits"),
        "q(z | x, y)": (("x", "y"), lambda: model.infer_style(X, y), "mean, log-variance"),
        "p(x | y, z)": (("y, z",), lambda: model.decode(y, z), "pixels"),
    }
    return {title: (names, layers(model, run), end) for title, (names, run, end) in runs.items()}


def test_layers_are_those_that_ran_in_their_order(model):
    found = {title: row[1] for title, row in rows(model).items()}
    (a, b, c), k, style = (
        (model.decoder[i].out_channels for i in (4, 2, 0)),
        model.classes,
        model.style,
    )
    down = [(a, 14, 14), (b, 7, 7), (c, 4, 4)]
    assert [layer.shape for layer in found["q(y | x)"]] == [*down, (k,)]
    assert [layer.shape for layer in found["q(z | x, y)"] if not layer.branch] == [
        *down,
        (2 * style,),
    ]
    assert [(layer.source, layer.shape) for layer in found["q(z | x, y)"] if layer.branch] == [
        ((k,), (a,))
    ]
    assert [layer.shape for layer in found["p(x | y, z)"]] == [*down[::-1], (1, 28, 28)]
    assert found["p(x | y, z)"][0].source == (k + style, 1, 1)


def test_every_inner_layer_has_a_relu_and_the_last_has_none(model):
    for _, found, _ in rows(model).values():
        trunk = [layer for layer in found if not layer.branch]
        assert [layer.relu for layer in trunk] == [True] * (len(trunk) - 1) + [False]


def test_no_hook_is_left(model):
    rows(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_where_the_run_fails(model):
    with pytest.raises(ValueError, match="flatten"):
        layers(model, lambda: model.posterior(X[:, :10]))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_drawing_has_every_shape_and_every_input(model):
    for (title, (names, found, end)), ax in zip(
        rows(model).items(), networks(rows(model)), strict=True
    ):
        text = "\n".join(t.get_text() for t in ax.texts)
        assert ax.get_title("left") == title
        assert end in text
        assert all(f"{name}\n" in text or f"{name}: " in text for name in names)
        for layer in found:
            assert "×".join(map(str, layer.shape)) in text
            assert layer.branch or layer.text.split(", ")[0] in text


# Stochastic computation graphs


def labels(ax):
    return {text.get_text() for text in ax.texts if text.get_text()}


def arrows(ax):
    return [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]


def test_every_node_and_edge_is_drawn():
    ax = computation_graph(
        "x  [a]  (z)  <f>\n.  w", "x>a>z>f, w>a", "f>z", blocked="z>a", notes={"w": "0.5"}
    )
    assert labels(ax) == {"x", "a", "z", "f", "w", "0.5"}
    assert len(arrows(ax)) == 4 + 1 + 1


def test_a_name_may_hold_a_space_and_a_dot_leaves_a_gap():
    ax = computation_graph(".  [log p]", "")
    (text,) = ax.texts
    assert (text.get_text(), text.get_position()) == ("log p", (1, 0))


def test_an_edge_to_an_unknown_node_names_it():
    with pytest.raises(KeyError, match="q"):
        computation_graph("x  [a]", "x>q")
