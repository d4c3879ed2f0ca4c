"""What all claims have in common, and what a judged one is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gsbook.intervals import Interval
from gsbook.verdicts import DIVERGED, NOT_RUN

if TYPE_CHECKING:
    from gsbook.ledger.evidence import Evidence

VERDICTS = {  # verdict -> (sign, how it counts in the summary)
    "reproduced": ("✓", "reproduced"),
    "holds": ("✓", "holds"),
    "drawn": ("✓", "drawn anew"),
    "better": ("▲", "better"),
    "higher ELBO": ("≠", "higher ELBO"),  # of other networks
    "larger ratio": ("≠", "larger ratio"),  # on another machine
    "worse": ("▼", "not reproduced"),
    DIVERGED: ("▼", "not reproduced"),
    "contradicted": ("▼", "contradicted"),
    "undecided": ("?", "undecided"),
    NOT_RUN: ("○", NOT_RUN),
    "not drawn yet": ("○", NOT_RUN),
}


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """One claim of the paper. A kind of claim is a subclass, which knows how it is judged."""

    kind: ClassVar[str]  # its name in claims.yml
    rules: ClassVar[tuple[Callable, ...]]  # those of gsbook.verdicts that can decide it

    id: str
    claim: str  # what the paper says, in our words
    location: str  # where it says so
    chapter: str  # where the book takes it up
    rule: str
    records: str = ""  # the folder of the runs
    note: str = ""

    def __post_init__(self):
        known = [rule.__name__ for rule in self.rules]
        if self.rule not in known:
            raise ValueError(
                f"claims.yml: {self.id}, of kind {self.kind}, has the rule {self.rule!r}; choose "
                f"from {', '.join(known)}"
            )

    @property
    def decide(self) -> Callable:
        """The rule itself."""
        return next(rule for rule in self.rules if rule.__name__ == self.rule)

    @abstractmethod
    def judge(self, evidence: Evidence) -> Judged:
        """The verdict that the records give."""

    def runs(self, evidence: Evidence) -> dict[str, list[str]]:
        """File of records -> the keys of the runs that the claim is judged by, or that a figure
        draws."""
        return {}

    def against_itself(self) -> list[str] | None:
        """Where the paper's own Table 1 does not carry the claim; None where it says nothing."""
        return None


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict."""

    claim: Claim
    verdict: str
    equivalence: str = ""  # the verdict of the whole interval, where there is one
    ours: Interval | None = None  # over seeds
    steps: int | None = None  # at which the runs were compared
    diverged: int = 0  # runs without a number
    stale: int = 0  # runs of code that has changed since
    details: list[str] = field(default_factory=list)

    @property
    def sign(self) -> str:
        return VERDICTS[self.verdict][0]
