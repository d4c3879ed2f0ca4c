"""Which recorded runs stand for an estimator on other alphabets, and tables of them."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean

import numpy as np

from gsbook.experiments.alphabets import record
from gsbook.experiments.alphabets.config import COLUMNS, ROWS
from gsbook.experiments.alphabets.plan import RISEN, thrown
from gsbook.intervals import UNKNOWN, Interval, welch
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs
from gslib.estimators import ESTIMATORS

LABELS = {name: ESTIMATORS[name].label for name in COLUMNS}
SOURCE = "omniglot, larochelle-murray"
DATA = {"drawers": "new drawers", "alphabets": "new alphabet", "digits": "digits"}
NETWORKS = {
    "linear": "linear",
    "one": "one hidden layer",
    "two": "two hidden layers",
    "conv": "convolutions",
}
OPTIMISERS = {"sgd": "SGD", "adam": "Adam"}
# What passes a slope through the choice, by a relaxation or straight through; the others weight
# what was drawn by its loss.
SLOPED = ("st", "annealed_st", "gumbel_softmax", "st_gumbel_softmax", "reinmax")


def results() -> Records:
    """The book's records on other alphabets.

    >>> results().folder.name
    'alphabets'
    """
    return record.records(results_folder() / "alphabets")


def title(row: str) -> str:
    """What a row is called.

    >>> title("drawers-two-adam")
    'new drawers, two hidden layers, Adam'
    """
    data, network, optimiser = row.split("-")
    return f"{DATA[data]}, {NETWORKS[network]}, {OPTIMISERS[optimiser]}"


def lines(records: Records, row: str) -> dict[str, Runs]:
    """Estimator -> what stands for it in a row such as "drawers-linear-sgd". All lines have one
    number of steps and one m, those that most estimators have, and of these the longest.

    >>> lines(Records("none"), "drawers-linear-sgd")
    {}
    """
    groups: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for name in COLUMNS:
        for run in records.runs_of(f"{row}-{name}").values():
            if run["test"] and run["data"]["source"] == SOURCE:
                config, samples = run["config"], run["evaluation"]["samples"]
                settings = config["lr"], config["anneal_rate"]
                groups[config["steps"], samples][name][settings][config["seed"]] = run
    if not groups:
        return {}
    _, found = max(groups.items(), key=lambda item: (len(item[1]), item[0]))
    chosen = {name: min(found[name].values(), key=_rank) for name in COLUMNS if name in found}
    return {name: Runs(dict(sorted(runs.items()))) for name, runs in chosen.items()}


def _rank(runs: dict[int, dict]) -> tuple[int, float]:
    """Most seeds first, then the best on validation."""
    bounds = [run["valid_bound"] for run in runs.values()]
    return -len(bounds), math.inf if None in bounds else fmean(bounds)


def complete(records: Records) -> list[str]:
    """The rows in which every estimator has two seeds or more: those that can be compared.

    >>> complete(Records("none"))
    []
    """
    found = {row: lines(records, row) for row in ROWS}
    return [
        row
        for row, line in found.items()
        if len(line) == len(COLUMNS) and min(len(one.runs) for one in line.values()) > 1
    ]


def table(records: Records, figure: str = "nll"):
    """Means over seeds as a pandas DataFrame, a line for each estimator, a column for each row that
    has been run.

    >>> table(Records("none")).empty
    True
    """
    import pandas as pd

    columns = {}
    for row in ROWS:
        if found := lines(records, row):
            columns[row] = {LABELS[name]: line.mean(figure).mean for name, line in found.items()}
    return pd.DataFrame(columns, index=list(LABELS.values()) if columns else None)


def comparison(records: Records, row: str):
    """A row as a pandas DataFrame, best first: the chosen rate, each figure with the half width of
    its 95 % interval over seeds, and how many seeds there are.

    >>> comparison(Records("none"), "drawers-linear-sgd").empty
    True
    """
    import pandas as pd

    found, rows = lines(records, row), {}
    for name in _best_first(found):
        line = found[name]
        numbers: dict[str, float] = {"rate": line.lr}
        for figure in record.FIGURES:
            mean = line.mean(figure)
            half = mean.half_width if math.isfinite(mean.half_width) else math.nan
            numbers |= {figure: mean.mean, f"± {figure}": half}
        rows[LABELS[name]] = numbers | {"seeds": len(line.figure("nll"))}
    return pd.DataFrame.from_dict(rows, orient="index")


def worsened(records: Records, rows: list[str]):
    """What got worse before its end, as a pandas DataFrame, a line for each row and estimator: how
    far the mean validation curve ended above its lowest point, and how the training loss moved
    meanwhile, in nats.

    >>> worsened(Records("none"), ["drawers-linear-sgd"]).empty
    True
    """
    import pandas as pd

    found = {}
    for row, name, line in ((r, n, x) for r in rows for n, x in lines(records, r).items()):
        valid, train = (np.mean(line.curve(curve)[1], 0) for curve in ("valid", "train"))
        low = int(np.argmin(valid))  # of NaN the first, and then nothing has risen
        if (rise := valid[-1] - valid[low]) > RISEN:
            numbers = {
                "rate": f"{line.lr:g}",
                "validation": rise,
                "training": train[-1] - train[low],
            }
            found[f"{title(row)}: {LABELS[name]}"] = numbers
    return pd.DataFrame.from_dict(found, orient="index")


def thrown_off(records: Records, rows: list[str]):
    """Which seeds were thrown off, at whatever rate they ran to the end, as a pandas DataFrame, a
    line for each row, estimator and rate.

    >>> thrown_off(Records("none"), ["digits-conv-sgd"]).empty
    True
    """
    import pandas as pd

    found = []
    for row, name, line in ((r, n, x) for r in rows for n, x in lines(records, r).items()):
        groups: dict[float, dict[int, dict]] = defaultdict(dict)
        for run in records.runs_of(f"{row}-{name}").values():
            alike = all(run["config"][k] == line.config[k] for k in ("steps", "anneal_rate"))
            if run["test"] and run["data"]["source"] == SOURCE and alike:
                groups[run["config"]["lr"]][run["config"]["seed"]] = run
        for rate, runs in sorted(groups.items()):
            seeds = [s for s, off in zip(runs, thrown(list(runs.values())), strict=True) if off]
            if seeds:
                where = f"{title(row)}: {LABELS[name]}"
                found.append((where, f"{rate:g}", ", ".join(map(str, sorted(seeds)))))
    return pd.DataFrame(found, columns=["run", "rate", "seeds"]).set_index("run").rename_axis(None)


def left_out(records: Records, row: str) -> list[str]:
    """The estimators that decide nothing in a row, since a seed of theirs ended far behind the
    others, thrown off or still waiting: their mean is of the steps that it lost.

    >>> left_out(Records("none"), "digits-conv-sgd")
    []
    """
    found = lines(records, row).items()
    return [name for name, line in found if any(thrown(list(line.runs.values())))]


def order(records: Records, row: str, figure: str = "nll") -> list[str]:
    """The estimators of a row, best mean first, without those `left_out`; those of which every run
    diverged are last."""
    out = left_out(records, row)
    kept = {name: line for name, line in lines(records, row).items() if name not in out}
    return _best_first(kept, figure)


def _best_first(found: dict[str, Runs], figure: str = "nll") -> list[str]:
    means = {name: line.mean(figure).mean for name, line in found.items()}
    return sorted(means, key=lambda name: (math.isnan(means[name]), means[name]))


def agreement(records: Records, one: str, other: str, figure: str = "nll") -> float:
    """Kendall's tau of two rows' orders: 1 for the same, -1 for the reverse; the share of pairs of
    estimators in the same order is (1 + tau) / 2. Of the estimators that both orders have; NaN for
    fewer than two."""
    from scipy.stats import kendalltau

    sides = [order(records, row, figure) for row in (one, other)]
    common = [name for name in sides[0] if name in sides[1]]
    if len(common) < 2:
        return math.nan
    return float(kendalltau(range(len(common)), [sides[1].index(n) for n in common]).statistic)


def agreements(records: Records, rows: list[str]):
    """The agreement of each row with those before it, as a pandas DataFrame: the lines are named
    and numbered, the columns have their numbers."""
    import pandas as pd

    found = [
        [agreement(records, row, before) if j < i else math.nan for j, before in enumerate(rows)]
        for i, row in enumerate(rows)
    ]
    names = [f"{title(row)}  {i}" for i, row in enumerate(rows, 1)]
    return pd.DataFrame(found, index=names, columns=range(1, len(rows) + 1)).iloc[:, :-1]


def difference(
    records: Records, row: str, first: str, second: str, figure: str = "nll"
) -> Interval:
    """First minus second estimator in nats, with Welch's interval over seeds; NaN without runs."""
    found = lines(records, row)
    sides = [list(found[n].figure(figure).values()) for n in (first, second) if n in found]
    if len(sides) < 2 or not all(sides):
        return UNKNOWN
    return welch(*sides)


def best(records: Records, row: str, names) -> str:
    """The estimator among these names with the best bound on validation: a difference of two that
    were chosen by their test figures would flatter both."""
    found = {name: line for name, line in lines(records, row).items() if name in names}

    def on_validation(name):
        bounds = [run["valid_bound"] for run in found[name].runs.values()]
        return math.inf if None in bounds else fmean(bounds)

    return min(found, key=on_validation)


def lesson(records: Records) -> str:
    """One sentence on when to use a relaxation on such data, and what it costs.

    >>> lesson(Records("none"))[-12:]
    'not run yet.'
    """
    start = "*When to use a relaxation here, and what it costs:* "
    rows = complete(records)
    if not rows:
        return start + "the runs that would tell are not run yet."
    others = [name for name in COLUMNS if name not in SLOPED]
    leads = [row for row in rows if set(order(records, row)[:1]) & set(SLOPED)]
    row = rows[0]
    one, other = best(records, row, SLOPED), best(records, row, others)
    gap = difference(records, row, one, other)
    side = "ahead of" if gap.high < 0 else "behind" if gap.low > 0 else "not apart from"
    return (
        f"{start}an estimator that passes a slope through the choice leads in {len(leads)} of "
        f"{len(rows)} complete rows; on {title(row)}, {LABELS[one]} is {abs(gap.mean):.1f} ± "
        f"{gap.half_width:.1f} nats {side} {LABELS[other]}, the best that only weighs what was "
        "drawn; it costs a decoder with a slope, a bias that only discrete test figures reveal, "
        "and, where there is a temperature, its choice."
    )
