"""Every estimator against exact enumeration: the unbiased ones agree with it, the biased ones show their known bias."""

from functools import partial

import pytest
import torch
from programs import (
    CASES,
    Case,
    brute_force,
    exact_gradients,
    expected_estimate,
    per_sample,
    tensor,
    z_scores,
)

import gslib
from gslib import ESTIMATORS, Baseline, Bernoulli, Categorical
from gslib.distributions import sharpened

SAMPLES = 100_000
ENSEMBLES = [None, 2]
UNBIASED = {
    "sf": {},
    "sf, constant baseline": {"baseline": 0.7},
    "muprop": {},
    "muprop, constant baseline": {"baseline": 0.7},
}
BIASED = {  # name -> hyperparameters; their expectation is known where the noise acts through the sample alone
    "darn": {},
    "darn, printed form": {"form": "printed"},
    "st": {},
    "annealed_st": {"slope": 0.6},
    "gumbel_softmax": {"tau": 0.7},
    "st_gumbel_softmax": {"tau": 0.7},
}
case_table = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ensemble_table = pytest.mark.parametrize("ensemble", ENSEMBLES, ids=["lone", "ensemble"])


def estimator_of(name):
    return ESTIMATORS[name.split(",")[0]]


def target_case(name, case):
    """Slope-annealed ST estimates the gradient of the program whose nodes have the slope."""
    return (
        case.node(lambda q: sharpened(q, BIASED[name]["slope"])) if name == "annealed_st" else case
    )


# --- the oracle ------------------------------------------------------------------------------------------------------


@case_table
@ensemble_table
def test_exact_is_brute_force(case, ensemble):
    values, gradients = per_sample(ESTIMATORS["exact"], case, 2, ensemble)
    expected = exact_gradients(case, ensemble)
    torch.testing.assert_close(
        gradients, expected.unsqueeze(-2).expand_as(gradients), rtol=1e-10, atol=1e-12
    )
    if ensemble is None:
        torch.testing.assert_close(values, brute_force(case)[0].expand(2), rtol=1e-10, atol=1e-12)


def test_exact_gives_the_gradient_of_finite_differences():
    case = CASES["bernoulli over categorical"]
    leaves = [p.clone().requires_grad_() for p in case.parameters]
    assert torch.autograd.gradcheck(lambda *p: ESTIMATORS["exact"](case.build(*p)), leaves)


def test_exact_counts_states_before_it_enumerates():
    def program(units):
        return lambda sample: sample(Bernoulli(torch.zeros(1, units))).sum(-1)

    with pytest.raises(ValueError, match=r"1073741824 joint states.*max_states = 4096.*smaller"):
        ESTIMATORS["exact"](program(30))
    with pytest.raises(ValueError, match="16 joint states"):
        ESTIMATORS["exact"](program(4), max_states=15)
    assert ESTIMATORS["exact"](program(4), max_states=16).item() == 2


# --- unbiased estimators ---------------------------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_in_exact_expectation(name, case, ensemble):
    expected = expected_estimate(estimator_of(name), case, ensemble, **UNBIASED[name])
    torch.testing.assert_close(expected, exact_gradients(case, ensemble), rtol=1e-9, atol=1e-12)


@case_table
@ensemble_table
@pytest.mark.parametrize("name", ["sf", "muprop"])
def test_unbiased_by_sampling(name, case, ensemble):
    _, gradients = per_sample(ESTIMATORS[name], case, SAMPLES, ensemble)
    assert z_scores(gradients, exact_gradients(case, ensemble)).max() < 4


def test_control_variates_reduce_variance():
    case = CASES["bernoulli"]
    variance = {
        name: per_sample(estimator_of(name), case, 10_000, **hyper)[1].var(0).sum()
        for name, hyper in {
            "sf": {},
            "sf, baseline": {"baseline": brute_force(case)[0].item()},
            "muprop": {},
        }.items()
    }
    assert variance["muprop"] < variance["sf, baseline"] < variance["sf"]


def test_muprop_has_no_variance_on_a_linear_loss():
    for case in LINEAR.values():
        _, gradients = per_sample(ESTIMATORS["muprop"], case, 100)
        torch.testing.assert_close(gradients, exact_gradients(case, None).expand_as(gradients))


# --- biased estimators -----------------------------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", BIASED)
def test_biased_estimators_show_their_bias(name, case, ensemble):
    estimator, target = estimator_of(name), target_case(name, case)
    _, gradients = per_sample(estimator, case, SAMPLES, ensemble, **BIASED[name])
    bias = z_scores(gradients, exact_gradients(target, ensemble))
    assert bias.amax(-1).min() > 6, f"every member is biased, got {bias}"
    if (
        "gumbel" not in name
    ):  # these have an expectation that enumeration gives; sampling must agree with it
        expected = expected_estimate_of(name, case, ensemble)
        assert z_scores(gradients, expected).max() < 4


def expected_estimate_of(name, case, ensemble=None):
    if name == "annealed_st":  # st on the sloped program, whose probabilities weigh the states
        return expected_estimate(ESTIMATORS["st"], target_case(name, case), ensemble)
    return expected_estimate(estimator_of(name), case, ensemble, **BIASED[name])


def one_unit(f):
    return Case([tensor(0.7)], lambda theta: lambda sample: f(sample(Bernoulli(theta))).sum(-1))


def f_and_slope(f, z):
    z = tensor(float(z)).requires_grad_()
    (slope,) = torch.autograd.grad(f(z).sum(), z)
    return f(z).item(), slope.item()


FUNCTIONS = {
    "linear": lambda z: 2 * z - 1,
    "quadratic": lambda z: (z - 0.3) ** 2,
    "cubic": lambda z: z**3 - z**2 + 0.3 * z,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_expectations_for_one_unit_by_hand(name):
    f = FUNCTIONS[name]
    (f0, slope0), (f1, slope1) = f_and_slope(f, 0), f_and_slope(f, 1)
    p = tensor(0.7).sigmoid().item()
    dp = p * (1 - p)
    by_hand = {
        "sf": dp * (f1 - f0),
        "muprop": dp * (f1 - f0),
        "st": dp * (p * slope1 + (1 - p) * slope0),
        "darn": dp * (slope1 + slope0) / 2,
    }
    for estimator, gradient in by_hand.items():
        assert expected_estimate(ESTIMATORS[estimator], one_unit(f)).item() == pytest.approx(
            gradient, abs=1e-12
        ), estimator
    exact = {
        estimator: abs(gradient - dp * (f1 - f0)) < 1e-12 for estimator, gradient in by_hand.items()
    }
    assert exact["darn"] == (name != "cubic")
    assert exact["st"] == (name == "linear")


def _bernoulli(loss):
    return Case(
        [tensor(0.4, -0.7, 1.1)], lambda theta: lambda sample: loss(sample(Bernoulli(theta)))
    )


def _categorical(loss):
    return Case(
        [tensor([0.4, -0.7, 1.1], [0.2, 0.9, -0.5])],
        lambda theta: lambda sample: loss(sample(Categorical(theta))),
    )


A = tensor([0.9, -0.4, 0.3], [0.2, 0.7, -0.8], [-1.2, 0.5, 0.6])
LINEAR = {
    "bernoulli": _bernoulli(lambda z: (z * A[0]).sum(-1)),
    "categorical": _categorical(lambda z: (z * A[:2]).sum((-2, -1))),
}


@pytest.mark.parametrize("case", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("name", ["st", "darn"])
def test_straight_through_and_darn_are_exact_for_a_linear_loss(name, case):
    torch.testing.assert_close(
        expected_estimate(ESTIMATORS[name], case), exact_gradients(case, None)
    )


def test_darn_is_exact_for_any_quadratic_of_binary_units_and_not_for_a_cubic():
    quadratic = _bernoulli(lambda z: ((z @ A) * z).sum(-1) - 0.3 * z.sum(-1))
    torch.testing.assert_close(
        expected_estimate(ESTIMATORS["darn"], quadratic), exact_gradients(quadratic, None)
    )
    cubic = _bernoulli(lambda z: ((z @ A[0]) - 0.3) ** 3)
    assert (
        expected_estimate(ESTIMATORS["darn"], cubic) - exact_gradients(cubic, None)
    ).norm() > 0.01


def test_darn_as_printed_keeps_nothing_of_a_separable_quadratic():
    separable = _bernoulli(lambda z: ((z - 0.3) ** 2 * A[0]).sum(-1))
    assert exact_gradients(separable, None).norm() > 0.05
    assert expected_estimate(partial(ESTIMATORS["darn"], form="printed"), separable).norm() < 1e-12


def test_darn_passes_a_lower_sample_by_its_own_rule():
    theta, w, b = 0.7, -1.2, 0.5  # z1 ~ sigmoid(theta), z2 ~ sigmoid(w z1 + b), f(z2)
    case = Case(
        [tensor(theta)],
        lambda theta: (
            lambda sample: FUNCTIONS["cubic"](
                sample(Bernoulli(sample(Bernoulli(theta)) * w + b))
            ).sum(-1)
        ),
    )
    p1, expected = tensor(theta).sigmoid().item(), 0.0
    for z1 in (0, 1):
        p2 = tensor(w * z1 + b).sigmoid().item()
        for z2 in (0, 1):
            probability = (p1 if z1 else 1 - p1) * (p2 if z2 else 1 - p2)
            slope = (
                f_and_slope(FUNCTIONS["cubic"], z2)[1] * (z2 - 0.5) * (z2 - p2) * w
            )  # d f / d z1 through log q(z2)
            expected += probability * slope * (z1 - 0.5) * (z1 - p1)
    assert abs(expected) > 1e-3
    assert expected_estimate(ESTIMATORS["darn"], case).item() == pytest.approx(expected, abs=1e-12)


def quadrature(estimator, case, step=0.05, **hyperparameters):
    """Expected gradient over the noise of two units, by the midpoint rule in the logit of u: no sampling error.

    Straight-through samples jump where the noise crosses minus the logits: the test puts these on the edges of cells.
    """
    ell = torch.arange(-22 + step / 2, 22, step, dtype=torch.float64)
    u, weight = ell.sigmoid(), ell.sigmoid() * (-ell).sigmoid() * step
    noise = iter([u.repeat_interleave(len(u)).unsqueeze(-1), u.repeat(len(u)).unsqueeze(-1)])
    weight = torch.outer(weight, weight).flatten()
    assert weight.sum().item() == pytest.approx(1, abs=1e-8)
    _, gradients = per_sample(
        estimator, case, len(weight), uniform=lambda t: next(noise), **hyperparameters
    )
    return (weight.unsqueeze(-1) * gradients).sum(0)


TWO_UNITS = Case(
    [tensor(0.7), tensor(-1.2, 0.5)],
    lambda theta, w: (
        lambda sample: (
            (sample(Bernoulli(sample(Bernoulli(theta)) * w[..., :1] + w[..., 1:])) - 0.3).sum(-1)
            ** 3
        )
    ),
)


@pytest.mark.parametrize("name", ["gumbel_softmax", "st_gumbel_softmax"])
@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_gumbel_estimators_sample_the_expectation_that_quadrature_gives(name, tau):
    expected = quadrature(ESTIMATORS[name], TWO_UNITS, tau=tau)
    _, gradients = per_sample(ESTIMATORS[name], TWO_UNITS, SAMPLES, tau=tau)
    assert z_scores(gradients, expected).max() < 4
    assert z_scores(gradients, brute_force(TWO_UNITS)[1]).max() > 6


def test_gumbel_softmax_loses_its_bias_as_tau_falls():
    def relaxed_gradient(tau):
        # E[f'(y) y(1-y)/tau] over logistic noise, y = sigmoid((theta + l)/tau): written out, with no gslib in it.
        ell = torch.linspace(-36, 36, 1_000_001, dtype=torch.float64)
        y = ((0.7 + ell) / tau).sigmoid()
        return torch.trapezoid(
            3 * (y - 0.3) ** 2 * y * (1 - y) / tau * ell.sigmoid() * (-ell).sigmoid(), ell
        ).item()

    case = one_unit(lambda z: (z - 0.3) ** 3)
    exact = exact_gradients(case, None).item()
    ell = torch.linspace(-36, 36, 200_001, dtype=torch.float64)
    errors = []
    for tau in (2.0, 1.0, 0.1, 0.02):
        weight = ell.sigmoid() * (-ell).sigmoid() * (ell[1] - ell[0])
        _, gradients = per_sample(
            ESTIMATORS["gumbel_softmax"],
            case,
            len(ell),
            tau=tau,
            uniform=lambda t: ell.sigmoid().unsqueeze(-1),
        )
        expected = (weight * gradients.squeeze(-1)).sum().item()
        assert expected == pytest.approx(relaxed_gradient(tau), abs=1e-6)
        errors.append(abs(expected - exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05 > 0.001 > errors[-1]


def test_two_classes_and_one_binary_unit_are_the_same_estimator():
    # Two Gumbels differ by a logistic variable, so both nodes have one distribution of gradients: compare their means.
    def loss(s):
        return (s - 0.3) ** 3

    binary = one_unit(loss)
    classes = Case(
        [tensor(0.7)],
        lambda theta: (
            lambda sample: loss(
                sample(Categorical(torch.stack([theta, 0 * theta], -1)))[..., 0]
            ).sum(-1)
        ),
    )
    for name in ("gumbel_softmax", "st_gumbel_softmax", "st", "sf", "muprop"):
        a, b = (
            per_sample(ESTIMATORS[name], case, SAMPLES)[1].squeeze(-1) for case in (binary, classes)
        )
        standard_error = ((a.var() + b.var()) / SAMPLES).sqrt()
        assert (a.mean() - b.mean()).abs() < 4 * standard_error, name
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.03), name


# --- the surrogate's value -------------------------------------------------------------------------------------------


@case_table
@ensemble_table
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "exact"])
def test_the_value_is_the_loss_of_the_sample(name, case, ensemble):
    def seeded():
        generator = torch.Generator().manual_seed(3)
        return lambda t: torch.rand(t.shape, generator=generator, dtype=t.dtype)

    rule = {
        "gumbel_softmax": lambda q, uniform: q.relaxed_sample(1.0, uniform=uniform),
        "annealed_st": lambda q, uniform: sharpened(q, 1.0).sample(uniform=uniform),
    }.get(name, lambda q, uniform: q.sample(uniform=uniform))

    def plain(program, *, uniform):
        return program(lambda q: rule(q, uniform)) + 0 * program(lambda q: q.mean)

    expected, _ = per_sample(plain, case, 50, ensemble, uniform=seeded())
    values, _ = per_sample(ESTIMATORS[name], case, 50, ensemble, uniform=seeded())
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


def test_exact_has_no_variance_and_ignores_the_noise():
    program = CASES["bernoulli"].build(*CASES["bernoulli"].parameters)
    assert ESTIMATORS["exact"](program, uniform=torch.zeros_like).equal(
        ESTIMATORS["exact"](program)
    )


def test_same_seed_same_estimate_and_other_seed_another():
    case = CASES["categorical, two layers"]
    for name in ESTIMATORS:
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(per_sample(ESTIMATORS[name], case, 20)[1])
        assert draws[0].equal(draws[1]), name
        assert name == "exact" or not draws[0].equal(draws[2]), name


# --- an ensemble is many lone runs -----------------------------------------------------------------------------------


def streams(seeds):
    """Noise from one generator per member, stacked: what each member would draw alone."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    return lambda t: torch.stack(
        [torch.rand(t.shape[1:], generator=g, dtype=t.dtype) for g in generators]
    )


def stream(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda t: torch.rand(t.shape, generator=generator, dtype=t.dtype)


SEEDS = [3, 14, 159]
HYPERPARAMETERS = {
    "annealed_st": ("slope", [1.0, 1.5, 2.0]),
    "gumbel_softmax": ("tau", [0.5, 1.0, 2.0]),
    "st_gumbel_softmax": ("tau", [0.5, 1.0, 2.0]),
}


def member_settings(name, e=None):
    """The hyperparameter that differs between members, as [E] for the ensemble or as a number for member e."""
    if name not in HYPERPARAMETERS:
        return {}
    key, values = HYPERPARAMETERS[name]
    return {key: torch.tensor(values, dtype=torch.float64) if e is None else values[e]}


@case_table
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_ensemble_member_is_its_lone_run_bit_for_bit(name, case):
    together = per_sample(
        ESTIMATORS[name], case, 16, 3, uniform=streams(SEEDS), **member_settings(name)
    )
    for e, seed in enumerate(SEEDS):
        lone_case = Case([p[e] for p in case.members(3)], case.build)
        alone = per_sample(
            ESTIMATORS[name], lone_case, 16, uniform=stream(seed), **member_settings(name, e)
        )
        for both, one in zip(together, alone, strict=True):
            assert both[e].equal(one)


MODELS = {
    "vae, bernoulli": (gslib.models.DiscreteVAE, "bernoulli", (32,)),
    "vae, categorical": (gslib.models.DiscreteVAE, "categorical", (4, 4)),
    "sbn, bernoulli": (gslib.models.StochasticBinaryNetwork, "bernoulli", (32,)),
    "sbn, categorical": (gslib.models.StochasticBinaryNetwork, "categorical", (4, 4)),
}
model_table = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
sampling_table = pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "exact"])


def ensemble_and_lone_runs(name, model, pixels, batch):
    """Pairs (from the ensemble, from the lone run) of losses and of every parameter's gradient."""
    kind, node, size = model
    x = (torch.rand(batch, pixels) < 0.4).float()
    ensemble = kind(node, size=size, data=pixels, ensemble=3, seeds=SEEDS)
    settings = {key: value.float() for key, value in member_settings(name).items()}
    surrogate = ESTIMATORS[name](
        partial(ensemble.loss, x.expand(3, batch, pixels)), uniform=streams(SEEDS), **settings
    )
    assert surrogate.shape == (3, batch)
    surrogate.mean(-1).sum().backward()
    for e, seed in enumerate(SEEDS):
        lone = kind(node, size=size, data=pixels, seeds=[seed])
        alone = ESTIMATORS[name](
            partial(lone.loss, x), uniform=stream(seed), **member_settings(name, e)
        )
        alone.mean().backward()
        yield surrogate[e], alone
        for both, one in zip(ensemble.parameters(), lone.parameters(), strict=True):
            assert both[e].equal(one)
            yield both.grad[e], one.grad


@model_table
@sampling_table
def test_a_member_of_a_model_ensemble_is_its_lone_run_bit_for_bit(name, model):
    """Sizes are multiples of 16, as the paper's are of 8: rows that end inside a vector register round differently."""
    for both, one in ensemble_and_lone_runs(name, model, pixels=64, batch=16):
        assert both.equal(one)


@model_table
@sampling_table
def test_a_member_of_any_model_ensemble_is_its_lone_run_to_rounding(name, model):
    kind, node, _ = model
    odd = (kind, node, {"bernoulli": (7,), "categorical": (3, 5)}[node])
    for both, one in ensemble_and_lone_runs(name, odd, pixels=26, batch=9):
        torch.testing.assert_close(both, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [gslib.models.DiscreteVAE, gslib.models.StochasticBinaryNetwork])
@pytest.mark.parametrize(("node", "size"), [("bernoulli", (200,)), ("categorical", (20, 10))])
def test_a_member_of_the_papers_models_is_its_lone_run_bit_for_bit(kind, node, size):
    for both, one in ensemble_and_lone_runs(
        "st_gumbel_softmax", (kind, node, size), pixels=784, batch=100
    ):
        assert both.equal(one)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_sf_and_exact_agree_on_a_model_ensemble(model):
    kind, node, _ = model
    nets = kind(
        node, size={"bernoulli": (2,), "categorical": (1, 3)}[node], data=4, ensemble=2
    ).double()
    x = (torch.rand(2, 1, 4) < 0.5).double()
    parameters = [p for p in nets.parameters() if p.requires_grad]

    def gradient(surrogate):
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(surrogate.mean(-1).sum(), parameters)]
        )

    expected = gradient(ESTIMATORS["exact"](partial(nets.loss, x)))
    rows = x.expand(2, 25_000, 4)
    estimates = torch.stack(
        [gradient(ESTIMATORS["muprop"](partial(nets.loss, rows))) for _ in range(8)]
    )
    standard_error = estimates.std(0) / 8**0.5
    assert (
        ((estimates.mean(0) - expected).abs() / (standard_error + 1e-9)) < 6
    ).all()  # t with 7 degrees of freedom
    assert (estimates.mean(0) - expected).norm() < 0.02 * expected.norm()


# --- variance normalisation ------------------------------------------------------------------------------------------


def seen(baseline, mean, variance):
    """A baseline that has learned these moments already."""
    baseline.mean.fill_(mean)
    baseline.variance.fill_(variance)
    baseline.seen.fill_(True)
    return baseline


@pytest.mark.parametrize("name", ["sf", "muprop"])
@pytest.mark.parametrize("kind", ["bernoulli", "categorical"])
def test_variance_normalisation_rescales_and_keeps_the_direction(name, kind):
    case = CASES[kind]
    fixed = Case(
        case.parameters[:1], lambda theta: case.build(theta, case.parameters[1])
    )  # no parameter in the loss
    baseline = seen(Baseline(normalise=True), 0.25, 6.25)
    expected = expected_estimate(partial(ESTIMATORS[name], baseline=baseline), fixed)
    torch.testing.assert_close(expected, exact_gradients(fixed, None) / 2.5)


def test_variance_normalisation_leaves_small_signals_and_the_loss_gradient_alone():
    case = CASES["bernoulli"]
    small = seen(Baseline(normalise=True), 0.1, 0.04)
    expected = expected_estimate(partial(ESTIMATORS["sf"], baseline=small), case)
    torch.testing.assert_close(expected, exact_gradients(case, None))
    large = seen(Baseline(normalise=True), 0.1, 100.0)
    expected = expected_estimate(partial(ESTIMATORS["muprop"], baseline=large), case)
    torch.testing.assert_close(
        expected[3:], exact_gradients(case, None)[3:]
    )  # the parameters of the loss: not rescaled
    torch.testing.assert_close(expected[:3], exact_gradients(case, None)[:3] / 10)


def test_darn_with_variance_normalisation_is_proportional_to_darn():
    case = _bernoulli(lambda z: ((z @ A) * z).sum(-1))
    baseline = seen(Baseline(normalise=True), 0.0, 9.0)
    expected = expected_estimate(partial(ESTIMATORS["darn"], baseline=baseline), case)
    torch.testing.assert_close(expected, exact_gradients(case, None) / 3)


@pytest.mark.parametrize("name", ["sf", "muprop", "darn"])
def test_variance_normalisation_divides_a_kl_term_with_the_rest(name):
    """A variational posterior gets gradient through the sample and through its KL: dividing one alone turns it round."""

    def build(theta):
        def program(sample):
            q = Bernoulli(theta)
            z = sample(q)
            return ((z @ A) * z).sum(-1) + 3 * gslib.kl(
                q, Bernoulli(torch.full_like(theta, 1.5))
            ).sum(-1)

        return program

    case = Case([tensor(0.4, -0.6, 0.9)], build)
    expected = expected_estimate(
        partial(ESTIMATORS[name], baseline=seen(Baseline(normalise=True), 0.0, 16.0)), case
    )
    torch.testing.assert_close(expected, exact_gradients(case, None) / 4)


@pytest.mark.parametrize("node", ["bernoulli", "categorical"])
def test_variance_normalisation_in_an_autoencoder_touches_the_encoder_alone(node):
    """For one draw: every gradient of a VAE's encoder is divided by the scale, those of decoder and prior are not."""
    x = torch.randint(0, 2, (2, 5, 16), generator=torch.Generator().manual_seed(1)).float()
    model = gslib.models.DiscreteVAE(
        node, size=(4,) if node == "bernoulli" else (2, 3), ensemble=2, data=16
    )
    gradients = {}
    for scale in (1.0, 5.0):
        torch.manual_seed(0)
        baseline = seen(Baseline(normalise=True, moving_average=False, ensemble=2), 0.0, scale**2)
        ESTIMATORS["muprop"](partial(model.loss, x), baseline=baseline).mean(-1).sum().backward()
        gradients[scale] = {k: p.grad.clone() for k, p in model.named_parameters()}
        model.zero_grad()
    for k, g in gradients[1.0].items():
        torch.testing.assert_close(
            gradients[5.0][k] * (5 if k.startswith("encoder") else 1), g, rtol=1e-4, atol=1e-5
        )


# --- errors ----------------------------------------------------------------------------------------------------------

THETA = torch.zeros(5, 3, requires_grad=True)


def test_unknown_name():
    with pytest.raises(
        KeyError, match=r"unknown estimator 'gumbel'; choose one of sf, darn, muprop, st"
    ):
        ESTIMATORS["gumbel"]


@pytest.mark.parametrize("name", ["sf", "darn", "muprop", "exact"])
def test_programs_that_break_the_rules(name):
    with pytest.raises(
        ValueError, match=r"returned \(\).*one loss per example.*\(5,\).*do not average"
    ):
        ESTIMATORS[name](lambda sample: sample(Bernoulli(THETA)).mean())
    with pytest.raises(ValueError, match="never called its sampler"):
        ESTIMATORS[name](lambda sample: THETA.sum(-1))
    with pytest.raises(ValueError, match=r"returned float.*one loss per example"):
        ESTIMATORS[name](lambda sample: float(sample(Bernoulli(THETA)).sum()))


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        (
            "gumbel_softmax",
            {"tau": 0.0},
            ValueError,
            r"tau must be positive and finite, got 0\.0; anneal",
        ),
        (
            "st_gumbel_softmax",
            {"tau": -1.0},
            ValueError,
            r"tau must be positive and finite, got -1\.0",
        ),
        (
            "gumbel_softmax",
            {"tau": torch.tensor([1.0, 1.0, 1.0, 1.0, float("nan")])},
            ValueError,
            r"got \[.*1\.0, nan\]",
        ),
        (
            "darn",
            {"form": "taylor"},
            ValueError,
            "form must be 'sample' or 'printed', got 'taylor'",
        ),
        ("sf", {"baseline": float("nan")}, ValueError, "baseline must be finite, got nan"),
        ("sf", {"baseline": torch.zeros(4)}, ValueError, r"baseline has shape \(4,\).*\(5,\)"),
        (
            "sf",
            {"uniform": lambda t: torch.rand(2)},
            ValueError,
            r"uniform returned shape \(2,\) .*\(5, 3\)",
        ),
    ],
)
def test_bad_hyperparameters(name, settings, error, message):
    with pytest.raises(error, match=message):
        ESTIMATORS[name](lambda sample: sample(Bernoulli(THETA)).sum(-1), **settings)
