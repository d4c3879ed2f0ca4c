"""Unusual but legitimate programs, dtypes and sizes, each against what enumeration or float64
says."""

import copy
import math
import pickle

import pytest
import torch

import gslib
from gslib import ESTIMATORS, Baseline, functional
from gslib.distributions import sharpened
from gslib.divergences import kl, relaxed_kl
from gslib.estimators import multi_sample
from gslib.models import DiscreteVAE, SemiSupervisedVAE
from gslib.program import run

TARGETS = torch.tensor([0.2, 0.5, 0.9])[:, None]


def shared_and_own(logits):
    """A program in which three examples share a row of the first node."""
    shared, own = gslib.Bernoulli(logits[:1]), gslib.Bernoulli(logits)

    def program(sample):
        return ((sample(shared) + sample(own) - TARGETS) ** 2).sum(-1)

    return program


@pytest.mark.parametrize("name", ["rebar", "muprop", "darn"])
def test_a_row_of_a_node_that_examples_share_is_refused(name):
    logits = torch.zeros(3, 2, requires_grad=True)
    with pytest.raises(ValueError, match=r"a sample has shape \(1, 2\).*row for each loss, \(3,\)"):
        ESTIMATORS[name](shared_and_own(logits))


def test_normalising_refuses_a_shared_row_too():
    logits = torch.zeros(3, 2, requires_grad=True)
    program = shared_and_own(logits)
    q = gslib.Bernoulli(logits[:1])
    baseline = settled(Baseline(), program)

    def with_a_direct_term(sample):
        return program(sample) + kl(q, gslib.Bernoulli(torch.zeros(1, 2))).sum(-1)

    with pytest.raises(ValueError, match=r"logits has shape \(1, 2\)"):
        ESTIMATORS["sf"](with_a_direct_term, baseline=baseline)


def settled(baseline, program):
    """A baseline that has seen losses a hundred times as large."""
    for _ in range(20):
        ESTIMATORS["sf"](lambda sample: 100 * program(sample), baseline=baseline)
        baseline.update()
    return baseline


@pytest.mark.parametrize("case", ["twice", "a double"])
def test_normalising_divides_what_reaches_the_logits_once(case):
    """Only a direct term is left, so the gradient is the term's own, over the scale."""
    logits = torch.tensor([[0.4, -0.2]], requires_grad=True)

    def direct(q):
        return kl(q, gslib.Bernoulli(torch.ones(1, 2))).sum(-1)

    def program(sample):
        first = gslib.Bernoulli(logits)
        last = first if case == "twice" else gslib.Bernoulli(2 * logits)
        return direct(last) + 0 * (sample(first) + sample(last)).sum(-1)

    class Scaled(Baseline):
        def __call__(self, signal):
            return torch.zeros_like(signal), torch.full((1,), 100.0)

    loss = ESTIMATORS["sf"](program, baseline=Scaled())
    (found,) = torch.autograd.grad(loss.sum(), logits)
    alone = gslib.Bernoulli(logits if case == "twice" else 2 * logits)
    (own,) = torch.autograd.grad(direct(alone).sum(), logits)
    torch.testing.assert_close(found, own / 100)


@pytest.mark.parametrize("name", ["sf", "muprop", "darn"])
def test_a_masked_class_leaves_the_value_of_a_normalised_surrogate(name):
    logits = torch.tensor([[[0.3, -0.2, -torch.inf]]], requires_grad=True)

    def program(sample):
        q = gslib.Categorical(logits)
        return sample(q)[..., 0, 0] + kl(q, gslib.Categorical(torch.zeros(1, 1, 3))).sum(-1)

    loss = ESTIMATORS[name](program, baseline=Baseline())
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


def test_mass_on_a_class_that_the_prior_excludes_is_infinitely_dear():
    third = torch.tensor([[0.0, 0.0, -torch.inf]])
    q, p = gslib.Categorical(torch.zeros(1, 3)), gslib.Categorical(third)
    y = torch.tensor([[0.2, 0.3, 0.5]]).log()
    assert p.relaxed_log_prob(y, 0.5).item() == -math.inf
    assert relaxed_kl(q, p, y, 0.5).item() == math.inf
    inside = torch.tensor([[0.4, 0.6, 0.0]]).log()
    assert p.relaxed_log_prob(inside, 0.5).isfinite()
    faint = gslib.Categorical(torch.tensor([[0.0, -200.0, 0.0]]))  # e^-200 is 0 in float32
    excluded = gslib.Categorical(torch.tensor([[0.0, -torch.inf, 0.0]]))
    assert kl(faint, excluded).item() == math.inf
    assert kl(excluded, faint).isfinite()


def test_straight_through_passes_the_gradient_of_soft_alone():
    x = torch.ones(3, requires_grad=True)
    out = functional.straight_through(2 * x, 3 * x)
    assert out.tolist() == [2.0] * 3
    assert torch.autograd.grad(out.sum(), x)[0].tolist() == [3.0] * 3


def test_exact_names_programs_that_change_their_number_of_nodes():
    q, calls = gslib.Bernoulli(torch.zeros(1, 2)), []

    def program(sample, counts):
        calls.append(None)
        return sum(sample(q) for _ in range(counts[len(calls) > 1])).sum(-1)

    for counts in ((2, 1), (1, 2)):
        calls.clear()
        with pytest.raises(ValueError, match="sample the same nodes in each run"):
            ESTIMATORS["exact"](lambda sample, n=counts: program(sample, n))


@pytest.mark.parametrize("name", ["exact", "local_expectation"])
def test_what_cannot_happen_may_cost_infinitely_much(name):
    logits = torch.tensor([[[0.3, -0.1, -torch.inf]]], requires_grad=True)
    costs = torch.tensor([0.5, 0.25, 0.0])

    def program(sample):
        return -(sample(gslib.Categorical(logits)) @ costs).log().squeeze(-1)

    loss = ESTIMATORS[name](program)
    (found,) = torch.autograd.grad(loss.sum(), logits)
    chances = logits.detach().softmax(-1).squeeze()
    losses = -costs.log()
    mean = (chances * losses)[:2].sum()
    if name == "exact":
        assert loss.item() == pytest.approx(mean.item())
    assert found.squeeze()[:2].tolist() == pytest.approx((chances * (losses - mean))[:2].tolist())
    assert found.squeeze()[2] == 0


@pytest.mark.parametrize("tau", [1.0, 1e-3, 2e-5])
def test_a_learned_temperature_beside_a_masked_class(tau):
    logits = torch.tensor([[0.3, -torch.inf, 0.301]])
    u = torch.full((1, 3), 0.5)
    slopes = []
    for mask in (slice(None), [0, 2]):
        t = torch.tensor(tau, requires_grad=True)
        y = functional.gumbel_softmax(
            logits[:, mask], tau=t, uniform=lambda like: u[:, : like.shape[-1]]
        )
        slopes.append(torch.autograd.grad(y[0, 0], t)[0].item())
    assert slopes[0] == pytest.approx(slopes[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_saturated_hard_sigmoid_has_its_margin_in_every_precision(dtype):
    q = sharpened(gslib.Bernoulli(torch.tensor([5.0, -5.0]).to(dtype)), 1.0)
    assert q.logits.dtype == dtype
    assert q.logits.tolist() == pytest.approx([6.907, -6.907], rel=1e-2)


@pytest.mark.parametrize("largest", [5e4, 3e38])
def test_reinmax_is_finite_wherever_logits_are(largest):
    dtype = torch.float16 if largest < 1e5 else torch.float32
    logits = torch.tensor([[[largest, -largest, 0.0]]], dtype=dtype, requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=dtype)
    loss = ESTIMATORS["reinmax"](
        lambda sample: (sample(gslib.Categorical(logits)) @ weights)[..., 0]
    )
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.tolist() == [1.0]
    assert slope.tolist() == [[[0.0, 0.0, 0.0]]]


def test_a_model_leaves_every_generator_as_it_was(monkeypatch):
    def reseeded(*_):
        raise AssertionError("a model reseeded all generators")

    monkeypatch.setattr(torch, "manual_seed", reseeded)
    before = torch.get_rng_state()
    SemiSupervisedVAE(channels=(2, 3, 4), seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_part_of_a_state_leaves_the_slope():
    model = DiscreteVAE("bernoulli", size=(3,), data=4)
    model.slope = torch.tensor(2.0)
    part = {k: v for k, v in model.state_dict().items() if k.startswith("decoder")}
    model.load_state_dict(part, strict=False)
    assert model.slope.item() == 2.0
    whole = {k: v for k, v in model.state_dict().items() if k != "slope"}
    model.load_state_dict(whole)
    assert model.slope is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_in_half_precision(dtype):
    x = torch.rand(2, 784).round().to(dtype)
    for node in ("bernoulli", "categorical"):
        model = DiscreteVAE(node).to(dtype)
        for tau in (None, 0.5):
            assert model.bound(x, m=2, tau=tau).isfinite().all()
    few = SemiSupervisedVAE(channels=(2, 3, 4), style=2).to(dtype)
    y = torch.eye(10, dtype=dtype)[:2]
    assert few.labelled(x, y).isfinite().all()


def test_rebar_under_functional_transforms():
    def loss(logits):
        def program(sample):
            return ((sample(gslib.Bernoulli(logits)) - 0.3) ** 3).sum(-1)

        half = lambda like: torch.full_like(like, 0.4)  # noqa: E731
        return ESTIMATORS["rebar"](program, uniform=half).sum()

    logits = torch.tensor([[0.2, -0.5]], requires_grad=True)
    (eager,) = torch.autograd.grad(loss(logits), logits)
    torch.testing.assert_close(torch.func.grad(loss)(logits.detach()), eager)


def waiting():
    """A baseline with a network, between a signal and its update."""
    torch.manual_seed(0)
    baseline = Baseline(3)
    baseline(torch.rand(5, 1), x=torch.rand(5, 3))
    return baseline


def test_a_baseline_learns_also_where_no_gradient_is_wanted():
    plain, ungraded = waiting(), waiting()
    plain.update()
    with torch.no_grad():
        ungraded.update()
    for one, other in zip(plain.parameters(), ungraded.parameters(), strict=True):
        assert torch.equal(one, other)
    assert any(weight.any() for weight in plain.network[-1].parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_a_copy_of_a_baseline_has_its_weights_and_no_signal_that_waits(copied):
    baseline = waiting()
    twin = copied(baseline)
    assert twin.state_dict().keys() == baseline.state_dict().keys()
    with pytest.raises(RuntimeError, match="call the estimator with it first"):
        twin.update()
    baseline.update()
    twin(torch.rand(5, 1), x=torch.rand(5, 3))
    twin.update()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("gumbel_rao", {"k": 0}, "k must be an integer of at least 1, got 0"),
        ("rloo", {"k": 2.0}, r"k must be an integer of at least 2, got 2\.0"),
        ("vimco", {"k": 1}, "k must be an integer of at least 2, got 1"),
        ("double_cv", {"alpha": math.nan}, "alpha must be finite, got nan"),
        ("rebar", {"eta": math.inf}, "eta must be finite, got inf"),
        ("gapped_st", {"gap": -5.0}, "gap must be finite and not negative, got -5"),
        ("gapped_st", {"gap": math.nan}, "gap must be finite and not negative, got nan"),
    ],
)
def test_settings_out_of_range_are_named(name, options, says):
    q = gslib.Bernoulli(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=says):
        ESTIMATORS[name](lambda sample: sample(q).sum(-1), **options)


def test_counts_out_of_range_are_named():
    q = gslib.Bernoulli(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="k must be an integer of at least 1, got 0"):
        run(multi_sample(lambda sample: sample(q).sum(-1), 0), lambda q: q.sample())
    model = DiscreteVAE("bernoulli", size=(3,), data=4)
    with pytest.raises(ValueError, match=r"m must be an integer of at least 1, got 10\.0"):
        model.bound(torch.zeros(1, 4), m=10.0)
    with pytest.raises(ValueError, match="ensemble must be an integer of at least 1, got 0"):
        DiscreteVAE("bernoulli", ensemble=0)
    wide = gslib.Bernoulli(torch.zeros(1, 15_000))
    with pytest.raises(ValueError, match=r"about 2\^15000 joint states"):
        ESTIMATORS["exact"](lambda sample: sample(wide).sum(-1))
    assert gslib.Categorical(torch.zeros(2, 8_000)).n_states() == 8_000**2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rloo", {"k": 2}),  # as many samples as examples: the shapes fit, the gradient would be 0
        ("rloo", {"k": 3}),
        ("vimco", {"k": 2}),
        ("double_cv", {"k": 2}),
        ("exact", {}),
        ("local_expectation", {}),
    ],
)
def test_a_shared_node_without_a_batch_axis_is_refused_where_samples_have_one(name, options):
    shared, ones = torch.zeros(2, requires_grad=True), torch.ones(2, 1)

    def program(sample):
        z = sample(gslib.Bernoulli(shared))
        y = sample(gslib.Bernoulli(z[..., None, :] * ones))
        return y.sum(-1) + z.sum(-1, keepdim=True)

    with pytest.raises(ValueError, match=r"leading axes .*give a shared one logits\[None\]"):
        ESTIMATORS[name](program, **options)
    assert ESTIMATORS["sf"](program).shape == (2,)  # draws once for all, as it is written


def test_nodes_of_different_batches_are_refused_by_name():
    four, three = gslib.Bernoulli(torch.zeros(4, 2)), gslib.Bernoulli(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"leading axes \(4,\) and \(3,\)"):
        ESTIMATORS["st"](lambda sample: (sample(four).sum(), sample(three).sum())[0])


@pytest.mark.parametrize("node", [gslib.Bernoulli, gslib.Categorical])
def test_a_node_without_units_has_one_state(node):
    q = node(torch.zeros((4, 0) if node is gslib.Bernoulli else (4, 0, 3)))
    assert q.states().shape == (1, *q.logits.shape[1:])
    units = tuple(range(-q.event_ndim, 0))
    f = ESTIMATORS["exact"](lambda sample: sample(q).sum(units) + 2)
    assert f.tolist() == [2.0] * 4


@pytest.mark.parametrize("made", [torch.randn_like, lambda like: torch.full_like(like, math.nan)])
def test_noise_that_is_no_chance_is_refused(made):
    torch.manual_seed(0)
    for q in (gslib.Bernoulli(torch.zeros(100, 2)), gslib.Categorical(torch.zeros(100, 2, 3))):
        with pytest.raises(ValueError, match=r"what uniform returned must lie in \[0, 1\]"):
            q.sample(uniform=made)


@pytest.mark.parametrize(
    ("name", "options"),
    [("gapped_st", {"gap": "p"}), ("rebar", {"eta": "p"}), ("double_cv", {"alpha": "p"})],
)
def test_a_hyperparameter_that_is_no_number_is_refused_by_name(name, options):
    q = gslib.Bernoulli(torch.zeros(4, 2, requires_grad=True))
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be a number or a tensor"):
        ESTIMATORS[name](lambda sample: sample(q).sum(-1), **options)
    with pytest.raises(ValueError, match="max_states must be an integer"):
        ESTIMATORS["exact"](lambda sample: sample(q).sum(-1), max_states="p")
