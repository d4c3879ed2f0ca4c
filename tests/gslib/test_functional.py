"""gumbel_softmax and its noise: a drop-in for torch's function without its defects."""

import math
import shutil

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from scipy import stats

from gslib._checks import unchecked
from gslib.functional import gumbel, gumbel_softmax, logistic, noise_like, stream

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
dtype_table = pytest.mark.parametrize("dtype", DTYPES, ids=str)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
STUBS = {
    "u = 0": torch.zeros_like,
    "u = 1": torch.ones_like,
    "u = 1/2": lambda t: torch.full_like(t, 0.5),
}


def fixed(u):
    return lambda t: u.to(t.dtype)


# --- the formula ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize(
    "classes", [2, 5, 40]
)  # below and above the length where the softmax changes its kernel
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_equation_2_and_its_gradient(dim, classes, hard):
    shape = [3, 4, 5]
    shape[dim] = classes
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    u, weights = torch.rand(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    expected = ((logits - (-u.log()).log()) / 0.7).softmax(dim)
    y = gumbel_softmax(logits, 0.7, hard, dim=dim, uniform=fixed(u))
    if hard:
        assert y.equal(F.one_hot(expected.argmax(dim), classes).movedim(-1, dim).double())
    else:
        torch.testing.assert_close(y, expected)
    (ours,) = torch.autograd.grad((y * weights).sum(), logits)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), logits)
    torch.testing.assert_close(ours, theirs)


def test_it_takes_torchs_arguments():
    logits = torch.randn(4, 6)
    for positional, named in [
        ((), {}),
        ((0.5,), {}),
        ((0.5, True), {}),
        ((), {"tau": 2, "hard": True, "dim": 0}),
    ]:
        assert (
            gumbel_softmax(logits, *positional, **named).shape
            == F.gumbel_softmax(logits, *positional, **named).shape
        )


def test_tau_per_ensemble_member_broadcasts_from_the_left():
    logits, u, tau = torch.randn(3, 5, 4), torch.rand(3, 5, 4), torch.tensor([0.3, 1.0, 4.0])
    for shape in [(3,), (3, 1), (3, 1, 1)]:
        y = gumbel_softmax(logits, tau.reshape(shape), uniform=fixed(u))
        for e in range(3):
            torch.testing.assert_close(
                y[e], gumbel_softmax(logits[e], tau[e].item(), uniform=fixed(u[e]))
            )


def test_a_learned_tau_gets_its_gradient():
    logits, u = torch.randn(4, 5, dtype=torch.float64), torch.rand(4, 5, dtype=torch.float64)
    tau = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: gumbel_softmax(logits, t, uniform=fixed(u)), tau)


def test_it_never_changes_what_it_was_given():
    logits, u = torch.randn(6, 5), torch.rand(6, 5)
    before = logits.clone(), u.clone()
    for hard in (False, True):
        gumbel_softmax(logits, 0.5, hard, uniform=lambda t: u)
    assert logits.equal(before[0])
    assert u.equal(before[1])


# --- noise ----------------------------------------------------------------------------------------


@dtype_table
@pytest.mark.parametrize("stub", STUBS.values(), ids=STUBS)
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("device", DEVICES)
def test_the_ends_of_the_unit_interval_are_finite(dtype, stub, hard, device):
    logits = torch.randn(50, 7, device=device).to(dtype).requires_grad_()
    y = gumbel_softmax(logits, 0.1, hard, uniform=stub)
    y.sum().backward()
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("noise", [gumbel, logistic])
def test_noise_is_finite_at_the_ends(noise):
    for dtype in (torch.float32, torch.float64):
        ends = noise_like(torch.zeros(2), lambda t, d=dtype: torch.tensor([0.0, 1.0], dtype=d))
        assert noise(ends).isfinite().all()
        assert noise(ends).diff() > 10


@dtype_table
def test_noise_is_drawn_wide_and_inside(dtype):
    asked = []
    u = noise_like(
        torch.zeros(3, 2, dtype=dtype), lambda t: asked.append(t.dtype) or torch.rand_like(t)
    )
    assert asked == [torch.float64 if dtype == torch.float64 else torch.float32] == [u.dtype]
    assert ((u > 0) & (u < 1)).all()


@pytest.mark.parametrize(("noise", "law"), [(gumbel, stats.gumbel_r), (logistic, stats.logistic)])
def test_noise_has_its_distribution(noise, law):
    x = noise(noise_like(torch.zeros(50_000)))
    assert stats.kstest(x.double().numpy(), law.cdf).pvalue > 1e-3


def test_streams_are_equal_for_equal_keys_only():
    draws = [
        torch.rand(4, generator=stream(*key)) for key in [("a", 1), ("a", 1), ("a", 2), ("b", 1)]
    ]
    assert draws[0].equal(draws[1])
    assert not any(draws[0].equal(d) for d in draws[2:])


def test_a_seed_fixes_the_draw():
    logits = torch.randn(5, 6)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(gumbel_softmax(logits))
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])


# --- frequencies ----------------------------------------------------------------------------------


def counts(hard_samples):
    return hard_samples.double().flatten(0, -2).sum(0).numpy()


@dtype_table
def test_rare_classes_are_drawn_as_often_as_they_should(dtype):
    probs = torch.tensor([1e-3, 0.299, 0.7], dtype=torch.float64)
    logits = probs.log().to(dtype)
    expected = logits.double().softmax(
        -1
    )  # the type rounds the logits; the draws must follow what is left
    observed = counts(gumbel_softmax(logits.expand(300_000, 3), hard=True))
    assert stats.chisquare(observed, expected.numpy() * 300_000).pvalue > 1e-3


@pytest.mark.parametrize(
    ("dtype", "tau"), [(torch.float32, 1e8), (torch.bfloat16, 100.0), (torch.float16, 1e4)]
)
def test_no_temperature_makes_ties(dtype, tau):
    observed = counts(gumbel_softmax(torch.zeros(100_000, 10, dtype=dtype), tau, hard=True))
    assert stats.chisquare(observed).pvalue > 1e-3


# --- properties -----------------------------------------------------------------------------------

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(
    shape=shapes,
    data=st.data(),
    hard=st.booleans(),
    tau=st.floats(0.01, 100),
    seed=st.integers(0, 2**31),
)
def test_samples_lie_on_the_simplex(shape, data, hard, tau, seed):
    torch.manual_seed(seed)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    dtype = data.draw(st.sampled_from(DTYPES))
    logits = torch.randn(shape).to(dtype)
    y = gumbel_softmax(logits, tau, hard, dim=dim)
    assert y.shape == logits.shape
    assert y.dtype == dtype
    assert (y >= 0).all()
    if hard:
        assert ((y == 0) | (y == 1)).all()
        assert (y.sum(dim) == 1).all()
    else:
        torch.testing.assert_close(
            y.double().sum(dim), torch.ones_like(logits.double().sum(dim)), rtol=0, atol=0.02
        )


@given(scale=st.sampled_from([1.0, 1e2, 1e4, 1e30]), hard=st.booleans(), seed=st.integers(0, 2**31))
def test_extreme_logits_stay_finite(scale, hard, seed):
    torch.manual_seed(seed)
    logits = (torch.randn(8, 6) * scale).requires_grad_()
    y = gumbel_softmax(logits, 0.1, hard)
    (y * torch.randn(8, 6)).sum().backward()
    assert y.isfinite().all()
    assert logits.grad.isfinite().all()


@given(
    data=st.data(), classes=st.sampled_from([3, 20]), hard=st.booleans(), seed=st.integers(0, 2**31)
)
def test_masked_classes_are_never_drawn(data, classes, hard, seed):
    torch.manual_seed(seed)
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=classes, max_size=classes)))
    mask[data.draw(st.integers(0, classes - 1))] = False
    logits = torch.randn(4, classes).requires_grad_()
    y = gumbel_softmax(logits.masked_fill(mask, -math.inf), 0.5, hard)
    (y * torch.randn(4, classes)).sum().backward()
    assert (y[:, mask] == 0).all()
    assert (y.sum(-1) - 1).abs().max() < 1e-5
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, mask] == 0).all()


@given(shift=st.floats(-50, 50), hard=st.booleans(), seed=st.integers(0, 2**31))
def test_logits_need_no_normalisation(shift, hard, seed):
    torch.manual_seed(seed)
    logits, u = torch.randn(5, 7, dtype=torch.float64), torch.rand(5, 7, dtype=torch.float64)
    a, b = (gumbel_softmax(x, 0.5, hard, uniform=fixed(u)) for x in (logits, logits + shift))
    torch.testing.assert_close(a, b)


@dtype_table
def test_hard_samples_are_exactly_one_hot_and_carry_the_soft_gradient(dtype):
    logits = torch.randn(20_000, 10).to(dtype).requires_grad_()
    u = torch.rand(20_000, 10, dtype=torch.promote_types(dtype, torch.float32))
    # warm, so that soft parts lie far from 0 and 1
    y, soft = (gumbel_softmax(logits, 2.0, hard, uniform=fixed(u)) for hard in (True, False))
    assert ((y == 0) | (y == 1)).all()
    assert (y.sum(-1) == 1).all()
    ours, theirs = (torch.autograd.grad((x * torch.arange(10)).sum(), logits)[0] for x in (y, soft))
    assert ours.abs().sum() > 0
    assert ours.equal(theirs)


# --- compile, vmap, autocast ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_compiled_in_one_graph_it_gives_the_same(hard):
    logits, u = torch.randn(6, 5, requires_grad=True), torch.rand(6, 5)
    compiled = torch.compile(
        lambda x, u: gumbel_softmax(x, 0.5, hard, uniform=lambda t: u), fullgraph=True
    )
    torch.testing.assert_close(
        compiled(logits, u), gumbel_softmax(logits, 0.5, hard, uniform=lambda t: u)
    )
    (ours,) = torch.autograd.grad(compiled(logits, u)[:, 0].sum(), logits)
    (eager,) = torch.autograd.grad(
        gumbel_softmax(logits, 0.5, hard, uniform=lambda t: u)[:, 0].sum(), logits
    )
    torch.testing.assert_close(ours, eager)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_vmap_draws_different_noise(hard):
    logits = torch.zeros(64, 5, requires_grad=True)
    y = torch.func.vmap(lambda x: gumbel_softmax(x, 0.5, hard), randomness="different")(logits)
    assert y.shape == (64, 5)
    torch.testing.assert_close(y.sum(-1), torch.ones(64))
    assert len(y.detach().unique(dim=0)) > 4
    assert torch.autograd.grad(y[:, 0].sum(), logits)[0].isfinite().all()


def test_vmap_over_given_noise_is_the_batch():
    logits, u = torch.randn(8, 5), torch.rand(8, 5)
    mapped = torch.func.vmap(lambda x, u: gumbel_softmax(x, 0.5, uniform=lambda t: u))(logits, u)
    torch.testing.assert_close(mapped, gumbel_softmax(logits, 0.5, uniform=lambda t: u))


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_autocast(hard):
    weights, x = torch.randn(8, 6, requires_grad=True), torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = x @ weights
        assert logits.dtype == torch.bfloat16
        y = gumbel_softmax(logits, 0.5, hard)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert weights.grad.isfinite().all()
    assert weights.grad.abs().sum() > 0


# --- errors ---------------------------------------------------------------------------------------

OK = torch.zeros(2, 3)
BAD = {
    "tau zero": ((OK, 0.0), ValueError, r"tau must be positive and finite, got 0; anneal it"),
    "tau negative": ((OK, -0.5), ValueError, r"got -0\.5"),
    "tau nan": ((OK, math.nan), ValueError, "got nan"),
    "tau infinite": ((OK, math.inf), ValueError, "got inf"),
    "tau tensor": ((OK, torch.tensor([0.5, 0.0])), ValueError, r"got 0 to 0\.5"),
    "nan": (
        (torch.tensor([[0.0, math.nan, 1.0]]),),
        ValueError,
        r"1 NaN or \+inf value.*\(1, 3\).*learning rate",
    ),
    "+inf": ((torch.tensor([[0.0, math.inf, 1.0]]),), ValueError, r"1 NaN or \+inf value"),
    "masked row": (
        (torch.full((2, 3), -math.inf),),
        ValueError,
        r"2 row\(s\) of logits \(2, 3\) are -inf.*at least one class",
    ),
    "no class": ((torch.zeros(2, 0),), ValueError, r"\(2, 0\) have no class along dim -1"),
    "integers": (
        (torch.zeros(2, 3, dtype=torch.long),),
        TypeError,
        r"floating point, got torch\.int64; call \.float\(\)",
    ),
    "a list": (([0.0, 1.0],), TypeError, r"must be a torch\.Tensor, got list"),
    "dim": ((OK, 1.0, False, 1e-10, 2), IndexError, r"dim 2 is out of range.*\(2, 3\).*-2 to 1"),
    "scalar": ((torch.tensor(0.0),), IndexError, "dim -1 is out of range"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named_with_its_remedy(arguments, error, message):
    with pytest.raises(error, match=message):
        gumbel_softmax(*arguments)


def test_noise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"uniform returned has shape \(3,\); make it \(2, 3\)"):
        gumbel_softmax(OK, uniform=lambda t: torch.rand(3))


def test_masks_and_large_finite_logits_are_no_error():
    rows = gumbel_softmax(torch.tensor([[0.0, -math.inf], [-3e38, 3e38]]))
    assert rows.tolist() == [[1, 0], [0, 1]]
    even = gumbel_softmax(torch.tensor([3e38, 3e38]).expand(10_000, 2))
    assert even.mean().item() == 0.5
    assert set(even.flatten().tolist()) == {0.5}  # noise is below the rounding of such logits
    half = gumbel_softmax(torch.full((10_000, 2), 6e4, dtype=torch.float16)).float()
    assert half.std() > 0  # the noise is wide, 6e4 + noise is told apart in float32
    assert half.sum(-1).allclose(torch.ones(10_000), atol=2e-3)
    assert gumbel_softmax(torch.zeros(0, 3)).shape == (0, 3)


def test_value_checks_can_be_skipped():
    with unchecked():
        assert gumbel_softmax(torch.tensor([[math.nan, 0.0]])).isnan().all()
    with pytest.raises(ValueError, match="NaN"):
        gumbel_softmax(torch.tensor([[math.nan, 0.0]]))
