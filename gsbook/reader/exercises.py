"""The checks of the book's exercises: `check("ex-…", answer)` says whether an answer is right, or
gives a hint.

The exercises stand in `gsbook.answers`, a module for each chapter. An answer is a value or a
function, and functions are compared by what they return for the arguments that the exercise brings.
A wrong answer raises nothing, so that a notebook runs to its end while its blanks are still empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsbook.answers import EXERCISES
from gsbook.exercise import is_blank
from gsbook.reader.language import say

BLANK = "Not answered yet: put your answer in place of the three dots."
RIGHT = "Right."
STOPS = "Your answer stops with {error}: {message}"
NO_FUNCTION = "The answer should be a function, which can be called; this is {found}."
NOT_RIGHT = "Not right yet. Your answer gives {found}."


@dataclass(frozen=True)
class Verdict:
    """Whether an answer passed, and what to tell the reader. Shown as its message; true if it
    passed.

    >>> Verdict(False, "Look at the sign.")
    Look at the sign.
    """

    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.message


def check(label: str, answer) -> Verdict:
    """Compare an answer with the right one and with the typical wrong ones.

    Args:
        label: of the exercise, such as "ex-learning-1".
        answer: what stands in place of the dots; a function where the exercise asks for one.

    Returns:
        A `Verdict`, whose message is a hint unless the answer is right.

    Raises:
        KeyError: there is no such exercise.

    >>> check("ex-learning-2", lambda theta, z: torch.sigmoid(theta) - z)
    Right.
    >>> check("ex-learning-2", lambda theta, z: z - torch.sigmoid(theta))
    This is the slope of log p(z). The loss has a minus in front.
    """
    if label not in EXERCISES:
        raise KeyError(f"there is no exercise {label!r}; there are {', '.join(EXERCISES)}")
    exercise = EXERCISES[label]

    def same(a, b) -> bool:
        try:
            return bool((exercise.same or _same)(a, b))
        except (TypeError, ValueError, RuntimeError, ArithmeticError):
            # The answer is of another kind than was asked for.
            return False

    try:
        found = exercise.result(answer)
    except Exception as error:
        return Verdict(False, say(STOPS, error=type(error).__name__, message=error))
    if is_blank(found):
        return Verdict(False, say(BLANK))
    if exercise.given and not callable(answer):
        return Verdict(False, say(NO_FUNCTION, found=_show(answer)))
    if same(found, exercise.result(exercise.right)):
        return Verdict(True, say(RIGHT))
    for hint, wrong in exercise.wrong.items():
        if same(found, exercise.result(wrong)):
            return Verdict(False, say(hint))
    return Verdict(False, say(NOT_RIGHT, found=_show(found[0])))


def _same(a, b) -> bool:
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if {type(a), type(b)} in ({bool, int}, {bool, float}):  # True is no 1 here
        return False
    if isinstance(a, (set, str, bool)) or isinstance(b, (set, str, bool)):
        return a == b
    a, b = (torch.as_tensor(x).detach().double() for x in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def _show(found) -> str:
    if isinstance(found, Tensor):
        return (
            f"a tensor of shape {tuple(found.shape)}"
            if found.numel() > 4
            else str(found.detach().tolist())
        )
    return str(found)
