"""gslib.check grades known estimators as theory does, and takes the reader's own."""

from functools import partial

import pandas
import pytest
import torch

import gslib
from gslib import ESTIMATORS
from gslib.check import PROGRAMS
from gslib.distributions import sharpened
from gslib.functional import zero_valued

EXACT_ON = {  # estimator -> the programs on which theory says that it is unbiased
    "sf": set(PROGRAMS),
    "muprop": set(PROGRAMS),
    "exact": set(PROGRAMS),
    "st": {"bernoulli, linear", "categorical, linear", "categorical, bilinear"},
    "annealed_st": {"bernoulli, linear", "categorical, linear", "categorical, bilinear"},
    "darn": {
        *(
            "bernoulli, linear",
            "bernoulli, separable quadratic",
            "bernoulli, quadratic",
            "bernoulli, parameter in loss",
        ),
        *("categorical, linear", "categorical, bilinear"),
    },
    "gumbel_softmax": set(),
    "st_gumbel_softmax": set(),
    "reinmax": {
        *(
            "bernoulli, linear",
            "bernoulli, separable quadratic",
            "bernoulli, quadratic",
            "bernoulli, parameter in loss",
        ),
        *("categorical, linear", "categorical, quadratic", "categorical, bilinear"),
    },
    "gumbel_rao": set(),
    "gapped_st": set(),
    "rloo": set(PROGRAMS),
    "double_cv": set(PROGRAMS),
    "disarm": set(PROGRAMS),
    "rebar": set(PROGRAMS),
    "vimco": set(PROGRAMS),
    "local_expectation": set(PROGRAMS),
}
SETTINGS = {"gumbel_rao": {"tau": 1.0}}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_verdicts_are_those_of_theory(name):
    samples = 5_000 if name == "exact" else 100_000
    report = gslib.check(name, samples=samples, **SETTINGS.get(name, {}))
    assert {p.program for p in report.programs if p.unbiased} == EXACT_ON[name]
    assert report.unbiased == (EXACT_ON[name] == set(PROGRAMS))


def test_a_slope_is_part_of_the_target():
    linear = gslib.check("annealed_st", slope=2.0, samples=10_000).programs[0]
    assert linear.unbiased  # of the program with the slope, which is another one
    assert linear.exact_norm > 2 * gslib.check("st", samples=100).programs[0].exact_norm
    fixed = partial(ESTIMATORS["annealed_st"], slope=2.0)
    assert gslib.check(fixed, samples=10_000).programs[0] == linear
    report = gslib.check(
        lambda program: fixed(program), samples=10_000, node=lambda q: sharpened(q, 2.0)
    )
    assert report.programs[0] == linear


def test_the_value_of_a_relaxed_program_is_biased_and_reported():
    quadratic = {
        name: gslib.check(name, samples=20_000).programs[1]
        for name in ("gumbel_softmax", "st_gumbel_softmax")
    }
    relaxed, discrete = quadratic.values()
    assert abs(relaxed.value_bias) > 20 * relaxed.value_standard_error
    assert abs(discrete.value_bias) < 4 * discrete.value_standard_error


def test_variance_and_standard_error_belong_together():
    few, many = (gslib.check("sf", samples=n).programs[0] for n in (10_000, 40_000))
    assert few.variance == pytest.approx(many.variance, rel=0.1)
    assert few.standard_error == pytest.approx(2 * many.standard_error, rel=0.1)
    assert many.standard_error == pytest.approx((many.variance / 40_000) ** 0.5)
    assert gslib.check("muprop", samples=1000).programs[0].variance < 1e-20  # a linear loss


def my_score_function(program):
    scores = []

    def sample(q):
        z = torch.bernoulli(q.mean).detach() if isinstance(q, gslib.Bernoulli) else q.sample()
        scores.append(q.log_prob(z).sum(-1))
        return z

    loss = program(sample)
    return loss + zero_valued(loss.detach() * sum(scores))


def test_the_readers_own_estimator():
    assert gslib.check(my_score_function, samples=20_000).unbiased
    report = gslib.check(lambda program: 1.02 * my_score_function(program), samples=100_000)
    assert not report.unbiased  # two per cent too much is found
    assert report.estimator.startswith("<lambda>")

    def needs_noise(program, *, uniform):
        return ESTIMATORS["sf"](program, uniform=uniform)

    assert gslib.check(needs_noise, samples=20_000).unbiased


def test_programs_of_ones_own():
    theta = torch.tensor([0.3, -0.4], dtype=torch.float64)
    own = {"mine": ([theta], lambda t: lambda sample: sample(gslib.Bernoulli(t)).prod(-1))}
    (product,) = gslib.check("st", samples=20_000, programs=own).programs
    assert product.program == "mine"
    assert product.unbiased  # linear in each unit
    p, q = theta.sigmoid().tolist()
    by_hand = p * q * ((1 - p) ** 2 + (1 - q) ** 2) ** 0.5
    assert product.exact_norm == pytest.approx(by_hand)


def test_hyperparameters_of_any_name():
    def several(program, *, samples, seed=0, uniform=None):
        return ESTIMATORS["rloo"](program, k=samples + seed, uniform=uniform)

    report = gslib.check(several, samples=2_000, settings={"samples": 3, "seed": 1})
    assert report.estimator == "several(samples=3, seed=1)"
    assert report.samples == 2_000
    assert report.programs == gslib.check("rloo", samples=2_000, k=4).programs
    named = gslib.check(
        lambda program, estimator: several(program, samples=2), estimator="x", samples=100
    )
    assert named.estimator == "<lambda>(estimator=x)"


def test_the_target_of_a_bound_is_the_bound():
    bound = gslib.check("vimco", samples=20_000, k=3).programs[0]
    assert bound.unbiased
    assert bound.exact_norm > 1.02 * gslib.check("sf", samples=100).programs[0].exact_norm
    assert not gslib.check(
        partial(ESTIMATORS["vimco"].function, k=3), samples=20_000, node=lambda q: q
    ).unbiased  # of the program itself


def test_an_unbiased_estimator_rarely_fails():
    assert all(gslib.check("sf", samples=2_000, seed=seed).unbiased for seed in range(20))


def test_the_seed_fixes_the_report_and_the_global_state_stays():
    state = torch.get_rng_state()
    reports = [
        gslib.check(my_score_function, samples=500, seed=seed).programs for seed in (1, 1, 2)
    ]
    assert torch.get_rng_state().equal(state)
    assert reports[0] == reports[1] != reports[2]
    with torch.no_grad():
        assert (
            gslib.check("sf", samples=500, seed=1).programs
            == gslib.check("sf", samples=500, seed=1).programs
        )


def test_the_report_reads_as_a_table_and_as_data():
    report = gslib.check("gumbel_softmax", samples=2_000, tau=0.5)
    text = str(report)
    assert text == repr(report)
    assert text.startswith("gumbel_softmax(tau=0.5): biased\n2,000 samples")
    assert len(text.splitlines()) == 3 + len(PROGRAMS)
    assert all(program in text for program in PROGRAMS)
    assert max(map(len, text.splitlines())) <= 80
    rows = pandas.DataFrame(report.programs)
    assert list(rows["program"]) == list(PROGRAMS)
    assert {"bias", "standard_error", "variance", "value_bias"} <= set(rows)
    assert "biased by" in report.programs[0].verdict
    assert "unbiased within" in gslib.check("sf", samples=2_000).programs[0].verdict


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        ("reinforce", KeyError, "unknown estimator 'reinforce'; choose one of sf"),
        (3, TypeError, "name in ESTIMATORS or a function, got 3"),
        (
            lambda program: ESTIMATORS["sf"](program).mean(),
            ValueError,
            r"shape \(\); it needs \(50,\): do not average",
        ),
        (
            lambda program: ESTIMATORS["sf"](program)[:7],
            ValueError,
            r"shape \(7,\); it needs \(50,\)",
        ),
        (lambda program: ESTIMATORS["sf"](program).detach(), ValueError, "has no gradient"),
        (lambda program: 0.0, TypeError, "returned 0.0; return the surrogate"),
    ],
)
def test_what_is_no_estimator_is_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        gslib.check(estimator, samples=50)


def test_too_few_samples():
    with pytest.raises(ValueError, match="samples must be an integer of at least 2, got 1"):
        gslib.check("sf", samples=1)


def test_a_gradient_of_zero_is_graded_without_dividing_by_it():
    logits = torch.zeros(1, dtype=torch.float64)
    even = {"even": ([logits], lambda a: lambda sample: program(a, sample))}

    def program(a, sample):
        return ((sample(gslib.Bernoulli(a)) - 0.5) ** 2).sum(-1)

    exact, sf = (gslib.check(name, samples=1000, programs=even) for name in ("exact", "sf"))
    assert exact.unbiased
    assert sf.unbiased
    assert "where 0 is right" in str(sf)
    tilted = gslib.check(lambda p: ESTIMATORS["st"](p) + zero_valued(logits_of(p)), programs=even)
    assert not tilted.unbiased
    assert "biased by" in str(tilted)


def logits_of(program):
    """The logit of the program's one node."""
    found = []
    program(lambda q: found.append(q.logits) or q.mean)
    return found[0].sum(-1)


def test_programs_in_float32_are_graded_as_in_float64():
    weights = torch.tensor([1.0, -2.0])

    def build(a):
        return lambda sample: (sample(gslib.Bernoulli(a)) * weights).sum(-1).sub(0.4) ** 3

    single = {"cubic": ([torch.tensor([0.3, -0.8])], build)}
    for samples in (100, 20_000):
        assert gslib.check("exact", samples=samples, programs=single).unbiased
    assert gslib.check("sf", samples=20_000, programs=single).unbiased
    assert not gslib.check("st", samples=20_000, programs=single).unbiased


@pytest.mark.parametrize(
    ("programs", "error", "said"),
    [
        ({}, ValueError, "programs is empty"),
        ({"none": ([], lambda: None)}, ValueError, "'none' has no parameters"),
        (
            {"whole": ([torch.tensor([1])], lambda a: None)},
            TypeError,
            "of 'whole' must be floating",
        ),
    ],
)
def test_programs_that_cannot_be_graded_are_refused_by_name(programs, error, said):
    with pytest.raises(error, match=said):
        gslib.check("sf", samples=100, programs=programs)


def test_a_hyperparameter_that_an_estimator_does_not_take_is_named():
    with pytest.raises(TypeError, match="it takes program, baseline, uniform, got tau"):
        gslib.check("sf", samples=100, tau=1.0)
