"""Grade a gradient estimator, the reader's own included, against exact gradients on small
programs.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gslib._checks import check_count, check_floating, wrong_shape
from gslib.estimators import ESTIMATORS, exact
from gslib.program import changed
from gslib.programs import PROGRAMS, Build, Programs

FALSE_ALARM = 1e-3  # the chance that an unbiased estimator is called biased anywhere in a report
ROUNDING = 1e3  # times eps: an error this small, beside gradient and loss, is rounding and no bias
Function = Callable[..., Any]
Outcome = tuple[Tensor, Tensor]  # values, gradients


@dataclass(frozen=True)
class ProgramReport:
    """What `check` found on one program. Norms are Euclidean, over all parameters of the program.

    >>> check("exact", samples=100).programs[0].verdict
    'unbiased within 0.0%'
    """

    program: str
    exact_norm: float  # of the exact gradient
    bias: float  # norm of (mean estimate - exact gradient)
    standard_error: float  # of that mean: the norm that `bias` has by chance alone
    max_z: float  # the largest |bias| of one parameter, in its standard errors
    variance: float  # of one sample's gradient, summed over parameters
    value_bias: float  # mean value - exact loss
    value_standard_error: float
    threshold: float  # the max_z from which on the estimate counts as biased

    @property
    def unbiased(self) -> bool:
        """Whether no parameter's gradient shows a bias at this number of samples."""
        return self.max_z < self.threshold

    @property
    def verdict(self) -> str:
        """In words, relative to the exact gradient's norm: the bias, or how large a bias would have
        been seen.
        """
        seen = self.threshold * self.standard_error
        if self.exact_norm == 0:
            said = f"unbiased within {seen:.2g}" if self.unbiased else f"biased by {self.bias:.2g}"
            return f"{said} where 0 is right"
        if self.unbiased:
            within = seen / self.exact_norm
            return f"unbiased within {within:.{1 if within < 1 else 0}%}"  # at most 80 columns
        return f"biased by {self.bias / self.exact_norm:.1%}"

    def __str__(self) -> str:
        error = f"{self.bias:>6.4f} {self.standard_error:>6.4f}{min(self.max_z, 999):>6.1f}"
        return f"{self.program:<30} {error}{self.value_bias:>8.4f} {self.verdict}"


@dataclass(frozen=True)
class Report:
    """The result of `check`: one `ProgramReport` per program, printed as a table.

    >>> print(check("exact", samples=100))
    exact(): unbiased at this precision
    100 samples; biased where |z| passes ...
    ...
    """

    estimator: str
    samples: int
    threshold: float  # the |z| from which on an estimate counts as biased
    programs: tuple[ProgramReport, ...]

    @property
    def unbiased(self) -> bool:
        """Whether every program's gradient is. The bias of the value is reported, not judged."""
        return all(p.unbiased for p in self.programs)

    def __str__(self) -> str:
        verdict = "unbiased at this precision" if self.unbiased else "biased"
        bench = f"{self.samples:,} samples; biased where |z| passes {self.threshold:.1f}"
        head = f"{'program':<30}{'|bias|':>7}{'+-':>7}{'|z|':>6}{'value':>8} verdict"
        return "\n".join([f"{self.estimator}: {verdict}", bench, head, *map(str, self.programs)])

    __repr__ = __str__


def check(
    estimator: str | Function,
    /,
    *,
    samples: int = 100_000,
    seed: int = 0,
    node: Function | None = None,
    programs: Programs | None = None,
    settings: dict[str, Any] | None = None,
    **hyperparameters: Any,
) -> Report:
    """Grade an estimator on small programs whose exact gradient enumeration gives.

    Args:
        estimator: a name in `ESTIMATORS`, or a function (program, *, ...) -> surrogate [..., B].
        samples: examples per program; the standard errors shrink with its square root.
        seed: of the noise. The global random state is put back afterwards.
        node: for an estimator that changes the node it samples: the change, q -> q. The exact
            gradient is then that of the changed program. A row's own target is taken without
            being asked: the slope of `annealed_st`, the k-sample bound of `vimco`.
        programs: name -> (parameters, build) as `gslib.programs.PROGRAMS` holds them, instead of
            those: `build(*parameters)`, with any leading axes, gives the program.
        hyperparameters: handed to the estimator, e.g. tau=0.5; settings: a dict of the same, for
            those whose name is taken here, such as {"samples": 4}.

    Returns:
        A `Report`; print it, read `.unbiased`, or put `.programs` in a data frame.

    Every sample is one example of one large batch with its own copy of the parameters, so one run
    of the program gives all per-sample gradients. A parameter counts as biased if its mean lies
    more than `threshold` standard errors off; the threshold is Bonferroni's for all parameters of
    all programs: an unbiased estimator fails once in a thousand seeds.

    Raises:
        KeyError: unknown name.
        TypeError: the estimator is no function, or returns no tensor; a hyperparameter that it does
            not take; a parameter of a program that is not floating point.
        ValueError: no programs, or one without parameters; the estimator returns something other
            than one differentiable number per example, for instance a mean.

    >>> check("sf", samples=5_000).unbiased, check("st", samples=5_000).unbiased
    (True, False)
    """
    check_count("samples", samples, 2)
    run, name, settings, target = _resolve(estimator, {**(settings or {}), **hyperparameters})
    if node is not None:
        target = partial(changed, change=node)
    programs, rows = PROGRAMS if programs is None else _programs(programs), []
    comparisons = sum(p.numel() for parameters, _ in programs.values() for p in parameters)
    tail = torch.tensor(FALSE_ALARM / 2 / comparisons, dtype=torch.float64)
    threshold = -torch.special.ndtri(tail).item()
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        for program, (parameters, build) in programs.items():
            truth = _gradients(lambda p: exact(target(p), max_states=10**6), build, parameters, 1)
            found = _gradients(run, build, parameters, samples)
            rounding = ROUNDING * max(torch.finfo(p.dtype).eps for p in parameters)
            rows.append(_grade(program, truth, found, threshold, rounding))
    called = f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())})"
    return Report(called, samples, threshold, tuple(rows))


def _programs(programs: Programs) -> Programs:
    if not programs:
        raise ValueError("programs is empty; leave it out, or give name -> (parameters, build)")
    for name, (parameters, _) in programs.items():
        if not parameters:
            raise ValueError(f"program {name!r} has no parameters; give at least one, a tensor")
        for p in parameters:
            check_floating(f"a parameter of {name!r}", p)
    return programs


def _resolve(estimator: str | Function, settings: dict) -> tuple[Function, str, dict, Function]:
    """The function of a program alone, its name and settings, and what makes of a program the one
    whose loss it estimates.
    """
    function = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
    if not callable(function):
        raise TypeError(f"estimator must be a name in ESTIMATORS or a function, got {estimator!r}")
    run = partial(function, **settings)  # flat, if estimator is a partial too
    function, settings = getattr(run.func, "function", run.func), run.keywords
    try:
        uniform = inspect.signature(run).parameters.get("uniform")
    except ValueError:
        takes = ", ".join(inspect.signature(function).parameters)
        raise TypeError(f"it takes {takes}, got {', '.join(settings)}; correct the name") from None
    if uniform is not None and uniform.default is inspect.Parameter.empty:
        run = partial(run, uniform=torch.rand_like)
    rows = (row for row in ESTIMATORS.values() if row.function is function)
    target = next((row.target for row in rows if row.target), lambda program: program)
    own = settings.keys() & inspect.signature(target).parameters
    name = getattr(function, "__name__", type(function).__name__)
    return run, name, settings, partial(target, **{key: settings[key] for key in own})


def _grade(
    name: str, exact: Outcome, estimate: Outcome, threshold: float, rounding: float
) -> ProgramReport:
    (exact_value, exact_gradient), (values, gradients) = exact, estimate
    error, variance = gradients.mean(0) - exact_gradient[0], gradients.var(0)
    standard_error = (variance / len(gradients)).sqrt()
    smallest = rounding * (exact_gradient.norm() + exact_value.abs().mean())
    z = torch.where(error == 0, 0, error.abs() / (standard_error + smallest))
    norms = [x.norm() for x in (exact_gradient, error, standard_error)]
    value_error = values.mean() - exact_value.mean()
    value_se = (values.var() / len(values)).sqrt()
    numbers: Any = [*norms, z.max(), variance.sum(), value_error, value_se]  # as the fields stand
    return ProgramReport(name, *[*(x.item() for x in numbers), threshold])


def _gradients(run: Function, build: Build, parameters: list[Tensor], samples: int) -> Outcome:
    """The surrogate's values [samples] and its gradient for each sample's own copy of the
    parameters, [samples, P].
    """
    copies = [p.expand(samples, *p.shape).clone().requires_grad_() for p in parameters]
    surrogate = run(build(*copies))
    if not isinstance(surrogate, Tensor):
        raise TypeError(f"the estimator returned {surrogate!r:.30}; return the surrogate, a Tensor")
    if surrogate.shape != (samples,):
        raise wrong_shape("the surrogate", surrogate, f"it needs ({samples},): do not average")
    if not surrogate.requires_grad:
        raise ValueError("the estimator's surrogate has no gradient; detach only the signal")
    gradients = torch.autograd.grad(surrogate.sum(), copies, materialize_grads=True)
    flat = torch.cat([g.reshape(samples, -1) for g in gradients], -1)
    return surrogate.detach().double(), flat.double()
