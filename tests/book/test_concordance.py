"""The concordance: every name, test and label in it exists, and no equation is left out."""

import json
from pathlib import Path

import concordance
import pytest

from gsbook.claims import stated

ROOT = Path(__file__).resolve().parents[2]


ITEMS = {entry["paper"]: entry for entry in concordance.entries()}


@pytest.mark.parametrize("entry", ITEMS.values(), ids=ITEMS)
def test_names_tests_and_labels_of_the_concordance_exist(entry):
    for name in entry["gslib"]:
        concordance.resolve(name)
    assert set(entry["tests"]) <= concordance.node_ids()
    for chapter, wanted in entry["sections"].items():
        path = ROOT / "notebooks" / f"{chapter}.ipynb"
        if path.exists() or chapter not in stated()["chapters"]:
            labels = concordance.labels(json.loads(path.read_text(encoding="utf-8"))["cells"])
            assert set(wanted) <= labels, f"{chapter} has no label {sorted(set(wanted) - labels)}"


def test_concordance_has_every_equation_figure_and_table_of_the_paper():
    expected = {f"Equation {n}" for n in range(1, 12)} | {
        f"Figure {n}" for n in "1 2 3 4 5 6 7".split()
    }
    expected |= {"Table 1", "Table 2", "Section 2.1", "Section 2.2", "Appendix B"}
    assert expected <= set(ITEMS)
    assert len(ITEMS) == len(concordance.entries())


def test_concordance_has_every_function_whose_docstring_names_an_equation():
    listed = {id(concordance.resolve(name)) for entry in ITEMS.values() for name in entry["gslib"]}
    missing = [
        name for name in concordance.with_equations() if id(concordance.resolve(name)) not in listed
    ]
    assert not missing, f"book/concordance.yml does not list {', '.join(missing)}"


def test_a_wrong_name_does_not_resolve():
    with pytest.raises((ImportError, AttributeError)):
        concordance.resolve("gslib.functional.gumbel_hardmax")


def test_tests_are_found_in_every_folder_and_read_as_words():
    folders = {path.rpartition("/")[0] for path in concordance.node_ids()}
    assert {"tests/book", "tests/gsbook"} <= folders
    name = "tests/gsbook/test_verdicts.py::test_cell_verdict"
    assert name in concordance.node_ids()
    assert concordance.readable(name) == "verdicts: cell verdict"


def test_a_formula_of_the_paper_is_one_item_s_and_one_of_its_places():
    for entry in ITEMS.values():
        places = {label for labels in entry["sections"].values() for label in labels}
        assert set(entry["formulas"]) <= places, entry["paper"]
    found = [label for entry in ITEMS.values() for label in entry["formulas"]]
    assert len(found) == len(set(found)) > 10
    assert "eq-choices-expected" not in found  # an expectation, which is no formula of the paper
    for number in (1, 2, 3, 5, 8, 9, 10, 11):
        assert len(ITEMS[f"Equation {number}"]["formulas"]) == 1
