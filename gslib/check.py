"""Grade a gradient estimator, the reader's own included, against exact gradients on small programs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gslib.distributions import Distribution
from gslib.estimators import ESTIMATORS, Estimator, exact
from gslib.programs import PROGRAMS, Build

FALSE_ALARM = 1e-3  # the chance that an unbiased estimator is called biased anywhere in a report
Change = Callable[[Distribution], Distribution]
ROUNDING = 1e-10  # an error this small, relative to the gradient, is rounding and no bias


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
        """In words, relative to the exact gradient's norm: the bias, or how large a bias would have been seen."""
        if self.unbiased:
            return f"unbiased within {self.threshold * self.standard_error / self.exact_norm:.1%}"
        return f"biased by {self.bias / self.exact_norm:.1%}"


@dataclass(frozen=True)
class Report:
    """The result of `check`: one `ProgramReport` per program, printed as a table.

    >>> print(check("exact", samples=100))
    exact(): unbiased at this precision (100 samples, max |z| from ... on counts as bias)
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

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary per program, ready for `pandas.DataFrame`."""
        return [
            {"estimator": self.estimator, **asdict(p), "unbiased": p.unbiased, "verdict": p.verdict}
            for p in self.programs
        ]

    def __str__(self) -> str:
        verdict = "unbiased at this precision" if self.unbiased else "biased"
        lines = [
            f"{self.estimator}: {verdict} ({self.samples:,} samples, max |z| from {self.threshold:.1f} on counts as bias)",
            f"{'program':<31}{'|exact|':>8}{'|bias|':>9}{'+-':>8}{'max |z|':>9}{'variance':>10}{'value bias':>12}  verdict",
        ]
        for p in self.programs:
            lines.append(
                f"{p.program:<31}{p.exact_norm:>8.4f}{p.bias:>9.4f}{p.standard_error:>8.4f}{min(p.max_z, 9999):>9.1f}"
                f"{p.variance:>10.4f}{p.value_bias:>12.4f}  {p.verdict}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def check(
    estimator: str | Callable[..., Tensor],
    *,
    samples: int = 100_000,
    seed: int = 0,
    node: Change | None = None,
    **hyperparameters,
) -> Report:
    """Grade an estimator on small programs whose exact gradient enumeration gives.

    Args:
        estimator: a name in `ESTIMATORS`, or a function (program, *, ...) -> surrogate [..., B].
        samples: examples per program; the standard errors shrink with its square root.
        seed: of the noise. The global random state is put back afterwards.
        node: for an estimator that changes the node it samples: the change, q -> q. The exact gradient is then that
            of the changed program. For `annealed_st` it is sharpened(q, slope) without being asked.
        hyperparameters: handed to the estimator, e.g. tau=0.5.

    Returns:
        A `Report`: print it, read `.unbiased` and `.programs`, or put `.to_dicts()` in a data frame.

    Every sample is one example of one large batch with its own copy of the parameters, so one run of the program gives
    all per-sample gradients. A parameter counts as biased if its mean lies more than `threshold` standard errors off;
    the threshold is Bonferroni's for all parameters of all programs: an unbiased estimator fails once in a thousand seeds.

    Raises:
        KeyError: unknown name.
        TypeError: the estimator is no function, or returns no tensor.
        ValueError: it returns something other than one differentiable number per example, for instance a mean.

    >>> check("sf", samples=5_000).unbiased, check("st", samples=5_000).unbiased
    (True, False)
    """
    name, settings, run, change = _resolve(estimator, hyperparameters)
    node = node or change
    if not isinstance(samples, int) or samples < 2:
        raise ValueError(
            f"samples must be at least 2 to give a standard error, got {samples}; use 1,000 or more"
        )
    oracle = functools.partial(exact, max_states=10**6)
    results = []
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        for program, (parameters, build) in PROGRAMS.items():
            target = _gradients(oracle, _change_nodes(build, node), parameters, 1)
            results.append((program, *target, *_gradients(run, build, parameters, samples)))
    comparisons = sum(exact_gradient.numel() for _, _, exact_gradient, _, _ in results)
    tail = torch.tensor(FALSE_ALARM / 2 / comparisons, dtype=torch.float64)
    threshold = -torch.special.ndtri(tail).item()
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    programs = tuple(_grade(*result, threshold) for result in results)
    return Report(f"{name}({shown})", samples, threshold, programs)


def _resolve(
    estimator: str | Callable[..., Tensor], hyperparameters: dict[str, Any]
) -> tuple[str, dict[str, Any], Callable[..., Tensor], Change | None]:
    """Name, settings, the function of a program alone, and how it changes the nodes that it samples."""
    if isinstance(estimator, str):
        estimator = ESTIMATORS[estimator]
    if not callable(estimator):
        raise TypeError(
            f"estimator must be a name in ESTIMATORS or a function, got {type(estimator).__name__}"
        )
    run = functools.partial(estimator, **hyperparameters)  # flat, if estimator is a partial too
    uniform = inspect.signature(run).parameters.get("uniform")
    function, settings = run.func, run.keywords
    if isinstance(function, Estimator):
        function = function.function
    name = getattr(function, "__name__", type(function).__name__)
    if uniform is not None and uniform.default is inspect.Parameter.empty:
        run = functools.partial(run, uniform=torch.rand_like)
    row = next((row for row in ESTIMATORS.values() if row.function is function), None)
    if row is None or row.change is None:
        return name, settings, run, None
    changed = {key: settings[key] for key in (row.schedule,) if key in settings}
    return name, settings, run, functools.partial(row.change, **changed)


def _grade(
    name: str,
    exact_value: Tensor,
    exact_gradient: Tensor,
    values: Tensor,
    gradients: Tensor,
    threshold: float,
) -> ProgramReport:
    error = gradients.mean(0) - exact_gradient[0]
    variance = gradients.var(0)
    standard_error = (variance / len(gradients)).sqrt()
    z = error.abs() / (standard_error + ROUNDING * exact_gradient.norm())
    value_error = values.mean() - exact_value.mean()
    return ProgramReport(
        program=name,
        exact_norm=exact_gradient.norm().item(),
        bias=error.norm().item(),
        standard_error=standard_error.norm().item(),
        max_z=z.max().item(),
        variance=variance.sum().item(),
        value_bias=value_error.item(),
        value_standard_error=(values.var() / len(values)).sqrt().item(),
        threshold=threshold,
    )


def _gradients(
    run: Callable[..., Tensor], build: Build, parameters: list[Tensor], samples: int
) -> tuple[Tensor, Tensor]:
    """The surrogate's values [samples] and its gradient for each sample's own copy of the parameters, [samples, P]."""
    copies = [p.expand(samples, *p.shape).clone().requires_grad_() for p in parameters]
    surrogate = run(build(*copies))
    if not isinstance(surrogate, Tensor):
        raise TypeError(
            f"the estimator returned {type(surrogate).__name__}; it must return the surrogate, a torch.Tensor"
        )
    if surrogate.shape != (samples,):
        remedy = (
            "do not average inside it"
            if surrogate.ndim == 0
            else "sum over nodes and units, not over examples"
        )
        raise ValueError(
            f"the estimator returned shape {tuple(surrogate.shape)} for {samples} examples; it must return "
            f"one surrogate per example, ({samples},): {remedy}"
        )
    if not surrogate.requires_grad:
        raise ValueError(
            "the estimator's surrogate has no gradient; return a tensor whose gradient is the estimate, for "
            "example f + zero_valued(f.detach() * log_q), and detach only the learning signal"
        )
    gradients = torch.autograd.grad(
        surrogate.sum(), copies, allow_unused=True, materialize_grads=True
    )
    return surrogate.detach(), torch.cat([g.reshape(samples, -1) for g in gradients], -1)


def _change_nodes(build: Build, node: Change | None) -> Build:
    if node is None:
        return build
    return lambda *parameters: lambda sample: build(*parameters)(lambda q: sample(node(q)))
