"""A cart with a pole, N of them side by side, and what their policies do there.

States are [..., N, 4]: position of the cart (m), its velocity (m/s), angle of the pole (rad, 0 is
upright), its angular velocity (rad/s). Actions are [..., N]: 0 pushes left, 1 right, what lies
between is a weaker push.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gslib.distributions import Bernoulli
from gslib.program import Sampler

World = Callable[[Tensor, Tensor], Tensor]
"""State and action -> the state 0.02 seconds later."""

GRAVITY, CART, POLE, HALF = 9.8, 1.0, 0.1, 0.5  # m/s^2, kg, kg, m: half the length of the pole
FORCE, SECONDS = 10.0, 0.02
EDGE, TILT = 2.4, math.radians(12)  # m, rad: where a cart leaves the track, a pole has fallen
LONGEST = 500  # steps of an episode
SPREAD = 0.05  # each number of a start lies within this of 0
UNITS = (EDGE, 2.0, TILT, 2.0)  # what a policy measures the four numbers of a state in


def cartpole(state: Tensor, action: Tensor) -> Tensor:
    """The equations of motion, one step of Euler's method, [..., 4].

    Source: Barto, Sutton, Anderson 1983, without friction, as gymnasium's CartPole-v1 has them.

    >>> cartpole(torch.zeros(4), torch.tensor(1.0))  # a push to the right: the pole tips left
    tensor([ 0.0000,  0.1951,  0.0000, -0.2927])
    """
    _, speed, angle, spin = state.unbind(-1)
    sin, cos, mass = angle.sin(), angle.cos(), CART + POLE
    push = (FORCE * (2 * action - 1) + POLE * HALF * spin**2 * sin) / mass
    bend = (GRAVITY * sin - cos * push) / (HALF * (4 / 3 - POLE * cos**2 / mass))
    pull = push - POLE * HALF * bend * cos / mass
    return state + SECONDS * torch.stack([speed, pull, spin, bend], -1)


def start(uniform: Tensor) -> Tensor:
    """Nearly upright states, from uniform noise in (0, 1) of their shape."""
    return (2 * uniform - 1) * SPREAD


def fallen(state: Tensor) -> Tensor:
    """Whether a pole has fallen or its cart has left the track, [..., N]."""
    return (state[..., 0].abs() > EDGE) | (state[..., 2].abs() > TILT)


def cost(state: Tensor) -> Tensor:
    """What a state costs, [..., N]: 0 upright in the middle, 0.86 at the angle where a pole counts
    as fallen, 1 beyond. Smooth, so that it has a slope.

    >>> cost(torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, TILT, 0.0]]))
    tensor([0.0000, 0.8647])
    """
    away = (state[..., 0] / EDGE) ** 2 + (state[..., 2] / TILT) ** 2
    return 1 - torch.exp(-2 * away)


def choice(policy: Tensor, state: Tensor) -> Bernoulli:
    """The node of a policy: to push right or left. Four weights for each pole, [..., N, 4].

    >>> choice(torch.zeros(1, 4), torch.ones(1, 4)).mean
    tensor([0.5000])
    """
    return Bernoulli((policy * state / state.new_tensor(UNITS)).sum(-1))


def rollout(
    policy: Tensor, state: Tensor, world: World, sample: Sampler, steps: int
) -> tuple[Tensor, Tensor]:
    """Act for some steps: the states that were met [T, ..., N, 4], and what each step led to cost
    [T, ..., N].

    Axes that the first action brings in front, as several samples from one start do, stay.
    """
    states, costs = [], []
    for _ in range(steps):
        action = sample(choice(policy, state))
        state = state.expand(*action.shape, 4)
        states.append(state)
        state = world(state, action)
        costs.append(cost(state))
    return torch.stack(states), torch.stack(costs)


def team_cost(costs: Tensor) -> Tensor:
    """The one number that the team is told: the mean over time of the sum over poles, [T, ..., N]
    -> [...]."""
    return costs.sum(-1).mean(0)


@torch.no_grad()
def standing(policy: Tensor, state: Tensor, world: World, sample: Sampler) -> Tensor:
    """How many steps each pole stands, `LONGEST` at most, [..., N]."""
    up = ~fallen(state)
    steps = torch.zeros_like(state[..., 0])
    for _ in range(LONGEST):
        state = world(state, sample(choice(policy, state)))
        steps += up
        up &= ~fallen(state)
        if not up.any():
            break
    return steps
