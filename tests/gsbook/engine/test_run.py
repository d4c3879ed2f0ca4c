"""The loop that every trainer shares: where it stops, what it counts, and noise by member."""

import pytest
import torch

from gsbook.engine import run
from gsbook.engine.run import Curve, advance, device_noise
from gslib.functional import stream


class Counting:
    """A trainer that does nothing but note where it is told to stop and to add a point."""

    def __init__(self, step=0):
        self.step, self.seconds, self.points, self.stops = step, 0.0, [], []

    def train_to(self, step):
        self.stops.append(step)
        self.step = step

    def record(self):
        self.points.append(self.step)


@pytest.mark.parametrize(
    ("start", "steps", "stops"),
    [
        (0, 20, [10, 20]),
        (0, 25, [10, 20, 25]),  # the last point is the end, wherever that is
        (20, 40, [30, 40]),
        (15, 40, [20, 30, 40]),  # back on the curve's grid
        (40, 40, []),
        (45, 40, []),
    ],
)
def test_a_run_stops_at_the_points_of_its_curve_and_at_its_end(start, steps, stops):
    trainer = Counting(start)
    assert list(advance(trainer, steps, 10)) == stops
    assert trainer.stops == trainer.points == stops


def test_seconds_are_those_of_training_and_not_of_what_comes_between(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(run.time, "perf_counter", lambda: now[0])
    trainer = Counting()
    trainer.record = lambda: now.__setitem__(0, now[0] + 2.0)
    for _ in advance(trainer, 30, 10):
        now[0] += 50.0  # a state is saved
    assert trainer.seconds == 6.0


def test_curves_of_two_runs_share_nothing():
    one, other = Curve(), Curve()
    one.step.append(1)
    assert (other.step, other.train, other.valid, other.test) == ([], [], [], [])


def test_noise_is_drawn_from_the_generator_and_like_the_tensor():
    like = torch.zeros(3, 4, dtype=torch.float64)
    found = device_noise(torch.device("cpu"), stream("a", 1))(like)
    assert (found.shape, found.dtype) == (like.shape, like.dtype)
    assert torch.equal(found, torch.empty_like(like).uniform_(generator=stream("a", 1)))
    assert not torch.equal(found, device_noise(torch.device("cpu"), stream("a", 2))(like))
    assert not like.any()
