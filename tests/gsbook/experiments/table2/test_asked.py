"""Why ST Gumbel-Softmax loses points: answers from records complete, incomplete and none."""

from dataclasses import replace

import pytest

from gsbook.experiments.table2 import asked, plan
from gsbook.experiments.table2.causes import ALPHAS, BUDGETS, CAUSES, candidates
from gsbook.experiments.table2.config import METHODS
from gsbook.records import Records

METHOD = "st_gumbel_softmax"


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "causes")


def run(config, accuracy, curve=(80.0, 82.0, 84.0, 86.0)):
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "code": {},
        "valid": {"accuracy": accuracy},
        "test": {"accuracy": accuracy},
        "data": {"source": "mnist", "images": None, "sha256": {"train": "0"}},
        "curve": {"step": [1, 2, 3, 4], "accuracy": list(curve)},
    }


def changed(cause, alpha=ALPHAS[0], seed=0, steps=5_000):
    first = plan.first(METHOD, replace(plan.BUDGETS["laptop"], steps=steps))
    return replace(first, alpha=alpha, seed=seed, **CAUSES[cause])


def by_name(found):
    return {(one.cause, one.alpha): one for one in found}


def test_nothing_recorded():
    steps, found = asked.answers([Records("none")], METHOD)
    assert steps == 0
    assert {one.verdict for one in found} == {"not run yet"}
    assert asked.table(found).empty
    assert asked.sentences(steps, found)[0] == "0 of 9 changes have a pair of runs, of 0 steps"


def test_every_run_of_the_plan_answers(records):
    budget = BUDGETS["laptop"]
    for config in candidates(METHOD, budget):
        records.add([run(replace(config, seed=seed), 80.0) for seed in range(3)])
    steps, found = asked.answers([records], METHOD)
    assert steps == budget.steps
    assert len(found) == len(ALPHAS) * (len(CAUSES) - 1) + 1
    assert all(len(one.gains) == budget.seeds for one in found)
    assert {one.verdict for one in found} == {"excluded"}


def test_a_cause_is_told_from_chance_by_the_interval_of_pairs(records):
    decay, average = "the rate never falls", "the last weights are noisy"
    tau = "tau falls in fewer steps than the paper's"
    gains = {decay: (4.0, 4.5, 5.0), average: (0.1, 0.0, -0.1), tau: (0.0, 2.0, 4.0)}
    for seed in range(3):
        records.add([run(changed(asked.NOTHING, seed=seed), 80.0 + 3 * seed)])
        for cause, more in gains.items():
            records.add([run(changed(cause, seed=seed), 80.0 + 3 * seed + more[seed])])
    steps, found = asked.answers([records], METHOD)
    one = by_name(found)
    assert one[decay, 0.8].verdict == "a cause"
    assert one[average, 0.8].verdict == "excluded"
    assert one[tau, 0.8].verdict == "undecided"
    said = asked.sentences(steps, found)
    assert said[0] == "3 of 9 changes have a pair of runs, of 5,000 steps"
    assert said[1] == f"a cause: {decay} (alpha 0.8)"
    assert "rate and tau (alpha 0.8 and 150.3)" in said[-1]
    table = asked.table(found)
    assert table.loc[decay, "gain"] == 4.5
    assert table.loc[decay, "pairs"] == 3
    assert list(asked.unchanged([records], METHOD, ALPHAS[0])) == [0, 1, 2]
    assert asked.unchanged([records], METHOD, ALPHAS[1]) == {}
    records.add([run(changed(decay, seed=seed), 70.0) for seed in (3, 4)])  # without a pair
    again = asked.table(asked.answers([records], METHOD)[1])
    assert again.loc[decay, ["pairs", "accuracy", "gain"]].tolist() == [3, 87.5, 4.5]


def test_one_seed_decides_nothing(records, tmp_path):
    """Runs of Table 2 pay for those that change nothing."""
    table2 = Records(tmp_path / "table2")
    table2.add([run(changed(asked.NOTHING, ALPHAS[1], seed), 84.0) for seed in range(3)])
    records.add([run(changed(asked.NOTHING), 82.0)])
    records.add([run(changed("the rate never falls"), 81.0)])
    _, found = asked.answers([records, table2], METHOD)
    ran = [one for one in found if one.gains]
    assert [(one.gains, one.verdict) for one in ran] == [
        *(([-2.0], asked.ONE_SEED), ([-1.0], asked.ONE_SEED))
    ]
    assert asked.table(found)["± gain"].isna().all()


def test_a_change_without_its_pair_is_shown_and_not_judged(records):
    records.add([run(changed("the rate never falls", seed=4), 81.0)])
    _, found = asked.answers([records], METHOD)
    (line,) = asked.table(found).to_dict("records")
    assert (line["pairs"], line["verdict"]) == (0, "not run yet")


def test_parts_other_data_and_other_settings_are_left_out(records):
    base = changed(asked.NOTHING)
    records.add(
        [run(base, 82.0) | {"data": {"source": "mnist", "images": 200, "sha256": {"train": "0"}}}]
    )
    records.add(
        [
            run(replace(base, seed=1), 82.0)
            | {"data": {"source": "embedded", "sha256": {"train": "0"}}}
        ]
    )
    records.add([run(replace(base, seed=2), 82.0) | {"test": None}])
    records.add([run(replace(base, lr=1e-3), 82.0), run(replace(base, alpha=0.3), 82.0)])
    assert asked.answers([records], METHOD)[0] == 0


def test_lengths_are_not_mixed(records):
    records.add([run(changed(asked.NOTHING, steps=20_000), 90.0)])
    records.add([run(changed(asked.NOTHING), 82.0), run(changed("rate and tau"), 83.0)])
    steps, found = asked.answers([records], METHOD)
    assert steps == 5_000
    assert by_name(found)["rate and tau", 0.8].gains == [1.0]


def test_scatter_within_a_run():
    ways = [1.0, 90.0, 90.0, 90.0], [1.0, 90.0, 92.0, 85.0]
    flat, falling = ({"curve": {"step": [1, 2, 3, 4], "accuracy": way}} for way in ways)
    table = asked.scatter({"flat": {0: flat}, "falling": {0: falling}, "none": {}})
    assert list(table.index) == ["flat", "falling"]
    assert list(table.loc["falling"].round(2)) == [85.0, 89.0, 92.0, 3.61]
    sides = {0: flat, 1: flat}, {0: falling, 1: falling}
    assert asked.gap(*sides, average=False).mean == 5.0
    assert asked.gap(*sides, average=True).mean == 1.0
    assert asked.gap({0: flat}, sides[1], average=True) is None
    assert asked.last_half({"curve": {"step": [], "accuracy": []}}) == []


@pytest.mark.parametrize("method", [m for m in METHODS if m != "supervised"])
def test_the_books_records_can_be_shown(method):
    steps, found = asked.answers(asked.results(), method)
    assert asked.sentences(steps, found)
    asked.table(found)
