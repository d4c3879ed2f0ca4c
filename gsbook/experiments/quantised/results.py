"""Which recorded runs of the quantised autoencoder stand for a method, and what they say."""

from __future__ import annotations

import math

from gsbook.experiments.quantised import record
from gsbook.experiments.quantised.config import METHODS, Quantised
from gsbook.experiments.quantised.plan import score
from gsbook.intervals import Interval
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs, at_one_scale, best, difference

CLOSE = 1.0  # nats that count as equal, fixed before the runs were read
NEAREST = tuple(method for method, one in METHODS.items() if one.estimator is None)
DRAWN = tuple(method for method, one in METHODS.items() if one.estimator)
SAID = {  # a verdict inside a sentence
    "better": "better",
    "worse": "worse",
    "equal": "as good",
    "undecided": "not to be told apart",
}


def results() -> Records:
    """The book's records.

    >>> results().folder.name
    'quantised'
    """
    return record.records(results_folder() / "quantised")


def chosen(records: Records) -> dict[str, Runs]:
    """The methods that have finished runs, in the order of the table of methods.

    >>> chosen(Records("none"))
    {}
    """
    found = {
        method: [run for run in records.runs_of(method).values() if run["test"] is not None]
        for method in METHODS
    }
    return at_one_scale(found, Quantised, score, own=["method"])


def comparison(found: dict[str, Runs]):
    """A pandas DataFrame, a line per method: all figures, the half width of the 95 % interval of
    -log p(x | code) over seeds, dead codes, nll + rate (sum), and the rate of learning.

    >>> comparison({}).empty
    True
    """
    import pandas as pd

    lines = {}
    for method, runs in found.items():
        line = {figure: runs.mean(figure).mean for figure in record.FIGURES}
        half = runs.mean("nll").half_width
        line["±"] = half if math.isfinite(half) else math.nan
        line |= {"dead": runs.config["codes"] - line["used"], "sum": line["nll"] + line["rate"]}
        line |= {"lr": runs.lr, "seeds": len(runs.runs)}
        lines[METHODS[method].label + runs.mark] = line
    return pd.DataFrame.from_dict(lines, orient="index")


def standing(gap: Interval) -> str:
    """What the interval of a difference in nats allows to say about the first of the two.

    >>> standing(Interval(-2.0, -3.0, -1.0, 5)), standing(Interval(0.1, -0.5, 0.7, 5))
    ('better', 'equal')
    """
    if max(abs(gap.low), abs(gap.high)) < CLOSE:
        return "equal"
    if gap.low > 0 or gap.high < 0:
        return "better" if gap.high < 0 else "worse"
    return "undecided"


def revival(found: dict[str, Runs]) -> str:
    """What revives dead codes, in two sentences, from the records.

    >>> revival({})
    'not run yet'
    """
    if found.keys() != METHODS.keys():
        return "not run yet"
    used = {method: f"{runs.mean('used').mean:.0f}" for method, runs in found.items()}
    nll = {method: f"{runs.mean('nll').mean:.1f}" for method, runs in found.items()}
    parts = []
    for start, helped, what in (
        ("vq", "vq_restart", "of plain VQ"),
        ("vq_average", "vq_both", "of moving averages"),
    ):
        said = SAID[standing(difference(found[helped], found[start], "nll"))]
        parts.append(
            f"the {used[start]} codes {what} to {used[helped]}, and what they leave open from "
            f"{nll[start]} to {nll[helped]} nats ({said})"
        )
    said = SAID[standing(difference(found["gumbel_use"], found["gumbel_free"], "nll"))]
    return (
        f"Of {found['vq'].config['codes']} codes, restarts take {parts[0]}; and {parts[1]}. "
        f"Gumbel-Softmax that pays for nothing uses {used['gumbel_free']}; a term for even use "
        f"takes it to {used['gumbel_use']}, and what they leave open from {nll['gumbel_free']} to "
        f"{nll['gumbel_use']} nats ({said}), and the KL of a bound to {used['gumbel_softmax']}."
    )


def lesson(found: dict[str, Runs]) -> str:
    """When to take which, in one sentence, from the records.

    >>> lesson({})
    'not run yet'
    """
    if found.keys() != METHODS.keys():
        return "not run yet"
    near, drawn = (best(found, methods, "nll") for methods in (NEAREST, DRAWN))
    bound = best(found, DRAWN, "bound")
    left = standing(difference(found[near], found[drawn], "nll"))
    helped = ", with restarts," if METHODS[near].restart else ""
    ends = {
        "better": f"take the nearest code{helped} where a second model will learn the codes and "
        "what they leave open is all that counts",
        "worse": "take a drawn code, and its arg max once it is trained, even where a second model "
        "will learn the codes",
    }
    either = "where a second model will learn the codes, take what is easier to train"
    return (
        f"Of the nearest codes those of *{METHODS[near].label}* leave the least open, "
        f"{found[near].mean('nll').mean:.1f} nats, of the drawn ones those of "
        f"*{METHODS[drawn].label}*, {found[drawn].mean('nll').mean:.1f} (the nearest is "
        f"{SAID[left]}); but with a uniform prior, as a model of pictures, the nearest pay "
        f"{found[near].mean('bound').mean:.0f} nats and *{METHODS[bound].label}* "
        f"{found[bound].mean('bound').mean:.0f}; so {ends.get(left, either)}, and a posterior with "
        "its KL where the bound itself counts."
    )
