"""What every test of the estimators goes through: names, settings, and what is known of each."""

import pytest
from programs import CASES, Case, per_sample, tensor

from gslib import ESTIMATORS, Bernoulli, Categorical
from gslib.distributions import sharpened

SAMPLES = 100_000
ENSEMBLES = [None, 2]
UNBIASED = {
    "sf": {},
    "sf, constant baseline": {"baseline": 0.7},
    "muprop": {},
    "muprop, constant baseline": {"baseline": 0.7},
}
# Those that stack samples in one run of the program: its products have another shape.
STACKED = ("rloo", "double_cv", "vimco")
# Those whose value is the loss of one run, or that draw other noise between two nodes.
SEVERAL = (*STACKED, "disarm", "gumbel_rao")
# name -> hyperparameters; their expectation is known where the noise acts through the sample alone
BIASED = {
    "darn": {},
    "darn, printed form": {"form": "printed"},
    "st": {},
    "annealed_st": {"slope": 0.6},
    "gumbel_softmax": {"tau": 0.7},
    "st_gumbel_softmax": {"tau": 0.7},
    "reinmax": {},
    "gumbel_rao": {"tau": 0.7},
    "gapped_st": {},
}
case_table = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ensemble_table = pytest.mark.parametrize("ensemble", ENSEMBLES, ids=["lone", "ensemble"])


def estimator_of(name):
    return ESTIMATORS[name.split(",")[0]]


def target_case(name, case):
    """Slope-annealed ST estimates the gradient of the program whose nodes have the slope."""
    return (
        case.node(lambda q: sharpened(q, BIASED[name]["slope"])) if name == "annealed_st" else case
    )


def variance(estimator, case, **settings):
    """Of the gradient by the first parameter, which reaches the loss through a node alone."""
    estimator = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    _, gradients = per_sample(estimator, case, SAMPLES, **settings)
    return gradients[:, : case.parameters[0].numel()].var(0).sum().item()


def bernoulli(loss):
    return Case(
        [tensor(0.4, -0.7, 1.1)], lambda theta: lambda sample: loss(sample(Bernoulli(theta)))
    )


def categorical(loss):
    return Case(
        [tensor([0.4, -0.7, 1.1], [0.2, 0.9, -0.5])],
        lambda theta: lambda sample: loss(sample(Categorical(theta))),
    )


A = tensor([0.9, -0.4, 0.3], [0.2, 0.7, -0.8], [-1.2, 0.5, 0.6])
LINEAR = {
    "bernoulli": bernoulli(lambda z: (z * A[0]).sum(-1)),
    "categorical": categorical(lambda z: (z * A[:2]).sum((-2, -1))),
}
