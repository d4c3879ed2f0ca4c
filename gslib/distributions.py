"""The two distributions of the paper's stochastic nodes, with their relaxations.

Shapes: `...` stands for leading axes (an ensemble axis E, a batch axis B, enumerated states), N for the units of a node
and K for the classes of a unit. Per-unit quantities ([..., N]) are never summed here; programs and estimators sum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gslib._checks import check_logits, check_tau, check_value
from gslib.functional import (
    Uniform,
    from_left,
    gumbel_softmax,
    log_softmax,
    logistic,
    noise_like,
    one_hot,
    perturb,
    softmax,
    softplus,
    straight_through,
)

PROB_MARGIN = 1e-3  # the hard sigmoid reaches 0 and 1, where log-probabilities are infinite; it is clipped this far away


class Bernoulli:
    """N independent binary variables with P(z = 1) = sigmoid(logits).

    Args:
        logits: [..., N], log p - log(1 - p).
        slope: if given, P(z = 1) is instead the hard sigmoid clip((slope * logits + 1) / 2), see `with_slope`.

    >>> q = Bernoulli(torch.tensor([0.0, 2.0]))
    >>> q.mean
    tensor([0.5000, 0.8808])
    >>> q.log_prob(torch.tensor([1.0, 0.0]))
    tensor([-0.6931, -2.1269])
    """

    event_ndim = 1

    def __init__(self, logits: Tensor, slope: float | Tensor | None = None):
        check_logits(logits)
        self._unsloped = logits
        if slope is not None:
            probs = ((from_left(slope, logits) * logits + 1) / 2).clamp(
                PROB_MARGIN, 1 - PROB_MARGIN
            )
            logits = probs.logit()
        self.logits = logits

    def with_slope(self, slope: float | Tensor) -> Bernoulli:
        """The same node with a hard sigmoid of this slope in place of the sigmoid (Chung et al. 2016, arXiv:1609.01704).

        A slope that the node already has is replaced, not multiplied. Probabilities keep a margin of 0.001 from 0 and 1.
        """
        return Bernoulli(self._unsloped, slope)

    @property
    def mean(self) -> Tensor:
        """P(z = 1), [..., N]."""
        return self.logits.sigmoid()

    @property
    def uniform_mean(self) -> float:
        """The mean of the uniform distribution on the states, 1/2: the point that DARN expands about."""
        return 0.5

    def sample(self, *, uniform: Uniform | None = None) -> Tensor:
        """Exact samples in {0, 1}, [..., N], without gradient: logit + logistic noise > 0."""
        with torch.no_grad():
            u = noise_like(self.logits, uniform)
            # In half precision the threshold of a rare unit would round to 1, and the unit would never be on.
            return (u > (-self.logits.to(u.dtype)).sigmoid()).to(self.logits.dtype)

    def relaxed_logits(self, tau: float | Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """The logit of a relaxed sample, (logits + logistic noise) / tau, [..., N]: finite where the sample saturates."""
        check_tau(tau)
        return (self.logits + logistic(noise_like(self.logits, uniform))) / from_left(
            tau, self.logits
        )

    def relaxed_sample(self, tau: float | Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """Relaxed samples in (0, 1), [..., N]: equation 2 for two classes (the binary Concrete distribution)."""
        return self.relaxed_logits(tau, uniform=uniform).sigmoid().to(self.logits.dtype)

    def straight_through_sample(
        self, tau: float | Tensor, *, uniform: Uniform | None = None
    ) -> Tensor:
        """Exact samples that carry the gradient of the relaxed sample with the same noise (section 2.2), [..., N]."""
        soft = self.relaxed_logits(tau, uniform=uniform)
        return straight_through(
            (soft > 0).to(self.logits.dtype), soft.sigmoid().to(self.logits.dtype)
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """log P(z) per unit, [..., N]; linear in z, so it also accepts means."""
        check_value("z", z, self.logits.shape)
        return z * self.logits - softplus(self.logits)

    def relaxed_log_prob(self, logit_y: Tensor, tau: float | Tensor) -> Tensor:
        r"""Log-density of a relaxed sample y in (0, 1), given its logit, per unit, [..., N].

        .. math:: \log p(y) = \log\tau + \delta - 2\,s(\delta) + s(\ell) + s(-\ell), \qquad \delta = a - \tau\ell

        Equation 3 with two classes: :math:`\ell` is the logit of y, a the logits, s the softplus. Takes the logit
        because y itself rounds to 0 or 1.
        """
        check_tau(tau)
        check_value("logit_y", logit_y, self.logits.shape)
        tau = from_left(torch.as_tensor(tau, dtype=logit_y.dtype, device=logit_y.device), logit_y)
        delta = self.logits - tau * logit_y
        return tau.log() + delta - 2 * softplus(delta) + softplus(logit_y) + softplus(-logit_y)

    def entropy(self) -> Tensor:
        """Entropy in nats per unit, [..., N]."""
        return softplus(self.logits) - self.mean * self.logits

    def per_unit(self, x: Tensor) -> Tensor:
        """Sum a tensor of the sample's shape down to one number per unit: for binary units nothing to do."""
        return x

    def per_class(self, x: Tensor) -> Tensor:
        """Shape one number per unit so that it broadcasts with a sample: for binary units nothing to do."""
        return x

    def states(self) -> Tensor:
        """All 2^N joint states, [2^N, N]."""
        return (
            _product(torch.tensor([[0.0], [1.0]]), self.logits.shape[-1])
            .squeeze(-1)
            .to(self.logits)
        )

    def n_states(self) -> int:
        """The number of joint states, 2^N."""
        return 2 ** self.logits.shape[-1]

    def __repr__(self) -> str:
        return f"Bernoulli(logits of shape {tuple(self.logits.shape)})"


class Categorical:
    """N independent one-hot variables with K classes each; probabilities are softmax(logits) over the last axis.

    Args:
        logits: [..., N, K], unnormalised; -inf masks a class.
        slope: if given, the logits are multiplied by it, see `with_slope`.

    >>> q = Categorical(torch.tensor([[0.5, 0.3, 0.2]]).log())
    >>> q.sample(uniform=lambda like: torch.tensor([[0.1, 0.9, 0.5]]))
    tensor([[0., 1., 0.]])
    >>> q.entropy()
    tensor([1.0297])
    """

    event_ndim = 2

    def __init__(self, logits: Tensor, slope: float | Tensor | None = None):
        check_logits(logits, -1)
        if logits.ndim < 2:
            raise ValueError(
                f"Categorical logits need the shape [..., N, K], got {tuple(logits.shape)}; "
                "for a single variable of K classes use logits[None]"
            )
        self._unsloped = logits
        self.logits = logits if slope is None else from_left(slope, logits) * logits

    def with_slope(self, slope: float | Tensor) -> Categorical:
        """The same node with softmax(slope * logits): the categorical form of the slope of Chung et al. (2016).

        The paper names none; this one keeps the idea, a mean function that sharpens towards the arg max.
        """
        return Categorical(self._unsloped, slope)

    @property
    def log_probs(self) -> Tensor:
        """Normalised log-probabilities, [..., N, K]."""
        return log_softmax(self.logits)

    @property
    def mean(self) -> Tensor:
        """Class probabilities, [..., N, K]."""
        return softmax(self.logits)

    @property
    def uniform_mean(self) -> float:
        """The mean of the uniform distribution on the states, 1/K: the point that DARN expands about."""
        return 1 / self.logits.shape[-1]

    def sample(self, *, uniform: Uniform | None = None) -> Tensor:
        """Exact one-hot samples, [..., N, K], without gradient: the Gumbel-max trick (equation 1)."""
        with torch.no_grad():
            perturbed = perturb(self.logits, uniform)
            return one_hot(perturbed.argmax(-1, keepdim=True), self.logits)

    def relaxed_logits(self, tau: float | Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """log y of a relaxed sample, [..., N, K]: finite where y itself underflows."""
        check_tau(tau)
        perturbed = perturb(self.logits, uniform)
        return log_softmax(perturbed / from_left(tau, self.logits))

    def relaxed_sample(self, tau: float | Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """Relaxed samples y on the simplex, [..., N, K] (equation 2)."""
        return gumbel_softmax(self.logits, tau, uniform=uniform)

    def straight_through_sample(
        self, tau: float | Tensor, *, uniform: Uniform | None = None
    ) -> Tensor:
        """Exact one-hot samples that carry the gradient of y with the same noise (section 2.2), [..., N, K]."""
        return gumbel_softmax(self.logits, tau, hard=True, uniform=uniform)

    def log_prob(self, z: Tensor) -> Tensor:
        """log P(z) per unit, [..., N]; linear in z, so it also accepts means."""
        check_value("z", z, self.logits.shape)
        return _masked_dot(z, self.log_probs)

    def relaxed_log_prob(self, log_y: Tensor, tau: float | Tensor) -> Tensor:
        r"""Log-density of a relaxed sample, given log y, per unit, [..., N].

        .. math:: p(y) = \Gamma(k)\,\tau^{k-1} \Big(\sum_i \pi_i / y_i^{\tau}\Big)^{-k} \prod_i \pi_i / y_i^{\tau+1}

        Source: Jang et al. 2017, equation 3. Takes log y because y itself rounds to 0. Masked classes (-inf logits) have
        y = 0 for certain and drop out: k counts the classes that are left.
        """
        check_tau(tau)
        check_value("log_y", log_y, self.logits.shape)
        tau = from_left(torch.as_tensor(tau, dtype=log_y.dtype, device=log_y.device), log_y)
        masked = self.logits == -math.inf
        k = (~masked).sum(-1).to(log_y.dtype)
        log_probs = self.log_probs
        terms = (log_probs - tau * log_y.masked_fill(masked, 0)).masked_fill(masked, -math.inf)
        product = (log_probs.masked_fill(masked, 0) - (tau + 1) * log_y.masked_fill(masked, 0)).sum(
            -1
        )
        tau = tau.squeeze(-1) if tau.ndim else tau
        return torch.lgamma(k) + (k - 1) * tau.log() - k * terms.logsumexp(-1) + product

    def entropy(self) -> Tensor:
        """Entropy in nats per unit, [..., N]."""
        log_probs = self.log_probs
        return -_masked_dot(log_probs.exp(), log_probs)

    def per_unit(self, x: Tensor) -> Tensor:
        """Sum a tensor of the sample's shape down to one number per unit, [..., N, K] -> [..., N]."""
        return x.sum(-1)

    def per_class(self, x: Tensor) -> Tensor:
        """Shape one number per unit so that it broadcasts with a sample, [..., N] -> [..., N, 1]."""
        return x.unsqueeze(-1)

    def states(self) -> Tensor:
        """All K^N joint states, [K^N, N, K]."""
        n, k = self.logits.shape[-2:]
        return _product(torch.eye(k), n).to(self.logits)

    def n_states(self) -> int:
        """The number of joint states, K^N."""
        n, k = self.logits.shape[-2:]
        return k**n

    def __repr__(self) -> str:
        return f"Categorical(logits of shape {tuple(self.logits.shape)})"


Distribution = Bernoulli | Categorical


def kl(q: Distribution, p: Distribution) -> Tensor:
    """Analytic Kullback-Leibler divergence KL(q || p) in nats per unit, [..., N], of the *discrete* distributions.

    A class that q masks contributes nothing, with zero gradient. A class that p masks and q does not gives infinity.

    >>> kl(Bernoulli(torch.tensor([2.0])), Bernoulli(torch.tensor([0.0])))
    tensor([0.3278])
    """
    _check_same_kind(q, p)
    if isinstance(q, Bernoulli):
        return q.mean * (q.logits - p.logits) - softplus(q.logits) + softplus(p.logits)
    log_q = q.log_probs
    difference = (log_q - p.log_probs).masked_fill(q.logits == -math.inf, 0)
    return (log_q.exp() * difference).sum(-1)


def relaxed_kl(q: Distribution, p: Distribution, log_y: Tensor, tau: float | Tensor) -> Tensor:
    """One-sample Monte-Carlo estimate of KL between the *relaxed* distributions, [..., N]; may be negative.

    `log_y` is a draw `q.relaxed_logits(tau)`. Unbiased for the divergence of the two relaxed densities at one tau,
    which is not the divergence of the discrete ones that `kl` gives: never mix the two in one bound.

    >>> q = Bernoulli(torch.full((100_000,), 2.0))
    >>> p = Bernoulli(torch.zeros(100_000))
    >>> kl(q, p)[0].round(decimals=1)
    tensor(0.3000)
    >>> relaxed_kl(q, p, q.relaxed_logits(0.5), 0.5).mean().round(decimals=1)
    tensor(0.6000)
    """
    _check_same_kind(q, p)
    return q.relaxed_log_prob(log_y, tau) - p.relaxed_log_prob(log_y, tau)


def _check_same_kind(q, p) -> None:
    if type(q) is not type(p) or not isinstance(q, (Bernoulli, Categorical)):
        raise TypeError(
            f"q and p must be two Bernoulli or two Categorical nodes, got {type(q).__name__} and "
            f"{type(p).__name__}; build both from logits of one kind"
        )


def _masked_dot(weights: Tensor, log_probs: Tensor) -> Tensor:
    """Sum of weights * log_probs over the last axis with 0 * (-inf) = 0, also in the gradient."""
    lowest = torch.finfo(log_probs.dtype).min
    total = (weights * log_probs.masked_fill(log_probs == -math.inf, lowest)).sum(-1)
    return total.masked_fill(
        total < lowest / 1e6, -math.inf
    )  # a masked class with weight: truly impossible


def _product(states: Tensor, n: int) -> Tensor:
    """All n-tuples of rows of `states` [K, D] -> [K^n, n, D]."""
    index = torch.cartesian_prod(*[torch.arange(len(states))] * n).reshape(-1, n)
    return states[index]
