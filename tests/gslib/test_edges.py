"""What nobody meant to ask: every public function at the edges of its domain, in every type, under
every transform.

Each call gives the right number, or an error of gslib's own that names the value and a remedy.
"""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

import gslib
from gslib import ESTIMATORS, Baseline, Bernoulli, Categorical, _fast, functional, kl
from gslib._checks import unchecked
from gslib.distributions import sharpened
from gslib.functional import bernoulli_nll, gumbel_softmax
from gslib.models import DiscreteVAE, SemiSupervisedVAE, StochasticBinaryNetwork

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SETTINGS = {"gumbel_softmax": {"tau": 0.5}, "st_gumbel_softmax": {"tau": 0.5}}
LARGE = 3e38
tensor = partial(torch.tensor, dtype=torch.float64)


def halves(like):
    return torch.full_like(like, 0.5)


# --- A1: half precision; masks are masks, not sentinels -------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_categories_agree_with_float64_in_every_type(dtype):
    logits = torch.randn(50, 3, 5).to(dtype)
    q, exact = Categorical(logits), Categorical(logits.double())
    p, exact_p = Categorical(logits.flip(0)), Categorical(logits.double().flip(0))
    z = exact.sample()
    near = partial(torch.testing.assert_close, rtol=30 * torch.finfo(dtype).eps, check_dtype=False)
    near = partial(near, atol=30 * torch.finfo(dtype).eps)
    near(q.log_prob(z.to(dtype)), exact.log_prob(z))
    near(q.entropy(), exact.entropy())
    near(kl(q, p), kl(exact, exact_p))
    b, exact_b = Bernoulli(logits[..., 0]), Bernoulli(logits[..., 0].double())
    near(b.log_prob(z[..., 0].to(dtype)), exact_b.log_prob(z[..., 0]))
    near(b.entropy(), exact_b.entropy())


@pytest.mark.parametrize("weight", [1.0, 1e-7])
def test_any_weight_on_a_masked_class_is_impossible(weight):
    q = Categorical(torch.tensor([[0.0, 0.0, -math.inf]]))
    assert q.log_prob(torch.tensor([[1 - weight, 0.0, weight]])).item() == -math.inf
    assert q.log_prob(torch.tensor([[0.5, 0.5, 0.0]])).item() == pytest.approx(-math.log(2))


# --- A2: the cross-entropy of grey pixels, and pixels that are none -------------------------------


@pytest.mark.parametrize("compiling", [False, True])
def test_grey_pixels_have_their_cross_entropy(monkeypatch, compiling):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    logits = torch.randn(20, 784, requires_grad=True)
    x = torch.rand(20, 784)
    expected = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    torch.testing.assert_close(bernoulli_nll(logits, x), expected)
    (ours,) = torch.autograd.grad(bernoulli_nll(logits, x).sum(), logits)
    (theirs,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(ours, theirs)


def test_grey_values_at_constant_logits_by_hand():
    x = torch.arange(256) / 255
    expected = 256 * math.log1p(math.exp(-2)) + 2 * x.double().sum().item()
    assert bernoulli_nll(torch.full((256,), -2.0), x).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_pixels_may_have_any_type(dtype):
    logits, x = torch.randn(3, 20), torch.randint(0, 2, (3, 20)).to(dtype)
    assert bernoulli_nll(logits, x).equal(bernoulli_nll(logits, x.float()))


@pytest.mark.parametrize("shape", [(0, 10), (1, 10), (2, 0), (0, 0)])
def test_bernoulli_nll_of_empty_batches(shape):
    loss = bernoulli_nll(torch.zeros(shape), torch.zeros(shape))
    assert loss.shape == shape[:1]
    torch.testing.assert_close(loss, torch.full(shape[:1], shape[1] * math.log(2)))


# --- A3: shapes that broadcast and should not -----------------------------------------------------


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        (lambda z: z.sum(-1, keepdim=True), r"\((2, )?4, 1\)"),
        (lambda z: z.sum(-1).mean(), r"\(\)"),
        (lambda z: z.sum(-1).expand(2, 1, *z.shape[:-1]), r"\(2, 1, "),
    ],
    ids=["keepdim", "mean", "extra axis"],
)
def test_every_estimator_refuses_another_shape_than_one_loss_per_example(name, wrong, shape):
    q = Bernoulli(torch.zeros(4, 3, requires_grad=True))
    with pytest.raises(ValueError, match=rf"returned .*{shape}.*one loss per example"):
        ESTIMATORS[name](lambda sample: wrong(sample(q)), **SETTINGS.get(name, {}))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_refuses_a_loss_that_is_no_floating_tensor(name):
    q = Bernoulli(torch.zeros(4, 3, requires_grad=True))
    with pytest.raises(TypeError, match=r"loss must be floating point, got torch.int64"):
        ESTIMATORS[name](lambda sample: sample(q).sum(-1).long(), **SETTINGS.get(name, {}))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("batch", [0, 1])
def test_every_estimator_takes_an_empty_batch_and_one_example(name, batch):
    logits = torch.zeros(batch, 3, requires_grad=True)
    program = lambda sample: ((sample(Bernoulli(logits)) - 0.3) ** 2).sum(-1)  # noqa: E731
    surrogate = ESTIMATORS[name](program, **SETTINGS.get(name, {}))
    (gradient,) = torch.autograd.grad(surrogate.sum(), logits)
    assert surrogate.shape == (batch,)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["muprop", "darn"])
def test_a_program_that_changes_its_nodes_is_named(name):
    q, runs = Bernoulli(torch.zeros(4, 3, requires_grad=True)), []

    def program(sample, more):
        runs.append(0)
        nodes = 2 if (len(runs) == 1) == more else 1
        return sum(sample(q).sum(-1) for _ in range(nodes))

    for more in (True, False):
        runs.clear()
        with pytest.raises(ValueError, match=r"same nodes in each run: first \d, now \d"):
            ESTIMATORS[name](partial(program, more=more))


B, C = Bernoulli(torch.zeros(4, 3)), Categorical(torch.zeros(4, 2, 3))
REFUSED = {
    "tau enlarges": (lambda: gumbel_softmax(torch.zeros(1, 5), torch.ones(2)), r"\(2,\).*\(1, 5\)"),
    "tau of more axes": (lambda: C.relaxed_sample(torch.ones(2, 4, 2, 3)), r"\(2, 4, 2, 3\)"),
    "tau of a density": (lambda: B.relaxed_log_prob(torch.zeros(4, 3), torch.ones(3)), r"\(3,\)"),
    "slope enlarges": (lambda: sharpened(Bernoulli(torch.zeros(1, 3)), torch.ones(2)), r"\(2,\)"),
    "slope of zero": (lambda: sharpened(B, 0.0), "slope must be positive and finite, got 0; try 1"),
    "z of one unit": (lambda: B.log_prob(torch.zeros(4, 1)), r"z has shape \(4, 1\).*\(4, 3\)"),
    "z of one class": (lambda: C.log_prob(torch.zeros(4, 2, 1)), r"z has shape \(4, 2, 1\)"),
    "z outside": (lambda: B.log_prob(torch.full((4, 3), 2.0)), r"z must lie in \[0, 1\]"),
    "z no simplex": (lambda: C.log_prob(torch.ones(4, 2, 3)), "sum of z over classes"),
    "relaxed z": (lambda: C.relaxed_log_prob(torch.ones(4, 2, 3), 1.0), "log_y must lie in"),
    "saturated": (lambda: B.relaxed_log_prob(torch.full((4, 3), math.inf), 1.0), "log_y must"),
    "kl shapes": (lambda: kl(B, Bernoulli(torch.zeros(4, 1))), r"\(4, 1\)"),
    "pixels broadcast": (lambda: bernoulli_nll(torch.zeros(2, 5), torch.zeros(2, 1)), r"\(2, 1\)"),
    "pixels in bytes": (lambda: bernoulli_nll(torch.zeros(2), torch.tensor([0, 255])), "by 255"),
    "no pixel axis": (lambda: bernoulli_nll(torch.tensor(0.0), torch.tensor(0.0)), "axis"),
    "nll of -inf": (lambda: bernoulli_nll(torch.tensor([-math.inf]), torch.zeros(1)), "infinite"),
    "certain unit": (lambda: Bernoulli(torch.tensor([-math.inf])), "1 NaN or infinite"),
    "u outside": (lambda: functional.gumbel(torch.tensor([-0.1])), r"u must lie in \[0, 1\]"),
    "u above": (lambda: functional.logistic(torch.tensor([1.5])), r"u must lie in \[0, 1\]"),
    "parts": (lambda: functional.straight_through(torch.zeros(2), torch.zeros(1)), r"\(1,\)"),
    "baseline enlarges": (
        lambda: ESTIMATORS["sf"](lambda s: s(B).sum(-1), baseline=torch.zeros(4, 1)),
        r"baseline has shape \(4, 1\)",
    ),
    "baseline of NaN": (
        lambda: ESTIMATORS["sf"](lambda s: s(B).sum(-1), baseline=tensor([0, 0, 0, math.nan])),
        "baseline must be finite",
    ),
    "empty signal": (lambda: Baseline()(torch.zeros(0, 1)), "signal has shape"),
    "one axis": (lambda: Baseline()(torch.zeros(4)), r"signal has shape \(4,\)"),
    "members": (lambda: Baseline(ensemble=2)(torch.zeros(3, 4, 1)), r"\(3, 4, 1\).*\[2, B, S\]"),
    "rows of x": (lambda: Baseline(inputs=3)(torch.zeros(4, 1), x=torch.zeros(2, 3)), r"\(2, 3\)"),
    "m": (
        lambda: DiscreteVAE().bound(torch.zeros(2, 784), m=0),
        "m must be an integer of at least 1, got 0",
    ),
    "n": (lambda: DiscreteVAE().generate(-1), "n must be an integer of at least 1, got -1"),
    "width": (lambda: DiscreteVAE().posterior(torch.zeros(2, 392)), r"\(2, 392\).*\[..., B, 784\]"),
    "no batch": (lambda: DiscreteVAE().posterior(torch.zeros(784)), r"\(784,\)"),
    "E": (lambda: DiscreteVAE(ensemble=3).posterior(torch.zeros(2, 5, 784)), r"\[..., 3, B, 784\]"),
    "half a digit": (
        lambda: StochasticBinaryNetwork().loss(torch.zeros(2, 500), lambda q: q.mean),
        r"\(2, 108\)",
    ),
    "one label": (
        lambda: SemiSupervisedVAE().classification(torch.zeros(2, 784), torch.eye(10)[:1]),
        r"y has shape \(1, 10\).*\[..., 2, 10\]",
    ),
    "eleven classes": (
        lambda: SemiSupervisedVAE().labelled(torch.zeros(2, 784), torch.zeros(2, 11)),
        r"y has shape \(2, 11\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_value_or_shape_is_refused_with_its_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


NOT_FLOATING = {
    "gumbel_softmax": lambda x: gumbel_softmax(x),
    "Bernoulli": lambda x: Bernoulli(x),
    "Categorical": lambda x: Categorical(x),
    "bernoulli_nll": lambda x: bernoulli_nll(x, torch.zeros(2, 3)),
    "perturb": lambda x: functional.perturb(x),
    "gumbel": lambda x: functional.gumbel(x),
    "logistic": lambda x: functional.logistic(x),
    "uniform": lambda x: functional.noise_like(torch.zeros(2, 3), lambda _: x),
    "Linear": lambda x: gslib.models.Linear(3, 2)(x),
    "Baseline": lambda x: Baseline()(x),
    "labels": lambda x: SemiSupervisedVAE(3).classification(torch.zeros(2, 784), x),
}


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8])
@pytest.mark.parametrize("call", NOT_FLOATING.values(), ids=NOT_FLOATING)
def test_integers_are_refused_with_a_remedy(call, dtype):
    with pytest.raises(TypeError, match=rf"must be floating point, got {dtype}; call .float\(\)"):
        call(torch.zeros(2, 3, dtype=dtype))


def test_types_that_do_not_meet_are_refused():
    with pytest.raises(TypeError, match=r"x is torch.float64 and the weights torch.float32"):
        gslib.models.Linear(3, 2)(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match="tau must be a number or a tensor, got str"):
        gumbel_softmax(torch.zeros(2, 3), "1")
    with pytest.raises(TypeError, match="baseline must be a number, tensor or callable, got 'b'"):
        ESTIMATORS["sf"](lambda sample: sample(B).sum(-1), baseline="b")


# --- A4: numbers at the end of their range --------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 1e-30, torch.tensor(0.1)])
def test_a_quotient_that_overflows_is_refused(tau):
    logits = torch.tensor([[1e38, 0.0, -1.0]])
    for call in (gumbel_softmax, lambda x, t: Categorical(x).relaxed_logits(t)):
        with pytest.raises(ValueError, match=r"logits of size 1e\+38 / tau = .* overflow"):
            call(logits, tau)
    with pytest.raises(ValueError, match=r"overflow torch\.float32"):
        Bernoulli(-logits).relaxed_sample(tau)


@pytest.mark.parametrize("tau", [1e-40, torch.tensor(1e-40)], ids=["number", "tensor"])
def test_a_subnormal_tau_is_refused(tau):
    with pytest.raises(ValueError, match=r"tau = .*e-4\d overflow torch.float32"):
        gumbel_softmax(torch.zeros(2, 3), tau)


@pytest.mark.parametrize("tau", [1.0, 0.5, 1e-30])
def test_what_is_not_refused_is_finite(tau):
    size = 0.9 * torch.finfo(torch.float32).max * min(tau, 1)
    logits = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    for hard in (False, True):
        y = gumbel_softmax(logits, tau, hard)
        (gradient,) = torch.autograd.grad((y * torch.arange(3)).sum(), logits)
        assert y.tolist() == [[1, 0, 0]]
        assert gradient.isfinite().all()


def test_a_learned_tau_has_a_gradient_beside_masked_classes():
    tau = torch.tensor(0.5, requires_grad=True)
    logits = torch.tensor([[0.3, -math.inf, 1.0]])
    y = gumbel_softmax(logits, tau, uniform=halves)
    (gradient,) = torch.autograd.grad(y[0, 0], tau)
    free = gumbel_softmax(logits[:, ::2], tau, uniform=halves)
    torch.testing.assert_close(gradient, torch.autograd.grad(free[0, 0], tau)[0])


@pytest.mark.parametrize("ell", [LARGE, -LARGE])
@pytest.mark.parametrize("other", [LARGE, -LARGE, 0.0])
def test_the_largest_logits_have_entropy_and_divergence(ell, other):
    logits = torch.tensor([ell], requires_grad=True)
    q, p = Bernoulli(logits), Bernoulli(torch.tensor([other]))
    assert q.entropy().item() == 0
    if ell * other < 0:
        with pytest.raises(ValueError, match=r"difference of logits must lie in .*inf.*clamp"):
            kl(q, p)
        return
    divergence = kl(q, p)
    # q is certain: the divergence is -log p of what it is certain of.
    assert divergence.item() == pytest.approx(math.log(2) if other == 0 else 0, abs=1e-6)
    assert torch.autograd.grad(divergence.sum(), logits)[0].isfinite().all()


def test_a_class_out_of_range_counts_as_masked():
    logits = torch.tensor([[LARGE, -LARGE, 0.0]], requires_grad=True)
    q = Categorical(logits)
    assert q.entropy().item() == 0
    assert kl(q, q).item() == 0
    gradient = torch.autograd.grad(q.entropy().sum() + kl(q, q).sum(), logits)[0]
    assert gradient.isfinite().all()


# --- A10: a slope goes with the weights -----------------------------------------------------------


@pytest.mark.parametrize("kind", [DiscreteVAE, StochasticBinaryNetwork])
@pytest.mark.parametrize("slope", [torch.tensor(1.7), torch.tensor([1.0, 2.0]), None])
def test_a_state_with_or_without_slope_goes_into_any_model(kind, slope):
    ensemble = None if slope is None or not slope.ndim else 2
    make = partial(kind, "bernoulli", size=(4,), data=16, ensemble=ensemble)
    model, x = make(), torch.rand(2, 3, 16).round()
    model.slope = slope
    for other in (make(), make()):
        other.slope = torch.tensor(5.0)  # goes, or is replaced
        other.load_state_dict(model.state_dict())
        assert other.slope is None if slope is None else other.slope.equal(slope)
        losses = [m.loss(x[0] if ensemble is None else x, lambda q: q.mean) for m in (model, other)]
        assert losses[0].equal(losses[1])


# --- A12: what the docstrings claim ---------------------------------------------------------------


def test_softplus_is_as_exact_as_its_docstring_says():
    x = torch.linspace(-100, 100, 1_000_001)
    error = (_fast.softplus(x).double() - F.softplus(x.double())).abs()
    relative = (error / F.softplus(x.double()).clamp(min=1)).max().item()
    assert relative < 2e-7, relative
    for dtype in (torch.float16, torch.bfloat16):
        wide = F.softplus(x.to(dtype).double())
        half = _fast.softplus(x.to(dtype))
        assert half.dtype == dtype
        torch.testing.assert_close(half.double(), wide, rtol=torch.finfo(dtype).eps, atol=1e-6)
    assert _fast.softplus(torch.tensor([0, 2])).tolist() == pytest.approx([math.log(2), 2.126928])


def test_checks_step_aside_where_they_are_told_to():
    with unchecked():
        assert Bernoulli(torch.tensor([math.nan])).mean.isnan().all()
        assert gumbel_softmax(torch.zeros(1, 3), -1.0).shape == (1, 3)
