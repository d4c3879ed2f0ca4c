"""The log of choices: every choice explained, its value from the code, its price from records."""

from dataclasses import fields
from pathlib import Path

import choices
import jinja2
import pytest
from table1_runs import part, record

from gsbook.experiments.table1.choices import BUDGETS, CHOICES, PRICED, priced
from gsbook.experiments.table1.config import Config
from gsbook.experiments.table1.readings import COMPARED as READINGS
from gsbook.records import Records

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that puts runs into a folder of results, which price choices in place of ours."""
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))
    return lambda *runs: Records(tmp_path / "table1").add(list(runs))


LOG = {choice["id"]: choice for section in choices.sections() for choice in section["choices"]}


@pytest.mark.parametrize("choice", LOG.values(), ids=LOG)
def test_choice_is_explained_and_takes_its_value_from_gslib(choice):
    assert all(choice[key].strip() for key in ("title", "paper", "here", "why"))
    assert "[[" not in choices.fill(choice["here"])
    if "price" in choice:
        assert choice["price"]["meaning"]
        assert ("change" in choice["price"]) != ("figures" in choice["price"])
        assert set(choice["price"].get("change", {})) <= {f.name for f in fields(Config)}


def test_every_default_of_a_run_is_in_the_log():
    text = choices.FILE.read_text(encoding="utf-8")
    elsewhere = {
        "seed": "plan.BUDGETS",
        "steps": "plan.BUDGETS",
        "anneal_rate": "config.ANNEAL_RATES",
        "eval_every": "",
        "model": "",
        "node": "",
        "estimator": "",
        "lr": "config.LEARNING_RATES",
    }
    for f in fields(Config):
        assert elsewhere.get(f.name, f"Config.{f.name}") in text, (
            f"choices.yml says nothing of Config.{f.name}"
        )


def test_an_expression_that_names_nothing_is_an_error():
    assert (
        choices.fill("[[Config.batch]] and [[1234.5|format_as(',')]]")
        == f"{Config.batch} and 1,234.5"
    )
    for wrong in ("[[Config.bacth]]", "[[Confg.batch]]", "[[plan.BUDGETS.vast.seeds]]"):
        with pytest.raises(jinja2.UndefinedError):
            choices.fill(wrong)


def test_prices_come_from_pairs_of_records(recorded):
    row = "vae-categorical"
    assert choices.prices(LOG["kl"]["price"]) == []
    recorded(
        *(record(row, "gumbel_softmax", seed, 101.0 + seed) for seed in range(2)),
        *(record(row, "gumbel_softmax", seed, 101.5 + seed, kl="sampled") for seed in range(2)),
    )
    (price,) = choices.prices(LOG["kl"]["price"])
    assert (
        price
        == "VAE, categorical (1,000 steps, 2 seeds, all test images): Gumbel-Softmax +0.50 ± 0.00"
    )
    (price,) = choices.prices(LOG["bound"]["price"])
    assert (
        price
        == "VAE, categorical (1,000 steps, 2 seeds, all test images): Gumbel-Softmax +10.0 ± 0.0"
    )
    assert f"  - {price}\n" in choices.page(lambda chapter: chapter)
    assert choices.prices(LOG["prior"]["price"]) == []


def test_pairs_of_runs_before_and_after_a_field_was_added(recorded):
    old, new = (
        record("vae-categorical", "sf", 0, 101.0),
        record("vae-categorical", "sf", 0, 103.0, kl="sampled"),
    )
    del old["config"]["slope_form"]
    recorded(old, new)
    assert len(choices.prices(LOG["kl"]["price"])) == 1


def test_a_price_that_another_page_has_is_a_link_to_it():
    elsewhere = [choice for choice in LOG.values() if "priced" in choice]
    assert [choice["id"] for choice in elsewhere] == [
        *("slope-form", "normalisation", "baseline-for-others")
    ]
    text = choices.page(lambda chapter: chapter)
    for choice in elsewhere:
        assert "price" not in choice
        assert f"- *Price:* {choice['priced']}.\n" in text


def test_only_runs_that_were_evaluated_alike_are_paired(recorded, tmp_path):
    row = "vae-bernoulli"
    recorded(record(row, "darn", 0, 110.0))
    others = Records(tmp_path / "choices")
    others.add([part(record(row, "darn", 0, 114.0, darn_form="printed"))])
    assert choices.prices(LOG["darn-form"]["price"]) == []
    others.add([part(record(row, "darn", 0, 111.0))])
    (price,) = choices.prices(LOG["darn-form"]["price"])
    assert price == "VAE, Bernoulli (1,000 steps, one seed, 500 test images): DARN +3.00"


def test_seeds_count_for_more_than_steps_and_rates_are_not_mixed(recorded, tmp_path):
    """The search holds both schedules at six rates and one seed: these are no six seeds, and three
    seeds beat them."""
    row, (slow, fast) = "vae-bernoulli", ({"anneal_rate": r} for r in (1e-5, 1e-4))
    searched = {
        (lr, r): 110 - 1000 * lr + (r == 1e-4) * 500 * lr
        for lr in (1e-3, 3e-3)
        for r in (1e-5, 1e-4)
    }
    recorded(
        *(
            record(row, "gumbel_softmax", 0, None, steps=9000, valid=bound, lr=lr, anneal_rate=r)
            | {"test": None}
            for (lr, r), bound in searched.items()
        )
    )
    (price,) = choices.prices(LOG["tau"]["price"])
    assert (
        price
        == "VAE, Bernoulli (9,000 steps, one seed, all validation images): Gumbel-Softmax +1.50"
    )  # the best rate's
    recorded(
        *(
            record(row, "gumbel_softmax", 0, None, steps=9000, valid=bound, lr=1e-2, **schedule)
            | {"test": None}
            for bound, schedule in ((90, slow), (99, fast))
        )
    )
    assert choices.prices(LOG["tau"]["price"]) == [
        price
    ]  # a rate beyond the paper's list is priced as the rate alone
    Records(tmp_path / "choices").add(
        [
            part(record(row, "gumbel_softmax", seed, 110 + gap, **schedule))
            for seed in range(3)
            for gap, schedule in ((0, slow), (2 + seed / 10, fast))
        ]
    )
    (price,) = choices.prices(LOG["tau"]["price"])
    assert (
        price
        == "VAE, Bernoulli (1,000 steps, 3 seeds, 500 test images): Gumbel-Softmax +2.10 ± 0.25"
    )


def test_what_the_command_line_prices_is_what_the_log_shows(tmp_path, monkeypatch):
    """Every price of a change has runs of its own, but those for which Table 1's and the readings'
    runs pay; every run has a price."""
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))
    paid = {"lr", "steps"} | {f for some in READINGS.values() for one in some for f in one}
    asked = [choice["price"] for choice in LOG.values() if "change" in choice.get("price", {})]
    asked = [s for s in asked if not s["change"].keys() <= paid or "slope_max" in s["change"]]
    known = sorted(str((s["change"], s.get("from", {}))) for s in asked)
    assert known == sorted(str((p.change, p.start)) for p in PRICED)
    budget, results = BUDGETS["laptop"], Records(tmp_path / "choices")
    for cell in CHOICES.cells:
        apart = ("model", "node", "estimator", "seed")
        for c in priced(cell, budget, Records(tmp_path / "table1")):
            settings = {k: v for k, v in c.to_dict().items() if k not in apart}
            results.add([part(record(c.row, c.estimator, c.seed, 100.0, **settings))])
    for spec in asked:
        found = "; ".join(choices.prices(spec))
        (price,) = (p for p in PRICED if p.change == spec["change"])
        assert found.count("+0.00 ± 0.00") == len(price.cells)
        rows = {cell.rpartition("-")[0] for cell in price.cells}
        assert found.count("20,000 steps, 3 seeds, 500 test images") == len(rows)


def test_records_that_cannot_be_do_not_reach_the_page(recorded):
    row = "vae-bernoulli"
    recorded(record(row, "darn", 0, 110.0))
    path = choices.results_folder() / "table1" / f"{row}-darn.jsonl"
    path.write_text(path.read_text().replace("110.0", "-5.0"))
    with pytest.raises(ValueError, match=r"line 1 is no record .*-5.0, below"):
        choices.prices(LOG["darn-form"]["price"])
