"""Runs of reading aloud: settings, learning, states taken up to the bit, plan and results."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import ABOUT, execute, once, without_times

from gsbook import weights, words
from gsbook.code import code_of
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.search import dry
from gsbook.experiments import READING
from gsbook.experiments.reading import results
from gsbook.experiments.reading.config import Reading
from gsbook.experiments.reading.model import spell
from gsbook.experiments.reading.plan import BUDGETS, METHODS
from gsbook.experiments.reading.record import check, modules
from gsbook.experiments.reading.train import ReadingRun, load_data
from gsbook.intervals import Interval
from gsbook.records import Records
from gsbook.seeds import Runs
from gsbook.timing import made_up

PAIRS = {"a": "AE", "b": "B", "d": "D", "e": "EH", "m": "M", "n": "N", "t": "T", "k": "K"}


def toy(n):
    """Words in which every letter is one sound."""
    generator = torch.Generator().manual_seed(n)
    picks = torch.randint(len(PAIRS), (n, 4), generator=generator).tolist()
    found = ["".join([*PAIRS][k] for k in row) for row in picks]
    return spell([words.Word(word, tuple(PAIRS[x] for x in word)) for word in found])


DATA = {"train": toy(200), "valid": toy(40), "test": toy(41)}
SMALL = dict(embedding=8, width=16, hidden=16, batch=16, eval_every=2)


def small(method="gumbel_softmax", **settings):
    return Reading(method, **{"lr": 0.01, "steps": 6, "horizon": 6, **SMALL, **settings})


def experiment():
    return replace(READING, load_data=lambda images: (DATA, ABOUT | {"images": images}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "guess"}, "method must be one of marginal, soft, sf, .*, got 'guess'"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": math.inf}, "lr must be a finite number, got inf"),
        ({"steps": 7}, "steps = 7 go beyond the horizon of 6"),
        ({"width": 15}, "width must be even, half for each direction, got 15"),
        ({"eval_every": 0}, "eval_every must be positive, got 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_a_batch_larger_than_its_set_is_refused():
    with pytest.raises(ValueError, match="batch 500 is larger than its set of 200 words"):
        ReadingRun([small(batch=500)], DATA)


def test_schedules_end_at_the_horizon():
    config = small(steps=3, horizon=10, tau_min=0.25)
    assert [config.tau(0), config.tau(5), config.tau(10)] == [1.0, 0.5, 0.25]
    assert [config.rate(0), config.rate(5), config.rate(10)] == [0.01, 0.005, 0.0]
    assert math.exp(-config.anneal_rate * 5) == pytest.approx(config.tau(5))


def test_part_of_the_words_is_the_same_anywhere_and_not_the_first():
    pytest.importorskip("filelock")
    try:
        whole, _ = load_data()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    (one, about), (two, _) = load_data(images=50), load_data(images=50)
    assert about["images"] == 50
    assert torch.equal(one["test"].letters, two["test"].letters)
    assert len(one["train"].letters) == len(whole["train"].letters)
    assert not torch.equal(one["test"].letters, whole["test"].letters[:50])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_taken_up_again_gives_the_same_record(tmp_path, method):
    options = {"experiment": experiment(), "name": "reading"}
    whole = execute(tmp_path / "whole", once([small(method)]), **options)
    execute(tmp_path / "parts", once([small(method, steps=4)]), **options)
    store = Checkpoints(experiment(), ABOUT, tmp_path / "parts" / "checkpoints")
    assert store.step(small(method)) == 4, "the second part would start anew"
    parts = execute(tmp_path / "parts", once([small(method)]), **options)
    assert without_times(whole)[0] in without_times(parts)
    record = whole.all()[0]
    assert record["code"] == code_of(modules(small(method)))
    assert record["diverged"] is None
    assert len(record["curve"]["valid"]) == 3


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_letters_that_are_sounds(method):
    run = ReadingRun([small(method, steps=150, horizon=150, lr=0.02, eval_every=50)], DATA)
    before = run.evaluate(run.data["test"])["nll"]
    list(run.advance(150))
    assert run.evaluate(run.data["test"])["nll"] < 0.6 * before


def test_figures_belong_to_the_model_that_a_method_trains():
    runs = {m: ReadingRun([small(m)], DATA).evaluate(DATA["test"]) for m in ("soft", "marginal")}
    assert runs["soft"]["nll"] == runs["soft"]["mean"]
    assert runs["marginal"]["nll"] < runs["marginal"]["expected"]
    for name in ("mean", "expected", "entropy"):  # the same untrained network
        assert runs["soft"][name] == pytest.approx(runs["marginal"][name])


def test_records_that_cannot_be_are_refused(tmp_path):
    found = execute(tmp_path, once([small()]), experiment=experiment(), name="reading")
    (run,) = found.all()
    check(run)
    for figures, message in (
        ({"word_errors": 101.0}, "word_errors on valid of 101.0 are no percentage"),
        ({"nll": None}, "nll on valid is null, and yet it did not diverge"),
        ({"nll": -0.1}, "nll is -0.1, below 0"),
    ):
        with pytest.raises(ValueError, match=message):
            check(run | {"valid": run["valid"] | figures})


def test_kept_weights_give_the_network_back(tmp_path, monkeypatch):
    toy = experiment()
    records = execute(tmp_path, once([small()]), experiment=toy, name="reading")
    monkeypatch.setattr(weights, "READING", toy)
    monkeypatch.setattr(weights, "PREFIXES", {"reading-": toy})
    options = {"checkpoints": tmp_path / "checkpoints"}
    path = weights.keep("reading-gumbel_softmax", records, **options)
    assert path == tmp_path / "weights" / "reading-gumbel_softmax.safetensors"
    model, config = weights.load_model(path)
    assert config == small()
    run = ReadingRun([small()], DATA)
    list(run.advance(6))
    ours, theirs = (net.nll(net.looks(DATA["test"])) for net in (model, run.model))
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match=r"st has no finished final run .* run `python"):
        weights.keep("reading-st", records, **options)


def test_the_plan_searches_on_one_seed_and_goes_on_from_there():
    stages = list(dry(READING.plan("st", BUDGETS["laptop"], Records("none")), made_up))
    (search, tested), (final, last) = stages
    assert (tested, last) == (False, True)
    assert [config.steps for config in search] == [300] * 3
    assert sorted(config.seed for config in final) == [0, 1, 2, 3, 4]
    assert final[0].trajectory in {config.trajectory for config in search}
    assert len(BUDGETS["paper"].rates) == 3


def final(nll, seed, expected=0.5, valid=None, diverged=None):
    figures = {"nll": nll, "mean": 0.6, "entropy": 0.1, "word_errors": 50.0, "expected": expected}
    return {
        "config": {"steps": 10, "lr": 0.1, "seed": seed},
        "diverged": diverged,
        "test": figures,
        "valid": figures | {"nll": nll if valid is None else valid},
        "minutes": 1.0,
        "curve": {"step": [5, 10], "train": [2.0, 1.0], "valid": [2.0, None]},
    }


def runs(*nlls, **settings):
    return Runs({seed: final(nll, seed, **settings) for seed, nll in enumerate(nlls)})


def test_the_comparison_is_sorted_and_has_intervals():
    found = {m: runs(*x) for m, x in {"exact": (0.4, 0.5), "soft": (0.2, 0.3)}.items()}
    frame = results.comparison(found)
    assert list(frame.index) == ["Soft attention", "Expectation"]
    assert frame.loc["Expectation", "nll"] == pytest.approx(0.45)
    assert frame.loc["Expectation", "± word_errors"] == 0
    steps, curves = found["exact"].curve("valid")
    assert steps == [5, 10]
    assert math.isnan(curves[0][1])
    assert list(results.differences(found, "nll", "exact")) == ["soft"]
    found["exact"].runs[2] = final(None, 2, diverged=7)
    frame = results.comparison(found)
    assert list(frame.index) == ["Soft attention", "Expectation (2 of 3 seeds)"]
    assert frame.iloc[1]["nll"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.009, 0.009, "equal"),
        (0.001, 0.009, "equal"),
        (0.02, 0.03, "worse"),
        (-0.2, -0.1, "better"),
        (-0.1, 0.1, "undecided"),
    ],
)
def test_an_interval_says_what_it_may(low, high, said):
    assert results.standing(Interval((low + high) / 2, low, high, 5)) == said


def test_the_lesson_names_the_relaxation_of_validation_and_a_rival_in_both_figures():
    found = {
        "exact": runs(0.30, 0.30, 0.301),
        "gumbel_softmax": runs(0.35, 0.35, 0.351),
        "st_gumbel_softmax": runs(0.34, 0.34, 0.341, valid=0.40),  # better on test alone
    }
    said = results.lesson(found, 1.5)
    assert "Gumbel-Softmax is, by validation, the relaxation to take. Against" in said
    assert "ST Gumbel-Softmax" not in said
    assert "+0.000 ± 0.000 nats in the loss of one look (equal)" in said
    assert "+0.050 ± 0.00" in said
    assert "in the likelihood (worse)" in said
    assert "1.5 times" in said
    rival = results.lesson(found | {"st": runs(0.31, 0.31, 0.311)}, 1.5)
    name = "though ST, which needs no temperature, is "
    assert f"{name}just as good in the loss of one look and better in the likelihood" in rival
    flattered = results.lesson(found | {"st": runs(0.37, 0.37, 0.371, expected=0.6, valid=0.3)}, 1)
    assert f"{name}worse in the loss of one look and worse in the likelihood" in flattered
    assert results.lesson({"exact": found["exact"]}, 1.5) == "not run yet"
