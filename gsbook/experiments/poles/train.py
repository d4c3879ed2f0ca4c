"""How a team learns: many runs at once, by rollouts in a world, and how its gradient is
estimated."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from gsbook.engine.run import Curve, advance, device_noise
from gsbook.experiments.poles import world as place
from gsbook.experiments.poles.config import METHODS, Team
from gsbook.experiments.poles.model import LearnedWorld
from gsbook.experiments.poles.world import World, rollout, standing, start, team_cost
from gslib._checks import unchecked
from gslib.baselines import Baseline
from gslib.estimators import ESTIMATORS
from gslib.functional import stream, zero_valued
from gslib.program import Program, Sampler, Trace, run

TOGETHER = ("lr", "seed")  # what members of one ensemble may differ in
FEATURES = 4  # of a pole's state, that a baseline per pole stands on
DECAY = 0.9  # of the moving averages that it is fitted to
WATCHED = 8  # episodes of the team for a point of the curve


@dataclass
class TeamCurve(Curve):
    """A learning curve: the team's cost per pole, in training and of actions that are drawn
    (valid), and how many steps a pole stands in the true world.

    >>> TeamCurve(step=[5], score=[22.5])
    TeamCurve(step=[5], train=[], valid=[], test=[], score=[22.5])
    """

    score: list[float] = field(default_factory=list)


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({}, {"source", "sha256", "images"}): a world has no files, its constants stand for them.

    images: episodes in which a team is scored.
    """
    constants = place.GRAVITY, place.CART, place.POLE, place.HALF, place.FORCE, place.SECONDS
    digest = hashlib.sha256(repr(constants).encode()).hexdigest()
    return {}, {"source": "CartPole-v1", "sha256": {"train": digest}, "images": images}


class TeamRun:
    """E runs in training: policies [E, 1, N, 4] (an axis for rollouts in between) that start as
    fair coins.

    Args:
        configs: runs that differ in `TOGETHER` only. data: none. device: where to train.

    >>> config = Team("equations", "st", poles=3, lr=0.3, rollouts=4, horizon=10, eval_every=1)
    >>> list(TeamRun([config], {}).advance(2))
    [1, 2]
    """

    def __init__(self, configs: list[Team], data: dict, *, device="cpu"):
        self.configs, self.first, self.step = configs, configs[0], 0
        self.method = METHODS[self.first.method]
        self.device = torch.device(device)
        self.seeds = [c.seed for c in configs]
        self.world: World = place.cartpole
        if self.first.world == "learned":
            self.world = LearnedWorld(self.seeds, self.first.transitions, self.device)
        shape = 1, self.first.poles, 4
        self.policies = [torch.zeros(shape, device=device, requires_grad=True) for _ in configs]
        groups = [{"params": [p], "lr": c.lr} for p, c in zip(self.policies, configs, strict=True)]
        self.optimizer = torch.optim.Adam(groups, foreach=True)
        row = ESTIMATORS[self.method.estimator] if self.method.estimator else None
        self.baseline: Baseline | None = None
        if row is not None and row.baseline:
            self.baseline = Baseline(normalise=False, ensemble=len(configs)).to(self.device)
        # [E, N, F, F + 1]: products of a pole's features with each other and with its cost to go
        moments = len(configs), self.first.poles, FEATURES, FEATURES + 1
        self.moments = torch.zeros(moments, device=device)
        self.curves = [TeamCurve() for _ in configs]
        self.diverged: list[int | None] = [None] * len(configs)
        self.seconds = 0.0
        self._losses = torch.zeros(len(configs), device=device)

    def advance(self, steps: int) -> Iterator[int]:
        """Train up to the given number of updates in all; yields after each point of the curve."""
        return advance(self, steps, self.first.eval_every)

    def train_to(self, stop: int) -> None:
        self._losses.zero_()
        count = stop - self.step
        while self.step < stop:
            policy = torch.stack(self.policies)
            loss = self.objective(policy, self.noise("noise")).mean(1)
            self.optimizer.zero_grad()
            loss.sum().backward()
            self.optimizer.step()
            if self.baseline is not None:
                self.baseline.update()
            self._losses += loss.detach()
            self.step += 1
        self._losses /= count

    def noise(self, use: str):
        """A `uniform` for tensors [E, ...] at this update: each member's numbers are its own."""
        parts = [device_noise(self.device, stream(use, s, self.step)) for s in self.seeds]
        return lambda like: torch.stack([u(x) for u, x in zip(parts, like, strict=True)])

    def starts(self, teams: int, noise) -> Tensor:
        """Starts of some teams, [E, teams, N, 4]."""
        shape = len(self.configs), teams, self.first.poles, 4
        return start(noise(torch.empty(shape, device=self.device)))

    def objective(self, policy: Tensor, noise) -> Tensor:
        """The surrogate of the team's cost, [E, B].

        policy: [E, 1, N, 4], or [E, B, N, 4], a copy for each rollout.
        """
        begin = self.starts(self.first.rollouts // self.method.samples, noise)
        if self.method.estimator is None:
            return self.cost_to_go(policy, begin, noise)
        row = ESTIMATORS[self.method.estimator]
        options: dict = {"tau": self.first.tau} if row.schedule == "tau" else {}
        if self.baseline is not None:
            options["baseline"] = self.baseline
        if self.method.samples > 1:
            options["k"] = self.method.samples
        return row(self.program(policy, begin), uniform=noise, **options)

    def program(self, policy: Tensor, begin: Tensor) -> Program:
        """The team's cost as a program of its sampler, [..., E, B]."""

        def cost(sample: Sampler) -> Tensor:
            return team_cost(rollout(policy, begin, self.world, sample, self.first.horizon)[1])

        return cost

    def cost_to_go(self, policy: Tensor, begin: Tensor, noise) -> Tensor:
        """REINFORCE for actions in time: what was paid before an action is none of its doing.

        Each score is weighted by the cost from its action on, less the mean over the other
        rollouts at that time, and, with a baseline per pole, less what the pole predicted from its
        own state. Unbiased.
        """
        trace, met = Trace(), []

        def program(sample: Sampler) -> Tensor:
            met[:] = rollout(policy, begin, self.world, sample, self.first.horizon)
            return team_cost(met[1])

        with torch.no_grad():
            f = run(program, lambda q: q.sample(uniform=noise), trace)
        states, costs = met
        paid = costs if self.method.told == "own" else costs.sum(-1, keepdim=True)
        to_go = paid.flip(0).cumsum(0).flip(0) / self.first.horizon  # [T, E, B, N or 1]
        signal = to_go
        if self.method.baseline == "pole":
            seen = features(states)
            signal = to_go - torch.einsum("tebnf,enf->tebn", seen, predictor(self.moments))
            new = products(seen, to_go.expand(signal.shape))
            self.moments = DECAY * self.moments + (1 - DECAY) * new
        # Less the mean over the others, for B rollouts: (x - mean) B / (B - 1).
        rollouts = signal.shape[2]
        signal = (signal - signal.mean(2, keepdim=True)) * (rollouts / (rollouts - 1))
        actions = torch.stack([z for _, z in trace])
        log_probs = place.choice(policy, states).log_prob(actions)
        return f + zero_valued((signal * log_probs).sum((0, -1)))

    @torch.no_grad()
    def record(self) -> None:
        noise, policy = self.noise("valid"), self.policy
        draw = partial(drawn, noise)
        costs = self.program(policy, self.starts(self.first.rollouts, noise))(draw).mean(1)
        steps = standing(policy, self.starts(WATCHED, noise), place.cartpole, draw).mean((1, 2))
        for e, curve in enumerate(self.curves):
            loss = float(self._losses[e])
            if self.diverged[e] is None and not math.isfinite(loss):
                self.diverged[e] = self.step
            curve.step.append(self.step)
            for name, value in (
                ("train", loss / self.first.poles),
                ("valid", float(costs[e]) / self.first.poles),
                ("score", float(steps[e])),
            ):
                getattr(curve, name).append(round(value, 4) if math.isfinite(value) else None)

    @property
    def policy(self) -> Tensor:
        """The policies as they stand, [E, 1, N, 4]."""
        return torch.stack([p.detach() for p in self.policies])

    def states(self) -> list[dict[str, Tensor]]:
        """Each member's tensors: what a checkpoint holds."""
        moments = self.optimizer.state_dict()["state"]
        found = []
        for e, policy in enumerate(self.policies):
            state = {"policy": policy.detach(), "moments": self.moments[e]}
            state |= {f"adam.{k}": torch.as_tensor(v) for k, v in moments.get(e, {}).items()}
            if self.baseline is not None:
                state |= {f"baseline.{k}": v[e] for k, v in self.baseline.state_dict().items()}
            found.append({k: v.contiguous().clone() for k, v in state.items()})
        return found

    def load_states(self, states: list[dict[str, Tensor]], step: int) -> None:
        """Continue from saved states."""
        saved = {}
        with torch.no_grad():
            for e, state in enumerate(states):
                self.policies[e].copy_(state["policy"])
                saved[e] = part(state, "adam.")
        self.moments = torch.stack([s["moments"] for s in states]).to(self.device)
        if self.baseline is not None:
            parts = [part(s, "baseline.") for s in states]
            self.baseline.load_state_dict(
                {name: torch.stack([p[name] for p in parts]) for name in parts[0]}
            )
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": saved})
        self.step = step


def drawn(noise, q) -> Tensor:
    """The sampler's rule of a policy that acts."""
    return q.sample(uniform=noise)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def features(states: Tensor) -> Tensor:
    """What a pole predicts its cost to go by, [T, ..., 4] -> [T, ..., 4]: the time that is left,
    times the cost of the state and how the pole tilts and spins."""
    left = torch.linspace(1, 0, len(states) + 1, device=states.device)[:-1]
    left = left.view(-1, *(1,) * (states.ndim - 2))
    _, _, tilt, spin = (states / states.new_tensor(place.UNITS)).clamp(-2, 2).unbind(-1)
    return left.unsqueeze(-1) * torch.stack([place.cost(states), tilt**2, tilt * spin, spin**2], -1)


def products(seen: Tensor, target: Tensor) -> Tensor:
    """Mean products over times and rollouts, less the means over the rollouts of each time:
    features [T, E, B, N, F] and target [T, E, B, N] -> [E, N, F, F + 1]."""
    both = torch.cat([seen, target.unsqueeze(-1)], -1)
    both = both - both.mean(2, keepdim=True)
    count = both.shape[0] * both.shape[2]
    return torch.einsum("tebnf,tebng->enfg", both[..., :FEATURES], both) / count


def predictor(moments: Tensor) -> Tensor:
    """Least squares with a little ridge for each member and pole, [E, N, F, F + 1] -> [E, N, F].

    A step uses what earlier steps have left, so that no action is judged by a prediction that has
    seen it.
    """
    square, mixed = moments.double().split([FEATURES, 1], -1)
    ridge = 0.01 * square.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] + 1e-12
    own = torch.eye(FEATURES, dtype=square.dtype, device=square.device)
    return torch.linalg.solve(square + ridge * own, mixed).squeeze(-1).float()


def gradients(config: Team, policy: Tensor, *, rollouts: int, warm: int = 2) -> Tensor:
    """Estimates of a method's gradient from single rollouts, [rollouts, N, 4], all at one policy
    [4] that every pole has.

    warm: rounds before, in which baselines learn.
    """
    with unchecked():
        team = TeamRun([config], {})
        copies = policy.expand(1, config.rollouts // team.method.samples, config.poles, 4)
        found = []
        for team.step in range(warm + -(-rollouts // copies.shape[1])):
            own = copies.clone().requires_grad_()
            surrogate = team.objective(own, team.noise("noise"))
            found.append(torch.autograd.grad(surrogate.sum(), own)[0][0])
            if team.baseline is not None:
                team.baseline.update()
        return torch.cat(found[warm:])[:rollouts]
