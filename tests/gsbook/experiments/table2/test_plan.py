"""Which runs make Table 2, and which of them stand for a method."""

import json

import pytest

from gsbook.experiments.table2 import plan, record, results
from gsbook.experiments.table2.config import FewLabels


def made(method, alpha, seed, steps, accuracy, elbo=-110.0, source="mnist", **settings):
    c = FewLabels(method, alpha, seed=seed, steps=steps, **settings)
    return {
        "key": c.key,
        "cell": c.cell,
        "config": c.to_dict(),
        "diverged": None,
        "valid": {"accuracy": accuracy, "elbo": elbo, "single": elbo - 1},
        "test": {"accuracy": accuracy - 1, "elbo": elbo, "single": elbo - 1},
        "data": {"source": source, "images": None, "sha256": {"train": "0"}},
        "evaluation": {"images": None, "samples": 1000, "valid_samples": 100},
        "curve": {"step": [steps], "valid": [-elbo]},
        "code": "c",
    }


def test_the_search_keeps_the_best_alphas_on_validation():
    budget = plan.Budget(((10, 2), (20, 1)), 50, 2, alphas=(1.0, 2.0, 3.0), changes=())
    stages = plan.plan("gumbel_softmax", budget)
    first, test = stages.send(None)
    assert ([c.alpha for c in first], {c.steps for c in first}, test) == (
        [1.0, 2.0, 3.0],
        {10},
        True,
    )
    second, _ = stages.send(
        [
            made("gumbel_softmax", c.alpha, 0, 10, a)
            for c, a in zip(first, (80, 90, 85), strict=True)
        ]
    )
    assert [c.alpha for c in second] == [2.0, 3.0]
    final, _ = stages.send(
        [made("gumbel_softmax", c.alpha, 0, 20, a) for c, a in zip(second, (80, 95), strict=True)]
    )
    assert [(c.alpha, c.seed, c.steps) for c in final] == [(3.0, 0, 50), (3.0, 1, 50)]
    assert {c.anneal_rate * c.steps for c in final} == {plan.COOLING}
    assert final[0].trajectory == second[1].trajectory, (
        "the search's runs are not the beginning of the final ones"
    )


@pytest.mark.parametrize(
    ("method", "tried"),
    [("st_gumbel_softmax", list(plan.CHANGES)), ("marginalisation", list(plan.CHANGES)[:3])],
)
def test_validation_chooses_one_change_at_full_length(method, tried, tmp_path):
    budget = plan.Budget((), 50, 2, alphas=(2.0,))
    stages = plan.plan(method, budget)
    configs, test = stages.send(None)
    assert test
    assert {(c.alpha, c.seed, c.steps) for c in configs} == {(2.0, 0, 50)}
    pairs = zip(tried, configs, strict=True)
    assert all(plan.CHANGES[name].items() <= c.to_dict().items() for name, c in pairs)
    best = tried.index("averaged weights")
    ran = [made(method, 2.0, 0, 50, 90.0 + (i == best)) for i in range(len(configs))]
    final, _ = stages.send(ran)
    assert [(c.average, c.decay, c.seed) for c in final] == [(0.999, "none", s) for s in (0, 1)]


def test_the_table_says_what_was_changed(tmp_path):
    records = record.records(tmp_path)
    records.add([made("gumbel_softmax", 2.0, s, 50, 90.0) for s in range(2)])
    assert results.method_runs(records, "gumbel_softmax").change == "not tried"
    records.add([made("gumbel_softmax", 2.0, 0, 50, 99.0, average=0.999)])
    assert results.method_runs(records, "gumbel_softmax").change == "nothing"
    both = plan.CHANGES["rate and cooling"]
    records.add([made("gumbel_softmax", 2.0, s, 50, 91.0, **both) for s in range(3)])
    found = results.method_runs(records, "gumbel_softmax")
    assert (found.change, len(found.runs)) == ("rate and cooling", 3)
    assert results.comparison(records).loc["gumbel_softmax", "changed"] == "rate and cooling"


def test_alpha_does_not_matter_without_the_generative_half():
    assert [c.alpha for c in plan.candidates("supervised", plan.BUDGETS["laptop"])] == [1.0]


def test_the_rows_of_table_2_are_final_runs_at_the_alpha_that_validation_chose(tmp_path):
    records = record.records(tmp_path)
    records.add(
        [made("gumbel_softmax", 1.0, 0, 10, 99.0), made("gumbel_softmax", 2.0, 0, 10, 98.0)]
        + [made("gumbel_softmax", 2.0, s, 50, 90.0 + s) for s in range(3)]
        + [made("gumbel_softmax", 3.0, s, 50, 95.0, source="embedded-5000") for s in range(4)]
    )
    found = results.method_runs(records, "gumbel_softmax")
    assert (found.alpha, found.steps, found.figure("accuracy")) == (
        2.0,
        50,
        {0: 89.0, 1: 90.0, 2: 91.0},
    )
    assert results.method_runs(records, "marginalisation") is None
    alphas = results.alphas(records, "gumbel_softmax")
    assert alphas.attrs["steps"] == 10
    assert alphas["valid accuracy"].to_dict() == {1.0: 99.0, 2.0: 98.0}
    table = results.comparison(records)
    assert table.loc["gumbel_softmax", "accuracy"] == 90
    assert table.loc["gumbel_softmax", "verdict ELBO"] == "reproduced"  # -110 beside -109.6
    assert table.loc["marginalisation", "verdict accuracy"] == "not run yet"
    assert table.loc["supervised", "verdict ELBO"] == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": {"accuracy": 101.0, "elbo": -1.0, "single": -1.0}}, "test of 101.0 is no perc"),
        ({"test": {"accuracy": None, "elbo": -1.0, "single": -1.0}}, "on test of None"),
        ({"test": {"accuracy": 90.0, "elbo": "-1", "single": -1.0}}, "elbo is '-1'"),
        ({"test": {"accuracy": 90.0, "elbo": 3.0, "single": -1.0}}, "elbo on test is 3.0, above 0"),
        ({"test": {"accuracy": 90.0, "elbo": None, "single": -1.0}}, "elbo on test is null"),
        ({"test": {"accuracy": 90.0}}, "has the figures elbo, single, accuracy"),
        ({"valid": None}, "valid is None, which is no object"),
        ({"valid": {"accuracy": 90.0}}, "lacks 'elbo'"),
        ({"curve": {"step": [1], "accuracy": [None, 1]}}, "1 steps and 2 of accuracy"),
        ({"evaluation": {"images": 0, "samples": 1, "valid_samples": 1}}, "images of its"),
    ],
)
def test_records_that_cannot_be_are_refused(tmp_path, changes, reason):
    found, good = record.records(tmp_path), made("gumbel_softmax", 1.0, 0, 10, 90.0)
    found.add([good])
    assert len(found.all()) == 1
    found.path("gumbel_softmax").write_text(json.dumps(good | changes) + "\n")
    with pytest.raises(ValueError, match=f"gumbel_softmax.jsonl line 1 is no .*{reason}"):
        found.all()


@pytest.mark.parametrize("channels", [[16, 32], [16, 32, "32"], "abc", [16, 32, 0]])
def test_channels_are_three_widths(channels):
    run = made("gumbel_softmax", 1.0, 0, 10, 90.0)
    run["config"]["channels"] = channels
    with pytest.raises(ValueError, match="which are no three widths"):
        record.check(run)
