"""The network that reads aloud: its program, its exact sums, and how it reads."""

import itertools
from functools import partial

import pytest
import torch

from gsbook.experiments.reading.model import (
    END,
    NOTHING,
    PHONES,
    PLACES,
    SAID,
    SIGNS,
    SOUND,
    ReadingAloud,
    Spelled,
    spell,
)
from gsbook.reader.sounds import HEARD
from gsbook.words import Word
from gslib.estimators import ESTIMATORS

WORDS = [
    Word("phone", ("F", "OW", "N")),
    Word("at", ("AE", "T")),
    Word("knightly", ("N", "AY", "T", "L", "IY")),
]


@pytest.fixture(scope="module")
def model():
    """Sharper than an untrained one, so that looks differ."""
    model = ReadingAloud(width=12, hidden=8, embedding=6, seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model


@pytest.fixture
def looks(model):
    return model.looks(spell(WORDS))


def test_words_as_numbers():
    letters, sounds = spell(WORDS)
    assert letters.shape == sounds.shape == (3, PLACES)
    for word, signs, said in zip(WORDS, letters.tolist(), sounds.tolist(), strict=True):
        assert "".join(SIGNS[k] for k in signs) == word.letters + END
        assert [SAID[k] for k in said if k != NOTHING] == [*word.sounds, END]
    for word in ("caffè", "photograph", "UPPER"):
        with pytest.raises(ValueError, match=f"'{word}' is no word of up to 8 letters"):
            spell([Word(word, ())])


def test_every_sound_has_a_word_in_which_it_is_heard():
    assert tuple(HEARD) == PHONES


def test_a_row_for_each_sound_and_no_look_beyond_the_word(model, looks):
    lengths = [len(word.sounds) + 1 for word in WORDS]
    assert len(looks.sound) == sum(lengths)
    rows = itertools.chain.from_iterable([word] * n for word, n in zip(WORDS, lengths, strict=True))
    for word, probabilities in zip(rows, looks.node.mean[:, 0], strict=True):
        n = len(word.letters) + 1
        assert (probabilities[:n] > 0).all()
        assert (probabilities[n:] == 0).all()


def test_likelihood_and_expectation_are_sums_over_nine_looks(model, looks):
    def always(k):
        return lambda q: torch.eye(PLACES)[k].expand_as(q.mean)

    losses = [model.loss(looks, always(k)) for k in range(PLACES)]
    losses, q = torch.stack(losses, -1), looks.node.mean[:, 0]
    torch.testing.assert_close(model.nll(looks), -(q * (-losses).exp()).sum(-1).log())
    exact = ESTIMATORS["exact"](partial(model.loss, looks))
    torch.testing.assert_close(exact, (q * losses).sum(-1))
    assert (model.nll(looks) <= exact + 1e-6).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_runs_on_the_program_and_keeps_masked_letters_out(model, looks, name):
    scores = looks.scores.detach().requires_grad_()
    program = partial(model.loss, looks._replace(scores=scores))
    loss = ESTIMATORS[name](program)
    assert loss.shape == looks.sound.shape
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert slope.isfinite().all()
    assert (slope[scores == -torch.inf] == 0).all()


def test_a_word_is_read_alike_in_any_company(model):
    together = model.read(spell(WORDS).letters)
    for i in range(len(WORDS)):
        alone = model.read(spell(WORDS[i : i + 1]).letters)
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], many[i])


@pytest.mark.parametrize("soft", [False, True])
def test_reading_says_the_likeliest_sound_given_those_before(model, soft):
    letters = spell(WORDS).letters
    sounds, looked = model.read(letters, soft=soft)
    looks = model.looks(Spelled(letters, sounds.clone()))
    if soft:
        said = model.say(looks.node.mean, looks)
    else:
        q = looks.node
        z = q.states().unsqueeze(1).expand(-1, len(looks.sound), -1, -1)
        said = (q.log_prob(z) + model.say(z, looks)).logsumexp(0)
    assert torch.equal(said.argmax(-1), sounds[sounds != NOTHING])
    torch.testing.assert_close(looked[sounds != NOTHING], looks.node.mean[:, 0])


def test_nothing_is_said_behind_the_end():
    model = ReadingAloud(width=4, hidden=4, embedding=4)
    with torch.no_grad():
        model.out.bias[SOUND[END]] = 100.0
    sounds, _ = model.read(spell(WORDS).letters)
    assert (sounds[:, 0] == SOUND[END]).all()
    assert (sounds[:, 1:] == NOTHING).all()
