"""What nobody meant to ask: every public function at the edges of its domain, in every type, under
every transform.

Each call gives the right number, or an error of gslib's own that names the value and a remedy.
"""

import inspect
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import func, nn

import gslib
from gslib import ESTIMATORS, Baseline, Bernoulli, Categorical, _fast, check, functional, kl
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
        with pytest.raises(ValueError, match=r"same nodes in every run, got .*second run"):
            ESTIMATORS[name](partial(program, more=more))


B, C = Bernoulli(torch.zeros(4, 3)), Categorical(torch.zeros(4, 2, 3))
REFUSED = {
    "tau enlarges": (lambda: gumbel_softmax(torch.zeros(1, 5), torch.ones(2)), r"\(2,\).*\(1, 5\)"),
    "tau of more axes": (lambda: C.relaxed_sample(torch.ones(2, 4, 2, 3)), r"\(2, 4, 2, 3\)"),
    "tau of a density": (lambda: B.relaxed_log_prob(torch.zeros(4, 3), torch.ones(3)), r"\(3,\)"),
    "slope enlarges": (lambda: sharpened(Bernoulli(torch.zeros(1, 3)), torch.ones(2)), r"\(2,\)"),
    "slope of zero": (lambda: sharpened(B, 0.0), "slope must be positive and finite, got 0.0"),
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
    "m": (lambda: DiscreteVAE().bound(torch.zeros(2, 784), m=0), "m must be at least 1, got 0"),
    "n": (lambda: DiscreteVAE().generate(-1), "n must be at least 1, got -1"),
    "width": (lambda: DiscreteVAE().posterior(torch.zeros(2, 392)), r"\(2, 392\).*\[..., B, 784\]"),
    "no batch": (lambda: DiscreteVAE().posterior(torch.zeros(784)), r"\(784,\)"),
    "E": (lambda: DiscreteVAE(ensemble=3).posterior(torch.zeros(2, 5, 784)), r"\[..., 3, B, 784\]"),
    "half a digit": (
        lambda: StochasticBinaryNetwork().loss(torch.zeros(2, 500), lambda q: q.mean),
        r"\(2, 108\)",
    ),
    "one label": (
        lambda: SemiSupervisedVAE().classification(torch.zeros(2, 784), torch.eye(10)[:1]),
        r"y has shape \(1, 10\) for 2 images",
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


# --- A5 to A9: transforms -------------------------------------------------------------------------


def test_shapes_can_be_inferred_on_meta_tensors():
    logits = torch.zeros(2, 3, device="meta")
    for hard in (False, True):
        ours, theirs = gumbel_softmax(logits, 0.5, hard), F.gumbel_softmax(logits, 0.5, hard)
        assert (ours.shape, ours.device, ours.dtype) == (theirs.shape, theirs.device, theirs.dtype)
    q = Categorical(logits)
    assert q.log_prob(q.sample()).is_meta
    assert q.entropy().shape == (2,)
    assert bernoulli_nll(logits, logits).shape == (2,)
    assert Bernoulli(logits).straight_through_sample(torch.tensor(0.5)).is_meta
    model = DiscreteVAE("bernoulli").to("meta")
    x = torch.zeros(5, 784, device="meta")
    for name in ESTIMATORS.keys() - {"exact"}:
        assert ESTIMATORS[name](partial(model.loss, x), **SETTINGS.get(name, {})).shape == (5,)


def test_gumbel_softmax_takes_every_call_that_torchs_takes():
    ours, theirs = inspect.signature(gumbel_softmax), inspect.signature(F.gumbel_softmax)
    shared = [p for p in ours.parameters.values() if p.name != "uniform"]
    assert [(p.name, p.kind) for p in shared] == [
        (p.name, p.kind) for p in theirs.parameters.values()
    ]
    assert [p.default for p in shared] == [p.default for p in theirs.parameters.values()]
    logits = torch.randn(4, 5)
    for call in (
        ((logits,), {}),
        ((logits, 2, True), {}),
        ((logits, 0.5, False, 1e-10, 0), {}),
        ((), dict(logits=logits, tau=1, hard=True, eps=1e-10, dim=-2)),
    ):
        arguments = ours.bind(*call[0], **call[1])
        assert arguments.arguments == theirs.bind(*call[0], **call[1]).arguments
        torch.manual_seed(3)
        axis = arguments.arguments.get("dim", -1)
        assert gumbel_softmax(*call[0], **call[1]).sum(axis).allclose(torch.ones(()))


def test_eps_is_deprecated_as_in_torch():
    warned = []
    for function in (gumbel_softmax, F.gumbel_softmax):
        with pytest.warns(UserWarning, match="eps") as record:
            function(torch.zeros(2, 3), eps=1e-5)
        warned.append((record[0].category, str(record[0].message), record[0].filename))
    assert warned[0] == warned[1]


def jvp_and_gradient(f, x):
    v = torch.randn_like(x)
    value, tangent = func.jvp(f, (x,), (v,))
    expected = (torch.autograd.functional.jacobian(f, x) * v).flatten(value.ndim).sum(-1)
    return tangent, expected


DIFFERENTIABLE = {
    "softplus": _fast.softplus,
    "bernoulli_nll": lambda x: bernoulli_nll(x, (torch.arange(5) % 2).double()),
    "log_softmax": _fast.log_softmax,
    "Bernoulli.log_prob": lambda x: Bernoulli(x).log_prob((torch.arange(5) % 2).double()),
    "Bernoulli.entropy": lambda x: Bernoulli(x).entropy(),
    "Bernoulli kl": lambda x: kl(Bernoulli(x), Bernoulli(2 * x.flip(-1))),
    "Categorical.entropy": lambda x: Categorical(x).entropy(),
    "Categorical kl": lambda x: kl(Categorical(x), Categorical(2 * x.flip(-1))),
    "gumbel_softmax": lambda x: gumbel_softmax(x, 0.5, uniform=halves),
    "hard": lambda x: gumbel_softmax(x, 0.5, hard=True, uniform=halves),
    "density": lambda x: Bernoulli(x).relaxed_log_prob(x.detach() + 0.1, 0.5),
    "sharpened": lambda x: sharpened(Bernoulli(x / 10), 1.5).mean,
}


@pytest.mark.parametrize("f", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_forward_mode_gives_what_reverse_mode_does(f):
    x = torch.randn(3, 5, dtype=torch.float64)
    tangent, expected = jvp_and_gradient(f, x)
    torch.testing.assert_close(tangent, expected)
    batched = func.vmap(lambda row: func.jvp(f, (row,), (torch.ones_like(row),))[1])(x[:, None])
    alone = [func.jvp(f, (row[None],), (torch.ones(1, 5).double(),))[1] for row in x]
    torch.testing.assert_close(batched, torch.stack(alone))


@pytest.mark.parametrize("f", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_second_derivatives(f):
    x = torch.randn(2, 5, dtype=torch.float64)
    total = lambda x: (f(x) * torch.arange(1.0, 3.0).double()[:, None]).sum()  # noqa: E731
    if f(x).ndim == 1:
        total = lambda x: (f(x) * torch.arange(1.0, 3.0).double()).sum()  # noqa: E731
    ours = func.hessian(total)(x)  # forward over reverse
    theirs = torch.autograd.functional.hessian(total, x)  # reverse over reverse
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_the_value_without_gradients(name, mode):
    model = DiscreteVAE("bernoulli", size=(4,), data=16)
    noise = dict(uniform=halves) | SETTINGS.get(name, {})
    x = torch.rand(3, 16).round()
    expected = ESTIMATORS[name](partial(model.loss, x), **noise).detach()
    with mode():
        value = ESTIMATORS[name](partial(model.loss, x.clone()), **noise)
    assert value.equal(expected)


def test_check_works_inside_inference_mode():
    with torch.inference_mode():
        inside = check("muprop", samples=200)
    assert inside == check("muprop", samples=200)


class Head(nn.Module):
    def forward(self, x, u):
        y = gumbel_softmax(x.unflatten(-1, (3, 4)), 0.5, uniform=lambda _: u)
        return (
            y,
            bernoulli_nll(x, (x > 0).float()),
            Bernoulli(x).entropy(),
            Categorical(y).entropy(),
        )


def test_export_with_a_dynamic_batch():
    def inputs(batch):
        return torch.randn(batch, 12), torch.rand(batch, 3, 4)

    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Head(), inputs(5), dynamic_shapes=({0: batch}, {0: batch}))
    for size in (2, 7, 33):
        given = inputs(size)
        for ours, expected in zip(program.module()(*given), Head()(*given), strict=True):
            torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_in_one_graph(backend):
    compiled = torch.compile(Head(), backend=backend, fullgraph=True, dynamic=True)
    for size in (2, 7):
        given = torch.randn(size, 12, requires_grad=True), torch.rand(size, 3, 4)
        gradients = []
        ours, expected = compiled(*given), Head()(*given)
        for outputs in (ours, expected):
            total = sum(y.sum() for y in outputs)
            gradients.append(torch.autograd.grad(total, given[0])[0])
        for pair in (*zip(ours, expected, strict=True), gradients):
            torch.testing.assert_close(*pair)


def test_vmap_over_distributions():
    logits = torch.randn(6, 3, 4)
    q = Categorical(logits)
    z = q.sample()
    each = func.vmap(lambda x, z: Categorical(x).log_prob(z))(logits, z)
    torch.testing.assert_close(each, q.log_prob(z))
    taus = torch.rand(6) + 0.1
    u = torch.rand(6, 3, 4)
    relaxed = func.vmap(lambda x, t, u: gumbel_softmax(x, t, uniform=lambda _: u))(logits, taus, u)
    torch.testing.assert_close(relaxed, gumbel_softmax(logits, taus, uniform=lambda _: u))


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
