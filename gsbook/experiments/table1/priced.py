"""What the readings of the cited formulas cost: the runs of `readings`, compared within a cell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from statistics import fmean

from gsbook.experiments.table1 import record
from gsbook.experiments.table1.config import Config, parse_cell
from gsbook.experiments.table1.plan import SLOPE_ENDS
from gsbook.experiments.table1.plan import reading as planned
from gsbook.experiments.table1.readings import BUDGETS, NEVER, READINGS, compared
from gsbook.experiments.table1.results import READING, SOURCE, by_steps, reading
from gsbook.intervals import Interval, interval, welch
from gsbook.places import results_folder
from gsbook.records import Records

# Beside `READING`, what the runs of a cell may differ in; the rest is the book's choice.
FREE = ("model", "node", "estimator", "lr", "seed", "steps", "eval_every")
FORMS = {"hard": "clipped sigmoid", "soft": "ordinary sigmoid"}
EPOCH = 500  # steps: 50,000 images in batches of 100
DIVIDED = {"all": "all divided", "signal": "signal divided", "none": "nothing divided"}


@dataclass(frozen=True)
class Reading:
    """One reading of a cell: its runs by seed, at the rate that validation prefers.

    >>> one = Reading("all divided", 0.003, {0: {"test": None, "valid_bound": 101.5}})
    >>> one.values(), one.bound
    ({}, 101.5)
    """

    label: str
    lr: float
    runs: dict[int, dict]
    taken: bool = False  # whether the long runs of Table 1 read the formula so

    @property
    def bound(self) -> float:
        """The mean bound on validation in nats; infinite where a run diverged."""
        found = [run["valid_bound"] for run in self.runs.values()]
        return math.inf if None in found else fmean(found)

    def values(self, name: str = "nll") -> dict[int, float]:
        """A test figure in nats, by seed; runs without one are left out."""
        found = {seed: (run["test"] or {}).get(name) for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass(frozen=True)
class Comparison:
    """The readings of a cell at one number of steps, all evaluated on as many images.

    readings: those that have runs, best on validation first, those with fewer seeds last.
    missing: labels of the others.

    >>> Comparison("vae-bernoulli-sf", 100, None, [], ["all divided"]).chosen is None
    True
    """

    cell: str
    steps: int
    images: int | None  # None: all
    readings: list[Reading]
    missing: list[str]

    @property
    def chosen(self) -> Reading | None:
        """What validation chooses among readings with most seeds; None where there is no choice
        between two."""
        return self.readings[0] if len(self.readings) > 1 else None

    @property
    def complete(self) -> bool:
        """Whether every reading has run, by equally many seeds."""
        return not self.missing and len({len(one.runs) for one in self.readings}) == 1


def results() -> tuple[Records, Records]:
    """The book's records that price readings: those made for it, and those of Table 1."""
    return tuple(record.records(results_folder() / name) for name in (READINGS.name, "table1"))


def label(config: Config) -> str:
    """A reading in words.

    >>> label(Config("sbn", "bernoulli", "muprop", lr=1e-3, normalise="none", centre=True))
    'nothing divided, centred'
    >>> label(Config("vae", "categorical", "annealed_st", lr=1e-3, slope_max=100.0))
    'softmax, slope to the end'
    """
    if config.estimator == "annealed_st":
        form = FORMS[config.slope_form] if config.node == "bernoulli" else "softmax"
        end = "the end" if config.slope_max >= NEVER else f"{config.slope_max:g}"
        return f"{form}, slope to {end}"
    return DIVIDED[config.normalise] + (", centred" if config.centre else "")


def compare(records: Iterable[Records], cell: str) -> Comparison | None:
    """The readings of a cell where most of them have runs: of two numbers of steps, or of images,
    the one with more readings, then with more runs, then the larger. None where nothing has run.

    records: as `results` gives them; what stands in two of them counts once.

    >>> compare([Records("none")], "vae-bernoulli-sf") is None
    True
    """
    model, node, estimator = parse_cell(cell)
    asked = compared(cell, BUDGETS["paper"])
    known = {reading(config.to_dict()): label(config) for config in asked}
    table = Config(model, node, estimator, lr=1e-3, **planned(model, estimator))
    rates = {config.lr for config in asked}
    records, taken = list(records), reading(table.to_dict())
    for one in records:  # the long runs, where there are some
        if finals := by_steps(one, cell):
            taken = reading(finals[max(finals)].config)
    standard = replace(table, **{name: getattr(asked[0], name) for name in READING})
    found: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for run in (run for one in records for run in one.runs_of(cell).values()):
        config = Config(**run["config"])  # fields that are younger than the run: their defaults
        kept = all(
            getattr(config, f.name) == getattr(standard, f.name)
            for f in fields(Config)
            if f.name not in (*READING, *FREE)
        )
        own = kept and config.lr in rates and run["data"]["source"] == SOURCE and _ended(config)
        if own and (read := reading(run["config"])) in known:
            scale = config.steps, run["evaluation"]["images"]
            found[scale][read][config.lr].setdefault(config.seed, run)
    if not found:
        return None

    def rank(scale):
        runs = sum(len(one) for rates in found[scale].values() for one in rates.values())
        return len(found[scale]), runs, scale[0], scale[1] is None

    steps, images = scale = max(found, key=rank)
    readings = [
        min((Reading(known[read], lr, runs, read == taken) for lr, runs in of.items()), key=_order)
        for read, of in found[scale].items()
    ]
    missing = [name for read, name in known.items() if read not in found[scale]]
    return Comparison(cell, steps, images, sorted(readings, key=_order), missing)


def _ended(config: Config) -> bool:
    """Whether a run is long enough for every end of annealed ST's slope that is searched; before,
    they hardly differ. Always for the others."""
    last = replace(config, slope_max=max(SLOPE_ENDS))
    return config.estimator != "annealed_st" or last.slope(config.steps, EPOCH) == last.slope_max


def _order(one: Reading) -> tuple[int, float]:
    return -len(one.runs), one.bound


def behind(one: Reading, best: Reading) -> tuple[Interval | None, str]:
    """(how many nats a reading lies above another, on which images): Welch's interval of the test
    figures where both have two seeds or more, else the difference of the means on validation,
    without an interval; None where a side diverged.

    >>> runs = ({0: {"test": None, "valid_bound": bound}} for bound in (101.5, 100.0))
    >>> gap, images = behind(*(Reading("", 0.003, one) for one in runs))
    >>> gap.mean, images
    (1.5, 'validation')
    """
    pair = [list(side.values().values()) for side in (one, best)]
    if min(map(len, pair)) > 1:
        return welch(*pair), "test"
    if math.inf in (one.bound, best.bound):
        return None, "validation"
    gap = one.bound - best.bound
    return Interval(gap, -math.inf, math.inf, min(len(one.runs), len(best.runs))), "validation"


def unsloped(one: Reading) -> Interval | None:
    """What annealed ST's test figure changes by in nats when the slope is left out after training;
    the same weights twice, so pairs by seed. None where it was not measured."""
    kept, without = one.values(), one.values("nll_unsloped")
    pairs = [without[seed] - kept[seed] for seed in kept if seed in without]
    return interval(pairs) if pairs else None


def table(found: Comparison):
    """A comparison as a pandas DataFrame, a line a reading: rate, seeds, mean on validation, test
    figure with the half width of its 95 % interval, what leaving out the slope changes, and
    whether validation chooses it or Table 1 takes it.

    >>> list(table(Comparison("vae-bernoulli-sf", 100, None, [], [])).columns)[:3]
    ['rate', 'seeds', 'validation']
    """
    import pandas as pd

    lines, sloped = {}, found.cell.endswith("annealed_st")
    for one in found.readings:
        ours = interval(list(one.values().values())) if one.values() else None
        marks = ["chosen"] if one is found.chosen else []
        marks += ["in Table 1"] if one.taken else []
        without = unsloped(one)
        lines[one.label] = {
            "rate": f"{one.lr:.0e}".replace("e-0", "e-"),
            "seeds": len(one.runs),
            "validation": one.bound if math.isfinite(one.bound) else math.nan,
            "test": ours.mean if ours else math.nan,
            "±": ours.half_width if ours and ours.n > 1 else math.nan,
            "slope left out": without.mean if without else math.nan,
            "": ", ".join(marks),
        }
    columns = ["rate", "seeds", "validation", "test", "±", "slope left out", ""]
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    return frame if sloped else frame.drop(columns="slope left out")


def sentences(found: Comparison) -> list[str]:
    """What a comparison says, a line each."""
    best, ran = found.chosen, len(found.readings)
    images = "all" if found.images is None else f"{found.images:,}"
    asked = ran + len(found.missing)
    said = [f"{ran} of {asked} readings at {found.steps:,} steps, {images} images"]
    if found.missing:
        said.append(f"not run: {'; '.join(found.missing)}")
    if best is None:
        return said
    so_far = "" if found.complete else ", so far"
    said.append(f"validation chooses: {best.label}{so_far}")
    for one in found.readings[1:]:
        gap, images = behind(one, best)
        if gap is None:
            said.append(f"{one.label}: diverged")
            continue
        spread = f" ± {gap.half_width:.2f}" if math.isfinite(gap.half_width) else ""
        verdict = "no interval, one seed"
        if spread:
            verdict = "worse" if gap.low > 0 else "better" if gap.high < 0 else "undecided"
        said.append(f"{one.label}: {gap.mean:+z.2f}{spread} nats on {images} images, {verdict}")
    if (left_out := unsloped(best)) is not None:
        spread = f" ± {left_out.half_width:.2f}" if left_out.n > 1 else ""
        said.append(f"its slope left out at the test: {left_out.mean:+z.2f}{spread} nats")
    return said
