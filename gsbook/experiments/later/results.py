"""The estimators after 2017 beside each other: at equal steps, and at equal cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import fmean

from gsbook.experiments.later import record
from gsbook.experiments.later.config import COLUMNS, NEWER, Config
from gsbook.experiments.later.train import evaluations
from gsbook.experiments.table1 import results as table1
from gsbook.experiments.table1.evaluate import SAMPLES
from gsbook.intervals import Interval, interval, welch
from gsbook.places import results_folder
from gsbook.records import Records
from gslib.estimators import ESTIMATORS

FIGURES = {1: "single", 10: "nll_10", 100: "nll_100", 1000: "nll"}  # m -> the figure's name
SOURCE = "larochelle-murray"
CHOSEN_AT = 20_000  # steps after which challengers are chosen: the protocol says so
NEARLY = 0.95  # of a cost: a run of three evaluations a step ends at a point of its curve before it


@dataclass(frozen=True)
class Line:
    """An estimator with its settings at one number of steps: its tested runs by seed.

    >>> Line("DisARM", 100, {0: {"evaluations": 2, "minutes": 1.5, "test": {"nll": 110.5}}}).cost
    200
    """

    label: str
    steps: int
    runs: dict[int, dict]

    @property
    def config(self) -> dict:
        """The config that the runs share, but for the seed."""
        return next(iter(self.runs.values()))["config"]

    @property
    def evaluations(self) -> int:
        """Of the program for each example, in a step."""
        return next(iter(self.runs.values()))["evaluations"]

    @property
    def cost(self) -> int:
        """Evaluations of the program for each example of a batch, in all steps."""
        return self.steps * self.evaluations

    @property
    def minutes(self) -> float:
        """Of a core, for a run with its evaluation."""
        return fmean(run["minutes"] for run in self.runs.values())

    @property
    def valid_bound(self) -> float:
        """The bound on validation in nats, by which lines are chosen; infinite where a run
        diverged."""
        bounds = [run["valid_bound"] for run in self.runs.values()]
        return math.inf if None in bounds else fmean(bounds)

    def values(self, m: int = 1000) -> dict[int, float]:
        """The negated m-sample bound on test images in nats, by seed; diverged runs left out."""
        found = {seed: run["test"].get(FIGURES[m]) for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def curve(self, name: str = "test") -> tuple[list[int], list[list[float]]]:
        """(evaluations of the program so far, single-sample losses [seeds, points])."""
        curves = [run["curve"] for run in self.runs.values()]
        at = [step * self.evaluations for step in curves[0]["step"]]
        return at, [[math.nan if v is None else v for v in c[name]] for c in curves]


def results(folder: str = "later") -> Records:
    """The book's records of the estimators after 2017.

    >>> results().folder.name
    'later'
    """
    return record.records(results_folder() / folder)


def label(config: Config) -> str:
    """What a line is called: the estimator, its number of samples, its loss.

    >>> label(Config("vae", "bernoulli", "rloo", lr=1e-3, samples=4))
    'RLOO, k = 4'
    """
    parts = [ESTIMATORS[config.estimator].label]
    parts += [f"k = {config.samples}"] if config.samples else []
    parts += [f"on the bound of {config.bound}"] if config.bound > 1 else []
    return ", ".join(parts)


def final(run: dict) -> bool:
    """Whether a record was tested on all images of the paper's digits with 1000 samples."""
    evaluation = run["evaluation"]
    whole = evaluation["images"] is None and evaluation["samples"] == SAMPLES
    return run["test"] is not None and run["data"]["source"] == SOURCE and whole


def lines(records: Records, row: str) -> list[Line]:
    """Every line of a row such as "vae-categorical", at every number of steps; of several rates
    and settings under one label, those with most seeds, of these the best on validation."""
    found = defaultdict(lambda: defaultdict(dict))
    for name in (*COLUMNS, "vimco"):
        for run in records.runs_of(f"{row}-{name}").values():
            if final(run):
                config = Config(**run["config"])
                settings = replace(config, seed=0, eval_every=1)
                found[label(config), config.steps][settings][config.seed] = run
    return [
        min((Line(name, steps, runs) for runs in groups.values()), key=_rank)
        for (name, steps), groups in found.items()
    ]


def _rank(line: Line) -> tuple[int, float]:
    return -len(line.runs), line.valid_bound


def challengers(records: Records, row: str) -> list[Config]:
    """What is to challenge Table 1's lowest cell of a row, two by the rule of the protocol: of the
    estimators after 2017 the one that validation prefers after 20,000 steps, and of those trained
    on the bound of several samples; where there are none, the second of the former.

    >>> [config.seed for config in challengers(results(), "vae-categorical")]
    [0, 0]
    """
    whole = sorted(at_equal_steps(records, row, CHOSEN_AT), key=lambda line: line.valid_bound)
    configs = [Config(**line.config) for line in whole if line.valid_bound < math.inf]
    several = [c for c in configs if c.several]
    newer = [c for c in configs if not c.several and c.estimator in NEWER]
    found = [*newer[:1], *several[:1], *newer[1:]][:2]
    if len(found) < 2:
        raise ValueError(f"{row} has {len(found)} to choose from; run later:{row} first")
    return [replace(config, seed=0) for config in found]


def challenge(records: Records, table: Records, row: str) -> list[Line]:
    """The lowest cell of a row of Table 1 at m = 1000, and after it what has challenged it at its
    cost, to the last point of a curve; nothing where nothing has."""
    steps, cells = table1.row(table, row)
    found = at_equal_cost(records, row, steps)
    found = [line for line in found if steps and line.cost > NEARLY * steps]
    if not found:
        return []
    cell = min(cells.values(), key=lambda cell: fmean(cell.values.values() or [math.inf]))
    cost = {"evaluations": evaluations(Config(**cell.config))}
    runs = {seed: run | cost for seed, run in cell.runs.items()}
    return [Line(f"{ESTIMATORS[cell.config['estimator']].label} of Table 1", steps, runs), *found]


def at_equal_steps(records: Records, row: str, steps: int | None = None) -> list[Line]:
    """The lines of a row at one number of steps, by default the largest that any has."""
    found = lines(records, row)
    steps = steps or max((line.steps for line in found), default=0)
    return [line for line in found if line.steps == steps]


def at_equal_cost(records: Records, row: str, steps: int | None = None) -> list[Line]:
    """The lines of a row where each has cost as many evaluations of the program as an estimator of
    one evaluation has in `steps`; a line stands where it cost no more, and the most.

    steps: by default the largest number that any line has.
    """
    found = lines(records, row)
    cost = steps or max((line.steps for line in found), default=0)
    last: dict[str, Line] = {}
    for line in sorted(found, key=lambda line: line.cost):
        if line.cost <= cost:
            last[line.label] = line
    return list(last.values())


def leaders(found: Iterable[Line], m: int = 1000) -> list[Line]:
    """The line with the lowest mean m-sample figure, and after it those that Welch's 95 % interval
    does not tell from it, best first. Lines whose runs all diverged are left out.

    >>> def line(label, *nats):
    ...     return Line(label, 100, {s: {"test": {"nll": v}} for s, v in enumerate(nats)})
    >>> found = line("a", 101.0, 101.2), line("b", 100.0, 100.2), line("c", 99.0, 101.5)
    >>> [one.label for one in leaders(found)]
    ['b', 'c']
    """
    ended = [line for line in found if line.values(m)]
    ranked = sorted(ended, key=lambda line: fmean(line.values(m).values()))
    return [line for line in ranked if not behind(line, ranked[0], m).low > 0]


def behind(line: Line, other: Line, m: int = 1000) -> Interval:
    """How many nats a line's m-sample figure lies above another's, with Welch's interval."""
    return welch(list(line.values(m).values()), list(other.values(m).values()))


def guide(found: Iterable[Line], needs: dict[str, Callable[[Line], bool]], m: int = 1000):
    """What was best for each need, as a pandas DataFrame: "take" (the leaders among the lines that
    serve it), "behind" and "±" (nats of the first of them above the best of all lines).

    needs: what is asked for -> whether a line serves it. Needs that no line serves are left out.

    >>> guide([], {"real choices": lambda line: True}).empty
    True
    """
    import pandas as pd

    found = list(found)
    best, rows = leaders(found, m), {}
    for need, serves in needs.items():
        if own := leaders(filter(serves, found), m):
            gap = behind(own[0], best[0], m)
            rows[need] = [" or ".join(line.label for line in own), gap.mean, gap.half_width]
            if own[0] is best[0]:
                rows[need][2] = math.nan
    return pd.DataFrame.from_dict(rows, orient="index", columns=["take", "behind", "±"])


def comparison(found: Iterable[Line]):
    """Lines as a pandas DataFrame, best m = 1000 first: steps, evaluations a step, minutes, the
    mean of each m with the half width of its 95 % interval over seeds, seeds and diverged runs.

    >>> list(comparison([]).columns)[:3]
    ['steps', 'evaluations', 'minutes']
    """
    import pandas as pd

    columns = ["steps", "evaluations", "minutes"]
    columns += [name for m in FIGURES for name in (f"m = {m}", f"± {m}")] + ["seeds", "diverged"]
    rows = {}
    for line in found:
        numbers = [line.steps, line.evaluations, line.minutes]
        for m in FIGURES:
            values = list(line.values(m).values())
            ours = interval(values) if values else None
            numbers += [ours.mean, ours.half_width] if ours else [math.nan, math.nan]
        left = len(line.values())
        rows[line.label] = [*numbers, left, len(line.runs) - left]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return frame.sort_values("m = 1000")
