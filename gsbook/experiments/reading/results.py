"""Which recorded runs stand for a method of reading aloud."""

from __future__ import annotations

from gsbook.experiments.reading import record
from gsbook.experiments.reading.config import Reading
from gsbook.experiments.reading.plan import METHODS, SAMPLERS, score
from gsbook.intervals import Interval
from gsbook.places import results_folder
from gsbook.records import Records
from gsbook.seeds import Runs, at_one_scale, best, difference, ranked
from gslib.estimators import ESTIMATORS

LABELS = {name: ESTIMATORS[name].label for name in METHODS if name in ESTIMATORS}
LABELS |= {"marginal": "Likelihood", "exact": "Expectation", "soft": "Soft attention"}
RELAXED = ("gumbel_softmax", "st_gumbel_softmax")
CLOSE = 0.01  # nats per sound: what counts as equal, fixed before the runs were read
# Figures of a sound, inside a sentence: what estimators descend, and what the model is worth.
SAID = {"expected": "the loss of one look", "nll": "the likelihood"}
RIVAL = {  # where the relaxation stands -> where its rival does, inside a sentence
    "worse": "better",
    "better": "worse",
    "equal": "just as good",
    "undecided": "not to be told apart from it",
}


def results() -> Records:
    """The book's records of reading aloud.

    >>> results().folder.name
    'reading'
    """
    return Records(
        results_folder() / "reading",
        record.check,
        lambda run: record.modules(Reading(**run["config"])),
    )


def chosen(records: Records) -> dict[str, Runs]:
    """What stands for each method that has finished runs, in the order of the plan. Runs on part of
    the words are not counted.

    >>> chosen(Records("none"))
    {}
    """

    def counts(run: dict) -> bool:
        return run["test"] is not None and run["data"]["images"] is None

    found = {method: filter(counts, records.runs_of(method).values()) for method in METHODS}
    return at_one_scale(found, Reading, score, own=["method"])


def comparison(found: dict[str, Runs]):
    """A pandas DataFrame, a line per method, best first: test figures with half widths of 95 %
    intervals over seeds. nll in nats per sound, word_errors in per cent.

    >>> comparison({}).empty
    True
    """
    import pandas as pd

    lines = {}
    for method in ranked(found, "nll"):
        runs, line = found[method], {}
        for name in ("nll", "word_errors"):
            ours = runs.mean(name)
            line |= {name: ours.mean, f"± {name}": ours.half_width}
        line |= {name: runs.mean(name).mean for name in ("expected", "mean", "entropy")}
        minutes = [run["minutes"] for run in runs.runs.values()]
        line |= {"lr": runs.lr, "seeds": len(runs.runs), "minutes": sum(minutes) / len(minutes)}
        lines[LABELS[method] + runs.mark] = line
    return pd.DataFrame.from_dict(lines, orient="index")


def differences(found: dict[str, Runs], name: str, base: str) -> dict[str, Interval]:
    """Method -> how much higher its test figure is than that of `base`, with Welch's interval.

    >>> differences({}, "nll", "exact")
    {}
    """
    if base not in found:
        return {}
    return {
        method: difference(runs, found[base], name)
        for method, runs in found.items()
        if method != base
    }


def standing(difference: Interval) -> str:
    """What an interval of a difference in nats per sound allows to say about the first of the two.

    >>> standing(Interval(0.2, 0.1, 0.3, 5)), standing(Interval(0.0, -0.1, 0.1, 5))
    ('worse', 'undecided')
    """
    if max(abs(difference.low), abs(difference.high)) < CLOSE:
        return "equal"
    if difference.low > 0:
        return "worse"
    return "better" if difference.high < 0 else "undecided"


def lesson(found: dict[str, Runs], price: float) -> str:
    """When to use a relaxation here and what it costs, in two sentences, from the records. Methods
    are chosen by their likelihood on validation words.

    price: of a step that sums over all looks, as a multiple of one with a single look.

    >>> lesson({}, 1.5)
    'not run yet'
    """
    if not {"exact", *RELAXED} <= found.keys():
        return "not run yet"
    first, relaxed = (best(found, names, "nll") for names in (SAMPLERS, RELAXED))
    take = f"{LABELS[relaxed]} is, by validation, the relaxation to take"
    if first != relaxed:
        rival = (
            f"{RIVAL[standing(differences(found, name, first)[relaxed])]} in {said}"
            for name, said in SAID.items()
        )
        take += f", though {LABELS[first]}, which needs no temperature, is {' and '.join(rival)}"
    costs = []
    for name, said in SAID.items():
        gap = differences(found, name, "exact")[relaxed]
        costs.append(f"{gap.mean:+.3f} ± {gap.half_width:.3f} nats in {said} ({standing(gap)})")
    errors = differences(found, "word_errors", "exact")[relaxed]
    return (
        f"Relax only where the options are too many to try: here a step that tries them all costs "
        f"{price:.1f} times the multiplications of one that looks once. When you cannot afford it, "
        f"{take}. Against the exact expectation it costs {', '.join(costs)} and "
        f"{errors.mean:+.1f} ± {errors.half_width:.1f} points of word errors."
    )
