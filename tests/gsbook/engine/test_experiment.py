"""The row that an experiment is: its records are checked by its rules and know their code."""

from dataclasses import replace

import pytest
from helpers import config, searched

from gsbook.code import code_of
from gsbook.experiments import TABLE1


def test_records_of_an_experiment_are_in_the_folder_and_checked(tmp_path):
    def check(run):
        if run["valid_bound"] > 100:
            raise ValueError("worse than nothing")

    cell = "vae-bernoulli-st"
    searched(tmp_path, {(1e-3, 0.0): 99.0}, cell)
    records = replace(TABLE1, check=check).records(tmp_path / "table1")
    assert len(records.all()) == 1
    searched(tmp_path, {(1e-4, 0.0): 101.0}, cell)
    with pytest.raises(ValueError, match="worse than nothing"):
        records.all()


def test_records_of_an_experiment_stand_on_the_code_of_their_config(tmp_path):
    asked = []

    def modules(c):
        asked.append(c)
        return ["gslib.functional"]

    records = replace(TABLE1, modules=modules).records(tmp_path)
    run = {"config": config().to_dict(), "code": code_of(["gslib.functional"])}
    assert records.is_current(run)
    assert asked == [config()]
