"""The cart and its pole: gymnasium's to rounding; costs, starts, and a model that is learned."""

import gymnasium
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from gsbook.experiments.poles import world as place
from gsbook.experiments.poles.model import LearnedWorld, change, fit, transitions
from gsbook.experiments.poles.world import cartpole, cost, fallen, rollout, standing, start
from gslib.functional import stream


def test_the_equations_are_gymnasiums():
    env, noise = gymnasium.make("CartPole-v1").unwrapped, stream("pushes of a test")
    seen = 0
    for seed in range(20):
        env.reset(seed=seed)
        state = torch.tensor(np.array(env.state), dtype=torch.float64)
        assert state.abs().max() <= place.SPREAD
        done = False
        while not done:
            action = int(torch.randint(2, (), generator=noise))
            _, _, done, _, _ = env.step(action)
            state = cartpole(state, torch.tensor(float(action), dtype=torch.float64))
            np.testing.assert_allclose(state.numpy(), env.state, rtol=0, atol=1e-8)
            assert bool(fallen(state)) == done
            seen += 1
    assert seen > 200


def test_the_limits_are_gymnasiums():
    env = gymnasium.make("CartPole-v1")
    inner = env.unwrapped
    limits = inner.x_threshold, inner.theta_threshold_radians
    assert limits == pytest.approx((place.EDGE, place.TILT), rel=1e-12)
    assert env.spec.max_episode_steps == place.LONGEST


def test_half_a_push_moves_half_as_far_from_no_push():
    """The equations are linear in the action, so a relaxed one is a weaker push and no other."""
    state = torch.tensor([0.1, -0.2, 0.05, 0.3], dtype=torch.float64)
    left, middle, right = (cartpole(state, torch.tensor(a).double()) for a in (0.0, 0.5, 1.0))
    torch.testing.assert_close(middle, (left + right) / 2)
    assert (left - right).abs().max() > 0.1


def test_slopes_of_world_and_cost():
    state = torch.tensor([0.1, -0.2, 0.05, 0.3], dtype=torch.float64, requires_grad=True)
    action = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s, a: cost(cartpole(s, a)), (state, action))


def test_cost_is_between_0_and_1_and_grows_on_the_way_down():
    angles = torch.zeros(50, 4)
    angles[:, 2] = torch.linspace(0, 3, 50)
    found = cost(angles)
    assert found[0] == 0
    assert (found.diff() >= 0).all()
    assert found[-1] == 1
    assert torch.equal(cost(-angles), found)


def test_a_pole_that_has_fallen_once_stands_no_more():
    """A push to the right at every step lets it fall to the left; what comes after is no matter."""
    begin = torch.zeros(1, 4)
    policy = torch.zeros(1, 4)
    steps = standing(policy, begin, cartpole, lambda q: torch.ones_like(q.logits))
    states, _ = rollout(policy, begin, cartpole, lambda q: torch.ones_like(q.logits), 50)
    first = int(fallen(states[:, 0]).nonzero()[0])
    assert steps.item() == first
    assert start(torch.tensor([0.0, 0.5, 1.0])).tolist() == pytest.approx([-0.05, 0, 0.05])


def test_rollouts_let_leading_axes_through():
    policy, begin = torch.zeros(2, 1, 3, 4), torch.zeros(2, 5, 3, 4)
    states, costs = rollout(policy, begin, cartpole, lambda q: q.sample(), 4)
    assert states.shape == (4, 2, 5, 3, 4)
    assert place.team_cost(costs).shape == (2, 5)


# A learned model


def test_transitions_are_the_true_worlds():
    before, moved = transitions(3, 100)
    state, action = before.split([4, 1], -1)
    torch.testing.assert_close(cartpole(state, action[:, 0]), state + moved)
    assert set(action.flatten().tolist()) == {0.0, 1.0}
    assert not fallen(state).any()
    assert not torch.equal(before, transitions(4, 100)[0])


def test_a_model_predicts_transitions_that_it_has_not_seen():
    before, moved = transitions(101, 500)
    told = change(before[None], *fit(0, 2000))[0]
    error = ((told - moved) / moved.std(0)).square().mean(0).sqrt()
    assert (error < 0.1).all(), error
    guess = before[:, [1, 3]].std(0)  # what it would be off by, if it said "no change"
    assert (guess > 0.1).all()


def test_members_of_a_learned_world_are_their_own_and_stay_finite():
    both, alone = LearnedWorld([0, 1], 200), LearnedWorld([1], 200)
    state, action = torch.randn(2, 5, 3, 4), torch.rand(2, 5, 3)
    torch.testing.assert_close(both(state, action)[1:], alone(state[1:], action[1:]))
    assert not torch.allclose(both(state, action)[0], both(state[[1, 0]], action[[1, 0]])[1])
    assert both(1e6 * state, action).isfinite().all()
    samples = both(state.expand(7, 2, 5, 3, 4), action.expand(7, 2, 5, 3))
    torch.testing.assert_close(samples[3], both(state, action))
