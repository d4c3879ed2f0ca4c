"""What the engine asks of an experiment: it knows no table, it is handed this row."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from gsbook.records import Records, opener

Stages = Generator[tuple[list, bool], list[dict], Any]
"""A plan: it yields (configs, whether to test) and is sent their records, in order."""


@dataclass(frozen=True)
class EvaluationSize:
    """How thoroughly runs are evaluated.

    >>> EvaluationSize(images=200).samples
    1000
    """

    images: int | None = None  # of the validation and test sets; None: all
    samples: int = 1000  # m on the test set
    valid_samples: int = 100  # m on the validation set


@dataclass(frozen=True)
class Budget:
    """How much a table may cost.

    >>> Budget(((100, 1),), steps=1000, seeds=3).size.images is None
    True
    """

    rungs: tuple[tuple[int, int], ...]  # (steps, how many candidates stay) of the search, one seed
    steps: int  # of the final runs
    seeds: int  # of the final runs
    size: EvaluationSize = field(default_factory=EvaluationSize)


class Trainer(Protocol):
    """Runs in training: what the workers and the checkpoints ask for."""

    step: int
    configs: list
    curves: list
    diverged: list
    seconds: float

    def advance(self, steps: int) -> Iterator[int]: ...
    def states(self) -> list[dict[str, Tensor]]: ...
    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None: ...


@dataclass(frozen=True)
class Experiment:
    """One experiment, as functions. All of them are importable by name, so that it can be sent to
    another process."""

    name: str  # of its folder of records
    cells: tuple[str, ...]  # the files of records there
    config: type  # of a run: a frozen dataclass with `cell`, `key`, `trajectory` and `steps`
    load_data: Callable[[int | None], tuple[dict, dict]]  # images -> (data, what identifies them)
    trainer: Callable[..., Trainer]  # (configs, data, device=)
    evaluate: Callable[[Any, EvaluationSize, bool], list[dict]]  # (trainer, size, test) -> figures
    modules: Callable[[Any], Iterable[str]]  # config -> where the code of its numbers starts
    check: Callable[[dict], None]  # raises ValueError on a record that cannot be
    plan: Callable[[str, Any, Records], Stages]  # (cell, budget, records of this folder's parent)
    budgets: dict[str, Any]  # by name: smoke, laptop, paper
    members: dict[str, int]  # of one ensemble at most, by device type
    together: tuple[str, ...] = ()  # fields of the config that members of an ensemble may differ in

    def records(self, folder: str | Path) -> Records:
        """The records of this experiment in a folder, checked when they are read."""
        return opener(self.config, self.check, self.modules)(folder)
