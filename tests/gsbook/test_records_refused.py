"""What a folder of records refuses: numbers beyond floats, records that it could not read back, a
damaged list of equivalences."""

import pytest
from helpers import ABOUT

from gsbook.records import Records


def record(key="k", **changes):
    config, curve = {"lr": 0.1, "seed": 0}, {"step": [1]}
    run = {"key": key, "cell": "vae-bernoulli-st", "config": config, "curve": curve, "code": "c"}
    run |= {"diverged": None, "valid_bound": 1.5, "test": {"nll": 2.5}, "data": ABOUT}
    return run | changes


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results" / "table1")


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "NaN"])
def test_a_number_that_no_float_holds_is_refused(records, literal):
    records.add([record()])
    path = records.path("vae-bernoulli-st")
    path.write_text(path.read_text().replace('"valid_bound": 1.5', f'"valid_bound": {literal}'))
    with pytest.raises(ValueError, match=r"line 1 is no record"):
        records.all()


def test_nothing_is_written_that_would_be_refused(records):
    records.add([record()])
    before = records.path("vae-bernoulli-st").read_bytes()
    for wrong in ({"code": 7}, {"config": None}, {"minutes": float("inf")}):
        with pytest.raises(ValueError, match=r"is|float"):
            records.add([record("other") | wrong])
    assert records.path("vae-bernoulli-st").read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"modules": {"a": {"b": {}}}}'])
def test_a_damaged_list_of_equivalences_is_named(records, text):
    records.add([record()])
    (records.folder.parent / "equivalent_code.json").write_text(text)
    with pytest.raises(ValueError, match=r"equivalent_code.json is no list of equivalences"):
        records.equivalent()
