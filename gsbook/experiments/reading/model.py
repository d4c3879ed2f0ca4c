"""A network that reads aloud: for each sound it looks at one letter."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsbook.words import LETTERS, SOUNDS, Word
from gslib.distributions import Categorical
from gslib.program import Sampler

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
END = "."  # behind the last letter, and what is said after the last sound
PHONES = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"),
    *("IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH"),
    *("UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
SIGNS = ("", *ALPHABET, END)  # number 0 fills up short words
SAID = (*PHONES, END)
PLACES = LETTERS[1] + 1  # of a word: its letters and the end
NOTHING = -1  # behind the end of the sounds
SIGN = {sign: number for number, sign in enumerate(SIGNS)}
SOUND = {sound: number for number, sound in enumerate(SAID)}


class Spelled(NamedTuple):
    """Words as numbers: letters [n, 9] of `SIGNS`, sounds [n, 9] of `SAID` and then -1."""

    letters: Tensor
    sounds: Tensor


def spell(words: list[Word] | tuple[Word, ...]) -> Spelled:
    """Words as numbers, filled up to nine places each.

    >>> spell([Word("phone", ("F", "OW", "N"))]).letters
    tensor([[16,  8, 15, 14,  5, 27,  0,  0,  0]])
    """
    letters, sounds = [], []
    for word in words:
        if len(word.letters) > LETTERS[1] or not set(word.letters) <= set(ALPHABET):
            raise ValueError(f"{word.letters!r} is no word of up to {LETTERS[1]} letters a to z")
        signs = [SIGN[sign] for sign in (*word.letters, END)]
        said = [SOUND[sound] for sound in (*word.sounds, END)]
        letters.append(signs + [0] * (PLACES - len(signs)))
        sounds.append(said + [NOTHING] * (SOUNDS + 1 - len(said)))
    return Spelled(torch.tensor(letters), torch.tensor(sounds))


class Looks(NamedTuple):
    """What the looks of a batch have to go by, a row for each of its R sounds."""

    letters: Tensor  # [R, 9, hidden], what each letter would contribute
    state: Tensor  # [R, hidden], what the sounds before contribute
    scores: Tensor  # [R, 1, 9], logits of the look, -inf where there is no letter
    sound: Tensor  # [R], which sound is right
    heard: Tensor  # [R, width], the state itself, for baselines

    @property
    def node(self) -> Categorical:
        """Where to look: one variable with a class for each letter."""
        return Categorical(self.scores)


class ReadingAloud(nn.Module):
    r"""p(sounds | letters), one hard look at a letter for each sound.

    A network reads the word in both directions, another one the sounds that were said so far. From
    both come the scores of the look z; the letter that was looked at and the sounds so far make the
    next sound:

    .. math:: p(y \mid x) = \prod_t \sum_z q(z \mid y_{<t}, x)\, p(y_t \mid z, y_{<t}, x)

    No look depends on another, so each has a sum of nine terms of its own.

    Args: sizes as in `Reading`. seed: of torch's usual initial weights.

    Source: Wu, Shapiro and Cotterell 2018 (arXiv:1808.10024), the idea of this factorisation; the
    sizes and layers are ours.
    """

    def __init__(
        self, *, embedding: int = 32, width: int = 96, hidden: int = 64, seed: int = 0
    ) -> None:
        super().__init__()
        self.width = width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.letter = nn.Embedding(len(SIGNS), embedding)
            self.reader = nn.GRU(embedding, width // 2, batch_first=True, bidirectional=True)
            self.sound = nn.Embedding(len(SAID), embedding)  # the end of a word begins the next
            self.speaker = nn.GRU(embedding, width, batch_first=True)
            self.query = nn.Linear(width, width, bias=False)
            self.from_letter = nn.Linear(width, hidden)
            self.from_state = nn.Linear(width, hidden, bias=False)
            self.out = nn.Linear(hidden, len(SAID))

    def looks(self, batch: Spelled) -> Looks:
        """Everything that comes before the looks, a row for each sound of the batch."""
        word = self.reader(self.letter(batch.letters))[0]  # [B, 9, width]
        before = batch.sounds.clamp(min=0).roll(1, 1)
        before[:, 0] = SOUND[END]
        heard = self.speaker(self.sound(before))[0]  # [B, 9, width]
        scores = self.scores(word, heard, batch.letters)
        rows = batch.sounds != NOTHING
        features = self.from_letter(word)[rows.nonzero()[:, 0]]
        state = self.from_state(heard[rows])
        return Looks(features, state, scores[rows].unsqueeze(-2), batch.sounds[rows], heard[rows])

    def scores(self, word: Tensor, heard: Tensor, letters: Tensor) -> Tensor:
        """Logits of the looks, [B, T, 9], from what was read and what was said."""
        scores = self.query(heard) @ word.mT / self.width**0.5
        return scores.masked_fill((letters == 0).unsqueeze(1), -torch.inf)

    def say(self, z: Tensor, looks: Looks) -> Tensor:
        """Log-probabilities of the sounds, [..., R, 40], after the looks z [..., R, 1, 9]."""
        seen = (z @ looks.letters).squeeze(-2)
        return self.out((seen + looks.state).tanh()).log_softmax(-1)

    def loss(self, looks: Looks, sample: Sampler) -> Tensor:
        """-log p(sound | look) in nats, [..., R]: a program of its sampler, which looks."""
        z = sample(looks.node)
        said = self.say(z, looks)
        right = looks.sound.expand(said.shape[:-1]).unsqueeze(-1)
        return -said.gather(-1, right).squeeze(-1)

    def nll(self, looks: Looks) -> Tensor:
        r"""-log p(sound) in nats, [R], the sum over all letters inside the logarithm.

        Jensen's inequality puts it below what `exact` gives, the mean of the logarithms.
        """
        q = looks.node
        z = q.states().unsqueeze(1).expand(-1, len(looks.sound), -1, -1)  # [9, R, 1, 9]
        return -(q.log_prob(z).squeeze(-1) - self.loss(looks, lambda _: z)).logsumexp(0)

    @torch.no_grad()
    def read(self, letters: Tensor, *, soft: bool = False) -> tuple[Tensor, Tensor]:
        """The likeliest sound at each place, given those before: sounds [B, 9], -1 behind the end,
        and the probabilities of the looks [B, 9, 9].

        soft: look at the mean letter, as soft attention does; else sum over the looks.
        """
        word = self.reader(self.letter(letters))[0]
        features = self.from_letter(word)
        last = torch.full((len(letters),), SOUND[END], device=letters.device)
        silent = torch.zeros_like(last, dtype=torch.bool)
        state, sounds, looked = None, [], []
        for _ in range(SOUNDS + 1):
            heard, state = self.speaker(self.sound(last)[:, None], state)
            q = Categorical(self.scores(word, heard, letters))  # [B, 1, 9]
            looks = Looks(features, self.from_state(heard[:, 0]), q.logits, last, heard[:, 0])
            z = q.mean if soft else q.states().unsqueeze(1).expand(-1, len(letters), -1, -1)
            said = self.say(z, looks)
            if not soft:
                said = (q.log_prob(z) + said).logsumexp(0)
            last = said.argmax(-1)
            sounds.append(last.masked_fill(silent, NOTHING))
            looked.append(q.mean.squeeze(1))
            silent = silent | (last == SOUND[END])
        return torch.stack(sounds, 1), torch.stack(looked, 1)
