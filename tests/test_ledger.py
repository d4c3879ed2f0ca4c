"""The ledger of claims, the log of choices, the concordance and the prose: complete, and nothing of ours typed."""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import choices  # noqa: E402
import concordance  # noqa: E402
import ledger  # noqa: E402
import pages  # noqa: E402
import prose  # noqa: E402

from gslib.experiment import Config, Records, plan, summary, verdict  # noqa: E402
from gslib.experiment.config import TRAINED  # noqa: E402

CLAIMS = {claim.id: claim for claim in ledger.load()}
ROWS = ledger.raw()["table1"]["rows"]
ORDER_RULES = {"order", "par"}


# --- the ledger ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_claim_has_a_chapter_a_rule_and_a_source(claim):
    assert claim.location, "say where the paper makes the claim"
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert claim.chapter in notebooks | set(ledger.raw()["chapters"]), (
        f"no chapter is called {claim.chapter!r}"
    )
    assert callable(getattr(verdict, claim.rule, None)), (
        f"gslib.experiment.verdict has no rule {claim.rule!r}"
    )
    if claim.kind == "figure":
        assert claim.labels, "name the figures of the book that draw it"
        if claim.chapter in notebooks:
            cells = json.loads(
                (ROOT / "notebooks" / f"{claim.chapter}.ipynb").read_text(encoding="utf-8")
            )["cells"]
            assert set(claim.labels) <= concordance.labels(cells)
    else:
        assert re.fullmatch(r"results/\w+", claim.records), "name the folder of the records"
    if claim.kind in ORDER_RULES:
        assert set(claim.rows) <= set(ROWS)
        assert {claim.better, *claim.over} <= set(TRAINED)
        assert claim.better not in claim.over
    elif claim.kind in ("closeness", "growth"):
        assert claim.cells
        assert claim.figure
    elif claim.kind != "figure":
        assert claim.cell
        assert claim.figure
        assert claim.value is not None
        assert claim.unit


def test_ids_are_unique():
    assert len(CLAIMS) == len(ledger.load())


def test_table_1_is_whole_and_typed_without_a_slip():
    cells = {claim.cell: claim.value for claim in CLAIMS.values() if claim.kind == "cell"}
    assert set(cells) == {f"{row}-{name}" for row in ROWS for name in TRAINED}
    assert len(cells) == 28
    # Sums of the paper's rows and columns, taken apart from the ledger, so that the table itself is typed once only.
    rows = [round(sum(cells[f"{row}-{name}"] for name in TRAINED), 1) for row in ROWS]
    columns = [
        round(sum(cells[f"{row}-{name}"] for row in ROWS), 1)
        for name in ledger.raw()["table1"]["columns"]
    ]
    assert rows == ROW_SUMS
    assert columns == COLUMN_SUMS


ROW_SUMS = [426.0, 445.6, 776.8, 774.4]
COLUMN_SUMS = [367.9, 367.3, 338.6, 347.6, 339.1, 324.0, 338.3]


def test_table_2_figures_and_statements_are_whole():
    kinds = {
        kind: [c for c in CLAIMS.values() if c.kind == kind]
        for kind in ("bound", "accuracy", "speed", "figure")
    }
    assert round(sum(c.value for c in kinds["bound"]), 1) == -327.1
    assert round(sum(c.value for c in kinds["accuracy"]), 1) == 278.6
    assert sorted(c.value for c in kinds["speed"]) == [2, 9.9]
    assert [
        c.location.removeprefix("Figure ") for c in kinds["figure"]
    ] == "1a 1b 2 3a 3b 4a 4b 5a 5b 6 7".split()
    assert {
        "gs-beats-all",
        "st-gs-beats-others-vae",
        "gs-far-ahead-vae",
        "accuracies-close",
    } <= set(CLAIMS)


def test_claims_that_the_papers_own_table_does_not_carry():
    assert ledger.against_itself(CLAIMS["gs-beats-all"]) == []
    broken = " ".join(ledger.against_itself(CLAIMS["st-gs-beats-others-vae"]))
    assert "MuProp" in broken
    assert "Annealed ST" in broken
    assert "DARN" not in broken


# --- verdicts from records -------------------------------------------------------------------------------------------


def record(row, estimator, seed, nll, steps=1000, valid=None, **changes):
    model, node = row.split("-")
    config = Config(model, node, estimator, **{"lr": 1e-3, "seed": seed, "steps": steps, **changes})
    return {
        "key": config.key,
        "cell": config.cell,
        "config": config.to_dict(),
        "diverged": None,
        "valid_bound": nll if valid is None else valid,
        "test": {
            "nll": nll,
            "single": None if nll is None else nll + 10,
            "nll_part": None,
            "nll_relaxed": None,
        },
        "evaluation": {"images": None, "samples": 1000, "valid_samples": 100},
        "data": {"source": summary.SOURCE},
    }


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that replaces the records of Table 1 by the given ones."""
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    monkeypatch.setattr(choices, "ROOT", tmp_path)

    def clear():
        ledger._table1.cache_clear()
        ledger.rows.cache_clear()
        pages.judge_all.cache_clear()

    def replace(*records):
        Records(tmp_path / "results" / "table1").add(list(records))
        clear()

    clear()
    yield replace
    monkeypatch.undo()
    clear()


def judged(row, estimator):
    return ledger.judge(CLAIMS[f"{row}-{estimator}"])


def test_verdict_of_a_cell(recorded):
    row, paper = "vae-bernoulli", {name: ledger.paper("vae-bernoulli", name) for name in TRAINED}
    spread = (-0.1, 0.0, 0.1)
    moved = {"sf": 0.5, "darn": -8.0, "muprop": 8.0}
    recorded(
        *(
            record(row, name, seed, paper[name] + by + spread[seed])
            for name, by in moved.items()
            for seed in range(3)
        ),
        *(record(row, "st", seed, paper["st"] + 5 + 9 * spread[seed] * 10) for seed in range(3)),
    )
    assert [
        judged(row, name).verdict for name in ("sf", "darn", "muprop", "st", "gumbel_softmax")
    ] == ["reproduced", "better", "worse", "undecided", ledger.NOT_RUN]
    assert judged(row, "sf").ours.n == 3


def test_a_row_is_shown_at_one_number_of_steps(recorded):
    row = "sbn-categorical"
    recorded(
        *(record(row, name, 0, 60.0, steps=1000) for name in ("sf", "darn", "st")),
        *(record(row, name, 0, 50.0, steps=2000) for name in ("sf", "darn")),
    )
    assert judged(row, "sf").steps == 1000
    assert judged(row, "st").ours.mean == 60.0
    recorded(record(row, "st", 0, 50.0, steps=2000))
    assert judged(row, "sf").steps == 2000
    assert judged(row, "muprop").verdict == ledger.NOT_RUN


def test_only_final_runs_of_the_protocol_count(recorded):
    row = "vae-categorical"
    searched = record(row, "sf", 0, 1.0) | {"test": None}
    partial = record(row, "darn", 0, 1.0) | {
        "evaluation": {"images": 200, "samples": 20, "valid_samples": 5}
    }
    embedded = record(row, "muprop", 0, 1.0) | {"data": {"source": "embedded-5000"}}
    priced = record(row, "st", 0, 1.0, kl="sampled")
    beyond = record(row, "gumbel_softmax", 0, 1.0, lr=1e-2)
    recorded(searched, partial, embedded, priced, beyond)
    assert {judged(row, name).verdict for name in TRAINED} == {ledger.NOT_RUN}


def test_validation_chooses_the_rate_and_divergence_is_counted(recorded):
    row = "vae-categorical"
    recorded(
        record(row, "sf", 0, 100.0, valid=90.0),
        record(row, "sf", 0, 99.0, valid=95.0, lr=3e-3),
        record(row, "darn", 0, 120.0),
        record(row, "darn", 1, None, valid=120.0),
    )
    assert judged(row, "sf").ours.mean == 100.0
    assert judged(row, "darn").diverged == 1
    assert judged(row, "darn").ours.n == 1
    recorded(*(record(row, "st", seed, None, valid=120.0) for seed in range(3)))
    assert (judged(row, "st").verdict, judged(row, "st").diverged) == (summary.DIVERGED, 3)
    assert "| ST | 110.9 | – (3 diverged) | – | ▼ diverged |" in pages.scoreboard().replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_orders_are_paired_by_seed_and_open_until_all_are_run(recorded):
    claim, rows = CLAIMS["gs-far-ahead-vae"], ("vae-bernoulli", "vae-categorical")
    wide = (
        0.0,
        20.0,
        40.0,
    )  # seeds differ by far more than estimators: only the pairing tells them apart

    def runs(row, gap):
        return [
            record(
                row,
                name,
                seed,
                100 + wide[seed] + (gap + 0.1 * seed) * (name == "st_gumbel_softmax"),
            )
            for name in ("gumbel_softmax", "st_gumbel_softmax")
            for seed in range(3)
        ]

    recorded(*runs(rows[0], 2.0))
    assert ledger.judge(claim).verdict == ledger.NOT_RUN
    recorded(*runs(rows[1], 2.0))
    assert ledger.judge(claim).verdict == "holds"
    recorded(*runs(rows[1], -2.0))
    assert ledger.judge(claim).verdict == "contradicted"
    assert ledger.judge(claim).details == [
        "VAE, categorical: contradicted against ST Gumbel-Softmax"
    ]


# --- the pages -------------------------------------------------------------------------------------------------------


def test_scoreboard_has_every_claim(recorded):
    recorded(record("vae-bernoulli", "sf", 0, 112.0))
    text = pages.scoreboard()
    ours = r"\[112\.0 \(one seed\)\]\(\S+/vae-bernoulli-sf\.jsonl\)"
    assert re.search(rf"\| SF \| 112\.2 \| {ours} \| -0\.2 \| ✓\sreproduced \|", text)
    assert "nan" not in text
    assert "inf" not in re.sub(r"[a-z]*inf[a-z]+|[a-z]+inf[a-z]*", "", text)
    for claim in CLAIMS.values():
        assert claim.claim.split(", ")[-1] in text
        if claim.value is not None and claim.kind != "speed":
            assert f"| {claim.value} |" in text
        assert f"`{claim.rule}`" in text


def test_the_first_page_has_every_cell_with_sign_and_word(recorded):
    recorded(record("vae-bernoulli", "sf", 0, 112.0))
    table = ElementTree.fromstring(pages.landing())
    assert len(table.findall("tbody/tr/td")) == 28
    words = [" ".join("".join(cell.itertext()).split()) for cell in table.findall("tbody/tr/td")]
    assert "✓ 112.0 reproduced" in words
    assert words.count(f"○ {ledger.NOT_RUN}") == 27


def test_findings_count_the_rows_that_gumbel_softmax_wins(recorded):
    assert "No row" in pages.findings()
    for k, name in enumerate(TRAINED):
        best = 100.0 if name == "gumbel_softmax" else 105.0 + k
        recorded(*(record("vae-bernoulli", name, seed, best) for seed in range(3)))
    said = pages.findings()
    assert "lowest test loss of the seven estimators in 1 of 1 rows" in said
    assert "Of the 28 cells" in said
    assert f"21 are {ledger.NOT_RUN}" in said


def test_a_figure_that_is_drawn_does_not_count_as_reproduced():
    drawn = ledger.Judged(next(c for c in CLAIMS.values() if c.kind == "figure"), "drawn")
    counts = ledger.counts([drawn])
    assert (counts["drawn anew"], counts["reproduced"]) == (1, 0)


def test_writing_leaves_unchanged_files_alone(tmp_path):
    pages.write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pages.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


# --- the log of choices ----------------------------------------------------------------------------------------------

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
        == "VAE, categorical (1,000 steps, 2 seeds, all test images): Gumbel-Softmax +0.50 ± 0.00"
    )
    (price,) = choices.prices(LOG["bound"]["price"])
    assert (
        price
        == "VAE, categorical (1,000 steps, 2 seeds, all test images): Gumbel-Softmax +10.0 ± 0.0"
    )
    assert f"  - {price}\n" in choices.page(lambda chapter: chapter)
    assert choices.prices(LOG["prior"]["price"]) == []


def part(run, images=500):
    """The record as if evaluated on a part of the images."""
    return run | {"evaluation": run["evaluation"] | {"images": images}}


def test_only_runs_that_were_evaluated_alike_are_paired(recorded, tmp_path):
    row = "vae-bernoulli"
    recorded(record(row, "darn", 0, 110.0))
    others = Records(tmp_path / "results" / "choices")
    others.add([part(record(row, "darn", 0, 114.0, darn_form="printed"))])
    assert choices.prices(LOG["darn-form"]["price"]) == []
    others.add([part(record(row, "darn", 0, 111.0))])
    (price,) = choices.prices(LOG["darn-form"]["price"])
    assert price == "VAE, Bernoulli (1,000 steps, one seed, 500 test images): DARN +3.00"


def test_seeds_count_for_more_than_steps_and_rates_are_not_mixed(recorded, tmp_path):
    """The search holds both schedules at six rates and one seed: these are no six seeds, and three seeds beat them."""
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
    Records(tmp_path / "results" / "choices").add(
        [
            part(record(row, "gumbel_softmax", seed, 110 + gap, **schedule))
            for seed in range(3)
            for gap, schedule in ((0, slow), (2 + seed / 10, fast))
        ]
    )
    (price,) = choices.prices(LOG["tau"]["price"])
    assert (
        price
        == "VAE, Bernoulli (1,000 steps, 3 seeds, 500 test images): Gumbel-Softmax +2.10 ± 0.25"
    )


def test_what_the_command_line_prices_is_what_the_log_shows(tmp_path, monkeypatch):
    """Every price of a change has runs of its own, but those of rate and steps, for which Table 1's pay; every run has a
    price."""
    monkeypatch.setattr(choices, "ROOT", tmp_path)
    asked = [choice["price"] for choice in LOG.values() if "change" in choice.get("price", {})]
    asked = [spec for spec in asked if not spec["change"].keys() <= {"lr", "steps"}]
    assert sorted(map(str, ((s["change"], s.get("from", {})) for s in asked))) == sorted(
        map(str, ((p.change, p.start) for p in plan.PRICES))
    )
    budget, results = plan.PRICE_BUDGETS["laptop"], Records(tmp_path / "results" / "choices")
    for cell in plan.cells("choices"):
        configs = plan.priced(cell, budget, Records(tmp_path / "table1"))
        apart = ("model", "node", "estimator", "seed")
        settings = [{k: v for k, v in c.to_dict().items() if k not in apart} for c in configs]
        results.add(
            [
                part(record(c.row, c.estimator, c.seed, 100.0, **s))
                for c, s in zip(configs, settings, strict=True)
            ]
        )
    for spec in asked:
        found = "; ".join(choices.prices(spec))
        (price,) = (p for p in plan.PRICES if p.change == spec["change"])
        assert found.count("+0.00 ± 0.00") == len(price.cells)
        assert found.count("20,000 steps, 3 seeds, 500 test images") == len(price.cells)


# --- the concordance -------------------------------------------------------------------------------------------------

ITEMS = {entry["paper"]: entry for entry in concordance.entries()}


@pytest.mark.parametrize("entry", ITEMS.values(), ids=ITEMS)
def test_names_tests_and_labels_of_the_concordance_exist(entry):
    for name in entry["gslib"]:
        concordance.resolve(name)
    assert set(entry["tests"]) <= concordance.node_ids()
    for chapter, wanted in entry["sections"].items():
        path = ROOT / "notebooks" / f"{chapter}.ipynb"
        if path.exists() or chapter not in ledger.raw()["chapters"]:
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


# --- no typed results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentence",
    [
        "It ends at 101.5 nats.",
        "The gain is 3.2 %.",
        "This is 2.5 times as fast.",
        "A step takes 1.44 ms.",
        "A loss of 99.1 ± 0.3 nats is good.",
        "Speed-up: 9.9× on a card.",
    ],
)
def test_typed_results_are_found(sentence):
    assert prose.offenders(f"Words before. {sentence} Words after.") == [sentence]


@pytest.mark.parametrize(
    "sentence",
    [
        "The paper has 101.5 nats.",
        "It is 101.5 nats {cite}`jang2017`.",
        "We get {glue:text}`loss:.1f` nats.",
        "The rate is 0.001.",
        "With `tau = 0.5 nats` in code.",
        "Where $a = 1.5$ times $b$.",
        "In 2 nats.",
        "Suppose seeds scatter by 0.3 nats.",
    ],
)
def test_other_numbers_are_left_alone(sentence):
    assert prose.offenders(sentence) == []


def test_book_has_no_typed_results():
    found = [
        f"{place}: {sentence}"
        for place, text in prose.prose().items()
        for sentence in prose.offenders(text)
    ]
    assert not found, "put in by glue, or say that it is the paper's:\n" + "\n".join(found)
