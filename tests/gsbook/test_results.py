"""The records of this repository: fresh, whole, and of the real digits."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

# SHA-256 of the pixels of the Larochelle and Murray files, a byte each.
PIXELS = {
    "train": "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a",
    "valid": "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e",
    "test": "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86",
}


@pytest.fixture(scope="module", params=["table1", "choices"])
def committed(request):
    found = Records(REPOSITORY / "results" / request.param)
    if not found.all():
        pytest.skip("no records yet")
    return found


def test_committed_records_are_not_stale(committed):
    stale = committed.stale()
    assert not stale, (
        f"{len(stale)} records of older code; run them again, or list its hash with a reason in "
        f"results/{records_module.EQUIVALENT}"
    )
    assert all(
        len(code) == 64 and len(reason) > 20 for code, reason in committed.equivalent().items()
    )


def test_committed_records_are_whole_and_of_the_real_digits(committed):
    scale = asdict(plan.TARGETS[committed.folder.name].budgets["laptop"].scale)
    for path in sorted(committed.folder.glob("*.jsonl")):
        lines = path.read_text().splitlines()
        runs = [json.loads(line) for line in lines]
        assert [json.dumps(r, allow_nan=False) for r in runs] == lines
        assert [r["key"] for r in runs] == sorted({r["key"] for r in runs})
        for r in runs:
            c = Config(**r["config"])
            assert (r["key"], r["cell"], path.stem) == (c.key, c.cell, c.cell)
            assert r["data"] == {
                "source": "larochelle-murray",
                "sha256": PIXELS,
                "images": scale["images"],
            }
            assert r["evaluation"] == scale
            assert r["curve"]["step"] == list(range(c.eval_every, c.steps + 1, c.eval_every))
            numbers = [r["valid_bound"], *(r["test"] or {}).values()]
            numbers += [n for name in ("train", "valid", "test") for n in r["curve"][name]]
            assert all(n is not None for n in numbers) or r["diverged"]
    if load_data()[1]["source"] == "larochelle-murray":
        assert load_data()[1]["sha256"] == PIXELS
