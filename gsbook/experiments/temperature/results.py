"""What the records say of temperatures: one line a setting, means over its seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from statistics import fmean, variance

from gsbook.experiments.temperature import record
from gsbook.experiments.temperature.config import CELL, Config
from gsbook.experiments.temperature.plan import FAMILIES, STEPS, settings
from gsbook.intervals import UNKNOWN, Interval, welch
from gsbook.places import results_folder
from gsbook.records import Records

COMMAND = "python -m gsbook run temperature --budget laptop"


def results() -> Records:
    """The book's records of the study.

    >>> results().folder.name
    'temperature'
    """
    return record.records(results_folder() / "temperature")


def label(config: Config) -> str:
    """A setting in words.

    >>> label(Config(start=0.5)), label(Config(tau_min=0.1, anneal_steps=20_000))
    ('0.5', '1 → 0.1, line')
    >>> label(Config(learned="unit", relaxed_kl=True))
    'learned per unit, relaxed KL'
    """
    if config.learned:
        text = "learned per unit" if config.learned == "unit" else "learned"
    elif config.anneal_steps:
        text = f"{config.start:g} → {config.tau_min:g}, line"
    elif config.anneal_rate:
        text = f"{config.start:g} → {config.tau_min:g}, r = {config.anneal_rate:g}"
    elif config.backward:
        text = f"{config.start:g} forward, {config.backward:g} back"
    else:
        text = f"{config.start:g}"
    if config.estimator == "st_gumbel_softmax":
        text = f"{'Gumbel-Rao' if config.draws else 'ST'} {text}"
    if config.relaxed_kl:
        text += ", relaxed KL"
    if config.lr != Config.lr:
        text += f", rate {config.lr:g}"
    return text


def by_setting(records: Records) -> dict[Config, list[dict]]:
    """Setting (at seed 0) -> its finished runs, one a seed."""
    found = defaultdict(list)
    for run in records.runs_of(CELL).values():
        if run["test"] is not None:
            found[replace(Config(**run["config"]), seed=0)].append(run)
    return dict(found)


def figures(run: dict) -> dict[str, float]:
    """The test figures of a run, the bound on validation, and the gap: how far the loss that was
    trained lies below that of discrete samples, nats, with the analytic KL for
    all, also for runs that trained with the relaxed one."""
    found = {name: math.nan if v is None else v for name, v in run["test"].items()}
    found["gap"] = found["loss"] - found["loss_trained"]
    valid = run["valid_bound"]
    return found | {"valid": math.nan if valid is None else valid}


def table(records: Records, *families: str, steps: int = STEPS):
    """A pandas DataFrame, a line per setting of these families (default: all) by its label: means
    of `figures` over seeds, "seeds", "family" and "start". A setting without runs has seeds 0.

    >>> table(Records("none"), "constant").seeds.tolist()
    [0, 0, 0, 0, 0]
    """
    import pandas as pd

    found, lines = by_setting(records), {}
    for family in families or FAMILIES:
        for config in settings(family, steps):
            runs = [figures(run) for run in found.get(config, ())]
            names = runs[0] if runs else ()
            line = {name: fmean(run[name] for run in runs) for name in names}
            about = {"family": family, "start": config.start, "seeds": len(runs)}
            lines[label(config)] = about | line
    columns = (
        "nll",
        "nll_100",
        "nll_10",
        "single",
        "loss",
        "loss_trained",
        "gap",
        "bias",
        "cosine",
        "noise",
    )
    columns += ("entropy", "live", "classes", "kl", "tau", "tau_lowest", "tau_highest", "valid")
    frame = pd.DataFrame.from_dict(lines, orient="index")
    return frame.reindex(columns=["family", "start", "seeds", *columns])


def chosen_by(figure: str) -> str:
    """The figure by which the best setting in a test figure is chosen: the bound on validation,
    which has many samples. For one sample validation records nothing like it: by the test figure.

    >>> chosen_by("nll"), chosen_by("single")
    ('valid', 'single')
    """
    return figure if figure == "single" else "valid"


def ranked(frame, figure: str) -> list[str]:
    """The settings of a `table` that have run, the best first by what `figure` is chosen by.

    >>> ranked(table(Records("none")), "nll")
    []
    """
    return list(frame[chosen_by(figure)].astype(float).dropna().sort_values(kind="stable").index)


def difference(records: Records, one: str, other: str, figure: str, steps: int = STEPS) -> Interval:
    """One setting less another in a test figure, by their labels, with Welch's interval over
    seeds; unknown where one has not run or has diverged.

    >>> difference(Records("none"), "0.1", "0.5", "nll").n
    0
    """
    found = by_setting(records)
    named = {label(c): found.get(c, ()) for family in FAMILIES for c in settings(family, steps)}
    sides = [[figures(run)[figure] for run in named[name]] for name in (one, other)]
    if not all(sides) or any(map(math.isnan, sides[0] + sides[1])):
        return UNKNOWN
    if one == other:  # with itself: not two groups of seeds
        return Interval(0.0, 0.0, 0.0, len(sides[0]))
    return welch(*sides)


def standing(gap: Interval) -> str:
    """What a difference of two losses says of the first.

    >>> standing(Interval(-2.0, -2.5, -1.5, 3)), standing(Interval(1.0, -0.5, 2.5, 3))
    ('better', 'not told apart')
    """
    return "better" if gap.high < 0 else "worse" if gap.low > 0 else "not told apart"


def said(gap: Interval) -> str:
    """A difference of two losses in words.

    >>> said(Interval(-2.0, -2.5, -1.5, 3)), said(Interval(1.0, -0.5, 2.5, 3))
    ('-2.0 ± 0.5 nats (better)', '+1.0 ± 1.5 nats (not told apart)')
    """
    return f"{gap.mean:+.1f} ± {gap.half_width:.1f} nats ({standing(gap)})"


NEAR = 20.0  # nats behind the best: beyond, a setting fails, and each of its seeds in its own way


def scatter(records: Records, figure: str) -> float | None:
    """The standard deviation of a figure over seeds, pooled over the settings of the study's
    `STEPS` with several seeds whose mean is within `NEAR` of the best; None where there is no such
    setting. (Runs of another length scatter in their own way, and their best is another.)

    >>> scatter(Records("none"), "nll") is None
    True
    """
    found = {c: runs for c, runs in by_setting(records).items() if c.steps == STEPS}
    groups = [[figures(run)[figure] for run in runs] for runs in found.values()]
    groups = [group for group in groups if len(group) > 1 and not any(map(math.isnan, group))]
    worst = min(map(fmean, groups), default=0.0) + NEAR
    groups = [group for group in groups if fmean(group) <= worst]
    if not groups:
        return None
    degrees = sum(len(group) - 1 for group in groups)
    return math.sqrt(sum(variance(group) * (len(group) - 1) for group in groups) / degrees)


def scale(records: Records) -> str:
    """How much of the study has run, and what runs the rest.

    >>> print(scale(Records("none")))
    0 of 45 settings have run; python -m gsbook run temperature --budget laptop runs the rest
    """
    whole = table(records)
    seeds = whole.seeds[whole.seeds > 0]
    text = f"{len(seeds)} of {len(whole)} settings have run"
    if len(seeds):
        text += f", {STEPS:,} steps, {seeds.min()} to {seeds.max()} seed(s) each"
    return (
        text
        if seeds.min() == 3 and len(seeds) == len(whole)
        else f"{text}; {COMMAND} runs the rest"
    )
