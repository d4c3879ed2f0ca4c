"""How a table looks for its best setting: successive halving on one seed, then all seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from gsbook.engine.experiment import Budget, Stages

Score = Callable[[dict], float | None]
"""Record -> what a config is chosen by, lower is better; None where the run diverged."""


def budget_name() -> str:
    """The budget that GSLIB_BUDGET names: "smoke" (default; seconds), "laptop" (minutes to hours)
    or "paper"."""
    name = os.environ.get("GSLIB_BUDGET", "smoke")
    if name not in ("smoke", "laptop", "paper"):
        raise ValueError(f"GSLIB_BUDGET must be smoke, laptop or paper, got {name!r}")
    return name


def halving(
    candidates: list, budget: Budget, score: Score, *, test: bool = False, seen: dict | None = None
) -> Stages:
    """Successive halving: at each rung the best stay; returns those that reach the final runs.

    seen: takes the scores at the last rung, by config at the steps of the final runs.
    """
    for steps, keep in budget.rungs if len(candidates) > 1 else ():
        records = yield [replace(c, steps=steps) for c in candidates], test
        if seen is not None:
            seen.clear()
            scores = (worst_last(record, score) for record in records)
            finals = (replace(c, steps=budget.steps) for c in candidates)
            seen.update(zip(finals, scores, strict=True))
        candidates = ranked(candidates, records, score)[:keep]
    return [replace(c, steps=budget.steps) for c in candidates]


def over_seeds(candidates: list, seeds: int) -> list:
    """Every candidate with every seed."""
    return [replace(c, seed=seed) for c in candidates for seed in range(seeds)]


def ranked(configs: list, records: list[dict], score: Score) -> list:
    """Configs by score, best first; diverged ones last."""
    scores = [worst_last(record, score) for record in records]
    return [c for _, c in sorted(zip(scores, configs, strict=True), key=lambda pair: pair[0])]


def worst_last(record: dict, score: Score) -> float:
    """The score, infinite where the run diverged."""
    value = None if record["diverged"] else score(record)
    return math.inf if value is None else value


def dry(plan: Stages, made_up: Callable[[object], dict]) -> Iterator[tuple[list, bool]]:
    """What a plan would ask for if every run gave the record that is made up for its config."""
    answer = None
    with suppress(StopIteration):
        while True:
            configs, test = plan.send(answer)
            yield configs, test
            answer = [made_up(c) for c in configs]
