"""What the models are made of. Parameters may carry a leading ensemble axis E, and only `Linear`
knows what that means.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gslib._checks import check_count, check_floating, wrong_shape
from gslib.distributions import Bernoulli, Categorical, Distribution, sharpened
from gslib.functional import Number, Uniform, bernoulli_nll, stream

Count = int | None
Size = tuple[int, ...] | None
Seeds = list[int] | None
KINDS: dict[str, type[Distribution]] = {"bernoulli": Bernoulli, "categorical": Categorical}
NODES = {"bernoulli": (200,), "categorical": (20, 10)}  # the paper's node sizes: N, or N and K


class Linear(nn.Module):
    """x W + b for one network, or for E networks side by side.

    Weights [*E, D, H], bias [*E, 1, H]; x [..., *E, B, D] -> [..., *E, B, H]. Weights start
    Glorot-uniform, drawn from each member's own seed and the layer's name, so that a member starts
    the same in any ensemble; biases start at zero.

    >>> Linear(784, 200, ensemble=3)(torch.zeros(3, 100, 784)).shape
    torch.Size([3, 100, 200])
    """

    def __init__(
        self, n_in: int, n_out: int, *, name: str = "", ensemble: Count = None, seeds: Seeds = None
    ):
        super().__init__()
        check_count("ensemble", 1 if ensemble is None else ensemble)
        seeds = list(range(ensemble or 1)) if seeds is None else seeds
        if len(seeds) != (ensemble or 1):
            raise ValueError(f"{len(seeds)} seeds for {ensemble or 1} member(s); give one each")
        bound = math.sqrt(6 / (n_in + n_out))
        draws = [torch.rand(n_in, n_out, generator=stream("weights", name, s)) for s in seeds]
        weights = [(draw * 2 - 1) * bound for draw in draws]
        self.weight = nn.Parameter(weights[0] if ensemble is None else torch.stack(weights))
        self.bias = nn.Parameter(torch.zeros(*self.weight.shape[:-2], 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        check_floating("x", x)
        *lead, n_in, _ = self.weight.shape
        members = x.shape[-3:-2] if lead else ()
        if x.ndim < 2 or x.shape[-1] != n_in or members not in ((), (1,), tuple(lead)):
            wanted = ", ".join(map(str, ["...", *lead, "B", n_in]))
            raise wrong_shape("x", x, f"this layer takes [{wanted}]")
        if x.dtype != self.weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(f"x is {x.dtype} and the weights {self.weight.dtype}; convert either")
        if lead and x.shape[:-2] == tuple(lead):
            if lead == [1] or self.weight.shape[-1] > 1 or not x.is_cpu:
                return torch.baddbmm(self.bias, x, self.weight)
            # Beside others, MKL may sum a product of one column in another order than alone.
            each = map(torch.baddbmm, self.bias.split(1), x.split(1), self.weight.split(1))
            return torch.cat(list(each))
        return x @ self.weight + self.bias


class Model(nn.Module):
    """What both models of Table 1 share: the kind of their nodes, their slope, the bound, and how
    samples become vectors.

    `slope` is None, or the slope [] or [E] of slope-annealed straight-through, which changes the
    node itself: with it, each node that the model builds is a sharpened one, in the loss as in the
    bound, and `st` is the estimator.

    Args:
        node: "bernoulli" or "categorical". size: (N,) or (N, K); default the paper's.
        ensemble: number of members E, or None. seeds: one per member.

    >>> model = Model("categorical", size=(2, 3))
    >>> model.distribution(torch.zeros(100, 6))
    Categorical(logits of shape (100, 2, 3))
    """

    def __init__(
        self, node: str, *, size: Size = None, ensemble: Count = None, seeds: Seeds = None
    ):
        super().__init__()
        if node not in NODES:
            raise ValueError(f"node must be one of {', '.join(NODES)}, got {node!r}")
        self.node, self.ensemble, self.size = node, ensemble, tuple(size or NODES[node])
        if len(self.size) != len(NODES[node]) or min(self.size) < 1:
            raise ValueError(f"size of a {node} node must be as {NODES[node]}, got {self.size}")
        self.units, self.kind = math.prod(self.size), KINDS[node]
        self.linear = partial(Linear, ensemble=ensemble, seeds=seeds)
        self.slope_form = "hard"  # or "soft", see `gslib.distributions.sharpened`
        self.slope: Tensor | None
        self.register_buffer("slope", None)
        self.register_load_state_dict_pre_hook(_make_room_for_slope)

    def plain_distribution(self, logits: Tensor) -> Distribution:
        """Flat logits [..., units] -> the node's distribution, without slope."""
        return self.kind(logits.unflatten(-1, self.size))

    def distribution(self, logits: Tensor) -> Distribution:
        """Flat logits [..., units] -> the node's distribution, sharpened if the model has a
        slope.
        """
        q = self.plain_distribution(logits)
        return q if self.slope is None else sharpened(q, self.slope, self.slope_form)

    def flat(self, z: Tensor) -> Tensor:
        """A sample [..., N] or [..., N, K] -> [..., units], ready for the next layer."""
        return z.flatten(-len(self.size))

    @torch.no_grad()
    def bound(
        self,
        x: Tensor,
        m: int = 1000,
        *,
        tau: Number | None = None,
        uniform: Uniform = None,
        chunk: int = 1_000,
    ) -> Tensor:
        r"""The m-sample lower bound on the log-likelihood in nats per example, [..., B].

        .. math:: \log \frac{1}{m} \sum_{i=1}^{m} w_i, \qquad
                  w = \frac{p(x|z)\,p(z)}{q(z|x)}\ \text{(VAE)} \quad\text{or}\quad
                  w = p(\text{lower}|h)\ \text{(SBN)}

        The latent variables z ~ q(z|x), or h ~ p(h|upper), are sampled. With `tau` they are
        relaxed, and the VAE's densities are those of the relaxed variables (equation 3): a
        statement on the *relaxed* model, not on the discrete one. m = 1 gives the mean of logs, for
        the VAE with a sampled KL. `chunk` limits how many pairs of a sample and a row of x are
        in memory at once; members that share x do not count.

        Source: Burda et al. 2016 (arXiv:1509.00519), equation 8, as used by Jang et al. 2017,
        section 4.2; for the SBN section 4.1, read as an importance-sampled likelihood (Raiko et al.
        2015).
        """
        check_count("m", m)
        step = max(1, chunk // max(1, math.prod(x.shape[:-1])))
        total = torch.full((), -math.inf, device=x.device)
        for done in range(0, m, step):
            weights = self.log_weights(x, min(step, m - done), tau, uniform)
            total = torch.logaddexp(total, weights.logsumexp(-2))
        return total - math.log(m)

    def log_weights(self, x: Tensor, samples: int, tau: Number | None, uniform: Uniform) -> Tensor:
        """log w of each sample, [*E, samples, B]."""
        raise NotImplementedError


def _make_room_for_slope(model: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """A state with a slope goes into any model, and so does one without."""
    if any(prefix + name not in state for name, _ in model.named_parameters()):
        return  # a part of a state says nothing of the slope
    slope, weight = state.get(prefix + "slope"), next(model.parameters())
    model.slope = None if slope is None else torch.empty_like(slope, device=weight.device)


def repeated(q: Distribution, samples: int) -> Distribution:
    """The node [*E, B, ...] with each example repeated, [*E, samples * B, ...]: rows that one
    matrix product can take.

    >>> repeated(Bernoulli(torch.zeros(2, 3)), 4)
    Bernoulli(logits of shape (8, 3))
    """
    members = q.logits.ndim - q.event_ndim - 1
    return type(q)(q.logits.repeat(*(1,) * members, samples, *(1,) * q.event_ndim))


def nll(logits: Tensor, x: Tensor, samples: int) -> Tensor:
    """-log p(x) for logits [*E, samples * B, D] and x [*E, B, D] -> [*E, samples, B].

    >>> nll(torch.zeros(8, 5), torch.zeros(2, 5), 4).shape
    torch.Size([4, 2])
    """
    return bernoulli_nll(logits.unflatten(-2, (samples, x.shape[-2])), x.unsqueeze(-3))
