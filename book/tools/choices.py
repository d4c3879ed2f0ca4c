"""The choices where the paper is silent: book/choices.yml with values from gslib and prices from
the records."""

from __future__ import annotations

import inspect
from collections import defaultdict
from dataclasses import asdict
from functools import cache
from typing import NamedTuple

import jinja2
import torch
import yaml
from repository import ROOT

import gslib
from gsbook import intervals
from gsbook.experiments.table1 import config, evaluate, plan
from gsbook.experiments.table1 import results as table1
from gsbook.experiments.table2 import plan as table2
from gsbook.experiments.table2.config import FewLabels
from gsbook.places import results_folder
from gsbook.reader.plots import LABELS

FILE = ROOT / "book" / "choices.yml"
NOT_PRICED, NO_PRICE = "not priced yet", "none, as no pair of runs is planned for it"
TITLES = {"bernoulli": "Bernoulli", "categorical": "categorical"}


def default_of(function, name: str):
    """The default of a function's argument."""
    return inspect.signature(function).parameters[name].default


def rate(value: float) -> str:
    """3e-3, as the paper prints rates."""
    return f"{value:.0e}".replace("e-0", "e-")


def rungs(budget: str) -> str:
    return ", ".join(
        f"the best {keep} after {steps:,} steps" for steps, keep in plan.BUDGETS[budget].rungs
    )


def uniform_mean(k: int):
    return gslib.Categorical(torch.zeros(1, k)).uniform_mean


# What the expressions between [[ and ]] in choices.yml may use; a name or an attribute that is not
# there is an error.
JINJA = jinja2.Environment(
    variable_start_string="[[",
    variable_end_string="]]",
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # it makes Markdown
)
JINJA.filters |= {"default_of": default_of, "rate": rate, "format_as": format}
JINJA.globals |= {
    "gslib": gslib,
    "config": config,
    "Config": config.Config,
    "evaluate": evaluate,
    "plan": plan,
    "intervals": intervals,
    "FewLabels": FewLabels,
    "table2": table2,
    "rungs": rungs,
    "uniform_mean": uniform_mean,
}


@cache
def sections() -> list[dict]:
    """[{title, choices: [{id, title, paper, authors, here, why, price}]}]."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def fill(text: str) -> str:
    """Put in the values of gslib and gsbook: [[Config.batch]], [[Config.lr|format_as('g')]]."""
    return JINJA.from_string(text).render()


def prices(spec: dict | None) -> list[str]:
    """What a choice costs, in nats, from the records: lines of text, none where no run prices it.

    spec: {cells: prefix, change: {field: value}, from: {field: value}}: runs that differ in these
    fields alone, paired; or {cells: prefix, figures: [a, b]}: two test figures of the same final
    runs. Positive: the change is worse."""
    if not spec:
        return []
    lines = defaultdict(list)
    for cell, runs in sorted(_recorded(spec["cells"]).items()):
        figures = spec.get("figures")
        found = (
            _figures(runs, *figures)
            if figures
            else _pairs(runs, spec["change"], spec.get("from", {}))
        )
        if found:
            # Most seeds first, then the figure of the table, then the longest runs, then what
            # validation prefers.
            best = max(
                found, key=lambda g: (len(found[g]), g.measure == "test", g.steps, -found[g][0][1])
            )
            ours = intervals.interval([difference for difference, _ in found[best]])
            digits = 0 if abs(ours.mean) >= 100 else 1 if abs(ours.mean) >= 10 else 2
            spread = f"\u00a0±\u00a0{ours.half_width:.{digits}f}" if ours.n > 1 else ""
            model, node, estimator = config.parse_cell(cell)
            seeds = "one seed" if ours.n == 1 else f"{ours.n} seeds"
            images = f"{best.images} {best.measure} images"
            where = f"{model.upper()}, {TITLES[node]} ({best.steps:,} steps, {seeds}, {images})"
            lines[where].append(f"{LABELS[estimator]} {ours.mean:+.{digits}f}{spread}")
    return [f"{where}: {', '.join(values)}" for where, values in lines.items()]


class PairKey(NamedTuple):
    """Pairs that differ in their seed alone: the config of the run without the change, and how both
    were evaluated."""

    config: frozenset
    steps: int
    images: str
    measure: str  # "test" or "validation"


def _pair_key(run: dict, config: dict, measure: str) -> PairKey:
    images = run["evaluation"]["images"]
    return PairKey(
        frozenset((k, v) for k, v in config.items() if k != "seed"),
        config["steps"],
        "all" if images is None else f"{images:,}",
        measure,
    )


def _recorded(prefix: str) -> dict[str, list[dict]]:
    found = defaultdict(list)
    for folder in ("table1", "choices", "readings"):  # runs of one kind of config
        records = table1.record.records(results_folder() / folder)
        for cell in records.cells():
            if cell.startswith(prefix) and cell in config.CELLS:
                runs = records.runs_of(cell).values()
                found[cell] += [
                    r | {"config": asdict(config.Config(**r["config"]))}  # younger fields: defaults
                    for r in runs
                    if r["data"]["source"] == table1.SOURCE
                ]
    return found


def _pairs(runs: list[dict], change: dict, start: dict) -> dict[PairKey, list[tuple[float, float]]]:
    """Differences of runs that were evaluated alike and whose configs differ in the changed fields
    alone, each with the bound on validation of the run without the change."""

    def same(run, settings):
        return frozenset(settings.items()), frozenset(run["evaluation"].items())

    standard = {same(r, r["config"]): r for r in runs}
    found = defaultdict(list)
    for r in runs:
        if any(r["config"].get(k) != v for k, v in change.items()):
            continue
        origin = r["config"] | {k: start.get(k, table1.STANDARD.get(k)) for k in change}
        if (
            origin["lr"] not in config.LEARNING_RATES
        ):  # a choice is priced within the paper's protocol
            continue
        other = standard.get(same(r, origin))
        if other is None or None in (r["valid_bound"], other["valid_bound"]):
            continue
        if r["test"] and other["test"] and None not in (r["test"]["nll"], other["test"]["nll"]):
            found[_pair_key(r, origin, "test")].append(
                (r["test"]["nll"] - other["test"]["nll"], other["valid_bound"])
            )
        difference = r["valid_bound"] - other["valid_bound"]
        found[_pair_key(r, origin, "validation")].append((difference, other["valid_bound"]))
    return found


def _figures(
    runs: list[dict], changed: str, standard: str
) -> dict[PairKey, list[tuple[float, float]]]:
    found = defaultdict(list)
    for r in filter(table1.final, runs):
        pair = [r["test"].get(name) for name in (changed, standard)]
        if None not in pair:
            difference = pair[0] - pair[1]
            group = _pair_key(r, r["config"], "test")
            if standard.endswith("_part"):
                group = group._replace(images=f"{evaluate.RELAXED_IMAGES:,}")
            found[group].append((difference, r["valid_bound"]))
    return found


def page(chapter_link) -> str:
    """The page in Markdown."""
    parts = []
    for section in sections():
        parts.append(f"## {section['title']}\n")
        for choice in section["choices"]:
            found = prices(choice.get("price"))
            cost = choice.get("priced") or (NOT_PRICED if choice.get("price") else NO_PRICE)
            cost += "."
            if found:  # a list inside the list's item
                cost = "\n  - ".join(
                    [
                        f"in nats; positive: {choice['price']['meaning']} gives the worse number.",
                        *found,
                    ]
                )
            parts += [
                f"(choice-{choice['id']})=",
                f"### {choice['title']}\n",
                f"**Here:** {fill(choice['here'])}\n",
                f"- *The paper:* {choice['paper']}",
            ]
            if choice.get("authors"):
                parts.append(f"- *Public code and earlier papers:* {choice['authors']}")
            parts += [f"- *Why:* {choice['why']}", f"- *Price:* {cost}\n"]
    return "\n".join(parts)
