"""The two distributions of the paper's stochastic nodes, with their relaxations.

Shapes: `...` stands for leading axes (ensemble E, batch B, enumerated states), N for the units of a
node and K for the classes of a unit. Programs and estimators sum over units; nothing here does.
"""

import torch
from torch import Tensor

from gslib import functional as F
from gslib._checks import check_inside, check_logits, check_positive, check_tau, check_value
from gslib._fast import log_softmax, softmax, softplus, widened
from gslib.functional import Number, Uniform, from_left, gumbel_softmax, straight_through

PROB_MARGIN = 1e-3  # the hard sigmoid reaches 0 and 1; it is clipped this far away from them


class _Node:
    """What both distributions share."""

    event_ndim: int  # axes of one sample: 1 for [N], 2 for [N, K]
    logits: Tensor

    def _check_state(self, z: Tensor) -> None:
        check_value("z", z, self.logits.shape, self.event_ndim)
        check_inside("z", z, 0, 1, "z is a state or a mean")

    def _check_relaxed(self, log_y: Tensor, tau: Number, high: float) -> Tensor:
        """tau, ready to broadcast with log y."""
        check_value("log_y", log_y, self.logits.shape, self.event_ndim)
        unmasked = log_y.masked_fill(self.logits == -torch.inf, 0)
        check_inside("log_y", unmasked, -torch.inf, high, "take it from relaxed_logits")
        check_positive("tau", tau, log_y)
        tau = torch.as_tensor(tau, dtype=log_y.dtype, device=log_y.device)
        return tau.reshape(tau.shape + (1,) * (log_y.ndim - tau.ndim))

    @property
    def uniform_mean(self) -> float:
        """The mean of the uniform distribution on the states, 1/2 or 1/K: DARN expands about it."""
        return 0.5 if self.event_ndim == 1 else 1 / self.logits.shape[-1]

    def unit_states(self) -> Tensor:
        """The states of one unit: [2] or [K, K]."""
        return torch.arange(2.0) if self.event_ndim == 1 else torch.eye(self.logits.shape[-1])

    def n_states(self) -> int:
        """The number of joint states, 2^N or K^N."""
        return len(self.unit_states()) ** self.logits.shape[-self.event_ndim]

    def states(self) -> Tensor:
        """All joint states, [2^N, N] or [K^N, N, K]."""
        one, n = self.unit_states(), self.logits.shape[-self.event_ndim]
        places = len(one) ** torch.arange(n - 1, -1, -1)
        return one[torch.arange(self.n_states()).unsqueeze(-1) // places % len(one)].to(self.logits)

    def per_unit(self, x: Tensor) -> Tensor:
        """Sum a tensor of the sample's shape over classes, [..., N(, K)] -> [..., N]."""
        return x.sum(-1) if self.event_ndim == 2 else x

    def per_class(self, x: Tensor) -> Tensor:
        """Let one number per unit broadcast with a sample, [..., N] -> [..., N(, 1)]."""
        return x.unsqueeze(-1) if self.event_ndim == 2 else x

    def __repr__(self) -> str:
        return f"{type(self).__name__}(logits of shape {tuple(self.logits.shape)})"


class Bernoulli(_Node):
    """N independent binary variables with P(z = 1) = sigmoid(logits).

    Args:
        logits: [..., N], log p - log(1 - p).

    >>> q = Bernoulli(torch.tensor([0.0, 2.0]))
    >>> q.mean
    tensor([0.5000, 0.8808])
    >>> q.log_prob(torch.tensor([1.0, 0.0]))
    tensor([-0.6931, -2.1269])
    """

    event_ndim = 1

    def __init__(self, logits: Tensor):
        check_logits(logits)
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        """P(z = 1), [..., N]."""
        return self.logits.sigmoid()

    def sample(self, *, uniform: Uniform = None) -> Tensor:
        """Exact samples in {0, 1}, [..., N], without gradient: logit + logistic noise > 0."""
        with torch.no_grad():
            u = F.noise_like(self.logits, uniform)
            # In half precision a rare unit's threshold would round to 1: it would never be on.
            return (u > (-self.logits.to(u.dtype)).sigmoid()).to(self.logits.dtype)

    def relaxed_logits(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """The finite logit of a relaxed sample, (logits + logistic noise) / tau, [..., N]."""
        check_tau(tau, self.logits)
        return F.divided(self.logits + F.logistic(F.noise_like(self.logits, uniform)), tau)

    def relaxed_sample(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """Relaxed samples in (0, 1), [..., N]: equation 2 for two classes (binary Concrete)."""
        return self.relaxed_logits(tau, uniform=uniform).sigmoid().to(self.logits.dtype)

    def straight_through_sample(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """Exact samples with the gradient of y of the same noise (section 2.2), [..., N]."""
        logit_y = self.relaxed_logits(tau, uniform=uniform)
        return straight_through((logit_y > 0).to(self.logits), logit_y.sigmoid().to(self.logits))

    def log_prob(self, z: Tensor) -> Tensor:
        """log P(z) per unit, [..., N]; linear in z, so it also accepts means."""
        self._check_state(z)
        return z * self.logits - softplus(self.logits)

    def relaxed_log_prob(self, logit_y: Tensor, tau: Number) -> Tensor:
        r"""Log-density of a relaxed sample y in (0, 1), given its logit, per unit, [..., N].

        .. math:: \log p(y) = \log\tau + \delta - 2\,s(\delta) + s(\ell) + s(-\ell),
                  \qquad \delta = a - \tau\ell

        Equation 3 with two classes: :math:`\ell` is the logit of y, a the logits, s the softplus.
        Takes the logit because y itself rounds to 0 or 1.
        """
        tau = self._check_relaxed(logit_y, tau, torch.inf)
        delta = self.logits - tau * logit_y
        return tau.log() + delta - 2 * softplus(delta) + softplus(logit_y) + softplus(-logit_y)

    def entropy(self) -> Tensor:
        """Entropy in nats per unit, [..., N]."""
        return softplus(self.logits) - self.mean * self.logits


class Categorical(_Node):
    """N independent one-hot variables of K classes, with probabilities softmax(logits).

    Args:
        logits: [..., N, K], unnormalised; -inf masks a class.

    >>> q = Categorical(torch.tensor([[0.5, 0.3, 0.2]]).log())
    >>> q.sample(uniform=lambda like: torch.tensor([[0.1, 0.9, 0.5]]))
    tensor([[0., 1., 0.]])
    >>> q.entropy()
    tensor([1.0297])
    """

    event_ndim = 2

    def __init__(self, logits: Tensor):
        check_logits(logits, -1)
        if logits.ndim < 2:
            shape = tuple(logits.shape)
            raise ValueError(f"logits need [..., N, K], got {shape}; try logits[None]")
        self.logits = logits

    @property
    def log_probs(self) -> Tensor:
        """Normalised log-probabilities, [..., N, K]."""
        return log_softmax(self.logits)

    @property
    def mean(self) -> Tensor:
        """Class probabilities, [..., N, K]."""
        return softmax(self.logits)

    def sample(self, *, uniform: Uniform = None) -> Tensor:
        """Exact one-hot samples, [..., N, K], without gradient: Gumbel-max (equation 1)."""
        with torch.no_grad():
            perturbed = F.perturb(self.logits, uniform)
            return F.one_hot(perturbed.argmax(-1, keepdim=True), self.logits)

    def relaxed_logits(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """log y of a relaxed sample, [..., N, K]: finite where y itself underflows."""
        check_tau(tau, self.logits)
        return log_softmax(F.divided(F.perturb(self.logits, uniform), tau))

    def relaxed_sample(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """Relaxed samples y on the simplex, [..., N, K] (equation 2)."""
        return gumbel_softmax(self.logits, tau, uniform=uniform)

    def straight_through_sample(self, tau: Number, *, uniform: Uniform = None) -> Tensor:
        """One-hot samples with the gradient of y of the same noise (section 2.2), [..., N, K]."""
        return gumbel_softmax(self.logits, tau, hard=True, uniform=uniform)

    def log_prob(self, z: Tensor) -> Tensor:
        """log P(z) per unit, [..., N]; linear in z, so it also accepts means."""
        self._check_state(z)
        check_inside("the sum of z over classes", z.sum(-1), 0.99, 1.01, "it must be 1")
        return _masked_dot(z, self.log_probs)

    def relaxed_log_prob(self, log_y: Tensor, tau: Number) -> Tensor:
        r"""Log-density of a relaxed sample, given log y, per unit, [..., N].

        .. math:: p(y) = \Gamma(k)\,\tau^{k-1} \Big(\sum_i \pi_i / y_i^{\tau}\Big)^{-k}
                  \prod_i \pi_i / y_i^{\tau+1}

        Source: Jang et al. 2017, equation 3. Takes log y because y itself rounds to 0. Masked
        classes (-inf logits) have y = 0 for certain and drop out: k counts the classes that are
        left. Off the simplex the density is 0.
        """
        tau = self._check_relaxed(log_y, tau, 1e-3)
        masked = self.logits == -torch.inf
        k = (~masked).sum(-1).to(log_y.dtype)
        impossible = (masked & (log_y > -torch.inf)).any(-1) | (log_y.logsumexp(-1).abs() > 0.01)
        log_probs, log_y = self.log_probs, log_y.masked_fill(masked, 0)
        terms = (log_probs - tau * log_y).masked_fill(masked, -torch.inf)
        product = (log_probs.masked_fill(masked, 0) - (tau + 1) * log_y).sum(-1)
        scale = torch.lgamma(k) + (k - 1) * tau.log().squeeze(-1)
        density = scale - k * terms.logsumexp(-1) + product
        return density.masked_fill(impossible, -torch.inf)

    def entropy(self) -> Tensor:
        """Entropy in nats per unit, [..., N]."""
        log_probs = self.log_probs
        return -_masked_dot(log_probs.exp(), log_probs)


Distribution = Bernoulli | Categorical


def sharpened(q: Distribution, slope: Number = 1.0, form: str = "hard") -> Distribution:
    """The node with slope * logits: slope annealing (Chung et al. 2016, arXiv:1609.01704).

    A Bernoulli node gets the hard sigmoid P(z = 1) = clip((slope * logits + 1) / 2), with a margin
    of 0.001 from 0 and 1, where log-probabilities are infinite; with form "soft" the ordinary
    sigmoid. The paper names no form for categories; here they keep their softmax. A tensor of
    slopes broadcasts from the left: [E] holds one per ensemble member.

    >>> sharpened(Bernoulli(torch.tensor([0.0, 0.5])), 1.5).mean
    tensor([0.5000, 0.8750])
    """
    check_positive("slope", slope, q.logits)
    logits = from_left(slope, q.logits) * q.logits
    if form not in ("hard", "soft"):
        raise ValueError(f"form must be 'hard' or 'soft', got {form!r}")
    if isinstance(q, Categorical) or form == "soft":
        return type(q)(logits)
    p = ((widened(logits) + 1) / 2).clamp(PROB_MARGIN, 1 - PROB_MARGIN)  # 0.999 is 1 in bfloat16
    return Bernoulli(p.logit().to(logits))


def _masked_dot(weights: Tensor, log_probs: Tensor) -> Tensor:
    """Sum of weights * log_probs over the last axis with 0 * (-inf) = 0, also in the gradient."""
    masked = log_probs == -torch.inf
    total = (weights * log_probs.masked_fill(masked, 0)).sum(-1)
    # A masked class with weight is truly impossible.
    return total.masked_fill((masked & (weights != 0)).any(-1), -torch.inf)
