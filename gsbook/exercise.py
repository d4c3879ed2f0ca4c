"""What an exercise of the book is: a right answer, and typical wrong ones with their hints."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Exercise:
    """A right answer, and typical wrong ones with their hints.

    given: the argument tuples with which an answer is called; none if the answer is a value.
    ask: how an answer is turned into what is compared. same: how two such results are compared.

    >>> wrong = {"Twice, not squared.": lambda x: x**2}
    >>> double = Exercise(right=lambda x: 2 * x, wrong=wrong, given=[(3,)])
    >>> double.result(double.right)
    [6]
    """

    right: object
    wrong: dict[str, object]
    given: list[tuple] = field(default_factory=list)
    ask: Callable = lambda answer, *given: answer(*given)
    same: Callable | None = None

    def result(self, answer) -> list:
        """What an answer gives, for each tuple of arguments, with the same random numbers for every
        answer."""
        if not self.given or not callable(answer):
            return [answer]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(0)
            return [self.ask(answer, *copy.deepcopy(given)) for given in self.given]


def is_blank(found) -> bool:
    """Whether a result still holds the three dots of a blank.

    >>> is_blank([1, (2, ...)])
    True
    """
    if isinstance(found, (tuple, list, set)):
        return any(map(is_blank, found))
    return found is ... or found is None
