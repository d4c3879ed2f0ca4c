"""The estimators, each a function (program, *, hyperparameters) -> surrogate, and the one table
that names them.

A new estimator is one function in a module here and one row of `ESTIMATORS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from gslib.estimators.coupled import disarm, local_expectation, rebar
from gslib.estimators.exact import exact
from gslib.estimators.gumbel_rao import gapped_st, gumbel_rao
from gslib.estimators.multi_sample import double_cv, multi_sample, rloo, vimco
from gslib.estimators.pathwise import annealed_st, gumbel_softmax, st, st_gumbel_softmax
from gslib.estimators.reinmax import reinmax
from gslib.estimators.score_function import darn, muprop, sf
from gslib.program import Program, sloped


@dataclass(frozen=True)
class Estimator:
    """A row of the table: the function, and all that its users must know of it. Calling it calls
    the function.

    >>> gslib.ESTIMATORS["gumbel_softmax"].schedule
    'tau'
    """

    function: Callable[..., Tensor]
    label: str  # the paper's name
    schedule: Literal["tau", "slope"] | None = None  # what training anneals
    baseline: Literal["input", "signal"] | None = None  # what a learned one looks at
    options: tuple[str, ...] = ()  # further hyperparameters, each a choice
    # The program whose loss it estimates, where it is another: (program, settings) -> it.
    target: Callable[..., Program] | None = None
    inner: Callable[..., Tensor] | None = None  # for a model that has changed its nodes

    def __call__(self, program: Program, **hyperparameters: Any) -> Tensor:
        return self.function(program, **hyperparameters)

    @property
    def __wrapped__(self) -> Callable[..., Tensor]:
        """For `inspect`: the signature and the source are the function's."""
        return self.function


class _Table(dict[str, Estimator]):
    def __missing__(self, name: str) -> Estimator:
        raise KeyError(f"unknown estimator {name!r}; choose one of {', '.join(self)}")


ESTIMATORS = _Table(
    sf=Estimator(sf, "SF", baseline="input"),
    darn=Estimator(darn, "DARN", baseline="signal", options=("form",)),
    muprop=Estimator(muprop, "MuProp", baseline="signal"),
    st=Estimator(st, "ST"),
    annealed_st=Estimator(annealed_st, "Annealed ST", "slope", target=sloped, inner=st),
    gumbel_softmax=Estimator(gumbel_softmax, "Gumbel-Softmax", schedule="tau"),
    st_gumbel_softmax=Estimator(st_gumbel_softmax, "ST Gumbel-Softmax", schedule="tau"),
    reinmax=Estimator(reinmax, "ReinMax"),
    gumbel_rao=Estimator(gumbel_rao, "Gumbel-Rao"),
    gapped_st=Estimator(gapped_st, "Gapped ST"),
    rloo=Estimator(rloo, "RLOO"),
    double_cv=Estimator(double_cv, "Double CV"),
    disarm=Estimator(disarm, "DisARM"),
    rebar=Estimator(rebar, "REBAR"),
    vimco=Estimator(vimco, "VIMCO", target=multi_sample),
    local_expectation=Estimator(local_expectation, "Local expectation"),
    exact=Estimator(exact, "Exact"),
)

__all__ = ["ESTIMATORS", "Estimator", *ESTIMATORS]
