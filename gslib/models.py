"""The paper's models. Parameters may carry a leading ensemble axis E, and only `Linear` knows what that means."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from gslib.distributions import Bernoulli, Categorical, Distribution, kl, relaxed_kl
from gslib.functional import Uniform, bernoulli_nll, stream
from gslib.program import Sampler
from gslib.semisupervised import SemiSupervisedVAE

__all__ = ["NODES", "DiscreteVAE", "Linear", "SemiSupervisedVAE", "StochasticBinaryNetwork"]

NODES = {"bernoulli": (200,), "categorical": (20, 10)}  # the paper's node sizes: N, or N and K


class Linear(nn.Module):
    """x W + b for one network, or for E networks side by side.

    Weights [*E, D, H], bias [*E, 1, H]; x [..., *E, B, D] -> [..., *E, B, H]. Weights start Glorot-uniform, drawn from
    each member's own seed and the layer's name, so that a member starts the same in any ensemble; biases start at zero.

    >>> Linear(784, 200, ensemble=3)(torch.zeros(3, 100, 784)).shape
    torch.Size([3, 100, 200])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        name: str = "",
        ensemble: int | None = None,
        seeds: list[int] | None = None,
    ):
        super().__init__()
        seeds = list(range(ensemble or 1)) if seeds is None else list(seeds)
        if len(seeds) != (ensemble or 1):
            raise ValueError(
                f"{len(seeds)} seeds for {ensemble or 1} member(s); give one seed per member"
            )
        bound = math.sqrt(6 / (n_in + n_out))
        members = [
            (torch.rand(n_in, n_out, generator=stream("weights", name, s)) * 2 - 1) * bound
            for s in seeds
        ]
        self.weight = nn.Parameter(members[0] if ensemble is None else torch.stack(members))
        self.bias = nn.Parameter(torch.zeros(*(() if ensemble is None else (ensemble,)), 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.ndim == 3 and x.ndim == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        return x @ self.weight + self.bias


class _Model(nn.Module):
    """What both models share: the kind of their nodes, the slope of annealed ST, and how samples become vectors."""

    def __init__(self, node: str, ensemble: int | None, size: tuple[int, ...] | None):
        super().__init__()
        if node not in NODES:
            raise ValueError(f"node must be one of {', '.join(NODES)}, got {node!r}")
        self.node, self.ensemble, self.size = node, ensemble, tuple(size or NODES[node])
        if len(self.size) != len(NODES[node]):
            shape = "(N,)" if node == "bernoulli" else "(N, K)"
            raise ValueError(f"size of a {node} node must be {shape}, got {self.size}")
        self.units = math.prod(self.size)
        # Slope-annealed ST changes the node itself, so the model carries the slope into its KL and its evaluation.
        self.register_buffer("slope", None)

    def distribution(self, logits: Tensor) -> Distribution:
        """Flat logits [..., units] -> the node's distribution."""
        if self.node == "bernoulli":
            return Bernoulli(logits, self.slope)
        return Categorical(logits.unflatten(-1, self.size), self.slope)

    def flat(self, z: Tensor) -> Tensor:
        """A sample [..., N] or [..., N, K] -> [..., units], ready for the next layer."""
        return z if self.node == "bernoulli" else z.flatten(-2)


class DiscreteVAE(_Model):
    """A variational autoencoder with one discrete layer: 784 - 200 Bernoulli units, or 20 x 10 categories - 784.

    Linear encoder and decoder. The loss is the negative evidence lower bound in nats, with the analytic KL, or, with
    `sampled_kl`, the categorical log-ratio at the sample (also at a relaxed one, where it is linear in z).

    Args:
        node: "bernoulli" or "categorical". size: (N,) or (N, K); default the paper's.
        ensemble: number of members E, or None. seeds: one per member. data: number of pixels. learned_prior: else uniform.

    Source: Jang et al. 2017, section 4.2 (one stochastic layer, learned categorical prior).

    >>> vae, x = DiscreteVAE("categorical"), torch.zeros(100, 784)
    >>> program = lambda sample: vae.loss(x, sample)
    >>> gslib.ESTIMATORS["gumbel_softmax"](program, tau=0.5).shape
    torch.Size([100])
    >>> vae.bound(x, m=10).shape
    torch.Size([100])
    """

    def __init__(
        self,
        node="categorical",
        *,
        size=None,
        ensemble=None,
        seeds=None,
        data: int = 784,
        learned_prior=True,
        sampled_kl=False,
    ):
        super().__init__(node, ensemble, size)
        self.sampled_kl = sampled_kl
        self.encoder = Linear(data, self.units, name="encoder", ensemble=ensemble, seeds=seeds)
        self.decoder = Linear(self.units, data, name="decoder", ensemble=ensemble, seeds=seeds)
        lead = () if ensemble is None else (ensemble,)
        self.prior_logits = nn.Parameter(
            torch.zeros(*lead, 1, self.units), requires_grad=learned_prior
        )

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) for x [..., B, D]."""
        return self.distribution(self.encoder(x))

    def prior(self) -> Distribution:
        """p(z), with logits [*E, 1, N(, K)]; the slope of annealed ST shapes the posterior only."""
        logits = self.prior_logits
        return (
            Bernoulli(logits)
            if self.node == "bernoulli"
            else Categorical(logits.unflatten(-1, self.size))
        )

    def loss(self, x: Tensor, sample: Sampler) -> Tensor:
        """-log p(x|z) + KL(q(z|x) || p(z)) per example, [..., B]: a program of its sampler, for x [..., B, D]."""
        q = self.posterior(x)
        z = sample(q)
        divergence = (
            q.log_prob(z) - self.prior().log_prob(z) if self.sampled_kl else kl(q, self.prior())
        )
        return bernoulli_nll(self.decoder(self.flat(z)), x) + divergence.sum(-1)

    @torch.no_grad()
    def bound(
        self,
        x: Tensor,
        m: int = 1000,
        *,
        tau=None,
        uniform: Uniform | None = None,
        chunk: int = 1_000,
    ) -> Tensor:
        r"""The m-sample lower bound on log p(x) in nats per example, [..., B].

        .. math:: \log \frac{1}{m} \sum_{i=1}^{m} \frac{p(x|z_i)\,p(z_i)}{q(z_i|x)}, \qquad z_i \sim q(z|x)

        With `tau`, z is relaxed and both densities are those of the relaxed variables (equation 3): a bound for the
        *relaxed* model, not for the discrete one. m = 1 gives the single-sample bound with a sampled KL. `chunk` limits
        how many (member, sample, example) rows are in memory at once.

        Source: Burda et al. 2016 (arXiv:1509.00519), equation 8, as used by Jang et al. 2017, section 4.2.
        """
        return _log_mean_exp(partial(self._log_weights, tau=tau, uniform=uniform), x, m, chunk)

    def _log_weights(self, x: Tensor, samples: int, *, tau, uniform) -> Tensor:
        q, p = self.posterior(x), self.prior()
        rows = _repeated(q, samples)
        # Densities are taken per example and broadcast over the samples, which have an axis of their own there.
        q, p = (type(d)(d.logits.unsqueeze(-d.event_ndim - 2)) for d in (q, p))
        if tau is None:
            z = rows.sample(uniform=uniform)
            by_sample = z.unflatten(-q.event_ndim - 1, (samples, -1))
            ratio = p.log_prob(by_sample) - q.log_prob(by_sample)
        else:
            log_y = rows.relaxed_logits(tau, uniform=uniform)
            z = log_y.sigmoid() if self.node == "bernoulli" else log_y.exp()
            ratio = -relaxed_kl(q, p, log_y.unflatten(-q.event_ndim - 1, (samples, -1)), tau)
        return ratio.sum(-1) - _nll(self.decoder(self.flat(z)), x, samples)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """Pixel probabilities of p(x|z) for one z ~ q(z|x), [..., B, D]."""
        return self.decoder(self.flat(self.posterior(x).sample(uniform=uniform))).sigmoid()

    @torch.no_grad()
    def generate(self, n: int, *, uniform: Uniform | None = None) -> Tensor:
        """Pixel probabilities of p(x|z) for n draws z ~ p(z), [*E, n, D]."""
        p = self.prior()
        axis = p.logits.ndim - p.event_ndim - 1
        shape = (*p.logits.shape[:axis], n, *p.logits.shape[axis + 1 :])
        return self.decoder(
            self.flat(type(p)(p.logits.expand(shape)).sample(uniform=uniform))
        ).sigmoid()


class StochasticBinaryNetwork(_Model):
    """Structured prediction: the lower half of a digit from its upper half, through two stochastic layers.

    392 - 200 - 200 - 392 with Bernoulli units, or 392 - (20 x 10) - (20 x 10) - 392 with categories, linear in between.

    Args: as for `DiscreteVAE`; data is the number of pixels of the whole image.

    Source: Jang et al. 2017, section 4.1.

    >>> sbn, x = StochasticBinaryNetwork("bernoulli"), torch.zeros(100, 784)
    >>> gslib.ESTIMATORS["st"](lambda sample: sbn.loss(x, sample)).shape
    torch.Size([100])
    >>> sbn.complete(x[:, :392]).shape
    torch.Size([100, 392])
    """

    def __init__(
        self, node="categorical", *, size=None, ensemble=None, seeds=None, data: int = 784
    ):
        super().__init__(node, ensemble, size)
        self.half = half = data // 2
        self.layer1 = Linear(half, self.units, name="layer1", ensemble=ensemble, seeds=seeds)
        self.layer2 = Linear(self.units, self.units, name="layer2", ensemble=ensemble, seeds=seeds)
        self.output = Linear(self.units, half, name="output", ensemble=ensemble, seeds=seeds)

    def logits(self, upper: Tensor, sample: Sampler) -> Tensor:
        """Logits of the lower half given the upper half and one sample of each layer, [..., B, D/2]."""
        h = self.flat(sample(self.distribution(self.layer1(upper))))
        h = self.flat(sample(self.distribution(self.layer2(h))))
        return self.output(h)

    def loss(self, x: Tensor, sample: Sampler) -> Tensor:
        """-log p(lower | h) per example with one sample of h, [..., B]: a program of its sampler, for x [..., B, D]."""
        return bernoulli_nll(self.logits(x[..., : self.half], sample), x[..., self.half :])

    @torch.no_grad()
    def bound(
        self,
        x: Tensor,
        m: int = 1000,
        *,
        tau=None,
        uniform: Uniform | None = None,
        chunk: int = 1_000,
    ) -> Tensor:
        r"""log (1/m) sum_i p(lower | h_i) per example in nats, [..., B], a lower bound on log p(lower | upper).

        With `tau`, relaxed samples (then it is a statement on the relaxed network). m = 1 gives the mean of logs.

        Source: Jang et al. 2017, section 4.1, read as an importance-sampled likelihood (Raiko et al. 2015).
        """
        return _log_mean_exp(partial(self._log_weights, tau=tau, uniform=uniform), x, m, chunk)

    def _log_weights(self, x: Tensor, samples: int, *, tau, uniform) -> Tensor:
        def draw(q: Distribution) -> Tensor:
            return self.flat(
                q.sample(uniform=uniform) if tau is None else q.relaxed_sample(tau, uniform=uniform)
            )

        h = draw(_repeated(self.distribution(self.layer1(x[..., : self.half])), samples))
        h = draw(self.distribution(self.layer2(h)))
        return -_nll(self.output(h), x[..., self.half :], samples)

    @torch.no_grad()
    def complete(self, upper: Tensor, *, uniform: Uniform | None = None) -> Tensor:
        """Pixel probabilities of the lower half for one sample of h, [..., B, D/2]."""
        return self.logits(upper, lambda q: q.sample(uniform=uniform)).sigmoid()


def _repeated(q: Distribution, samples: int) -> Distribution:
    """The node [*E, B, ...] with each example repeated, [*E, samples * B, ...]: rows that one matrix product can take."""
    batch = q.logits.ndim - q.event_ndim - 1
    logits = q.logits.unsqueeze(batch)
    shape = (*logits.shape[:batch], samples, *logits.shape[batch + 1 :])
    return type(q)(logits.expand(shape).flatten(batch, batch + 1))


def _nll(logits: Tensor, x: Tensor, samples: int) -> Tensor:
    """-log p(x) for logits [*E, samples * B, D] and x [*E, B, D] -> [*E, samples, B]."""
    return bernoulli_nll(logits.unflatten(-2, (samples, -1)), x.unsqueeze(-3))


def _log_mean_exp(log_weights, x: Tensor, m: int, chunk: int) -> Tensor:
    """log (1/m) sum_i exp(log weight_i), [..., B], over chunks of samples so that memory stays bounded."""
    if m < 1:
        raise ValueError(f"m must be at least 1, got {m}")
    rows, total, done = math.prod(x.shape[:-1]), None, 0
    while done < m:
        samples = min(m - done, max(1, chunk // rows))
        part = log_weights(x, samples).logsumexp(-2)
        total = part if total is None else torch.logaddexp(total, part)
        done += samples
    return total - math.log(m)
