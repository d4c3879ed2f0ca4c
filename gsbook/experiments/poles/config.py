"""What a run of the team of poles is: a world, a number of poles, and how their policies learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gsbook.engine.config import Named


@dataclass(frozen=True)
class Method:
    """How a policy's gradient is estimated.

    >>> METHODS["gumbel_softmax"].estimator
    'gumbel_softmax'
    """

    label: str  # in figures and tables
    estimator: str | None = None  # of `gslib.ESTIMATORS`, on the whole cost; None: cost to go
    told: str = "team"  # whose cost to go a pole is told: the "team"'s or its "own"
    baseline: str | None = None  # "pole": each pole predicts what it is told from its own state
    samples: int = 1  # rollouts from one start


METHODS = {
    "sf": Method("SF", "sf"),
    "rloo": Method("RLOO", "rloo", samples=4),
    "to_go": Method("SF, cost to go"),
    "per_pole": Method("SF, cost to go, baselines", baseline="pole"),
    "own": Method("SF, own cost to go", told="own"),
    "muprop": Method("MuProp", "muprop"),
    "st": Method("ST", "st"),
    "reinmax": Method("ReinMax", "reinmax"),
    "gumbel_softmax": Method("Gumbel-Softmax", "gumbel_softmax"),
    "st_gumbel_softmax": Method("ST Gumbel-Softmax", "st_gumbel_softmax"),
}
WORLDS = ("equations", "learned")  # where rollouts happen: the true world, or a model fitted to it
FEWEST = 100  # transitions for a model of the world: of a few, a quantity may have no spread


@dataclass(frozen=True)
class Team(Named):
    """One run of the experiment. Equal configs give equal numbers on one machine and version of the
    code.

    >>> Team("equations", "gumbel_softmax", poles=16, lr=0.3).key
    'equations-gumbel_softmax_poles=16_lr=0.3_seed=0_steps=40'
    """

    NAME: ClassVar = ("world", "method")
    ALWAYS: ClassVar = ("poles", "lr", "seed")

    world: str  # one of `WORLDS`
    method: str  # a name of `METHODS`
    poles: int  # N, each with a policy of its own
    lr: float  # of Adam
    seed: int = 0  # of starts, noise and the model of the world
    steps: int = 40  # updates of the policies
    rollouts: int = 32  # of the whole team, in an update
    horizon: int = 100  # steps of the world in a rollout: two seconds
    tau: float = 1.0  # temperature, where the estimator has one
    transitions: int = 2_000  # of random actions, that a learned world is fitted to
    eval_every: int = 5  # updates between two points of the curve

    def __post_init__(self):
        self.check_known(world=WORLDS, method=METHODS)
        self.check_positive("poles", "lr", "steps", "horizon", "tau", "transitions", "eval_every")
        samples = METHODS[self.method].samples
        if self.rollouts < 2 or self.rollouts % samples:
            raise ValueError(
                f"rollouts must be 2 or more, and for {self.method} a multiple of {samples}, got "
                f"{self.rollouts}"
            )
        if self.world == "learned" and self.transitions < FEWEST:
            raise ValueError(
                f"a learned world needs {FEWEST} transitions or more, got {self.transitions}"
            )
