"""Every public function under every transform: meta tensors, compile, export, vmap, forward mode,
second derivatives, inference mode."""

import inspect
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import func, nn

from gslib import ESTIMATORS, Bernoulli, Categorical, _fast, check, kl
from gslib.distributions import sharpened
from gslib.functional import bernoulli_nll, gumbel_softmax
from gslib.models import DiscreteVAE

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SETTINGS = {"gumbel_softmax": {"tau": 0.5}, "st_gumbel_softmax": {"tau": 0.5}}
LARGE = 3e38
tensor = partial(torch.tensor, dtype=torch.float64)


def halves(like):
    return torch.full_like(like, 0.5)


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
