"""The estimators, each a function (program, *, hyperparameters) -> surrogate, and the one table that names them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gslib.estimators.exact import exact
from gslib.estimators.pathwise import annealed_st, gumbel_softmax, st, st_gumbel_softmax
from gslib.estimators.score_function import darn, muprop, sf


class _Table(dict[str, Callable[..., Tensor]]):
    def __missing__(self, name: str):
        raise KeyError(f"unknown estimator {name!r}; choose one of {', '.join(self)}")


ESTIMATORS = _Table(
    sf=sf,
    darn=darn,
    muprop=muprop,
    st=st,
    annealed_st=annealed_st,
    gumbel_softmax=gumbel_softmax,
    st_gumbel_softmax=st_gumbel_softmax,
    exact=exact,
)

__all__ = ["ESTIMATORS", *ESTIMATORS]
