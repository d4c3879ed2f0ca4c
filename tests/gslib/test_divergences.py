"""Divergences against their definitions."""

import torch
from nodes import LOGITS, N, logit_grid

from gslib import Bernoulli, Categorical, kl, relaxed_kl

# --- divergences ----------------------------------------------------------------------------------


def test_kl_has_the_gradient_of_its_definition():
    for make in (Bernoulli, Categorical):
        q, p = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
        assert torch.autograd.gradcheck(lambda a, b: kl(make(a), make(b)), (q, p))  # noqa: B023


def test_relaxed_kl_is_unbiased():
    tau, a, b = 0.7, LOGITS[0], LOGITS[1]
    ell = logit_grid(tau)
    log_q, log_p = (
        Bernoulli(x.expand(1)).relaxed_log_prob(ell.unsqueeze(-1), tau).squeeze(-1) for x in (a, b)
    )
    jacobian = torch.nn.functional.logsigmoid(ell) + torch.nn.functional.logsigmoid(-ell)
    exact = torch.trapezoid((log_q + jacobian).exp() * (log_q - log_p), ell)
    estimates = {}
    q, p = Bernoulli(a.expand(N, 1)), Bernoulli(b.expand(N, 1))
    estimates["bernoulli"] = relaxed_kl(q, p, q.relaxed_logits(tau), tau)
    q, p = (Categorical(torch.stack([x, torch.zeros_like(x)]).expand(N, 1, 2)) for x in (a, b))
    estimates["categorical"] = relaxed_kl(q, p, q.relaxed_logits(tau), tau)
    for name, estimate in estimates.items():
        assert (estimate.mean() - exact).abs() < 4 * estimate.std() / N**0.5, name
    discrete = kl(Bernoulli(a.expand(1)), Bernoulli(b.expand(1)))
    assert (
        exact > discrete + 0.05
    )  # a relaxed sample tells more than the arg max that it becomes: another divergence
