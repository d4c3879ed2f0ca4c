"""Learned baselines for estimators that weight the score: explicit, checkpointed state, updated after use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gslib._checks import check_floating, fits, look
from gslib._fast import widened
from gslib.models.layers import Linear

# signals [..., B, S] -> (centred signals of that shape, a scale that broadcasts with them)
Centring = Callable[[Tensor], tuple[Tensor, Tensor | float]]


class Baseline(nn.Module):
    """NVIL's baselines: a moving average, an input-dependent network, and variance normalisation.

    Calling it with learning signals [..., B, S] gives (centred signals, scale); S counts the signals of an example (one
    for `sf`, one per node for `muprop`, one per unit for `darn`). `update` then learns from that signal. What a step
    uses was learned before the step, so the estimate stays unbiased (up to the positive factor 1/scale). Only the very
    first call, which has no past, takes the mean and variance of its own batch.

    .. math:: \\frac{f - c - C_\\psi(x)}{\\max(1, \\sigma_f)}

    Args:
        inputs: size D of the input x that the network sees, or None for no network.
        moving_average: subtract the moving average c.
        normalise: return max(1, sigma) as the scale, sigma^2 a moving average of the signal's variance; else 1.
        signal_alone: divide the signal here and return 1, as the formula reads: what else reaches a node, such as a
            KL term, then keeps its size. Else the estimator divides all of it.
        ensemble: number E of members; each has its own state. None for a single run without that axis.
        hidden: tanh units of the network's one hidden layer. lr: its learning rate (plain SGD on the squared error).
        decay: of the moving averages.
        seeds: one seed per member for the network's initial weights.

    Source: Mnih, Gregor 2014 (arXiv:1402.0030), section 2.3 and algorithm 1 (decay 0.8, 100 hidden units).

    >>> baseline = Baseline()
    >>> baseline(torch.tensor([[3.0], [5.0]]))[0]  # two examples, no past yet
    tensor([[-1.],
            [ 1.]])
    >>> baseline.update()
    >>> baseline(torch.tensor([[9.0]]))[0]
    tensor([[5.]])
    """

    def __init__(
        self,
        inputs: int | None = None,
        *,
        moving_average: bool = True,
        normalise: bool = True,
        signal_alone: bool = False,
        ensemble: int | None = None,
        hidden: int = 100,
        lr: float = 1e-3,
        decay: float = 0.8,
        seeds: list[int] | None = None,
    ):
        super().__init__()
        self.moving_average, self.normalise = moving_average, normalise
        self.signal_alone = signal_alone
        self.lr, self.decay = lr, decay
        lead = () if ensemble is None else (ensemble,)
        self.lead = len(lead)
        self.mean: Tensor
        self.variance: Tensor
        self.seen: Tensor
        self.register_buffer("mean", torch.zeros(lead))
        self.register_buffer("variance", torch.ones(lead))
        self.register_buffer("seen", torch.zeros(lead, dtype=torch.bool))
        self.network: nn.Module | None = None
        if inputs is not None:
            first = Linear(inputs, hidden, name="baseline", ensemble=ensemble, seeds=seeds)
            last = Linear(hidden, 1, ensemble=ensemble, seeds=seeds)
            # The first prediction is 0: learning starts from the moving average alone.
            nn.init.zeros_(last.weight)
            self.network = nn.Sequential(first, nn.Tanh(), last)
        self._last: tuple[Tensor, Tensor | None, Tensor] | None = None

    def forward(self, signal: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor | float]:
        """signals [..., B, S] -> (centred signals of that shape, scale that broadcasts with them)."""
        self._check(signal, x)
        signal, prediction = widened(signal.detach()), None
        if self.network is not None and x is not None:
            with torch.enable_grad():
                prediction = self.network(x.detach())  # [..., B, 1]
            signal = signal - prediction.detach()
        mean, variance = self._moments(signal)
        mean = torch.where(self.seen, self.mean, mean)
        variance = torch.where(self.seen, self.variance, variance)
        centred = signal - self._pad(mean) if self.moving_average else signal
        self._last = (signal, centred, prediction)
        scale = variance.sqrt().clamp(min=1) if self.normalise else torch.ones_like(variance)
        if self.signal_alone:
            return centred / self._pad(scale), 1.0
        return centred, self._pad(scale)

    def _check(self, signal: Tensor, x: Tensor | None) -> None:
        if (self.network is None) != (x is None):
            raise ValueError(
                "this baseline has no network: do not pass x"
                if self.network is None
                else "this baseline has an input-dependent network: pass x, e.g. baseline=partial(b, x=x)"
            )
        check_floating("signal", signal)
        lead = tuple(self.mean.shape)
        if signal.ndim < self.lead + 2 or signal.shape[: self.lead] != lead or not signal.numel():
            raise ValueError(
                f"signal has shape {tuple(signal.shape)}; this baseline learns from "
                f"[{', '.join(map(str, (*lead, 'B', 'S')))}] with at least one example"
            )
        if x is not None and not fits(x.shape[:-1], signal.shape[:-1]):
            raise ValueError(
                f"x has shape {tuple(x.shape)} for signals of shape {tuple(signal.shape)}; "
                "it must hold one row for each example"
            )

    def update(self) -> None:
        """Learn from the last call's signal: one step of the network, then the moving averages."""
        if self._last is None:
            raise RuntimeError(
                "update() before the first use; call the estimator with this baseline first"
            )
        signal, centred, prediction = self._last
        if self.network is not None and prediction is not None:
            weights = list(self.network.parameters())
            # Descends the mean over the batch of (f - c - C(x))^2 / 2, per member.
            loss = (-centred * prediction).flatten(self.lead).mean(-1).sum()
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, slope in zip(weights, slopes, strict=True):
                    weight.sub_(slope, alpha=self.lr)
        mean, variance = self._moments(signal)
        decay = torch.where(self.seen, self.decay, 0.0)
        self.mean.copy_(decay * self.mean + (1 - decay) * mean)
        self.variance.copy_(decay * self.variance + (1 - decay) * variance)
        self.seen.fill_(True)
        self._last = None

    def _pad(self, value: Tensor) -> Tensor:
        return value.reshape((*value.shape, 1, 1))  # [*E] -> [*E, B = 1, S = 1]

    def _moments(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        flat = signal.flatten(self.lead)
        return flat.mean(-1), flat.var(-1, correction=0)


def as_baseline(baseline: float | Tensor | Centring) -> Centring:
    """A callable signal -> (centred signal, scale) from a number, a tensor or such a callable.

    >>> as_baseline(2.0)(torch.tensor([[5.0]]))
    (tensor([[3.]]), 1.0)
    """
    if callable(baseline):
        return baseline
    if not isinstance(baseline, (int, float, Tensor)):
        raise TypeError(
            f"baseline must be a number, a tensor or a callable, got {type(baseline).__name__}"
        )
    value = torch.as_tensor(baseline).detach()
    if look(lambda: bool(value.isfinite().all())) is False:
        raise ValueError(f"baseline must be finite, got {baseline}")

    def centre(signal: Tensor) -> tuple[Tensor, float]:
        if not fits(value.shape, signal.shape[:-1]):
            raise ValueError(
                f"baseline has shape {tuple(value.shape)}, which does not broadcast to the losses' "
                f"{tuple(signal.shape[:-1])}; give one number, or one per example"
            )
        return signal - value.to(signal).unsqueeze(-1), 1.0

    return centre
