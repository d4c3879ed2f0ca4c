"""The gradients of the interactive figure: recomputed with gslib, and held against the bench."""

import json
from pathlib import Path

import pytest
import variance

import gslib

ROOT = Path(__file__).resolve().parents[2]


def read(script):
    """The data of a script of the page."""
    return json.loads(script.partition("??= ")[2].rstrip(";\n"))


@pytest.fixture(scope="module")
def written():
    return read((ROOT / "book" / "_static" / "variance-data.js").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("place", "program"), list(enumerate(variance.TITLES)), ids=list(variance.TITLES)
)
def test_the_gradients_are_those_that_gslib_computes(written, place, program):
    there, some = written["programs"][place], [0, 13, 20, 40]
    assert there["title"] == variance.TITLES[program]
    assert written["taus"] == pytest.approx(variance.TAUS, rel=1e-3)
    again = variance.measure(program, [variance.TAUS[i] for i in some])
    assert set(written["lines"]) == set(there["found"]) == set(again)
    for name, columns in again.items():
        for kind, values in zip(there["found"][name], columns, strict=True):
            at = some if name in variance.RELAXED else [0]
            assert [kind[i] for i in at] == pytest.approx(values, rel=1e-3, abs=1e-6), name


@pytest.fixture(scope="module")
def measured():
    return {program: variance.measure(program, [1.0]) for program in variance.TITLES}


@pytest.mark.parametrize("name", [*variance.RELAXED, *variance.DISCRETE, *variance.SEVERAL])
def test_bias_and_spread_agree_with_the_bench(name, measured):
    settings = {"tau": 1.0} if name in variance.RELAXED else {}
    bench = {p.program: p for p in gslib.check(name, samples=20_000, **settings).programs}
    for program in variance.TITLES:
        (bias,), (spread,) = measured[program][name]
        p = bench[program]
        assert p.bias / p.exact_norm == pytest.approx(
            bias,
            abs=4 * p.standard_error / p.exact_norm + 1e-5,  # five digits are written
        )
        assert p.variance**0.5 / p.exact_norm == pytest.approx(spread, rel=0.1, abs=1e-9)
        assert bias == 0 or name not in ("sf", "muprop", *variance.UNBIASED)


def test_every_estimator_after_2017_can_be_chosen(written):
    newer = {name for name, line in written["lines"].items() if line["newer"]}
    assert newer == set(variance.NEWER)
    assert len({(line["color"], line["dash"]) for line in written["lines"].values()}) == len(
        written["lines"]
    )
