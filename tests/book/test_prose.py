"""No result is typed in prose: it is glued from what was computed, or said to be the paper's."""

from pathlib import Path

import prose
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "sentence",
    [
        "It ends at 101.5 nats.",
        "The gain is 3.2 %.",
        "This is 2.5 times as fast.",
        "A step takes 1.44 ms.",
        "A loss of 99.1 ± 0.3 nats is good.",
        "Speed-up: 9.9× on a card.",
    ],
)
def test_typed_results_are_found(sentence):
    assert prose.offenders(f"Words before. {sentence} Words after.") == [sentence]


@pytest.mark.parametrize(
    "sentence",
    [
        "The paper has 101.5 nats.",
        "It is 101.5 nats {cite}`jang2017`.",
        "We get {glue:text}`loss:.1f` nats.",
        "The rate is 0.001.",
        "With `tau = 0.5 nats` in code.",
        "Where $a = 1.5$ times $b$.",
        "In 2 nats.",
        "Suppose seeds scatter by 0.3 nats.",
    ],
)
def test_other_numbers_are_left_alone(sentence):
    assert prose.offenders(sentence) == []


def test_book_has_no_typed_results():
    found = [
        f"{place}: {sentence}"
        for place, text in prose.prose().items()
        for sentence in prose.offenders(text)
    ]
    assert not found, "put in by glue, or say that it is the paper's:\n" + "\n".join(found)
