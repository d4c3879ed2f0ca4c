"""A learned model of the world: a small network that is fitted to what random actions did."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gsbook.experiments.poles.world import cartpole, fallen, start
from gslib.functional import stream

HIDDEN, UPDATES, BATCH, RATE = 32, 600, 200, 0.02
FARTHEST = 4.0  # standard deviations of the data: what lies beyond looks like what lies there


def transitions(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """(state and action [count, 5], change of the state [count, 4]) of one pole that is pushed at
    random in the true world, and set up again when it has fallen.

    >>> before, change = transitions(seed=0, count=50)
    >>> before.shape, change.shape
    (torch.Size([50, 5]), torch.Size([50, 4]))
    """
    noise = stream("transitions", seed)
    state, met = start(torch.rand(4, generator=noise)), []
    for _ in range(count):
        action = (torch.rand((), generator=noise) < 0.5).float()
        after = cartpole(state, action)
        met.append(torch.cat([state, action[None], after - state]))
        state = start(torch.rand(4, generator=noise)) if fallen(after) else after
    return torch.stack(met).split([5, 4], -1)


class LearnedWorld:
    """E networks side by side, each a `World` that was fitted with its own seed.

    Args: seeds: one per member. count: of the transitions that each is fitted to.

    >>> world = LearnedWorld([0], count=200)
    >>> world(torch.zeros(1, 8, 3, 4), torch.ones(1, 8, 3)).shape  # 8 teams of 3 poles
    torch.Size([1, 8, 3, 4])
    """

    def __init__(self, seeds: list[int], count: int, device="cpu"):
        fitted = zip(*(fit(seed, count) for seed in seeds), strict=True)
        self.weights = [torch.stack(part).to(device) for part in fitted]  # [E, ...]

    def __call__(self, state: Tensor, action: Tensor) -> Tensor:
        """[..., E, B, N, 4] and [..., E, B, N] -> [..., E, B, N, 4]."""
        known = torch.cat([state, action.unsqueeze(-1)], -1).flatten(-3, -2)
        return state + change(known, *self.weights).view(state.shape)


def change(known: Tensor, scale, unit, enter, shift, leave, direct, rest) -> Tensor:
    """What the network says: unit * (V tanh(W x + b) + L x + c), [..., B, 5] -> [..., B, 4].

    State and action enter in standard deviations of the data, counted from where a pole stands
    still between two pushes. Nobody has told the network what half an action does: it has seen 0
    and 1 alone.
    """
    middle = known.new_tensor([0.0, 0.0, 0.0, 0.0, 0.5])
    x = ((known - middle) / scale).clamp(-FARTHEST, FARTHEST)
    return unit * ((x @ enter + shift).tanh() @ leave + x @ direct + rest)


@cache
def fit(seed: int, count: int) -> tuple[Tensor, ...]:
    """The arguments of `change` after `known`, fitted to the transitions of a seed.

    Least squares on the change in its own standard deviations, by Adam with a rate that falls to 0.
    """
    before, moved = transitions(seed, count)
    scale, unit = before.std(0)[None], moved.std(0)[None]
    noise = stream("model", seed)
    sizes = {"enter": (5, HIDDEN), "leave": (HIDDEN, 4), "direct": (5, 4)}
    matrices = {k: torch.randn(n, m, generator=noise) / n**0.5 for k, (n, m) in sizes.items()}
    matrices["leave"] *= 0.1
    weights = [matrices["enter"], torch.zeros(1, HIDDEN), matrices["leave"], matrices["direct"]]
    weights = [w.requires_grad_() for w in (*weights, torch.zeros(1, 4))]
    adam = torch.optim.Adam(weights, lr=RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, UPDATES)
    for _ in range(UPDATES):
        rows = torch.randint(count, (BATCH,), generator=noise)
        told = change(before[None, rows], scale, unit, *(w[None] for w in weights))[0]
        loss = ((told - moved[rows]) / unit).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        falling.step()
    return scale, unit, *(w.detach() for w in weights)
