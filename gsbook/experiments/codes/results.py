"""Which recorded runs of codes stand for a method, and what they say."""

from __future__ import annotations

import math
from itertools import product

from gsbook.experiments.codes import record
from gsbook.experiments.codes.config import AIMS, FITTED, Codes
from gsbook.experiments.codes.plan import METHODS, RELAXED, SAMPLERS, SHAPE, SHAPES, score
from gsbook.intervals import Interval
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs, at_one_scale, best, difference, judged_on, ranked
from gslib.estimators import ESTIMATORS

LABELS = {
    "table": "The table itself",
    "product": "Product quantisation",
    "residual": "Residual k-means",
    "tuned": "k-means codes, vectors learn",
}
PLAIN = {  # what k-means offers, inside a sentence
    "product": "product quantisation",
    "residual": "residual k-means",
    "tuned": "codes of k-means whose vectors learn",
}
LABELS |= {name: ESTIMATORS[name].label for name in METHODS if name in ESTIMATORS}
# Points that count as equal, fixed before the runs were read: of the variance, and of NDCG.
CLOSE = {"error": 0.5, "ndcg": 0.2}
LOWER = {"error": True, "ndcg": False}  # whether less is better


def results(name: str = "codes") -> Records:
    """The book's records of "codes", for words, or of "films".

    >>> results("films").folder.name
    'films'
    """
    return record.records(results_folder() / name)


def everything(records: Records) -> dict[tuple, Runs]:
    """(aim, method, (M, K)) -> what stands for a method with M choices of K options: all that learn
    at one scale, and beside them what is fitted at once, judged on the same.

    >>> everything(Records("none"))
    {}
    """
    found: dict[bool, dict[tuple, list[dict]]] = {True: {}, False: {}}
    for aim, method in product(AIMS, METHODS):
        for run in records.runs_of(f"{aim}-{method}").values():
            if run["test"] is not None:
                shape = run["config"]["choices"], run["config"]["options"]
                found[method in FITTED].setdefault((aim, method, shape), []).append(run)
    own = ["aim", "method", "choices", "options"]
    learned = at_one_scale(found[False], Codes, score, own)
    like = next((judged_on(run) for one in learned.values() for run in one.runs.values()), None)
    fitted = {
        name: [run for run in runs if like in (None, judged_on(run))]
        for name, runs in found[True].items()
    }
    return at_one_scale(fitted, Codes, score, own) | learned


def chosen(records: Records, aim: str, shape: tuple[int, int] = SHAPE) -> dict[str, Runs]:
    """What stands for the methods that have finished runs, in the order of the plan.

    >>> chosen(Records("none"), "row")
    {}
    """
    found = everything(records)
    return {
        method: found[aim, method, shape] for method in METHODS if (aim, method, shape) in found
    }


def comparison(found: dict[str, Runs], name: str):
    """A pandas DataFrame, a line per method, best first by a test figure: all figures, the half
    width of that one's 95 % interval over seeds, and the rate in words.

    >>> comparison({}, "error").empty
    True
    """
    import pandas as pd

    lines = {}
    for method in ranked(found, name, LOWER[name]):
        runs = found[method]
        line = {figure: runs.mean(figure).mean for figure in record.FIGURES}
        half = runs.mean(name).half_width
        line["±"] = half if math.isfinite(half) else math.nan
        rate = "–" if method in FITTED else f"{runs.lr:g}"
        line |= {"lr": rate, "seeds": len(runs.runs)}
        lines[LABELS[method] + runs.mark] = line
    return pd.DataFrame.from_dict(lines, orient="index")


def by_shape(records: Records, aim: str, name: str) -> dict[str, dict[tuple[int, int], Interval]]:
    """Method -> (M, K) -> a test figure, for the methods that were tried with several.

    >>> by_shape(Records("none"), "row", "error")
    {}
    """
    lines, found = {}, everything(records)
    for method in METHODS:
        runs = {shape: found.get((aim, method, shape)) for shape in SHAPES}
        line = {shape: one.mean(name) for shape, one in runs.items() if one is not None}
        if len(line) > 1:
            lines[method] = line
    return lines


def standing(gap: Interval, name: str) -> str:
    """What the interval of a difference allows to say about the first of the two.

    >>> standing(Interval(2.0, 1.0, 3.0, 5), "error"), standing(Interval(2.0, 1.0, 3.0, 5), "ndcg")
    ('worse', 'better')
    """
    if max(abs(gap.low), abs(gap.high)) < CLOSE[name]:
        return "equal"
    if gap.low > 0 or gap.high < 0:
        return "better" if (gap.high < 0) == LOWER[name] else "worse"
    return "undecided"


def lesson(rows: dict[str, Runs], task: dict[str, Runs], tried: int) -> str:
    """When to use a relaxation here and what it costs, in one sentence, from the records.

    rows, task: what is chosen for the two aims. tried: learning rates of a search.

    >>> lesson({}, {}, 3)
    'not run yet'
    """
    relaxed, plain = (best(rows, names, "error") for names in (RELAXED, PLAIN))
    serving, top = (best(task, names, "ndcg", lower=False) for names in (RELAXED, SAMPLERS))
    if relaxed is None or plain is None or serving is None or "tuned" not in task:
        return "not run yet"
    rebuilt = standing(difference(rows[relaxed], rows[plain], "error"), "error")
    served = standing(difference(task[serving], task["tuned"], "ndcg"), "ndcg")
    helped = "residual" in task and (
        standing(difference(task["tuned"], task["residual"], "ndcg"), "ndcg") == "better"
    )
    learn = "let {} vectors learn, ".format
    ends = {
        "better": "relax when the codes have to serve a loss that k-means cannot see",
        "worse": f"take the codes from k-means, {learn('their') * helped}and keep the relaxation "
        "for a table that does not exist yet, from which k-means could not start",
    }
    either = (
        f"begin with k-means, {learn('the') * helped}and relax where there is no table yet that "
        "k-means could start from"
    )
    aside = ""
    if top is not None and top != serving:
        aside = f" ({LABELS[top]}, which needs no temperature, {task[top].mean('ndcg').mean:.2f})"
    return (
        f"To rebuild the rows, {LABELS[relaxed]} loses {rows[relaxed].mean('error').mean:.1f} % of "
        f"the variance and {PLAIN[plain]} {rows[plain].mean('error').mean:.1f} % (the relaxation "
        f"is {said(rebuilt)}); to serve the task, {LABELS[serving]} reaches an NDCG of "
        f"{task[serving].mean('ndcg').mean:.2f}{aside} and {PLAIN['tuned']} "
        f"{task['tuned'].mean('ndcg').mean:.2f} (the relaxation is {said(served)}); so "
        f"{ends.get(served, either)}: it costs {tried} learning rates to try, a temperature, and "
        f"{task[serving].steps:,} steps of a network that is thrown away."
    )


def said(standing: str) -> str:
    """A verdict inside a sentence.

    >>> said("undecided")
    'not to be told apart'
    """
    return {"equal": "as good", "undecided": "not to be told apart"}.get(standing, standing)
