"""Grade a reader's own `gumbel_softmax`, and name the mistake that it looks like."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gslib.functional import gumbel, noise_like, one_hot, straight_through

Sampler = Callable[..., Tensor]
Outcome = tuple[Tensor, Tensor]  # what was found, [n, d], and its mean where all is right, [d]
LOGITS = torch.tensor([2.0, 1.0, 0.4, -1.0])  # not normalised, and not all of one sign
TIED, MASKED = torch.zeros(10), torch.tensor([1.0, -torch.inf, 0.0])
NONE, ONE = torch.zeros(1), torch.ones(1)
Z, ROUNDING = 5.0, 1e-4  # a mean further off than Z standard errors and this is a fault
HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, repr=False)
class SamplerReport:
    """The result of `check_sampler`, printed as a list, what is wrong first.

    >>> check_sampler(gslib.functional.gumbel_softmax, samples=1000).right
    True
    """

    sampler: str
    looks_like: str  # one of `SUSPECTS`, or "" where none comes near or nothing is wrong
    findings: dict[str, str]  # check -> what is wrong, "" if nothing is

    @property
    def faults(self) -> dict[str, str]:
        """The findings of the checks that found something wrong."""
        return {check: fault for check, fault in self.findings.items() if fault}

    @property
    def right(self) -> bool:
        """Whether no check found a fault."""
        return not self.faults

    def __repr__(self) -> str:
        head = f"{self.sampler}: {len(self.faults)} of {len(self.findings)} checks found a fault"
        head += f"\nlooks like: {self.looks_like}" if self.looks_like else ""
        wrong = [f"  FAULT {check}: {fault}" for check, fault in self.faults.items()]
        passed = [f"  ok    {check}" for check, fault in self.findings.items() if not fault]
        return "\n".join([head, *wrong, *passed])


def check_sampler(sampler: Sampler, *, samples: int = 100_000, seed: int = 0) -> SamplerReport:
    """Grade a function that draws Gumbel-Softmax samples, and name the mistake that it looks like.

    Args:
        sampler: called as torch's own, sampler(logits, tau, hard) with logits [n, K]; gives relaxed
            samples of that shape and type, or with hard one-hot ones that carry their gradient. It
            draws its noise from torch's global generator.
        samples: per check; the standard errors shrink with its square root.
        seed: of the noise. The global random state is put back afterwards.

    Returns: a `SamplerReport`; print it, or read `.right`, `.faults` and `.looks_like`.

    Winners are compared with softmax(logits); tau log(y_i / y_j) - (l_i - l_j) with the logistic
    distribution, whatever tau; gradients with the exact Jacobian (diag(y) - y y') / tau. The ends
    of the noise are tried by having `torch.rand`, `uniform_` and `exponential_` return them.

    Raises:
        TypeError: the sampler is no function. ValueError: fewer than 1,000 samples.

    >>> twice = lambda x, tau, hard: gslib.functional.gumbel_softmax(x.softmax(-1), tau, hard)
    >>> check_sampler(twice).looks_like
    'softmax twice'
    """
    if not callable(sampler):
        raise TypeError(f"sampler must be a function (logits, tau, hard), got {sampler!r:.30}")
    if not isinstance(samples, int) or samples < 1000:
        raise ValueError(f"samples must be an integer of 1,000 or more, got {samples}")
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        findings = {name: _fault(check, sampler, samples) for name, check in CHECKS.items()}
        like = _suspect(sampler, samples) if any(list(findings.values())[:FIRST]) else ""
    return SamplerReport(getattr(sampler, "__name__", type(sampler).__name__), like, findings)


def _fault(check: Callable[[Sampler, int], Outcome], sampler: Sampler, n: int) -> str:
    try:
        found, exact = check(sampler, n)
    except Exception as error:  # whatever a reader's function may raise
        return f"{type(error).__name__}: {error}"
    mean, spread = found.double().mean(0), found.double().std(0, correction=0)
    excess = (mean - exact).abs() - Z * spread / len(found) ** 0.5 - ROUNDING
    k = int(excess.nan_to_num(torch.inf).argmax())
    return "" if excess[k] <= 0 else f"{mean[k]:.4g}, where {exact[k]:.4g} is right"


def _draw(f: Sampler, n: int, x: Tensor = LOGITS, tau: float = 0.5, hard: bool = False) -> Outcome:
    """y [n, K], and the gradient of sum(w y), w from -1 to 1, for each row's own logits."""
    rows = x.repeat(n, 1).requires_grad_()
    y = f(rows, tau, hard)
    if (y.shape, y.dtype) != (rows.shape, rows.dtype):
        got = f"{tuple(y.shape)}, {y.dtype}, for logits {tuple(rows.shape)}, {rows.dtype}"
        raise ValueError(f"it returned {got}; return their shape and type")
    w = torch.linspace(-1, 1, len(x), dtype=x.dtype)
    total = (w * y).sum() + 0 * rows.sum()  # y may depend on nothing
    return y.detach(), torch.autograd.grad(total, rows)[0]


def _hot(scores: Tensor) -> Tensor:
    return one_hot(scores.argmax(-1, keepdim=True), scores)


def _winners(sampler: Sampler, n: int, logits: Tensor = LOGITS, **settings: Any) -> Outcome:
    """Which class wins; the last number is the share of rows with a NaN, in gradients too."""
    y, grad = _draw(sampler, n, logits, **settings)
    bad = ~(y + grad).isfinite().all(-1, keepdim=True)
    return torch.cat([_hot(y), bad], -1), torch.cat([logits.double().softmax(-1), NONE])


def _rows(sampler: Sampler, n: int) -> Outcome:
    won = _draw(sampler, n, tau=1)[0].argmax(-1)
    return (won[1::2] == won[:-1:2]).unsqueeze(-1), LOGITS.softmax(-1).square().sum(-1, True)


def _noise(sampler: Sampler, n: int, tau: float) -> Outcome:
    log_y = _draw(sampler, n, tau=tau)[0].double().clamp(min=1e-300).log()
    at = torch.linspace(-4, 4, 8)
    return tau * (log_y[:, :1] - log_y[:, 1:2]) - (LOGITS[0] - LOGITS[1]) < at, at.sigmoid()


def _gradient(sampler: Sampler, n: int, hard: bool) -> Outcome:
    """Its length along the exact one of the same noise, and its distance, in that one's lengths."""
    with torch.random.fork_rng(devices=[]):
        y, w = _draw(sampler, n)[0], torch.linspace(-1, 1, len(LOGITS))
    exact = 2 * y * (w - (w * y).sum(-1, keepdim=True))  # tau = 1/2
    grad = _draw(sampler, n, hard=hard)[1]
    along, off = (grad * exact).sum() / exact.norm() ** 2, (grad - exact).norm() / exact.norm()
    return torch.stack([along, off])[None], torch.cat([ONE, NONE])


def _inexact(sampler: Sampler, n: int) -> Outcome:
    y = _draw(sampler, n, hard=True)[0]
    return (y != _hot(y)).any(-1, keepdim=True), NONE


def _accepted(sampler: Sampler, n: int, tau: float) -> Outcome:
    with suppress(Exception):
        sampler(LOGITS[None], tau, False)
        return ONE[None], NONE
    return NONE[None], NONE


class _Ends(TorchDispatchMode):
    """Inside, noise is 1/2, and the first class's at an end of what generators return: in the first
    row at the high one, in the second at the low one.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name in ("rand", "rand_like", "uniform_", "exponential_"):
            # On CUDA half precision's rand can return 1 (pytorch 96947).
            top = 1.0 if out.dtype in HALVES else 1 - torch.finfo(out.dtype).eps / 2
            ends = (2.0**-25, 36.0) if name == "exponential_" else (top, 0.0)
            out.fill_(0.5)[..., 0] = out.new_tensor(ends)  # 2^-25 rounds to 0 in float16
            if name == "uniform_" and len(args) > 2:
                out.mul_(args[2] - args[1]).add_(args[1])
        return out


def _ends(sampler: Sampler, n: int, dtype: torch.dtype) -> Outcome:
    """How far the first class gets ahead at the high end, and behind at the low one, in nats."""
    with _Ends():
        log_y = sampler(torch.zeros(2, 5, dtype=dtype), 1.0, False).double().log()
    lead = (log_y[:, 0] - log_y[:, 1]) * torch.tensor([1.0, -1.0])
    # Far enough that a class of probability 1e-6 can win, in half precision 1e-3.
    need = torch.tensor([6.9 if dtype in HALVES else 13.8, 1.0])
    return lead.minimum(need)[None], need


FIRST = 8  # checks, by whose numbers a mistake is known
CHECKS: dict[str, Callable[[Sampler, int], Outcome]] = {
    "sum over the last axis": lambda f, n: (_draw(f, n, tau=1)[0].sum(-1, True), ONE),
    "shares of the classes, relaxed samples": _winners,
    "shares of the classes, hard samples": partial(_winners, hard=True),
    "two rows of a batch agree": _rows,
    "distribution of the noise, tau = 0.5": partial(_noise, tau=0.5),
    "distribution of the noise, tau = 3": partial(_noise, tau=3.0),
    "gradient, relaxed samples": partial(_gradient, hard=False),
    "gradient, hard samples": partial(_gradient, hard=True),
    "hard samples that are not 0 and 1": _inexact,
    "shares of ten classes, tau = 1e8": partial(_winners, logits=TIED, tau=1e8, hard=True),
    "shares of the classes, one masked": partial(_winners, logits=MASKED, hard=True),
    "tau = 0 accepted": partial(_accepted, tau=0.0),
    "tau = -1 accepted": partial(_accepted, tau=-1.0),
}
for _dtype in (torch.float32, torch.float64, *HALVES):
    _tied = partial(_winners, logits=TIED.to(_dtype), hard=True)
    CHECKS[f"shares of ten classes, {str(_dtype)[6:]}"] = _tied
    CHECKS[f"ends of the noise, {str(_dtype)[6:]}"] = partial(_ends, dtype=_dtype)


def _wrong(
    scores: Any = lambda x, g, tau: (x + g) / tau,
    one: Any = lambda x, y: straight_through(_hot(y), y),
) -> Sampler:
    """A right sampler, but for its scores or its hard samples."""

    def sampler(x: Tensor, tau: float, hard: bool) -> Tensor:
        y = scores(x, gumbel(noise_like(x)), tau).softmax(-1).to(x)
        return one(x, y) if hard else y

    return sampler


SUSPECTS = {
    "softmax twice": _wrong(lambda x, g, tau: (x.softmax(-1) + g) / tau),
    "noise of the wrong sign": _wrong(lambda x, g, tau: (x - g) / tau),
    "one logarithm where two belong": _wrong(lambda x, g, tau: (x + (-g).exp()) / tau),
    "times tau where divided by it": _wrong(lambda x, g, tau: (x + g) * tau),
    "tau without effect": _wrong(lambda x, g, tau: x + g),
    "tau divides the logits alone": _wrong(lambda x, g, tau: x / tau + g),
    "tau divides the noise alone": _wrong(lambda x, g, tau: x + g / tau),
    "arg min": _wrong(one=lambda x, y: straight_through(_hot(-y), y)),
    "hard samples without noise": _wrong(one=lambda x, y: straight_through(_hot(x), y)),
    "hard samples without straight-through": _wrong(one=lambda x, y: _hot(y)),
}


def _suspect(sampler: Sampler, n: int) -> str:
    """The suspect that does in the first checks what the sampler does."""
    with suppress(Exception):
        y, again = (_draw(sampler, 100)[0] for _ in range(2))
        if y.sum(0).allclose(torch.ones(len(LOGITS))):
            return "softmax over the wrong axis"
        if y.equal(y[:1].expand_as(y)):
            return "no noise" if torch.equal(y, again) else "one draw of the noise for all rows"
        own = _means(sampler, n)
        off = {name: (_means(f, n) - own).abs().max().item() for name, f in SUSPECTS.items()}
        return min(["", *SUSPECTS], key=lambda name: off.get(name, 4 / n**0.5))
    return ""


def _means(sampler: Sampler, n: int) -> Tensor:
    found = [check(sampler, n)[0].double().mean(0) for check in list(CHECKS.values())[:FIRST]]
    return torch.cat(found).nan_to_num(9).clamp(-9, 9)
