"""The data of a figure: all that is drawn, and nothing where there are none."""

import csv
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gsbook.experiments.table1.results import Cell
from gsbook.reader import plots
from gsbook.reader.diagrams import computation_graph
from gsbook.reader.figure_data import figure_data, pdf


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def data(figure):
    """The rows below the head, as dictionaries."""
    return list(csv.DictReader(io.StringIO(figure_data(figure))))


def points(rows, kind):
    return [
        (row["series"], row["x"], row["y"], row["upper"]) for row in rows if row["kind"] == kind
    ]


def test_data_has_all_that_is_drawn():
    figure, ax = plt.subplots()
    ax.plot([0, 1.23456789], [2, np.nan], label="a, b")
    ax.axhline(5, label="best")
    ax.bar([1, 2], [3, 4], label="up")
    ax.barh([1], [7], label="across")
    ax.scatter([8], [9], label="cloud")
    ax.vlines([1], 0, 2, label="stem")
    ax.fill_between([0, 1, 2], [0, 1, 2], [3, 4, 5], label="_a, b")
    ax.stairs([6, 7], [0, 1, 2], label="outline")
    rows = data(figure)
    assert points(rows, "line")[:3] == [
        ("a, b", "0", "2", ""),
        ("a, b", "1.23457", "", ""),
        ("best", "", "5", ""),
    ]
    assert points(rows, "bar") == [
        ("up", "1", "3", ""),
        ("up", "2", "4", ""),
        ("across", "7", "1", ""),
    ]
    assert points(rows, "dot") == [("cloud", "8", "9", "")]
    assert points(rows, "stroke") == [("stem", "1", "0", ""), ("stem", "1", "2", "")]
    assert points(rows, "band") == [
        ("a, b", "0", "0", "3"),
        ("a, b", "1", "1", "4"),
        ("a, b", "2", "2", "5"),
    ]
    assert points(rows, "step") == [("outline", "0.5", "6", ""), ("outline", "1.5", "7", "")]


def test_data_names_panels_and_axes():
    figure, axes = plt.subplots(1, 2)
    for i, ax in enumerate(axes):
        ax.plot([0], [i])
        ax.set(title=f"panel {i}", ylabel=f"loss {i}")
    figure.supxlabel("step")
    rows = data(figure)
    assert [(row["panel"], row["title"], row["step"], row["y"]) for row in rows] == [
        ("1", "panel 0", "0", "0"),
        ("2", "panel 1", "0", "1"),
    ]


def test_a_picture_and_a_graph_have_no_data():
    assert figure_data(plots.digits(np.ones((2, 784))).figure) == ""
    assert figure_data(computation_graph("x  [a]", "x>a").figure) == ""
    assert figure_data(plots.learning_curves({}).figure) == ""


def test_data_of_learning_curves_are_the_mean_and_the_range_over_seeds():
    curves = {0: [100.0, 90.0], 1: [102.0, None]}
    runs = {
        seed: {"curve": {"step": [1000, 2000], "test": losses}} for seed, losses in curves.items()
    }
    rows = data(plots.learning_curves({"st": Cell("x", 2000, runs)}).figure)
    x, y = "training steps, in thousands", "test loss (nats)"
    assert [(row["kind"], row["series"], row[x], row[y], row["upper"]) for row in rows] == [
        ("line", "ST", "1", "101", ""),
        ("line", "ST", "2", "90", ""),
        ("band", "ST", "1", "100", "102"),
        ("band", "ST", "2", "90", "90"),
    ]


def test_the_same_figure_is_the_same_pdf():
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    assert pdf(figure) == pdf(figure)
