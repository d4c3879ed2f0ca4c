"""Exercises of chapter 17, A team of poles."""

from __future__ import annotations

from gsbook.answers.shared import fixed
from gsbook.exercise import Exercise

EXERCISES: dict[str, Exercise] = {}

COSTS = fixed([1.0, 2.0], [3.0, 5.0], [7.0, 11.0])  # [T = 3, B = 2]

EXERCISES["ex-poles-to-go"] = Exercise(
    right=lambda costs: costs.flip(0).cumsum(0).flip(0),
    given=[(COSTS,)],
    wrong={
        "That is what was paid up to each step. An action can only change what comes from then on.": lambda costs: (
            costs.cumsum(0)
        ),
        "That begins after the step itself, but what the action led to counts, too.": lambda costs: (
            costs.flip(0).cumsum(0).flip(0) - costs
        ),
        "That is the whole cost at every step: right on average, and noisier than it need be.": lambda costs: (
            costs.sum(0).expand_as(costs)
        ),
        "Time runs backwards in your answer: turn it round once more.": lambda costs: costs.flip(
            0
        ).cumsum(0),
        "That adds up over the rollouts. Time is the first axis.": lambda costs: (
            costs.flip(1).cumsum(1).flip(1)
        ),
    },
)
EXERCISES["ex-poles-others"] = Exercise(
    right=lambda x: x - (x.sum() - x) / (len(x) - 1),
    given=[(fixed(1.0, 2.0, 6.0, -1.0),)],
    wrong={
        "That is the mean of all, and it has seen the action. Leave the number itself out.": lambda x: (
            x - x.mean()
        ),
        "The others are one fewer: divide their sum by B - 1.": lambda x: (
            x - (x.sum() - x) / len(x)
        ),
        "That divides the sum of all by B - 1. The number itself has to leave the sum.": lambda x: (
            x - x.sum() / (len(x) - 1)
        ),
        "That is the mean of the others alone; subtract it.": lambda x: (
            (x.sum() - x) / (len(x) - 1)
        ),
    },
)
EXERCISES["ex-poles-larger"] = Exercise(
    right=lambda N, r_1, r_64: r_1 + (N - 1) * (r_64 - r_1) / 63,
    given=[(16, 2.0, 128.0), (1, 3.0, 66.0)],
    wrong={
        "A team of 64 has 63 others, not 64.": lambda N, r_1, r_64: (
            r_1 + (N - 1) * (r_64 - r_1) / 64
        ),
        "The pole itself has its own noise, too: the line does not pass through zero.": lambda N, r_1, r_64: (
            N * r_64 / 64
        ),
        "A team of N has N - 1 others.": lambda N, r_1, r_64: r_1 + N * (r_64 - r_1) / 63,
        "Part of r_64 is the pole's own noise: subtract it before you divide.": lambda N, r_1, r_64: (
            r_1 + (N - 1) * r_64 / 63
        ),
    },
)


def _bent(state, action):
    """A world that is no straight line in its action."""
    return state + action**2 - 3 * state * action


EXERCISES["ex-poles-half"] = Exercise(
    right=lambda world, state, p: p * world(state, 1.0) + (1 - p) * world(state, 0.0),
    given=[(_bent, fixed(0.5, -1.0), 0.3)],
    wrong={
        "That is where the relaxed action leads: the mean only in a world that is a straight line in it.": lambda world, state, p: (
            world(state, p)
        ),
        "That is where the likelier action leads.": lambda world, state, p: world(
            state, float(p > 0.5)
        ),
        "The weights are exchanged: p belongs to the push to the right, action 1.": lambda world, state, p: (
            p * world(state, 0.0) + (1 - p) * world(state, 1.0)
        ),
        "The two actions are not equally likely: weight them with p and 1 - p.": lambda world, state, p: (
            (world(state, 1.0) + world(state, 0.0)) / 2
        ),
    },
)
