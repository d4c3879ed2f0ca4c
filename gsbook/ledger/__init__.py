"""The ledger: every claim of the paper from gsbook/claims.yml, judged by rule from the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gsbook.claims import stated
from gsbook.ledger.claim import VERDICTS, Claim, Judged
from gsbook.ledger.evidence import Evidence
from gsbook.ledger.kinds import Accuracy, Bound, Cell, Closeness, Figure, Growth, Order, Par, Speed
from gslib.estimators import ESTIMATORS

__all__ = [
    "KINDS",
    "VERDICTS",
    "Accuracy",
    "Bound",
    "Cell",
    "Claim",
    "Closeness",
    "Evidence",
    "Figure",
    "Growth",
    "Judged",
    "Order",
    "Par",
    "Speed",
    "counts",
    "figures",
    "load",
    "make",
    "read",
]
KINDS: dict[str, type[Claim]] = {
    kind.kind: kind
    for kind in (Cell, Bound, Accuracy, Speed, Growth, Closeness, Order, Par, Figure)
}


def load() -> list[Claim]:
    """Every claim of gsbook/claims.yml.

    >>> load()[0].id
    'sbn-bernoulli-sf'
    """
    return read(stated())


def figures() -> list[Figure]:
    """The paper's figures alone.

    >>> figures()[0].location
    'Figure 1a'
    """
    return [claim for claim in load() if isinstance(claim, Figure)]


def read(statements: dict) -> list[Claim]:
    """The claims that claims.yml states: cells of Table 1, numbers of Table 2, words, figures.

    Raises:
        ValueError: a kind, a rule or a field that is not known, or a field that is missing.
    """
    one, two = statements["table1"], statements["table2"]
    shared = {name: one[name] for name in ("location", "rule", "records", "unit", "figure")}
    entries = [
        shared
        | {
            "kind": "cell",
            "id": f"{row}-{name}",
            "claim": f"{about['title']}, {ESTIMATORS[name].label}",
            "chapter": about["chapter"],
            "value": value,
            "cell": f"{row}-{name}",
        }
        for row, about in one["rows"].items()
        for name, value in zip(one["columns"], about["values"], strict=True)
    ]
    shared = {name: two[name] for name in ("location", "records", "chapter")}
    entries += [
        shared
        | {
            "kind": how["kind"],
            "id": f"table-2-{name}-{figure}",
            "claim": f"{about['title']}, {how['title']}",
            "rule": how["rule"],
            "value": about[figure],
            "unit": how["unit"],
            "cell": name,
            "figure": figure,
        }
        for name, about in two["rows"].items()
        for figure, how in two["figures"].items()
    ]
    entries += [{"kind": "order", **entry} for entry in statements["orders"]]
    entries += statements["others"]
    entries += [
        {"kind": "figure", "rule": "figure_verdict", **one} for one in statements["figures"]
    ]
    return [make(**entry) for entry in entries]


def make(kind: str, id: str, **entry) -> Claim:
    """A claim of a kind, from its fields in claims.yml.

    >>> make("spead", "speed-10")
    Traceback (most recent call last):
    ValueError: claims.yml: speed-10 is of kind 'spead'; choose from cell, bound, accuracy, speed, \
growth, closeness, order, par, figure
    """
    if kind not in KINDS:
        raise ValueError(f"claims.yml: {id} is of kind {kind!r}; choose from {', '.join(KINDS)}")
    try:
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        return KINDS[kind](id=id, **lists)
    except TypeError as error:  # Python names the field
        raise ValueError(f"claims.yml: {id}, of kind {kind}: {error}") from None


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many claims came out how, in the words of the summary.

    >>> counts([])["reproduced"]
    0
    """
    found = Counter(VERDICTS[j.verdict][1] for j in judged)
    return {word: found[word] for word in dict.fromkeys(word for _, word in VERDICTS.values())}
