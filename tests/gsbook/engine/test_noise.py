"""Noise as a function of its place: uniform, without a trace of its counter, the same anywhere."""

import hashlib

import pytest
import torch

from gsbook.engine.noise import NODES, Noise, key, keys, squares


def draw(seeds=(0,), step=0, shape=(100, 200), calls=1, use="noise", dtype=torch.float32):
    noise = Noise(keys(use, list(seeds)), step, ndim=1 + len(shape))
    for _ in range(calls):
        found = noise(torch.zeros(len(seeds), *shape, dtype=dtype))
    return found


def squares32(counter, key):
    """Widynski's squares32, in integers without a limit."""
    mask = 2**64 - 1
    y = counter * key & mask
    z, x = y + key & mask, y
    for add in (y, z, y):
        x = x * x + add & mask
        x = x >> 32 | x << 32 & mask
    return (x * x + z & mask) >> 32


def test_squares_by_python_integers():
    counter, key = (5 << 40) + 12345, 0xC58EFD154CE32F6D
    signed = torch.tensor(key - 2**64)
    assert squares(torch.tensor(counter), signed).item() == squares32(counter, key)


def test_the_number_of_a_place_is_the_one_that_records_and_saved_states_stand_on():
    """By the definition, in Python's integers: another number would make every run another."""
    digest = hashlib.sha256(b"('noise', 7, 'part', 2)").digest()
    odd = int.from_bytes(digest[:8], "big") | 1
    assert key("noise", 7, "part", 2) == odd - (odd >> 63 << 64)
    place = keys("noise", [7], "part", 2)
    assert torch.equal(*(Noise(place, *step, ndim=1)(torch.zeros(1)) for step in ((), (0,))))
    noise = Noise(place, 5, ndim=3)
    for call in range(3):
        found = noise(torch.zeros(2, 1, 3, 4)).flatten().tolist()
        for element, number in enumerate(found):
            bits = squares32((5 << 8 | call) << 32 | element, odd)
            assert number == ((bits >> 9) + 0.5) / 2**23


@pytest.mark.parametrize("place", [("noise", seed) for seed in range(8)])
def test_a_key_is_odd_as_the_generator_needs_it(place):
    assert key(*place) % 2 == 1


def test_more_draws_than_a_step_has_room_for_are_refused():
    noise, like = Noise(keys("noise", [0]), ndim=1), torch.zeros(1)
    numbers = [noise(like).item() for _ in range(2**NODES)]
    assert len(set(numbers)) > 250
    with pytest.raises(ValueError, match="more than 256 draws in one step; take fewer samples"):
        noise(like)


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
    double = draw(seeds=(7,), dtype=torch.float64)
    assert double.dtype == torch.float64
    assert torch.equal(double, alone.double())


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
    with pytest.raises(
        ValueError, match=r"2 member\(s\) and nodes of 3 axes .* \(3, 4, 5\).* the last 2$"
    ):
        Noise(keys("noise", [0, 1]), ndim=3)(torch.zeros(3, 4, 5))
