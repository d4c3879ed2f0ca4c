"""Tables 1 and 2 as data: what stands for each number, one row per cell and one per seed."""

from __future__ import annotations

import csv
import io
import math
from functools import cache

import ledger

from gslib.experiment import table2
from gslib.experiment.few_labels import METHODS

HEAD = "row,method,figure,paper,n,diverged,mean,low,high,steps,rate,verdict".split(",")
SEEDS = "row,method,seed,steps,rate,anneal_rate,{},key".split(",")
TITLES = {
    "table-1": "Table 1 of Jang, Gu and Poole (2017) repeated: test losses in nats",
    "table-2": "Table 2 of Jang, Gu and Poole (2017) repeated: bounds in nats, accuracies in %",
}


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _text(head: list[str], rows) -> str:
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerows([head, *rows])
    return text.getvalue()


@cache
def judged() -> list[ledger.Judged]:
    return [
        ledger.judge(claim)
        for claim in ledger.load()
        if claim.kind in ("cell", "bound", "accuracy")
    ]


def _runs(claim: ledger.Claim) -> dict[int, dict]:
    """The runs, by seed, that a number of ours is made of."""
    if claim.kind == "cell":
        row, _, estimator = claim.cell.rpartition("-")
        cell = ledger.rows(ledger._table1())[row][1].get(estimator)
    else:
        cell = table2.row(ledger.Records(ledger.ROOT / claim.records), claim.cell)
    return cell.runs if cell else {}


def _where(claim: ledger.Claim) -> tuple[str, str]:
    row, _, method = (
        claim.cell.rpartition("-") if claim.cell not in METHODS else ("", "", claim.cell)
    )
    return row, method


def numbers(table: str) -> str:
    """One row for each number of the table: paper, our mean, 95 % interval, verdict."""
    rows = []
    for j in judged():
        if (j.claim.kind == "cell") == (table == "table-1"):
            runs = list(_runs(j.claim).values())
            config = runs[0]["config"] if runs else {}
            ours = (j.ours.mean, j.ours.low, j.ours.high) if j.ours else (None,) * 3
            n, scale = j.ours.n if j.ours else 0, [config.get("steps", ""), config.get("lr", "")]
            paper = [*_where(j.claim), j.claim.figure, j.claim.value]
            rows.append([*paper, n, j.diverged, *map(_number, ours), *scale, j.verdict])
    return _text(HEAD, rows)


def seeds(table: str) -> str:
    """One row for each run behind a table, with its test figures and the key of its record."""
    figures = ["nll"] if table == "table-1" else ["elbo", "accuracy"]
    head = [name for part in SEEDS for name in (figures if part == "{}" else [part])]
    rows, seen = [], set()
    for j in judged():
        if (j.claim.kind == "cell") != (table == "table-1") or j.claim.cell in seen:
            continue
        seen.add(j.claim.cell)
        for seed, run in _runs(j.claim).items():
            config = run["config"]
            found = [_number((run["test"] or {}).get(name)) for name in figures]
            scale = [config["steps"], config["lr"], config.get("anneal_rate", "")]
            rows.append([*_where(j.claim), seed, *scale, *found, run["key"]])
    return _text(head, rows)


def files(table: str) -> dict[str, str]:
    """Name -> text of the files of a table's kit."""
    return {f"{table}.csv": numbers(table), f"{table}-seeds.csv": seeds(table)}
