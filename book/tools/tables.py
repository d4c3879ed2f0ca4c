"""Tables 1 and 2 as data: what stands for each number, one row per cell and one per seed."""

from __future__ import annotations

import csv
import io
import math

import scoreboard

from gsbook import ledger

HEAD = "row,method,figure,paper,n,diverged,mean,low,high,steps,rate,verdict".split(",")
SEEDS = "row,method,seed,steps,rate,anneal_rate".split(",")
TITLES = {
    "table-1": "Table 1 of Jang, Gu and Poole (2017) repeated: test losses in nats",
    "table-2": "Table 2 of Jang, Gu and Poole (2017) repeated: bounds in nats, accuracies in %",
}
FIGURES = {"table-1": ["nll"], "table-2": ["elbo", "accuracy"]}


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _text(head: list[str], rows) -> str:
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerows([head, *rows])
    return text.getvalue()


def _judged(table: str) -> list[ledger.Judged]:
    kinds = ("cell",) if table == "table-1" else ("bound", "accuracy")
    return [j for j in scoreboard.judge_all() if j.claim.kind in kinds]


def _runs(j: ledger.Judged) -> dict[int, dict]:
    """The runs, by seed, that a number of ours is made of."""
    evidence, claim = scoreboard.evidence(), j.claim
    if isinstance(claim, ledger.Cell):
        found = evidence.cells[claim.cell].get(j.steps)
    else:
        found = evidence.methods[claim.cell]
    return found.runs if found else {}


def _where(claim: ledger.Claim) -> list[str]:
    if isinstance(claim, ledger.Cell):
        return [claim.row, claim.cell.removeprefix(f"{claim.row}-")]
    return ["", claim.cell]


def numbers(table: str) -> str:
    """One row for each number of the table: paper, our mean, 95 % interval, verdict."""
    rows = []
    for j in _judged(table):
        runs = list(_runs(j).values())
        config = runs[0]["config"] if runs else {}
        ours = (j.ours.mean, j.ours.low, j.ours.high) if j.ours else (None,) * 3
        n, scale = j.ours.n if j.ours else 0, [config.get("steps", ""), config.get("lr", "")]
        paper = [*_where(j.claim), j.claim.figure, j.claim.value]
        rows.append([*paper, n, j.diverged, *map(_number, ours), *scale, j.verdict])
    return _text(HEAD, rows)


def seeds(table: str) -> str:
    """One row for each run behind a table, with its test figures and the key of its record."""
    rows = []
    for j in _judged(table):
        if j.claim.figure != FIGURES[table][0]:
            continue  # the same runs again
        for seed, run in _runs(j).items():
            config = run["config"]
            found = [_number((run["test"] or {}).get(name)) for name in FIGURES[table]]
            scale = [config["steps"], config["lr"], config.get("anneal_rate", "")]
            rows.append([*_where(j.claim), seed, *scale, *found, run["key"]])
    return _text([*SEEDS, *FIGURES[table], "key"], rows)


def files(table: str) -> dict[str, str]:
    """Name -> text of the files of a table's kit."""
    return {f"{table}.csv": numbers(table), f"{table}-seeds.csv": seeds(table)}
