"""The scoreboard and the first page: every claim, every verdict, and nothing of ours typed."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import concordance
import landing
import pages
import pytest
import scoreboard
from table1_runs import record

from gsbook import ledger
from gsbook.claims import stated
from gsbook.experiments.table1.config import COLUMNS
from gsbook.experiments.table1.results import EXTENDED
from gsbook.records import Records
from gsbook.verdicts import NOT_RUN

ROOT = Path(__file__).resolve().parents[2]


CLAIMS = ledger.load()


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that puts runs into a folder of results, which the pages then show."""
    monkeypatch.setenv("GSLIB_RESULTS", str(tmp_path))

    def add(*runs, folder="table1"):
        Records(tmp_path / folder).add(list(runs))
        clear()

    clear()
    yield add
    clear()


def clear():
    scoreboard.evidence.cache_clear()
    scoreboard.judge_all.cache_clear()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_has_a_chapter_and_a_figure_its_labels_there(claim):
    path = ROOT / "notebooks" / f"{claim.chapter}.ipynb"
    assert path.exists() or claim.chapter in stated()["chapters"], f"no chapter {claim.chapter!r}"
    if isinstance(claim, ledger.Figure):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert claim.labels
        assert set(claim.labels) <= concordance.labels(cells)


def lines(text, start):
    """The lines of a table that start with a cell."""
    plain = text.replace("\N{NO-BREAK SPACE}", " ")
    return [line for line in plain.splitlines() if line.startswith(f"| {start} |")]


def test_scoreboard_has_every_claim(recorded):
    recorded(record("vae-bernoulli", "sf", 0, 112.0))
    text = scoreboard.page()
    assert "nan" not in text
    assert "inf" not in re.sub(r"[a-z]*inf[a-z]+|[a-z]+inf[a-z]*", "", text)
    for claim in CLAIMS:
        assert claim.claim.split(", ")[-1] in text
        assert f"`{claim.rule}`" in text
        if isinstance(claim, ledger.Cell | ledger.Bound | ledger.Accuracy):
            assert f"| {claim.value} |" in text


def test_a_cell_has_both_verdicts_and_a_link_to_its_records(recorded):
    recorded(*(record("vae-bernoulli", "sf", seed, 112.0 + seed / 10) for seed in range(3)))
    (line,) = (line for line in lines(scoreboard.page(), "SF") if "112.2" in line)
    link = r"\[112\.1 ± 0\.2\]\(\S+/results/table1/vae-bernoulli-sf\.jsonl\)†"
    assert re.fullmatch(
        rf"\| SF \| 112\.2 \| {link} \| -0\.1 \| ✓ reproduced \| equivalent \|", line
    )


def test_a_diverged_cell_says_so(recorded):
    recorded(*(record("vae-categorical", "st", seed, None, valid=120.0) for seed in range(3)))
    assert "| ST | 110.9 | –† (3 diverged) | – | ▼ diverged | – |" in lines(scoreboard.page(), "ST")


def test_numbers_of_steps_stand_beside_each_other(recorded):
    row = "sbn-categorical"
    for steps, value in ((100_000, 70.0), (200_000, 65.0), (500_000, 61.0)):
        recorded(
            *(record(row, name, seed, value, steps=steps) for name in COLUMNS for seed in (0, 1))
        )
    text = scoreboard.page()
    assert "Ours, 100,000 steps | Ours, 200,000 steps | Ours, 500,000 steps | Difference" in text
    (line,) = (line for line in lines(text, "ST") if "61.8" in line)
    shorter = re.findall(r'\[([\d.]+)\]\(\S+ "± 0\.0"\)†\s([▲▼✓])', line)
    assert shorter == [("70.0", "▼"), ("65.0", "▼")]
    assert "[61.0 ± 0.0](" in line
    assert line.endswith("| -0.8 | ✓ reproduced | equivalent |")
    assert "Scale of the verdicts: 500,000 training steps; 2 seeds per cell" in text


def test_a_shorter_number_of_another_reading_is_marked(recorded):
    for steps, changes in ((100_000, {}), (500_000, {"normalise": "signal"})):
        for name in COLUMNS:
            now = changes if name == "sf" else {}
            recorded(*(record("sbn-bernoulli", name, s, 60.0, steps=steps, **now) for s in (0, 1)))
    found = {name: lines(scoreboard.page(), name)[0] for name in ("SF", "ST")}
    assert [line.count(scoreboard.OTHERWISE) for line in found.values()] == [1, 0]


def test_a_length_that_was_added_after_the_verdicts_says_so_wherever_it_is_shown(recorded):
    row, steps = next(iter(EXTENDED.items()))
    late = f"The runs of {steps:,} steps were added after the verdicts of this row"
    recorded(record(row, "sf", 0, 110.0, steps=100_000))
    assert late not in scoreboard.page()
    for longer in (steps, 500_000):
        recorded(
            *(record(row, name, seed, 110.0, steps=longer) for name in COLUMNS for seed in (0, 1))
        )
        assert scoreboard.page().count(late) == 1


def test_stale_runs_are_marked_and_current_ones_are_not(recorded, monkeypatch):
    recorded(record("vae-bernoulli", "sf", 0, 112.0))
    assert "[112.0 (one seed)]" in scoreboard.page()
    assert f"\n{scoreboard.STALE} Runs of code" in scoreboard.page()
    monkeypatch.setattr(Records, "is_current", lambda self, run: True)
    clear()
    assert scoreboard.STALE not in scoreboard.page()


def test_the_seeds_correlation_is_printed(recorded):
    for name, sign in (("sf", 1), ("st", -1)):
        recorded(*(record("vae-bernoulli", name, s, 112.0 + sign * s) for s in range(3)))
    assert "correlation of the seeds between estimators -1.00" in scoreboard.page()


def test_the_scoreboard_explains_every_sign():
    text = (ROOT / "book" / "scoreboard.md").read_text(encoding="utf-8")
    assert {sign for sign, _ in ledger.VERDICTS.values()} == set(
        re.findall(r"^\| (\S) \|", text, re.M)
    )


def test_the_first_page_has_every_cell_with_sign_and_word(recorded):
    recorded(record("vae-bernoulli", "sf", 0, 112.0))
    table = ElementTree.fromstring(landing.cells())
    cells = table.findall("tbody/tr/td")
    words = [" ".join("".join(cell.itertext()).split()) for cell in cells]
    assert len(words) == 28
    assert "✓ 112.0 reproduced" in words
    assert words.count(f"○ {NOT_RUN}") == 27


def test_findings_count_the_rows_that_gumbel_softmax_wins(recorded):
    assert "No row" in landing.findings()
    for k, name in enumerate(COLUMNS):
        best = 100.0 if name == "gumbel_softmax" else 105.0 + k
        recorded(*(record("vae-bernoulli", name, seed, best) for seed in range(3)))
    said = landing.findings()
    assert "lowest test loss of the seven estimators in 1 of 1 rows" in said
    assert "by more than the seeds scatter in 0." in said
    assert "Of the 28 cells of that table" in said
    assert f"21 are {NOT_RUN}" in said


def test_findings_tell_a_row_that_is_lost_from_one_that_is_close(recorded):
    for row, lead in (("vae-bernoulli", 0.1), ("vae-categorical", 5.0)):
        for name in COLUMNS:
            nll = {"gumbel_softmax": 105.0, "st": 105.0 - lead}.get(name, 110.0)
            recorded(*(record(row, name, seed, nll + seed / 2) for seed in range(3)))
    said = landing.findings()
    assert "in 0 of 2 rows of the paper's Table 1; another is ahead of it" in said
    assert "by more than the seeds scatter in 1." in said


def test_writing_leaves_unchanged_files_alone(tmp_path):
    pages.write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pages.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
