"""Learned baselines for estimators that weight the score: explicit, checkpointed state, updated
after use.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gslib._checks import check_floating, check_inside, fits, wrong_shape
from gslib._fast import widened
from gslib.models.layers import Linear

# signals [..., B, S] -> (centred signals of that shape, a scale that broadcasts with them)
Centred = tuple[Tensor, Tensor | float]
Centring = Callable[[Tensor], Centred]
Centre = float | Tensor | Centring


class Baseline(nn.Module):
    """NVIL's baselines: a moving average, an input-dependent network, and variance normalisation.

    Calling it with learning signals [..., B, S] gives (centred signals, scale); S counts the
    signals of an example (one for `sf`, one per node for `muprop`, one per unit for `darn`).
    `update` then learns from that signal. What a step uses was learned before the step, so the
    estimate stays unbiased (up to the positive factor 1/scale). Only the very first call, which has
    no past, takes the mean and variance of its own batch.

    .. math:: \\frac{f - c - C_\\psi(x)}{\\max(1, \\sigma_f)}

    Args:
        inputs: size D of the input x that the network sees, or None for no network.
        moving_average: subtract the moving average c.
        normalise: return max(1, sigma) as the scale, sigma^2 a moving average of the signal's
            variance; else 1.
        signal_alone: divide the signal here and return 1, as the formula reads: what else reaches a
            node, such as a KL term, then keeps its size. Else the estimator divides all of it.
        ensemble: number E of members; each has its own state. None for a single run without that
            axis.
        hidden: tanh units of the network's one hidden layer. lr: its learning rate (plain SGD on
            the squared error).
        decay: of the moving averages.
        seeds: one seed per member for the network's initial weights.

    Source: Mnih, Gregor 2014 (arXiv:1402.0030), section 2.3 and algorithm 1 (decay 0.8, 100 hidden
    units).

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
        self.moving_average, self.lr, self.decay = moving_average, lr, decay
        self.normalise, self.signal_alone = normalise, signal_alone
        lead = () if ensemble is None else (ensemble,)
        self.mean = nn.Buffer(torch.zeros(lead))
        self.variance = nn.Buffer(torch.ones(lead))
        self.seen = nn.Buffer(torch.zeros(lead, dtype=torch.bool))
        self.network: nn.Module | None = None
        if inputs is not None:
            first = Linear(inputs, hidden, name="baseline", ensemble=ensemble, seeds=seeds)
            last = Linear(hidden, 1, ensemble=ensemble, seeds=seeds)
            # The first prediction is 0: learning starts from the moving average alone.
            nn.init.zeros_(last.weight)
            self.network = nn.Sequential(first, nn.Tanh(), last)
        self._last: tuple[Tensor, Tensor, Tensor | None] | None = None

    def forward(self, signal: Tensor, x: Tensor | None = None) -> Centred:
        """signals [..., B, S] -> (centred signals of that shape, scale that broadcasts with
        them).
        """
        self._check(signal, x)
        signal, prediction = widened(signal.detach()), None
        if self.network is not None and x is not None:
            with torch.enable_grad():
                prediction = self.network(x.detach())  # [..., B, 1]
            signal = signal - prediction.detach()
        mean, variance = self._moments(signal)
        mean = torch.where(self.seen, self.mean, mean)
        variance = torch.where(self.seen, self.variance, variance)
        centred = signal - mean[..., None, None] if self.moving_average else signal
        self._last = (signal, centred, prediction)
        deviation = variance.sqrt().clamp(min=1)[..., None, None]  # [*E, B = 1, S = 1]
        scale = deviation if self.normalise else torch.ones_like(deviation)
        return (centred / scale, 1.0) if self.signal_alone else (centred, scale)

    def _check(self, signal: Tensor, x: Tensor | None) -> None:
        if (self.network is None) != (x is None):
            raise ValueError(
                "pass x, as partial(b, x=x), if a baseline has a network, and only then"
            )
        check_floating("signal", signal)
        lead = self.mean.shape
        if signal.ndim < len(lead) + 2 or signal.shape[: len(lead)] != lead or not signal.numel():
            wanted = f"[{', '.join(map(str, (*lead, 'B', 'S')))}] with an example or more"
            raise wrong_shape("signal", signal, f"this baseline takes {wanted}")
        if x is not None and not fits(x.shape[:-1], signal.shape[:-1]):
            raise wrong_shape("x", x, f"it needs a row for each signal of {tuple(signal.shape)}")

    def update(self) -> None:
        """Learn from the last call's signal: one step of the network, then the moving averages."""
        if self._last is None:
            raise RuntimeError("update() before the first use: call the estimator with it first")
        signal, centred, prediction = self._last
        if self.network is not None and prediction is not None:
            weights = list(self.network.parameters())
            # Descends the mean over the batch of (f - c - C(x))^2 / 2, per member.
            with torch.enable_grad():
                loss = (-centred * prediction).flatten(self.mean.ndim).mean(-1).sum()
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, slope in zip(weights, slopes, strict=True):
                    weight.sub_(slope, alpha=self.lr)
        decay = torch.where(self.seen, self.decay, 0.0)
        for past, new in zip((self.mean, self.variance), self._moments(signal), strict=True):
            past.copy_(decay * past + (1 - decay) * new)
        self.seen.fill_(True)
        self._last = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def _moments(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        flat = signal.flatten(self.mean.ndim)
        return flat.mean(-1), flat.var(-1, correction=0)


def as_baseline(baseline: Centre) -> Centring:
    """A callable signal -> (centred signal, scale) from a number, a tensor or such a callable.

    >>> as_baseline(2.0)(torch.tensor([[5.0]]))
    (tensor([[3.]]), 1.0)
    """
    if callable(baseline):
        return baseline
    if not isinstance(baseline, (int, float, Tensor)):
        raise TypeError(f"baseline must be a number, tensor or callable, got {baseline!r}")
    value = torch.as_tensor(baseline).detach()
    check_inside("baseline", value, -torch.inf, torch.inf, "look for its NaN", "be finite")

    def centre(signal: Tensor) -> tuple[Tensor, float]:
        if not fits(value.shape, signal.shape[:-1]):
            raise wrong_shape("baseline", value, f"it must broadcast to {tuple(signal.shape[:-1])}")
        return signal - value.to(signal).unsqueeze(-1), 1.0

    return centre
