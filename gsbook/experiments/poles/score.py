"""What policies are worth, by a referee who knows nothing of this book: gymnasium's CartPole-v1."""

from __future__ import annotations

import torch
from torch import Tensor

from gsbook.experiments.poles.train import TeamRun
from gsbook.experiments.poles.world import LONGEST, choice


def episodes(run: TeamRun, count: int) -> list[dict[str, float]]:
    """How many steps, of 500, a pole stands in `count` episodes of each team, by member.

    score: actions drawn from the policies, as in training. greedy: the likelier action. team:
    until the first of the team falls, actions drawn. The starts are drawn for all members at once,
    so these figures, and they alone, depend on which runs are judged together.
    """
    drawn = stood(run, count, greedy=False)  # [E, count, N]
    greedy = stood(run, count, greedy=True)
    figures = {
        "score": drawn.mean((1, 2)),
        "greedy": greedy.mean((1, 2)),
        "team": drawn.amin(2).mean(1),
    }
    return [{k: float(v[e]) for k, v in figures.items()} for e in range(len(run.configs))]


def stood(run: TeamRun, count: int, *, greedy: bool) -> Tensor:
    """Steps until each pole falls in gymnasium, [E, count, N]."""
    import gymnasium

    policy = run.policy.cpu()
    shape = torch.Size((len(run.configs), count, run.first.poles))
    kind = "vector_entry_point"  # all at once, on arrays
    envs = gymnasium.make_vec("CartPole-v1", shape.numel(), vectorization_mode=kind)
    seen, _ = envs.reset(seed=2026)
    steps = torch.zeros(shape)
    up = torch.ones(shape, dtype=torch.bool)
    noise = run.noise("test")
    for _ in range(LONGEST):
        q = choice(policy, torch.as_tensor(seen).view(*shape, 4))
        action = (q.logits > 0).float() if greedy else q.sample(uniform=noise)
        seen, _, falls, _, _ = envs.step(action.flatten().long().numpy())
        steps += up
        up &= ~torch.as_tensor(falls).view(shape)
        if not up.any():
            break
    envs.close()
    return steps
