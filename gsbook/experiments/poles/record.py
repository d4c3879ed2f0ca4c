"""What a record of the team must be, and which modules its numbers stand on."""

from __future__ import annotations

from gsbook.experiments.poles import score, train
from gsbook.experiments.poles.config import METHODS, Team
from gsbook.experiments.poles.world import LONGEST
from gsbook.records import check_numbers, check_run, opener, read_config
from gslib.estimators import ESTIMATORS

FIGURES = ("score", "greedy", "team")


def modules(config: Team) -> tuple[str, ...]:
    """The modules that the numbers of a run stand on: training, the referee and the estimator."""
    estimator = METHODS[config.method].estimator
    own = (ESTIMATORS[estimator].function.__module__,) if estimator else ()
    return train.__name__, score.__name__, *own


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be what it says."""
    config = read_config(Team, run["config"])
    check_run(run, config, FIGURES)
    cost = run["valid"]["mean_cost"]
    check_numbers({"mean_cost": cost}, 0)
    if cost is None and run["diverged"] is None:
        raise ValueError("mean_cost is null, and yet it did not diverge")
    for name, value in (run["test"] or {}).items():
        check_numbers({name: value}, 0)
        if value is None or value > LONGEST:
            raise ValueError(f"{name} is {value}, and an episode has {LONGEST} steps at most")
    test = run["test"]
    if test and test["team"] > test["score"] + 0.001:  # the first to fall, and all on average
        raise ValueError(f"team is {test['team']}, above score, {test['score']}")


records = opener(Team, check, modules)
