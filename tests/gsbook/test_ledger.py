"""The ledger: claims whole and typed without a slip, and every verdict as the records give it."""

import re

import pytest
from table1_runs import part, record

from gsbook import ledger
from gsbook.claims import paper, stated
from gsbook.code import code_of
from gsbook.experiments.table1.config import COLUMNS, Config
from gsbook.experiments.table1.record import modules
from gsbook.experiments.table2 import speed
from gsbook.ledger import Evidence
from gsbook.records import Records
from gsbook.verdicts import DIVERGED, NOT_RUN

CLAIMS = {claim.id: claim for claim in ledger.load()}
ROWS = stated()["table1"]["rows"]


# --- what claims.yml states


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_has_a_place_and_a_source(claim):
    assert claim.location, "say where the paper makes the claim"
    assert claim.chapter
    if not isinstance(claim, ledger.Figure):
        assert re.fullmatch(r"results/\w+", claim.records), "name the folder of the records"
    if isinstance(claim, ledger.Order):
        assert set(claim.rows) <= set(ROWS)
        assert {claim.better, *claim.over} <= set(COLUMNS)
        assert claim.better not in claim.over


def test_ids_are_unique():
    assert len(CLAIMS) == len(ledger.load())


def test_table_1_is_whole_and_typed_without_a_slip():
    cells = {c.cell: c.value for c in CLAIMS.values() if isinstance(c, ledger.Cell)}
    assert set(cells) == {f"{row}-{name}" for row in ROWS for name in COLUMNS}
    assert len(cells) == 28
    # Sums of the paper's rows and columns, taken apart: the table itself is typed once only.
    rows = [round(sum(cells[f"{row}-{name}"] for name in COLUMNS), 1) for row in ROWS]
    columns = [
        round(sum(cells[f"{row}-{name}"] for row in ROWS), 1)
        for name in stated()["table1"]["columns"]
    ]
    assert rows == ROW_SUMS
    assert columns == COLUMN_SUMS


ROW_SUMS = [426.0, 445.6, 776.8, 774.4]
COLUMN_SUMS = [367.9, 367.3, 338.6, 347.6, 339.1, 324.0, 338.3]


def test_table_2_figures_and_statements_are_whole():
    bounds, accuracies, speeds, figures = (
        [c for c in CLAIMS.values() if isinstance(c, kind)]
        for kind in (ledger.Bound, ledger.Accuracy, ledger.Speed, ledger.Figure)
    )
    assert round(sum(c.value for c in bounds), 1) == -327.1
    assert round(sum(c.value for c in accuracies), 1) == 278.6
    assert sorted(c.value for c in speeds) == [2, 9.9]
    expected = "1a 1b 2 3a 3b 4a 4b 5a 5b 6 7".split()
    assert [c.location.removeprefix("Figure ") for c in figures] == expected
    assert figures == ledger.figures()
    said = {"gs-beats-all", "st-gs-beats-others-vae", "gs-far-ahead-vae", "accuracies-close"}
    assert said <= set(CLAIMS)


def changed(part, **fields):
    """What claims.yml states, with the first entry of a part changed."""
    first, *rest = stated()[part]
    return stated() | {part: [{**first, **fields}, *rest]}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (changed("others", kind="spead"), "speed-10 is of kind 'spead'; choose from cell, bound"),
        (changed("others", rule="speed_verdikt"), "'speed_verdikt'; choose from speed_verdict"),
        (changed("others", rule="cell_verdict"), "speed-10, of kind speed, has the rule 'cell_v"),
        (changed("orders", rule="close_verdict"), "gs-beats-all, of kind order"),
        (changed("orders", over_all=["sf"]), "gs-beats-all, of kind order: .*'over_all'"),
        (stated() | {"others": [{"kind": "speed", "id": "x"}]}, "x, of kind speed: .*'value'"),
    ],
)
def test_an_unknown_kind_rule_or_field_fails_when_claims_are_read(broken, message):
    with pytest.raises(ValueError, match=f"claims.yml: .*{message}"):
        ledger.read(broken)


def test_claims_that_the_papers_own_table_does_not_carry():
    assert CLAIMS["gs-beats-all"].against_itself() == []
    broken = " ".join(CLAIMS["st-gs-beats-others-vae"].against_itself())
    assert "MuProp" in broken
    assert "Annealed ST" in broken
    assert "DARN" not in broken
    (par,) = CLAIMS["st-gs-on-par-sbn"].against_itself()
    assert "SF 72.0" in par
    assert CLAIMS["speed-10"].against_itself() is None


# --- verdicts from records


@pytest.fixture
def recorded(tmp_path):
    """A function that adds runs to a folder of results and returns the evidence there."""

    def add(*runs, folder="table1"):
        Records(tmp_path / folder).add(list(runs))
        return Evidence.of(tmp_path)

    return add


def judged(evidence, row, estimator):
    return CLAIMS[f"{row}-{estimator}"].judge(evidence)


def seeds(row, name, values, **settings):
    return [record(row, name, seed, value, **settings) for seed, value in enumerate(values)]


def test_verdicts_of_a_cell(recorded):
    row, nats = "vae-bernoulli", paper("vae-bernoulli")
    spread = (-0.1, 0.0, 0.1)
    moved = {"sf": 0.5, "darn": -8.0, "muprop": 8.0}
    runs = [
        run
        for name, by in moved.items()
        for run in seeds(row, name, [nats[name] + by + s for s in spread])
    ]
    evidence = recorded(*runs, *seeds(row, "st", [nats["st"] + 5 + 90 * s for s in spread]))
    found = [
        judged(evidence, row, name) for name in ("sf", "darn", "muprop", "st", "gumbel_softmax")
    ]
    assert [j.verdict for j in found] == ["reproduced", "better", "worse", "undecided", NOT_RUN]
    assert [j.equivalence for j in found] == [
        "equivalent",
        "different",
        "different",
        "undecided",
        "",
    ]
    assert found[0].ours.n == 3
    assert found[0].sign == "✓"


def test_the_mean_may_be_within_the_margin_and_the_interval_not(recorded):
    found = judged(
        recorded(*seeds("vae-bernoulli", "sf", [111.0, 112.2, 113.4])), "vae-bernoulli", "sf"
    )
    assert (found.verdict, found.equivalence) == ("reproduced", "undecided")


def test_a_row_is_shown_at_one_number_of_steps(recorded):
    row = "sbn-categorical"
    evidence = recorded(
        *(record(row, name, 0, 60.0, steps=1000) for name in ("sf", "darn", "st")),
        *(record(row, name, 0, 50.0, steps=2000) for name in ("sf", "darn")),
    )
    assert judged(evidence, row, "sf").steps == 1000
    assert judged(evidence, row, "st").ours.mean == 60.0
    assert CLAIMS[f"{row}-sf"].judge_at(evidence, 2000).ours.mean == 50.0
    evidence = recorded(record(row, "st", 0, 50.0, steps=2000))
    assert judged(evidence, row, "sf").steps == 2000
    assert judged(evidence, row, "muprop").verdict == NOT_RUN


def test_the_numbers_of_steps_that_stand_beside_each_other(recorded):
    row, runs = "vae-categorical", [(1000, COLUMNS), (200_000, COLUMNS), (300_000, COLUMNS)]
    runs.append((500_000, ("sf",)))  # no whole row
    evidence = recorded(*(record(row, n, 0, 60.0, steps=s) for s, names in runs for n in names))
    assert evidence.scales(row) == [200_000, 300_000]  # its own, and those that are shown
    assert evidence.scales("vae-bernoulli") == []


def test_only_final_runs_of_the_protocol_count(recorded):
    row = "vae-categorical"
    evidence = recorded(
        record(row, "sf", 0, 1.0) | {"test": None},
        part(record(row, "darn", 0, 1.0), images=200),
        record(row, "muprop", 0, 1.0)
        | {"data": {"source": "embedded-5000", "sha256": {"train": "0"}}},
        record(row, "st", 0, 1.0, kl="sampled"),
        record(row, "gumbel_softmax", 0, 1.0, lr=1e-2),
    )
    assert {judged(evidence, row, name).verdict for name in COLUMNS} == {NOT_RUN}


def test_validation_chooses_the_rate_and_divergence_is_counted(recorded):
    row = "vae-categorical"
    evidence = recorded(
        record(row, "sf", 0, 100.0, valid=90.0),
        record(row, "sf", 0, 99.0, valid=95.0, lr=3e-3),
        record(row, "darn", 0, 120.0),
        record(row, "darn", 1, None, valid=120.0),
    )
    assert judged(evidence, row, "sf").ours.mean == 100.0
    assert judged(evidence, row, "darn").diverged == 1
    assert judged(evidence, row, "darn").ours.n == 1
    evidence = recorded(*(record(row, "st", seed, None, valid=120.0) for seed in range(3)))
    found = judged(evidence, row, "st")
    assert (found.verdict, found.diverged, found.sign) == (DIVERGED, 3, "▼")


def test_stale_runs_are_counted(recorded):
    row = "sbn-bernoulli"
    now = code_of(modules(Config("sbn", "bernoulli", "st", lr=1e-3)))
    old = now | {next(iter(now)): "of another day"}
    runs = seeds(row, "st", [60.0, 60.1, 60.2])
    evidence = recorded(
        *(run | {"code": code} for run, code in zip(runs, (now, old, old), strict=True))
    )
    assert judged(evidence, row, "st").stale == 2
    assert judged(evidence, row, "sf").stale == 0


FAR_AHEAD = CLAIMS["gs-far-ahead-vae"]


def pair(row, gap, scatter=(0.0, 0.1, 0.2), **settings):
    """Gumbel-Softmax and its straight-through form on a row, the latter worse by a gap."""
    ours, theirs = [100 + s for s in scatter], [100 + gap + s for s in scatter]
    return seeds(row, "gumbel_softmax", ours, **settings) + seeds(
        row, "st_gumbel_softmax", theirs, **settings
    )


def test_orders_are_open_until_all_are_run(recorded):
    first, second = FAR_AHEAD.rows
    found = FAR_AHEAD.judge(recorded(*pair(first, 2.0)))
    assert found.verdict == NOT_RUN
    assert "1 of 2 comparisons have no runs yet" in found.details
    assert FAR_AHEAD.judge(recorded(*pair(second, 2.0))).verdict == "holds"
    found = FAR_AHEAD.judge(recorded(*pair(second, -2.0)))
    assert found.verdict == "contradicted"
    assert "VAE, categorical: contradicted against ST Gumbel-Softmax" in found.details


def test_a_contradicted_order_is_not_saved_by_runs_to_come(recorded):
    assert FAR_AHEAD.judge(recorded(*pair(FAR_AHEAD.rows[0], -2.0))).verdict == "contradicted"


def test_orders_are_decided_by_welch_and_the_correlation_is_said(recorded):
    """Seeds that scatter far more than estimators differ decide nothing, however alike they do."""
    wide = (0.0, 20.0, 40.0)
    evidence = recorded(*(run for row in FAR_AHEAD.rows for run in pair(row, 2.0, wide)))
    found = FAR_AHEAD.judge(evidence)
    assert found.verdict == "undecided"
    assert found.details[-1] == "correlation of the seeds +1.00, +1.00"


def test_a_claim_takes_its_rows_at_one_number_of_steps(recorded):
    first, second = FAR_AHEAD.rows
    short = [run for row in (first, second) for run in pair(row, 2.0, steps=1000)]
    found = FAR_AHEAD.judge(recorded(*short, *pair(second, -2.0, steps=2000)))
    assert (found.verdict, found.steps) == ("holds", 1000)
    assert found.details[0] == "at 1,000 steps"
    found = FAR_AHEAD.judge(recorded(*pair(first, 2.0, steps=2000)))
    assert (found.verdict, found.steps) == ("contradicted", 2000)


def test_on_par_is_an_equivalence_within_the_margin(recorded):
    claim = CLAIMS["st-gs-on-par-sbn"]
    row, names = claim.rows[0], (claim.better, *claim.over)
    level = [run for name in names for run in seeds(row, name, (60.0, 60.1, 60.2))]
    assert claim.judge(recorded(*level)).verdict == "holds"
    found = claim.judge(recorded(*seeds(row, "sf", (72.0, 72.1, 72.2))))
    assert found.verdict == "contradicted"
    assert "SBN, Bernoulli: contradicted against SF" in found.details


MEASURED = dict.fromkeys(("marginalisation", "marginalisation_mb", "gumbel_softmax_mb"), 1.0)


def measured(classes, ratios):
    return [
        {
            "key": f"{speed.speed_cell(classes)}_repeat={i}",
            "cell": speed.speed_cell(classes),
            "config": {"classes": classes, "seed": i},
            "test": MEASURED | {"ratio": ratio, "gumbel_softmax": ratio},
            "device": "a machine",
            "code": "of another day",
        }
        for i, ratio in enumerate(ratios)
    ]


def test_speeds_are_called_what_they_are(recorded):
    evidence = recorded(*measured(10, [2.0, 2.1, 2.2]), folder="speed")
    assert CLAIMS["speed-10"].judge(evidence).verdict == "reproduced"
    assert CLAIMS["speed-grows"].judge(evidence).verdict == NOT_RUN
    ratios = dict(zip(speed.CLASSES, (1.0, 2.0, 4.0, 20.0, 40.0), strict=True))
    evidence = recorded(
        *(run for k, r in ratios.items() for run in measured(k, [r, 1.01 * r, 1.02 * r])),
        folder="speed",
    )
    found = CLAIMS["speed-100"].judge(evidence)
    assert (found.verdict, found.sign, found.stale) == ("larger ratio", "≠", 3)
    assert ledger.counts([found])["better"] == 0
    assert CLAIMS["speed-grows"].judge(evidence).verdict == "holds"
    evidence = recorded(*measured(20, [0.5, 0.51, 0.52]), folder="speed")
    assert CLAIMS["speed-grows"].judge(evidence).verdict == "contradicted"


def test_table_2_has_verdicts_of_its_own():
    """By the book's records, whose ELBOs are far above the paper's, of networks of other sizes."""
    evidence = Evidence.of_the_book()
    found = CLAIMS["table-2-gumbel_softmax-elbo"].judge(evidence)
    assert found.ours.mean == pytest.approx(
        sum(evidence.figure("gumbel_softmax", "elbo").values()) / found.ours.n
    )
    assert (found.verdict == "higher ELBO") == (found.ours.low > -109.6 * 0.98)
    assert CLAIMS["accuracies-close"].judge(evidence).verdict in (
        "holds",
        "contradicted",
        "undecided",
    )
    assert CLAIMS["accuracies-close"].judge(Evidence.of(evidence.table2.folder)).verdict == NOT_RUN


def test_a_figure_is_drawn_when_its_chapter_has_it_and_its_rows_are_whole(recorded, tmp_path):
    claim = CLAIMS["figure-4b"]
    runs = [record("vae-categorical", name, 0, 100.0) for name in COLUMNS]
    recorded(*runs[1:])
    assert claim.judge(Evidence.of(tmp_path, claim.labels)).verdict == "not drawn yet"
    recorded(runs[0])
    assert claim.judge(Evidence.of(tmp_path, claim.labels)).verdict == "drawn"
    assert claim.judge(Evidence.of(tmp_path)).verdict == "not drawn yet"
    drawn = claim.runs(Evidence.of(tmp_path))
    assert drawn["results/table1/vae-categorical-sf.jsonl"] == [runs[0]["key"]]
    assert len(drawn) == len(COLUMNS)


def test_a_drawn_figure_and_an_order_that_holds_are_no_reproduced_numbers():
    found = [ledger.Judged(CLAIMS["figure-2"], "drawn"), ledger.Judged(FAR_AHEAD, "holds")]
    counted = ledger.counts(found)
    assert (counted["drawn anew"], counted["holds"], counted["reproduced"]) == (1, 1, 0)
