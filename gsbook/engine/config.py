"""What the configs of all experiments share: the name of a run, and what its numbers may be."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, fields
from typing import ClassVar


class Named:
    """A run whose settings name it: the base of a frozen dataclass that has `steps`.

    >>> from gsbook.experiments.reading.config import Reading
    >>> Reading("st", lr=2e-3, hidden=8).key
    'st_lr=0.002_seed=0_hidden=8_steps=1500'
    """

    NAME: ClassVar[tuple[str, ...]]  # the fields whose values begin the name
    IMPLIED: ClassVar[tuple[str, ...]] = ()  # the fields that have one value in all runs
    ALWAYS: ClassVar[tuple[str, ...]] = ("lr", "seed")  # the fields named at their default, too

    @property
    def cell(self) -> str:
        """The file of records that the run belongs to."""
        return "-".join(getattr(self, name) for name in self.NAME)

    @property
    def trajectory(self) -> str:
        """A name for everything but the number of steps: runs of one trajectory share their first
        steps exactly."""
        begun = (*self.NAME, *self.IMPLIED, "steps")
        settings = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if f.name not in begun and (f.name in self.ALWAYS or getattr(self, f.name) != f.default)
        ]
        return "_".join(["-".join(getattr(self, name) for name in self.NAME), *settings])

    @property
    def key(self) -> str:
        """A name for the run, unique among configs."""
        return f"{self.trajectory}_steps={self.steps}"

    def to_dict(self) -> dict:
        """The settings, as a record has them."""
        return asdict(self)

    def check_known(self, **known: Collection[str]) -> None:
        """Raise ValueError unless each of these fields has a known value, and each field that holds
        a number a number of its kind."""
        for field in fields(self):
            declared = getattr(field.type, "__name__", field.type)  # a text, or the class itself
            value, kind = getattr(self, field.name), declared.removesuffix(" | None")
            if kind not in ("int", "float") or (value is None and declared != kind):
                continue
            takes = int if kind == "int" else (int, float)
            if isinstance(value, bool) or not isinstance(value, takes) or not math.isfinite(value):
                whole = "a whole number" if kind == "int" else "a finite number"
                raise ValueError(f"{field.name} must be {whole}, got {value!r}")
        for name, values in known.items():
            if (given := getattr(self, name)) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}, got {given!r}")

    def check_positive(self, *names: str) -> None:
        """Raise ValueError unless each of these fields is positive and finite."""
        for name in names:
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class Annealed(Named):
    """A run with the paper's schedule of the temperature, by `anneal_rate` r, `anneal_every` and
    `tau_min`."""

    def tau(self, step: int) -> float:
        """Temperature at a step: max(tau_min, exp(-r t)), t rounded down to a multiple of
        anneal_every (section 4.2)."""
        t = step // self.anneal_every * self.anneal_every
        return max(self.tau_min, math.exp(-self.anneal_rate * t))


class Falling(Named):
    """A run whose temperature falls from 1 to `tau_min` in `horizon` steps, where it stays."""

    @property
    def anneal_rate(self) -> float:
        """r of tau = exp(-r t), as Jang et al. (2017) write their schedule."""
        return -math.log(self.tau_min) / self.horizon

    def tau(self, step: int) -> float:
        """Temperature at a step."""
        return self.tau_min ** min(1.0, step / self.horizon)

    def check_horizon(self) -> None:
        """Raise ValueError if the run goes on where its learning rate has fallen to 0."""
        if self.steps > self.horizon:
            raise ValueError(
                f"steps = {self.steps} go beyond the horizon of {self.horizon}, where the learning "
                "rate is 0; raise the horizon"
            )
