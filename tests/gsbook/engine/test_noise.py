"""Noise as a function of its place: uniform, without a trace of its counter, the same anywhere."""

import pytest
import torch

from gsbook.engine.noise import Noise, keys, squares


def draw(seeds=(0,), step=0, shape=(100, 200), calls=1, use="noise", dtype=torch.float32):
    noise = Noise(keys(use, list(seeds)), step, ndim=1 + len(shape))
    for _ in range(calls):
        found = noise(torch.zeros(len(seeds), *shape, dtype=dtype))
    return found


def test_squares_by_python_integers():
    """Widynski's squares32, in integers without a limit."""
    mask, counter, key = 2**64 - 1, (5 << 40) + 12345, 0xC58EFD154CE32F6D
    y = counter * key & mask
    z, x = y + key & mask, y
    for add in (y, z, y):
        x = x * x + add & mask
        x = x >> 32 | x << 32 & mask
    expected = (x * x + z & mask) >> 32
    signed = torch.tensor(key - 2**64)
    assert squares(torch.tensor(counter), signed).item() == expected


def test_uniform_and_independent_of_neighbours():
    u = draw(shape=(1000, 1000)).double().flatten()
    n = len(u)
    assert 0 < u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    counts = torch.histc(u, 1000, 0, 1)
    chi2 = ((counts - n / 1000) ** 2 / (n / 1000)).sum()
    assert abs(chi2 - 999) < 5 * (2 * 999) ** 0.5
    others = [u.roll(k) for k in (1, 2, 10, 1000)]
    others += [draw(shape=(1000, 1000), **change).double().flatten() for change in OTHER_PLACES]
    for other in others:
        r = ((u - 0.5) * (other - 0.5)).mean() * 12
        assert abs(r) < 5 / n**0.5


OTHER_PLACES = [{"seeds": (1,)}, {"step": 1}, {"calls": 2}, {"use": "valid"}]


@pytest.mark.parametrize("change", OTHER_PLACES)
def test_every_part_of_the_place_counts(change):
    assert (draw() == draw(**change)).double().mean() < 1e-3


def test_a_member_draws_the_same_in_any_company_and_precision():
    alone, company = draw(seeds=(7,)), draw(seeds=(3, 7, 3))
    assert torch.equal(alone[0], company[1])
    assert torch.equal(company[0], company[2])
    assert torch.equal(draw(seeds=(7,), dtype=torch.float64), alone.double())


def test_a_step_may_differ_by_member_and_live_on_the_device():
    noise = Noise(keys("noise", [0, 0]), torch.tensor([4, 9]), ndim=3)
    both = noise(torch.zeros(2, 3, 5))
    for member, step in zip(both, (4, 9), strict=True):
        assert torch.equal(member, draw(step=step, shape=(3, 5))[0])


def test_samples_in_front_are_told_apart_and_the_first_is_the_plain_draw():
    def samples(count, members=(0, 1)):
        noise = Noise(keys("noise", list(members)), 2, ndim=3)
        return noise(torch.zeros(count, len(members), 4, 5))

    five = samples(5)
    assert torch.equal(five[0], draw(seeds=(0, 1), step=2, shape=(4, 5)))
    assert torch.equal(samples(2), five[:2])
    assert torch.equal(samples(5, (1,))[:, 0], five[:, 1])
    assert five.unique().numel() > 0.99 * five.numel()


def test_wrong_axes_are_named():
    with pytest.raises(ValueError, match=r"2 member\(s\) and nodes of 3 axes .* \(3, 4, 5\)"):
        Noise(keys("noise", [0, 1]), ndim=3)(torch.zeros(3, 4, 5))
