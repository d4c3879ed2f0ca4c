"""The two nodes: samples against their law, densities against quadrature, and the corners where
others return NaN.
"""

import math

import hypothesis.strategies as st
import pytest
import torch
import torch.distributions as td
from hypothesis import given
from nodes import DTYPES, INF, LOGITS, N, dtype_table, tensor
from scipy import stats

from gslib import Bernoulli, Categorical, kl, relaxed_kl
from gslib.distributions import sharpened
from gslib.functional import noise_like

# --- against torch.distributions, where that is sound ---------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [(Bernoulli, td.Bernoulli, (4, 3)), (Categorical, td.OneHotCategorical, (4, 3, 5))],
)
def test_agrees_with_torch_distributions(ours, theirs, shape):
    q, p = (ours(torch.randn(shape, dtype=torch.float64)) for _ in range(2))
    reference, prior = (theirs(logits=d.logits) for d in (q, p))
    z = q.sample()
    torch.testing.assert_close(q.mean, reference.mean)
    torch.testing.assert_close(q.entropy(), reference.entropy())
    torch.testing.assert_close(q.log_prob(z), reference.log_prob(z))
    torch.testing.assert_close(kl(q, p), td.kl_divergence(reference, prior))


@pytest.mark.parametrize("tau", [0.4, 1.0, 3.0])
def test_relaxed_densities_are_torchs_away_from_the_corners(tau):
    logits = torch.randn(4, 3, 5, dtype=torch.float64)
    log_y = torch.randn(4, 3, 5, dtype=torch.float64).log_softmax(-1)
    reference = td.RelaxedOneHotCategorical(tensor(tau).squeeze(), logits=logits)
    torch.testing.assert_close(
        Categorical(logits).relaxed_log_prob(log_y, tau), reference.log_prob(log_y.exp())
    )
    logits, logit_y = logits[..., 0], log_y[..., 0]
    reference = td.RelaxedBernoulli(tensor(tau).squeeze(), logits=logits)
    torch.testing.assert_close(
        Bernoulli(logits).relaxed_log_prob(logit_y, tau), reference.log_prob(logit_y.sigmoid())
    )


# --- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.3, 1.0, 5.0])
def test_relaxed_samples_are_logistic(tau):
    ell = Bernoulli(LOGITS[:1].expand(N, 1)).relaxed_logits(tau)
    assert (
        stats.kstest(ell[:, 0].numpy(), stats.logistic(LOGITS[0] / tau, 1 / tau).cdf).pvalue > 1e-3
    )
    log_y = Categorical(LOGITS.expand(N, 1, 3)).relaxed_logits(tau)[:, 0]
    difference = log_y[:, 0] - log_y[:, 1]  # of two Gumbels: logistic
    law = stats.logistic((LOGITS[0] - LOGITS[1]) / tau, 1 / tau)
    assert stats.kstest(difference.numpy(), law.cdf).pvalue > 1e-3


@dtype_table
@pytest.mark.parametrize("method", ["sample", "straight_through_sample"])
def test_discrete_samples_have_their_frequencies(dtype, method):
    logits = torch.tensor([-6.9, -1.0, 0.0, 0.2]).to(
        dtype
    )  # the first class has a probability near 1/1000
    arguments = () if method == "sample" else (0.5,)
    z = getattr(Categorical(logits.expand(200_000, 1, 4)), method)(*arguments)
    assert z.dtype == dtype
    expected = logits.double().softmax(-1).numpy()
    assert stats.chisquare(z.double().sum((0, 1)).numpy(), expected * 200_000).pvalue > 1e-3
    z = getattr(Bernoulli(logits.expand(200_000, 4)), method)(*arguments)
    assert z.dtype == dtype
    for ones, p in zip(z.double().sum(0).tolist(), logits.double().sigmoid().tolist(), strict=True):
        assert stats.binomtest(int(ones), 200_000, p).pvalue > 1e-3


def test_units_are_drawn_independently():
    z = Bernoulli(tensor(0.0, 0.0).expand(N, 2)).sample()
    table = [[((z[:, 0] == i) & (z[:, 1] == j)).sum().item() for i in (0, 1)] for j in (0, 1)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("stub", [torch.zeros_like, torch.ones_like], ids=["u = 0", "u = 1"])
@dtype_table
def test_the_ends_of_the_unit_interval_are_finite(stub, dtype):
    for q in (Bernoulli(torch.randn(5, 3).to(dtype)), Categorical(torch.randn(5, 2, 3).to(dtype))):
        for draw in (q.relaxed_logits, q.relaxed_sample, q.straight_through_sample):
            assert draw(0.1, uniform=stub).isfinite().all()
        assert q.sample(uniform=stub).isfinite().all()


def test_samples_are_exact_and_carry_the_relaxed_gradient():
    for make, shape in ((Bernoulli, (2000, 4)), (Categorical, (2000, 4, 5))):
        logits = torch.randn(shape, requires_grad=True)
        weights, u = torch.randn(shape), torch.rand(shape)
        hard = make(logits).straight_through_sample(0.4, uniform=lambda t: u)  # noqa: B023
        soft = make(logits).relaxed_sample(0.4, uniform=lambda t: u)  # noqa: B023
        assert ((hard == 0) | (hard == 1)).all()
        torch.testing.assert_close(
            *(torch.autograd.grad((y * weights).sum(), logits)[0] for y in (hard, soft))
        )
        assert not make(logits).sample().requires_grad
        assert make(logits).sample(uniform=lambda t: u).equal(hard.detach())  # noqa: B023


def test_all_states_are_listed_once():
    assert Bernoulli(torch.zeros(2, 3)).states().unique(dim=0).shape == (8, 3)
    states = Categorical(torch.zeros(2, 3)).states()
    assert states.unique(dim=0).shape == (9, 2, 3)
    assert (states.sum(-1) == 1).all()
    assert Bernoulli(torch.zeros(2, 3)).n_states() == 8
    assert Categorical(torch.zeros(2, 3)).n_states() == 9
    for q in (Bernoulli(LOGITS), Categorical(torch.randn(2, 3).double())):
        assert q.log_prob(q.states()).sum(-1).exp().sum().item() == pytest.approx(1)


# --- corners --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_relaxed_densities_of_saturated_samples_are_finite(tau):
    logits = torch.randn(5000, 1, 10, requires_grad=True)
    q = Categorical(logits)
    log_y = q.relaxed_logits(tau)
    assert tau > 0.5 or (log_y.exp() == 0).any()  # y itself has underflowed
    assert q.relaxed_log_prob(log_y, tau).isfinite().all()
    (gradient,) = torch.autograd.grad(q.relaxed_log_prob(log_y.detach(), tau).sum(), logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("ell", [-100.0, 100.0])
def test_a_binary_unit_keeps_density_and_gradient_at_logit_100(ell):
    logits, logit_y = tensor(0.5).requires_grad_(), tensor(ell).requires_grad_()
    log_density = Bernoulli(logits).relaxed_log_prob(logit_y, 1.0)
    # At tau = 1 the density tends to pi / (1 - pi) for y -> 1, to its inverse for y -> 0: it is
    # flat in y there.
    assert log_density.item() == pytest.approx(math.copysign(0.5, ell), abs=1e-9)
    at_logits, at_y = torch.autograd.grad(log_density, (logits, logit_y))
    assert at_logits.item() == pytest.approx(math.copysign(1, ell))
    assert at_y.abs().item() < 1e-9
    log_density = Bernoulli(logits).relaxed_log_prob(logit_y, 0.5)
    (at_y,) = torch.autograd.grad(log_density, logit_y)
    assert at_y.item() == pytest.approx(
        math.copysign(0.5, ell)
    )  # y^-(1 - tau): still rising towards the corner


MASKED = torch.tensor([[0.3, -INF, -1.0, 0.5]], dtype=torch.float64)


def gradients_are_finite(value, *leaves):
    return all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), leaves))


def test_masked_classes_drop_out_of_everything():
    logits, prior = (
        MASKED.clone().requires_grad_(),
        torch.randn(1, 4, dtype=torch.float64, requires_grad=True),
    )
    q, p, kept = Categorical(logits), Categorical(prior), [0, 2, 3]
    small = Categorical(MASKED[:, kept])
    z = q.sample()
    log_y = q.relaxed_logits(0.7).detach()
    pairs = {
        "entropy": (q.entropy(), small.entropy()),
        "log_prob": (q.log_prob(z), small.log_prob(z[..., kept])),
        "density": (q.relaxed_log_prob(log_y, 0.7), small.relaxed_log_prob(log_y[..., kept], 0.7)),
        "kl to itself": (kl(q, Categorical(logits.detach())), torch.zeros(1, dtype=torch.float64)),
        "kl": (kl(q, p), (small.mean * (small.log_probs - p.log_probs[:, kept])).sum(-1)),
    }
    for name, (masked, expected) in pairs.items():
        torch.testing.assert_close(masked, expected, msg=name)
        assert gradients_are_finite(masked, logits), name
    assert gradients_are_finite(kl(q, p), logits, prior)
    both = torch.tensor([[0.1, -INF, 0.4, 2.0]], dtype=torch.float64, requires_grad=True)
    assert kl(q, Categorical(both)).isfinite().all()
    assert gradients_are_finite(kl(q, Categorical(both)), logits, both)


def test_an_impossible_class_is_impossible():
    assert Categorical(MASKED).log_prob(torch.eye(4, dtype=torch.float64)[1:2]).item() == -INF
    free = Categorical(torch.zeros(1, 4, dtype=torch.float64))
    assert kl(free, Categorical(MASKED)).item() == INF


@given(
    scale=st.sampled_from([1.0, 50.0, 1e4]),
    seed=st.integers(0, 2**31),
    tau=st.sampled_from([0.05, 1.0, 20.0]),
)
def test_extreme_logits_stay_finite(scale, seed, tau):
    torch.manual_seed(seed)
    for make, shape in ((Bernoulli, (4, 3)), (Categorical, (4, 3, 5))):
        a, b = ((torch.randn(shape) * scale).requires_grad_() for _ in range(2))
        q, p = make(a), make(b)
        draw = q.relaxed_logits(tau)
        density = q.relaxed_log_prob(draw.detach(), tau)
        for value in (
            kl(q, p),
            q.entropy(),
            q.log_prob(q.sample()),
            density,
            q.relaxed_sample(tau),
        ):
            assert value.isfinite().all()
            assert gradients_are_finite(value, a)
        assert (kl(q, p) >= -1e-4 * scale).all()
        assert (q.entropy() >= -1e-4).all()


@given(shift=st.floats(-30, 30), seed=st.integers(0, 2**31))
def test_categorical_logits_need_no_normalisation(shift, seed):
    torch.manual_seed(seed)
    logits, u = torch.randn(2, 3, 4, dtype=torch.float64), torch.rand(2, 3, 4, dtype=torch.float64)
    a, b = Categorical(logits), Categorical(logits + shift)
    log_y = a.relaxed_logits(0.5, uniform=lambda t: u)
    torch.testing.assert_close(log_y, b.relaxed_logits(0.5, uniform=lambda t: u))
    torch.testing.assert_close(a.relaxed_log_prob(log_y, 0.5), b.relaxed_log_prob(log_y, 0.5))
    torch.testing.assert_close(a.log_prob(log_y.exp()), b.log_prob(log_y.exp()))
    torch.testing.assert_close(kl(a, b), torch.zeros(2, 3, dtype=torch.float64))


sizes = st.integers(1, 5)


@given(lead=st.lists(sizes, max_size=3), n=sizes, k=sizes, dtype=st.sampled_from(DTYPES))
def test_shapes_and_types(lead, n, k, dtype):
    binary, classes = torch.randn(*lead, n).to(dtype), torch.randn(*lead, n, k).to(dtype)
    for q, unit in ((Bernoulli(binary), ()), (Categorical(classes), (k,))):
        assert q.mean.shape == q.sample().shape == q.relaxed_sample(0.5).shape == (*lead, n, *unit)
        assert q.relaxed_sample(0.5).dtype == q.sample().dtype == q.mean.dtype == dtype
        log_y = q.relaxed_logits(0.5)
        assert (
            q.entropy().shape
            == q.log_prob(q.sample()).shape
            == q.relaxed_log_prob(log_y, 0.5).shape
            == (*lead, n)
        )
        assert kl(q, q).shape == relaxed_kl(q, q, log_y, 0.5).shape == (*lead, n)


def test_tau_per_member():
    tau, logits = torch.tensor([0.3, 2.0]), torch.randn(2, 4, 3)
    for make, x in ((Bernoulli, logits), (Categorical, logits)):
        u = torch.rand(x.shape)
        ell = make(x).relaxed_logits(tau, uniform=lambda t: u)  # noqa: B023
        density = make(x).relaxed_log_prob(ell, tau)
        for e in range(2):
            alone = make(x[e])
            torch.testing.assert_close(
                ell[e], alone.relaxed_logits(tau[e].item(), uniform=lambda t, u=u[e]: u)
            )
            torch.testing.assert_close(density[e], alone.relaxed_log_prob(ell[e], tau[e].item()))


# --- slope ----------------------------------------------------------------------------------------


def test_sharpened_is_a_hard_sigmoid_with_a_margin():
    logits = tensor(-3.0, -0.4, 0.0, 0.4, 3.0)
    expected = ((2 * logits + 1) / 2).clamp(1e-3, 1 - 1e-3)
    torch.testing.assert_close(sharpened(Bernoulli(logits), 2.0).mean, expected)
    slopes = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(sharpened(Bernoulli(logits.expand(2, 5)), slopes).mean[1], expected)
    categories = tensor([0.5, -1.0, 0.2])
    torch.testing.assert_close(
        sharpened(Categorical(categories), 2.0).mean, (2 * categories).softmax(-1)
    )


# --- errors ---------------------------------------------------------------------------------------

B, C = Bernoulli(torch.zeros(4, 3)), Categorical(torch.zeros(4, 2, 3))
BAD = {
    "bernoulli nan": (
        lambda: Bernoulli(torch.tensor([math.nan])),
        ValueError,
        r"1 NaN or infinite value",
    ),
    "categorical nan": (
        lambda: Categorical(torch.tensor([[math.nan, 0]])),
        ValueError,
        r"1 NaN or \+inf value",
    ),
    "all masked": (
        lambda: Categorical(torch.full((2, 3), -INF)),
        ValueError,
        r"2 row\(s\).*at least one class",
    ),
    "integers": (
        lambda: Bernoulli(torch.zeros(3, dtype=torch.long)),
        TypeError,
        r"got torch\.int64; call \.float\(\)",
    ),
    "one axis": (
        lambda: Categorical(torch.zeros(3)),
        ValueError,
        r"\[\.\.\., N, K\], got \(3,\).*logits\[None\]",
    ),
    "tau": (
        lambda: B.relaxed_sample(0.0),
        ValueError,
        r"tau must be positive and finite, got 0; anneal",
    ),
    "tau, categorical": (lambda: C.relaxed_logits(-1.0), ValueError, "got -1; anneal"),
    "tau, density": (
        lambda: B.relaxed_log_prob(torch.zeros(4, 3), 0.0),
        ValueError,
        "got 0; try 1",
    ),
    "z shape": (
        lambda: B.log_prob(torch.zeros(4, 2)),
        ValueError,
        r"z has shape \(4, 2\).*\(4, 3\)",
    ),
    "z type": (lambda: B.log_prob(1.0), TypeError, r"z must be a torch\.Tensor, got float"),
    "log_y shape": (
        lambda: C.relaxed_log_prob(torch.zeros(4, 2, 4), 1.0),
        ValueError,
        r"log_y has shape \(4, 2, 4\)",
    ),
    "noise": (
        lambda: B.sample(uniform=lambda t: torch.rand(3)),
        ValueError,
        r"uniform returned has shape \(3,\)",
    ),
    "kl kinds": (lambda: kl(B, C), TypeError, "got Bernoulli.* and Categorical"),
    "relaxed_kl kinds": (
        lambda: relaxed_kl(C, B, torch.zeros(4, 2, 3), 1.0),
        TypeError,
        "got Categorical.* and Bernoulli",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named_with_its_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_noise_like_is_a_copy():
    u = torch.rand(3)
    noise_like(torch.zeros(3), lambda t: u).zero_()
    assert (u > 0).all()


def test_off_the_simplex_the_density_is_zero():
    q = Categorical(torch.zeros(1, 2))
    for log_y in ([-5.0, -5.0], [0.0, 0.0]):
        assert q.relaxed_log_prob(torch.tensor([log_y]), 0.5).item() == -INF
    half = torch.tensor([[0.5, 0.5]]).log()
    assert math.isfinite(q.relaxed_log_prob(half, 0.5).item())
