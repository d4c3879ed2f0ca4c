"""Teams in training: estimates of the gradient, learning, and states taken up to the bit."""

from dataclasses import replace

import pytest
import torch
from helpers import execute, once, without_times

from gsbook.code import code_of
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.experiment import EvaluationSize
from gsbook.experiments.poles import score, train
from gsbook.experiments.poles.config import METHODS, Team
from gsbook.experiments.poles.plan import POLES, evaluate
from gsbook.experiments.poles.record import modules
from gsbook.experiments.poles.train import TeamRun, gradients, load_data
from gsbook.experiments.poles.world import LONGEST
from gslib.estimators import ESTIMATORS

RUNNABLE = [n for n, m in METHODS.items() if m.estimator is None or m.estimator in ESTIMATORS]
SMALL = EvaluationSize(images=2)
TOY = replace(POLES, evaluate=lambda run, size, test: evaluate(run, SMALL, test))


def team(method="gumbel_softmax", world="equations", poles=2, **changes):
    """A short run of a small team."""
    short = {"lr": 0.3, "steps": 4, "rollouts": 4, "horizon": 10, "eval_every": 2}
    return Team(world, method, poles, **short | {"transitions": 100} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "darn"}, "method must be one of sf, .*, got 'darn'"),
        ({"world": "dream"}, "world must be one of equations, learned, got 'dream'"),
        ({"poles": 0}, "poles must be positive, got 0"),
        ({"rollouts": 1}, "rollouts must be 2 or more, .* got 1"),
        ({"method": "rloo", "rollouts": 6}, "for rloo a multiple of 4, got 6"),
        ({"world": "learned", "transitions": 1}, "needs 100 transitions or more, got 1"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        team(**changes)


def test_keys_tell_configs_apart():
    variants = [
        team(),
        team("st"),
        team(world="learned"),
        team(poles=3),
        team(lr=0.1),
        team(seed=1),
        team(steps=6),
        team(horizon=20),
    ]
    assert len({c.key for c in variants}) == len(variants)
    assert Team(**team().to_dict()) == team()


# Estimates


POLICY = torch.tensor([0.0, 0.0, 1.0, 0.5])


def mean_and_error(method, poles, rollouts=2048, **changes):
    config = team(method, poles=poles, rollouts=32, horizon=20, **changes)
    found = gradients(config, POLICY, rollouts=rollouts, warm=4).mean(1)  # poles are alike
    return found.mean(0), found.std(0) / len(found) ** 0.5


@pytest.mark.parametrize("method", [n for n in RUNNABLE if METHODS[n].estimator in (None, "sf")])
def test_score_functions_agree_with_what_each_pole_alone_would_learn(method):
    truth, error = mean_and_error("own", 1, rollouts=16_384)
    found, noise = mean_and_error(method, 4)
    assert ((found - truth).abs() < 5 * (noise**2 + error**2).sqrt()).all(), (found, truth)
    assert error.max() < 0.2 * truth.norm()


def test_the_noise_of_the_others_grows_with_the_team_and_a_path_does_not_hear_it():
    def noise(method, poles):
        return gradients(team(method, poles=poles, rollouts=32, horizon=20), POLICY, rollouts=512)

    for method, grows in (("to_go", True), ("own", False), ("st", False)):
        alone, many = (noise(method, poles).var(0).sum(-1).mean() for poles in (1, 16))
        assert bool(many > 4 * alone) == grows, method
        assert many > 0.5 * alone


def test_one_pole_is_told_the_same_by_its_own_cost_and_by_the_teams():
    own, all_of_it = (gradients(team(m, poles=1), POLICY, rollouts=8) for m in ("own", "to_go"))
    assert torch.equal(own, all_of_it)


def test_straight_through_is_exact_where_the_cost_is_linear_in_a_push(monkeypatch):
    """One step, a cost that is a straight line: the mean over both pushes is the path's."""
    monkeypatch.setattr(train.place, "cost", lambda state: state[..., 1])
    config = team("st", poles=1, horizon=1, rollouts=4)
    found = gradients(config, POLICY, rollouts=4)
    run = TeamRun([config], {})
    begin = run.starts(4, run.noise("noise"))
    policy = POLICY.expand(1, 4, 1, 4).clone().requires_grad_()
    exact = ESTIMATORS["exact"](run.program(policy, begin))
    assert found.shape == torch.autograd.grad(exact.sum(), policy)[0][0].shape
    run.step = 2  # where `gradients` has got to after two rounds of warming up
    begin = run.starts(4, run.noise("noise"))
    exact = ESTIMATORS["exact"](run.program(policy, begin))
    torch.testing.assert_close(found, torch.autograd.grad(exact.sum(), policy)[0][0])


def test_a_baseline_per_pole_finds_what_its_state_predicts():
    noise = torch.Generator().manual_seed(0)
    seen = torch.randn(30, 1, 64, 2, 4, generator=noise)
    weights = torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 3.0, 0.0, 1.0]])
    target = torch.einsum("tebnf,nf->tebn", seen, weights) + 7
    found = train.predictor(train.products(seen, target))
    torch.testing.assert_close(found[0], weights, atol=0.05, rtol=0)
    assert train.predictor(torch.zeros(1, 2, 4, 5)).eq(0).all()


# Runs


@pytest.mark.parametrize("world", ["equations", "learned"])
@pytest.mark.parametrize("method", RUNNABLE)
def test_a_run_taken_up_again_gives_the_same_record(tmp_path, method, world):
    options = {"experiment": TOY, "name": "poles"}
    configs = [team(method, world, seed=seed) for seed in (0, 1)]
    whole = execute(tmp_path / "whole", once(configs), **options)
    half = [replace(c, steps=2) for c in configs]
    execute(tmp_path / "parts", once(half), **options)
    store = Checkpoints(TOY, load_data(None)[1], tmp_path / "parts" / "checkpoints")
    assert store.step(configs[0]) == 2, "the second part would start anew"
    parts = execute(tmp_path / "parts", once(configs), **options)
    assert all(record in without_times(parts) for record in without_times(whole))
    record = whole.all()[0]
    assert record["code"] == code_of(modules(configs[0]))
    assert record["diverged"] is None
    assert 1 <= record["test"]["team"] <= record["test"]["score"] <= LONGEST


def test_a_member_does_not_depend_on_its_company():
    both = TeamRun([team(seed=3, lr=0.1), team(seed=4)], {})
    alone = TeamRun([team(seed=4)], {})
    for run in (both, alone):
        list(run.advance(4))
    torch.testing.assert_close(both.policy[1:], alone.policy)
    assert both.curves[1].valid == pytest.approx(alone.curves[0].valid, abs=2e-4)


@pytest.mark.parametrize("method", ["own", "st", "gumbel_softmax"])
def test_training_learns(method):
    config = team(method, poles=2, rollouts=16, horizon=60, steps=20, eval_every=20)
    run = TeamRun([config], {})
    before = score.episodes(run, 4)[0]
    list(run.advance(20))
    after = score.episodes(run, 4)[0]
    assert before["score"] < 60
    assert after["score"] > 2 * before["score"]
    assert run.curves[0].score[-1] > 60


def test_the_referee_and_our_own_world_agree():
    """gymnasium draws other starts and rounds to float32, so means agree and no single number."""
    run = TeamRun([team(poles=1)], {})
    with torch.no_grad():
        run.policies[0].copy_(torch.tensor([0.0, 0.2, 2.0, 2.0]))
    theirs = score.stood(run, 200, greedy=False)
    ours = train.standing(
        run.policy, run.starts(200, run.noise("x")), train.place.cartpole, lambda q: q.sample()
    )
    assert 60 < theirs.mean() < LONGEST
    error = (theirs.var() / 200 + ours.var() / 200).sqrt()
    assert (theirs.mean() - ours.mean()).abs() < 5 * error


def test_a_diverged_run_is_recorded_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "team_cost", lambda costs: costs.sum(-1).mean(0) + float("nan"))
    (record,) = execute(tmp_path, once([team("st")]), experiment=TOY, name="poles").all()
    assert record["diverged"] == 2
    assert record["valid"]["mean_cost"] is None


def test_the_world_stands_for_the_data():
    data, about = load_data(5)
    assert data == {}
    assert about["images"] == 5
    assert len(about["sha256"]["train"]) == 64
