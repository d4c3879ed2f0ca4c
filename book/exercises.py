"""The exercises of the chapters: right answers, and typical wrong ones with their hints, for `gslib.exercises`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gslib.distributions import Bernoulli, Categorical, kl
from gslib.estimators import ESTIMATORS
from gslib.exercises import Exercise, is_blank
from gslib.functional import gumbel, zero_valued
from gslib.program import Trace


def _gradients(answer, parameters: list[Tensor], *given):
    """The value of answer(*parameters, *given) and its slopes, None where there is none."""
    leaves = [p.clone().requires_grad_() for p in parameters]
    value = answer(*leaves, *given)
    if is_blank(value):
        return value
    slopes = [None] * len(leaves)
    if value.requires_grad:
        slopes = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return value.detach(), ["no slope" if s is None else s for s in slopes]


def _fixed(*values) -> Tensor:
    return torch.tensor(values)


# Arguments that several exercises share.
LOGITS = _fixed([[0.5, 1.0, 0.0]], [[-1.0, 0.3, 2.0]])  # [2, 1, 3]
COINS = _fixed([0.4, -0.6, 0.9])
ONE_HOT = torch.eye(3)[[2, 0]][:, None]  # [2, 1, 3]
SOFT = _fixed([[0.2, 0.5, 0.3]], [[0.7, 0.1, 0.2]])  # [2, 1, 3]

EXERCISES: dict[str, Exercise] = {}

# --- 0 Reading tensor code


def _by_class(guess: Tensor, truth: Tensor, K: int) -> Tensor:
    member = torch.eye(K)[truth]
    return ((guess == truth).float()[:, None] * member).sum(0) / member.sum(0)


EXERCISES["ex-tensors-1"] = Exercise(
    right=_by_class,
    given=[(torch.tensor([0, 1, 1, 2, 2, 0]), torch.tensor([0, 1, 2, 2, 2, 1]), 3)],
    wrong={
        "This is one number for all classes together; the sum should run down the columns only.": (
            lambda guess, truth, K: (guess == truth).float().mean()
        ),
        "Divide by the examples of the class, not by all examples.": lambda guess, truth, K: (
            (guess == truth).float()[:, None] * torch.eye(K)[truth]
        ).mean(0),
        "These are shares of the answers; asked are the examples that are of the class.": (
            lambda guess, truth, K: (
                ((guess == truth).float()[:, None] * torch.eye(K)[guess]).sum(0)
                / torch.eye(K)[guess].sum(0)
            )
        ),
    },
)
EXERCISES["ex-tensors-2"] = Exercise(
    right=lambda a, b: ((a[:, None] - b) ** 2).sum(-1),
    given=[(_fixed([0.0, 1.0], [2.0, 2.0]), _fixed([1.0, 1.0], [0.0, 3.0], [2.0, -1.0]))],
    wrong={
        "These are the distances; their squares are asked for.": lambda a, b: torch.cdist(a, b),
        "The axes are exchanged: rows belong to a, columns to b.": lambda a, b: (
            (b[:, None] - a) ** 2
        ).sum(-1),
        "The last axis, of the coordinates, has to be summed away.": lambda a, b: (
            (a[:, None] - b) ** 2
        ),
    },
)
EXERCISES["ex-tensors-3"] = Exercise(
    right=lambda forward, backward: forward.detach() + (backward - backward.detach()),
    given=[(_fixed(2.0, -1.0),)],
    ask=lambda answer, w: _gradients(lambda w: answer(w**3, 5 * w), [w]),
    wrong={
        "The slope of forward comes through as well: detach it.": lambda forward, backward: (
            forward + (backward - backward.detach())
        ),
        "Nothing is left of the slope: detach one of the two, not their difference.": (
            lambda forward, backward: forward.detach() + (backward - backward).detach()
        ),
        "Value and slope are exchanged.": lambda forward, backward: (
            backward.detach() + (forward - forward.detach())
        ),
    },
)

# --- 1 Learning from data

EXERCISES["ex-learning-1"] = Exercise(
    right=lambda eta, x: 1 - 2 * eta * (x**2).mean(),
    given=[(0.3, _fixed(0.5, -1.0, 2.0))],
    wrong={
        "The slope of a square brings a factor 2.": lambda eta, x: 1 - eta * (x**2).mean(),
        "Square each x first, then average; not the other way round.": lambda eta, x: (
            1 - 2 * eta * x.mean() ** 2
        ),
        "The loss is a mean over pictures; you have taken the sum.": lambda eta, x: (
            1 - 2 * eta * (x**2).sum()
        ),
        "Gradient descent goes against the slope: look at the sign.": lambda eta, x: (
            1 + 2 * eta * (x**2).mean()
        ),
    },
)
EXERCISES["ex-learning-2"] = Exercise(
    right=lambda theta, z: torch.sigmoid(theta) - z,
    given=[(_fixed(0.7), 0.0), (_fixed(0.7), 1.0)],
    wrong={
        "This is the slope of log p(z). The loss has a minus in front.": lambda theta, z: (
            z - torch.sigmoid(theta)
        ),
        "This is the belief alone; what happened is missing.": lambda theta, z: (
            torch.sigmoid(theta) + 0 * z
        ),
    },
)
EXERCISES["ex-learning-3"] = Exercise(
    right=lambda W1, b1, W2, b2: (W1 @ W2, b1 @ W2 + b2),
    given=[
        (
            torch.arange(6.0).view(2, 3),
            _fixed(1.0, -1.0, 2.0),
            torch.arange(6.0).view(3, 2),
            _fixed(0.5, 1.0),
        )
    ],
    wrong={
        "The first constants b1 pass through the second layer, too.": lambda W1, b1, W2, b2: (
            W1 @ W2,
            b2,
        ),
        "The second constants b2 are missing.": lambda W1, b1, W2, b2: (W1 @ W2, b1 @ W2),
    },
)
EXERCISES["ex-learning-4"] = Exercise(
    right={"b2"},
    wrong={
        "The slope of W2 is a product with the hidden results. What are these if W1 and b1 are zero?": {
            "W2",
            "b2",
        },
        "Something learns: the outputs' own constants need no path through a zero.": set(),
        "What reaches W1 and b1 has to pass W2, which is zero.": {"W1", "b1", "W2", "b2"},
    },
)
EXERCISES["ex-learning-5"] = Exercise(
    right=lambda said, happened: -(happened * math.log(said) + (1 - happened) * math.log(1 - said)),
    given=[(0.7, 0.6), (0.2, 0.5)],
    wrong={
        "These are bits, from the logarithm to the base 2. A nat belongs to the natural one.": lambda said, happened: (
            -(happened * math.log2(said) + (1 - happened) * math.log2(1 - said))
        ),
        "Dry days cost something, too.": lambda said, happened: -happened * math.log(said),
        "Said and happened are exchanged: the logarithm belongs to what was said.": lambda said, happened: (
            -(said * math.log(happened) + (1 - said) * math.log(1 - happened))
        ),
        "A cost is positive: the logarithm of a probability needs a minus.": lambda said, happened: (
            happened * math.log(said) + (1 - happened) * math.log(1 - said)
        ),
    },
)

# --- 2 Discrete choices

EXERCISES["ex-choices-1"] = Exercise(
    right=lambda units, classes: classes**units,
    given=[(200, 2), (20, 10)],
    wrong={
        "That adds up the classes. A joint state is one choice of class for every unit at once.": lambda units, classes: (
            units * classes
        ),
        "Each unit multiplies the number of states by its classes, not the other way round.": lambda units, classes: (
            units**classes
        ),
    },
    same=lambda a, b: a == b,
)


def _look(answer, scores, wrong):
    samplers = lambda q: ONE_HOT, lambda q: SOFT, lambda q: q.mean
    return [answer(sample, scores, wrong) for sample in samplers]


EXERCISES["ex-choices-2"] = Exercise(
    right=lambda sample, scores, wrong: (
        sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :] * wrong
    ).sum(-1),
    given=[(_fixed(0.1, 0.7, -0.4), _fixed([0.0, 1.0, 1.0], [1.0, 0.0, 1.0]))],
    ask=_look,
    wrong={
        "One loss for each picture: do not average inside the program.": lambda sample, scores, wrong: (
            (sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :] * wrong).sum(-1).mean()
        ),
        "A soft sample has no index. Select by a product with z, not by its arg max.": lambda sample, scores, wrong: (
            wrong[
                range(len(wrong)),
                sample(Categorical(scores.expand(len(wrong), 1, 3)))[..., 0, :].argmax(-1),
            ]
        ),
        "The loss must use what `sample` gives back; this uses the probabilities.": lambda sample, scores, wrong: (
            (scores.softmax(-1) * wrong).sum(-1)
        ),
    },
)
EXERCISES["ex-choices-3"] = Exercise(
    right=lambda h, u: ((u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()).mean() / (2 * h),
    given=[
        (_fixed(0.5)[0], torch.linspace(0.01, 0.99, 50)),
        (_fixed(0.1)[0], torch.linspace(0.01, 0.99, 50)),
    ],
    wrong={
        "From -h to h the logit moves by 2h.": lambda h, u: (
            ((u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()).mean() / h
        ),
        "Divide the difference by the length of the nudge.": lambda h, u: (
            (u < h.sigmoid()).float() - (u < (-h).sigmoid()).float()
        ).mean(),
        "The sign is turned: up minus down.": lambda h, u: (
            ((u < (-h).sigmoid()).float() - (u < h.sigmoid()).float()).mean() / (2 * h)
        ),
    },
)
EXERCISES["ex-choices-4"] = Exercise(
    right=lambda p, c: p * (1 - p) * 2 * (p - c),
    given=[(0.7, 0.45), (0.2, 0.1)],
    wrong={
        "This is the exact slope. Straight-through has the slope f'(z) at the sample in place of f(1) - f(0).": lambda p, c: (
            p * (1 - p) * (1 - 2 * c)
        ),
        "Straight-through multiplies by the slope of the probability, p (1 - p).": lambda p, c: (
            2 * (p - c)
        ),
        "The slope of (z - c)² brings a factor 2.": lambda p, c: p * (1 - p) * (p - c),
    },
)
EXERCISES["ex-choices-5"] = Exercise(
    right=lambda z1, z2, phi: -(z1 + 2 * z2 - phi / 2),
    given=[(1.0, 0.0, 2.0), (1.0, 1.0, 0.5)],
    wrong={
        "The inner function also has a slope: phi is divided by -2.": lambda z1, z2, phi: (
            2 * (z1 + 2 * z2 - phi / 2)
        ),
        "Mind the sign: phi is subtracted inside the square.": lambda z1, z2, phi: (
            z1 + 2 * z2 - phi / 2
        ),
    },
)

# --- 3 The Gumbel-max trick

EXERCISES["ex-gumbel-max-clocks"] = Exercise(
    right=lambda logits, u: (-u.log() / logits.exp()).argmin(-1),
    given=[
        (
            _fixed(0.5, 1.0, -0.7),
            torch.linspace(0.03, 0.97, 60)[torch.arange(60) * 7 % 60].view(20, 3),
        )
    ],
    wrong={
        "The clock that rings first wins: the smallest waiting time, not the largest.": lambda logits, u: (
            (-u.log() / logits.exp()).argmax(-1)
        ),
        "A fast clock waits shorter: divide by the rate, do not multiply.": lambda logits, u: (
            -u.log() * logits.exp()
        ).argmin(-1),
        "The rate is the exponential of the logit.": lambda logits, u: (-u.log() / logits).argmin(
            -1
        ),
    },
)
EXERCISES["ex-gumbel-max-top-two"] = Exercise(
    right=lambda pi, i, j: pi[i] * pi[j] / (1 - pi[i]),
    given=[(_fixed(0.6, 0.3, 0.1), 0, 1), (_fixed(0.6, 0.3, 0.1), 2, 0)],
    wrong={
        "This is drawing with replacement. Once i is taken, the others share the probability.": lambda pi, i, j: (
            pi[i] * pi[j]
        ),
        "Take i out of the pot, not j: i was drawn first.": lambda pi, i, j: (
            pi[i] * pi[j] / (1 - pi[j])
        ),
    },
)
EULER = 0.5772156649
EXERCISES["ex-gumbel-max-log-z"] = Exercise(
    right=lambda answers: answers.mean() - EULER,
    given=[(_fixed(3.1, 4.2, 2.8, 5.0),)],
    wrong={
        "The mean of a standard Gumbel is not 0: see the equation for its mean.": lambda answers: (
            answers.mean()
        ),
        "The answers lie too high by the mean of a Gumbel: subtract it.": lambda answers: (
            answers.mean() + EULER
        ),
        "The box has taken the maximum already; the answers need no log-sum-exp.": lambda answers: (
            answers.logsumexp(0)
        ),
    },
)
EXERCISES["ex-gumbel-max-rarest"] = Exercise(
    right=lambda smallest, largest: gumbel(largest) - gumbel(smallest),
    given=[(torch.tensor(torch.finfo(torch.float32).tiny), torch.tensor(1 - 2**-24))],
    wrong={
        "The rival has noise of its own, and it may be at the very bottom.": lambda smallest, largest: (
            gumbel(largest)
        ),
        "Which end of u gives the largest noise? Look at the sign.": lambda smallest, largest: (
            gumbel(smallest) - gumbel(largest)
        ),
        "These are uniform numbers. The noise is -log(-log u).": lambda smallest, largest: (
            largest - smallest
        ),
    },
)

# --- 4 Relaxing it

EXERCISES["ex-relaxation-flat"] = Exercise(
    right=1.0,
    wrong={
        "At one half the density is shaped like a U.": 0.5,
        "At 2 it is a bell: samples crowd in the middle.": 2.0,
        "At temperature 0 the samples are discrete: all of them sit at the ends.": 0.0,
    },
)
EXERCISES["ex-relaxation-mean"] = Exercise(
    right=lambda r: r * math.log(r) / (r - 1) ** 2 - 1 / (r - 1),
    given=[(0.25,), (3.0,)],
    wrong={
        "This is the class probability. The mean of a relaxed sample is pulled towards one half.": lambda r: (
            1 / (1 + r)
        ),
        "This is the mean of the other entry: r is the second probability over the first.": lambda r: (
            1 - (r * math.log(r) / (r - 1) ** 2 - 1 / (r - 1))
        ),
    },
)


def _entropy(y):
    return -(y * y.log()).sum()


EXERCISES["ex-relaxation-tau"] = Exercise(
    right=lambda y, tau: -y / tau * (y.log() + _entropy(y)),
    given=[(_fixed(0.6, 0.3, 0.1), 0.7)],
    wrong={
        "The largest entry falls when the temperature rises: look at the sign in front.": lambda y, tau: (
            y / tau * (y.log() + _entropy(y))
        ),
        "The entropy has a minus of its own, H = -sum y log y.": lambda y, tau: (
            -y / tau * (y.log() - _entropy(y))
        ),
        "Where has the temperature gone?": lambda y, tau: -y * (y.log() + _entropy(y)),
    },
)
EXERCISES["ex-relaxation-hot"] = Exercise(
    right=lambda s, tau: 1 / s.shape[-1] + (s - s.mean(-1, keepdim=True)) / (s.shape[-1] * tau),
    given=[(_fixed([0.3, -1.0, 2.0], [1.5, 0.2, 0.1]), 20.0)],
    wrong={
        "The entries must sum to 1: the deviation has to be centred.": lambda s, tau: (
            1 / s.shape[-1] + s / (s.shape[-1] * tau)
        ),
        "The softmax divides by a sum of K terms; the deviation needs 1/K as well.": lambda s, tau: (
            1 / s.shape[-1] + (s - s.mean(-1, keepdim=True)) / tau
        ),
        "This is the limit itself. The next term is proportional to 1/tau.": lambda s, tau: (
            torch.full_like(s, 1 / s.shape[-1])
        ),
    },
)

# --- 5 The estimator and straight-through


def _ask_counting(answer, program):
    notes = []
    value = program(lambda q: answer(q, notes))
    return ... if is_blank(value) else (value, notes)


def _count(value, note):
    def answer(q, entropies):
        entropies.append(note(q))
        return value(q)

    return answer


EXERCISES["ex-estimator-1"] = Exercise(
    right=_count(lambda q: q.sample(), lambda q: q.entropy().sum().item()),
    given=[(lambda sample: sample(Categorical(LOGITS)),)],
    ask=_ask_counting,
    wrong={
        "The program must go on with a sample; you have returned the probabilities.": _count(
            lambda q: q.mean, lambda q: q.entropy().sum().item()
        ),
        "Nothing was noted: append the entropy to the list.": lambda q, entropies: q.sample(),
        "A node may have several units: sum their entropies to one number.": _count(
            lambda q: q.sample(), lambda q: q.entropy()
        ),
    },
)
EXERCISES["ex-estimator-2"] = Exercise(
    right=lambda c: ((1 - c) ** 4 - c**4, 2 * ((1 - c) ** 3 - c**3)),
    given=[(0.2,), (0.7,)],
    wrong={
        "The two are exchanged: Gumbel-Softmax adds up the slopes all the way, straight-through sees the ends.": lambda c: (
            2 * ((1 - c) ** 3 - c**3),
            (1 - c) ** 4 - c**4,
        ),
        "The trapezoid rule takes the average of the two slopes, not their sum.": lambda c: (
            (1 - c) ** 4 - c**4,
            4 * ((1 - c) ** 3 - c**3),
        ),
        "The slope of (z - c)⁴ at z = 0 is negative for c > 0: mind its sign.": lambda c: (
            (1 - c) ** 4 - c**4,
            2 * ((1 - c) ** 3 + c**3),
        ),
    },
)


def _ask_straight_through(answer, hard, soft):
    found = _gradients(lambda soft: answer(hard, soft), [soft])
    return found if is_blank(found) else (bool((found[0] == hard).all()), *found)


EXERCISES["ex-estimator-3"] = Exercise(
    right=lambda hard, soft: hard + (soft - soft.detach()),
    given=[(torch.eye(3).repeat(400, 1), torch.linspace(0.01, 0.98, 3600).view(1200, 3))],
    ask=_ask_straight_through,
    wrong={
        "The value is right and the gradient is gone: only the second soft may be detached.": lambda hard, soft: (
            hard + (soft - soft).detach()
        ),
        "The gradient is right, but rounding has changed the value: some rows are not exactly one-hot. Mind the brackets.": lambda hard, soft: (
            hard + soft - soft.detach()
        ),
        "The value is soft: the program would see mixtures.": lambda hard, soft: soft,
    },
)
EXERCISES["ex-estimator-4"] = Exercise(
    right=lambda rate, every: math.ceil(math.log(2) / rate / every) * every,
    given=[(1e-4, 500), (1e-5, 500)],
    wrong={
        "The schedule moves only every so many steps: the arrival is a multiple of that.": lambda rate, every: (
            math.log(2) / rate
        ),
        "Rounded down, the schedule has not arrived yet: take the next multiple.": lambda rate, every: (
            math.floor(math.log(2) / rate / every) * every
        ),
        "The logarithm of one half is negative; the number of steps is not.": lambda rate, every: (
            math.ceil(math.log(0.5) / rate / every) * every
        ),
    },
)
EXERCISES["ex-estimator-5"] = Exercise(
    right=6.0,
    same=lambda a, b: (
        (a[0] == b[0]) or (b[0] == 6.0 and isinstance(a[0], (int, float)) and not 1 < a[0] < 5)
    ),
    wrong={
        "That is the old load: a mixture of 2 and 5 grams beats every single weight.": 3.6,
        "The weight of 2 grams fits, but so does a mixture of 1 and 5 grams.": 2.0,
        "Between the weights a mixture fits better than any of them. Look outside their range.": 3.0,
    },
)

# --- 6 The other estimators


def _ask_estimator(answer, theta, w):
    def surrogate(theta, w):
        return answer(lambda sample: ((sample(Bernoulli(theta)) * w).sum(-1) - 0.2) ** 2)

    return _gradients(surrogate, [theta, w])


def _score(signal):
    def answer(program):
        trace = Trace()
        f = program(trace.recording(lambda q: q.sample()))
        return signal(f, trace.log_prob())

    return answer


EXERCISES["ex-others-1"] = Exercise(
    right=lambda program: ESTIMATORS["sf"](program),
    given=[(COINS.repeat(20, 1), _fixed(1.0, -0.7, 0.4).repeat(20, 1))],
    ask=_ask_estimator,
    wrong={
        "The signal is a weight, not a path: detach f in the product.": _score(
            lambda f, log_q: f + zero_valued(f * log_q)
        ),
        "The value is no longer the loss: wrap the score term in zero_valued.": _score(
            lambda f, log_q: f + f.detach() * log_q
        ),
        "Parameters in the loss itself need the term f, too.": _score(
            lambda f, log_q: zero_valued(f.detach() * log_q)
        ),
        "Loss times score is already the gradient: look at the sign.": _score(
            lambda f, log_q: f - zero_valued(f.detach() * log_q)
        ),
    },
)
EXERCISES["ex-others-2"] = Exercise(
    right=lambda f, s, q: (q * f * s**2).sum() / (q * s**2).sum(),
    given=[
        (_fixed(0.0, 1.0), _fixed(-0.9, 0.1), _fixed(0.1, 0.9)),
        (_fixed(2.0, 3.0), _fixed(-0.4, 0.6), _fixed(0.6, 0.4)),
    ],
    wrong={
        "That is the mean loss: good, but not the best. Outcomes with a large score count more.": lambda f, s, q: (
            (q * f).sum()
        ),
        "Divide by the mean of the squared score.": lambda f, s, q: (q * f * s**2).sum(),
        "Each outcome counts with its probability q.": lambda f, s, q: (
            (f * s**2).sum() / (s**2).sum()
        ),
    },
)
EXERCISES["ex-others-3"] = Exercise(
    right={"sf"},
    wrong={
        "MuProp uses f(z) - f(zbar): the constant cancels.": {"sf", "muprop"},
        "DARN in its form at the sample uses the slope of f only.": {"sf", "darn"},
        "MuProp uses a difference of losses and DARN a slope: a constant cancels in both.": {
            "sf",
            "darn",
            "muprop",
        },
        "One of them multiplies the score by the whole loss.": set(),
    },
)
EXERCISES["ex-others-4"] = Exercise(
    right=lambda z, p, slope: slope * (1 - p) / 2 if z == 1 else slope * p / 2,
    given=[(1, 0.7, 3.0), (0, 0.7, 0.4)],
    wrong={
        "The trapezoid rule takes one half of each end.": lambda z, p, slope: (
            slope * (1 - p) if z == 1 else slope * p
        ),
        "The two outcomes are exchanged: divide by the probability of the z that was drawn.": lambda z, p, slope: (
            slope * p / 2 if z == 1 else slope * (1 - p) / 2
        ),
        "This is plain straight-through; it gives every draw the same factor.": lambda z, p, slope: (
            slope * p * (1 - p)
        ),
    },
)

# --- 7 A discrete VAE

EXERCISES["ex-vae-1"] = Exercise(
    right=lambda q: math.log(q.logits.shape[-1]) - q.entropy(),
    given=[(Categorical(LOGITS),)],
    wrong={
        "Write out the KL with p = 1/K: log K is missing.": lambda q: -q.entropy(),
        "The more the encoder is in doubt, the less the code costs: look at the sign.": lambda q: (
            q.entropy()
        ),
        "That is the price of certainty only; doubt makes the code cheaper.": lambda q: (
            torch.full_like(q.entropy(), math.log(q.logits.shape[-1]))
        ),
    },
)
EXERCISES["ex-vae-2"] = Exercise(
    right=lambda q, p, z: (q.log_prob(z) - p.log_prob(z)).sum(-1),
    given=[(Categorical(LOGITS), Categorical(torch.zeros(2, 1, 3)), ONE_HOT)],
    wrong={
        "The sign is turned: the KL is the mean of log q - log p.": lambda q, p, z: (
            p.log_prob(z) - q.log_prob(z)
        ).sum(-1),
        "One number per image: sum over the units of the code.": lambda q, p, z: (
            q.log_prob(z) - p.log_prob(z)
        ),
        "This is the analytic KL; here the sample z should enter.": lambda q, p, z: kl(q, p).sum(
            -1
        ),
    },
)
EXERCISES["ex-vae-3"] = Exercise(
    right=lambda loss, divergence: loss - divergence.sum(-1),
    given=[(_fixed(120.0, 90.0), _fixed([1.0, 2.0, 0.5], [0.2, 0.1, 3.0]))],
    wrong={
        "This is the correct loss; the KL is still in it.": lambda loss, divergence: (
            loss + 0 * divergence.sum(-1)
        ),
        "This counts the KL twice.": lambda loss, divergence: loss + divergence.sum(-1),
        "Take away the KL of all units of an image: sum, do not average.": lambda loss, divergence: (
            loss - divergence.mean(-1)
        ),
        "One loss per image: sum over units, not over images.": lambda loss, divergence: (
            loss - divergence.sum()
        ),
    },
)


def _ask_classes(answer, images, n):
    found = answer(images, n)
    return found if is_blank(found) else (len(found), set(found.tolist()))


EXERCISES["ex-vae-4"] = Exercise(
    right=lambda images, n: images[torch.randperm(len(images))[:n]],
    given=[
        (torch.arange(10).repeat_interleave(100), 200)
    ],  # an "image" is its class, and they are sorted
    ask=_ask_classes,
    wrong={
        "The split may be sorted by class: then its first images are all alike.": lambda images, n: (
            images[:n]
        ),
        "The last images of a sorted split are no better than the first.": lambda images, n: images[
            -n:
        ],
        "This returns another number of images than was asked for.": lambda images, n: images,
    },
)

# --- 8 Structured prediction

EXERCISES["ex-sbn-1"] = Exercise(
    right=lambda q: q.mean,
    given=[(Bernoulli(COINS),)],
    wrong={
        "This still draws: ask for the mean of the distribution.": lambda q: q.sample(),
        "These are logits; the next layer expects probabilities.": lambda q: q.logits,
        "Rounding makes a choice again. The mean itself is wanted.": lambda q: q.mean.round(),
    },
)
EXERCISES["ex-sbn-2"] = Exercise(
    right=lambda draws: draws.std(0).mean(-1),
    given=[(torch.linspace(0, 1, 24).view(4, 2, 3) ** 2,)],
    wrong={
        "That is the scatter over pixels of each answer. Doubt is the scatter over draws.": lambda draws: (
            draws.std(-1).mean(0)
        ),
        "Average over pixels first and the differences between draws cancel.": lambda draws: (
            draws.mean(-1).std(0)
        ),
        "One number per image: average over its pixels.": lambda draws: draws.std(0),
    },
)


def _seeds(spread, difference, width):
    return next(n for n in range(2, 1000) if width(n, spread) < difference)


def _t(n):
    from scipy import stats

    return stats.t.ppf(0.975, n)


EXERCISES["ex-sbn-3"] = Exercise(
    right=lambda spread, difference: _seeds(
        spread, difference, lambda n, s: _t(2 * n - 2) * s * math.sqrt(2 / n)
    ),
    given=[(0.3, 0.5), (0.3, 0.2), (1.0, 0.5)],
    wrong={
        "With few seeds the factor of Student's distribution is well above 1.96.": lambda spread, difference: (
            _seeds(spread, difference, lambda n, s: 1.96 * s * math.sqrt(2 / n))
        ),
        "Both means scatter: the difference needs the factor root 2.": lambda spread, difference: (
            _seeds(spread, difference, lambda n, s: _t(2 * n - 2) * s / math.sqrt(n))
        ),
        "Two groups of n seeds leave 2n - 2 degrees of freedom.": lambda spread, difference: _seeds(
            spread, difference, lambda n, s: _t(n - 1) * s * math.sqrt(2 / n)
        ),
    },
)
EXERCISES["ex-sbn-4"] = Exercise(
    right={"config", "code", "data", "device", "torch"},
    wrong={
        "The settings are not enough: the same settings may run with other code, on other images, on another machine.": {
            "config"
        },
        "Another version of PyTorch may add up in another order.": {
            "config",
            "code",
            "data",
            "device",
        },
        "Another kind of processor may add up in another order.": {
            "config",
            "code",
            "data",
            "torch",
        },
        "How long a run took and when it ran do not change its numbers.": {
            "config",
            "code",
            "data",
            "device",
            "torch",
            "minutes",
            "date",
        },
    },
)

# --- 9 The discrete VAE at full scale

EXERCISES["ex-vae-full-cooling"] = Exercise(
    right=lambda t, rate: max(0.5, math.exp(-rate * (t // 500 * 500))),
    given=[(20_000, 1e-5), (20_000, 1e-4), (5_700, 1e-4)],
    wrong={
        "The temperature has a floor of 0.5.": lambda t, rate: math.exp(-rate * (t // 500 * 500)),
        "The schedule moves every 500 steps and holds its value in between.": lambda t, rate: max(
            0.5, math.exp(-rate * t)
        ),
        "The floor is a maximum of the two, not a minimum.": lambda t, rate: min(
            0.5, math.exp(-rate * (t // 500 * 500))
        ),
    },
)
PAIR = -math.log(1 / (1 + math.exp(-5)) * (1 / (1 + math.exp(5))))
EXERCISES["ex-vae-full-toy"] = Exercise(
    right=(2 * math.log(2), PAIR),
    wrong={
        "Hot and cold are exchanged: a hot sample sits at one half.": (PAIR, 2 * math.log(2)),
        "There are two pixels, and each costs log 2.": (math.log(2), PAIR),
        "A cold sample is a choice, and then the loss is that of the discrete model.": (
            2 * math.log(2),
            0.0,
        ),
    },
)
EXERCISES["ex-vae-full-samples"] = Exercise(
    right=lambda log_w: math.log(len(log_w)) - log_w.logsumexp(0),
    given=[(_fixed([-3.0, -5.0], [-1.0, -9.0], [-4.0, -4.5]),)],
    wrong={
        "That is the mean of the logarithms. Average the weights first, then take the logarithm.": lambda log_w: (
            -log_w.mean(0)
        ),
        "A sum is not a mean: divide by m.": lambda log_w: -log_w.logsumexp(0),
        "That is the bound; its negative is asked for.": lambda log_w: (
            log_w.logsumexp(0) - math.log(len(log_w))
        ),
    },
)

# --- 10 Table 1


def _spread(values, ddof):
    return torch.tensor(values, dtype=torch.float64).std(correction=ddof).item()


EXERCISES["ex-table-1-interval"] = Exercise(
    right=lambda values: _t(len(values) - 1) * _spread(values, 1) / math.sqrt(len(values)),
    given=[([61.2, 60.8, 61.6],), ([1.0, 2.0, 4.0, 4.5],)],
    wrong={
        "1.96 is for a known spread. Three seeds leave it uncertain: take Student's factor.": lambda values: (
            1.96 * _spread(values, 1) / math.sqrt(len(values))
        ),
        "This divides the squares by n. For a spread from a sample divide by n - 1 (ddof=1).": lambda values: (
            _t(len(values) - 1) * _spread(values, 0) / math.sqrt(len(values))
        ),
        "The mean scatters less than one run: divide by the root of n.": lambda values: (
            _t(len(values) - 1) * _spread(values, 1)
        ),
        "Student's factor has n - 1 degrees of freedom.": lambda values: (
            _t(len(values)) * _spread(values, 1) / math.sqrt(len(values))
        ),
    },
)


def _signs(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    i, j = torch.triu_indices(len(values), len(values), 1)
    return (values[i] - values[j]).sign()


def _kendall(a, b, pairs):
    a, b = _signs(a), _signs(b)
    return ((a * b).sum() / pairs(a, b)).item()


EXERCISES["ex-table-1-kendall"] = Exercise(
    right=lambda a, b: _kendall(a, b, lambda a, b: ((a != 0).sum() * (b != 0).sum()).sqrt()),
    given=[([3.0, 1.0, 2.0, 5.0], [2.0, 1.0, 2.0, 4.0]), ([1.0, 2.0, 3.0], [3.0, 1.0, 2.0])],
    wrong={
        "Tied pairs do not count in the denominator.": lambda a, b: _kendall(
            a, b, lambda a, b: len(a)
        ),
        "Each pair once: you have divided by twice as many.": lambda a, b: _kendall(
            a, b, lambda a, b: 2 * len(a)
        ),
    },
)
EXERCISES["ex-table-1-two"] = Exercise(
    right=lambda p, q: -(torch.outer(q, q) * (((p / q)[:, None] + p / q) / 2).log()).sum(),
    given=[(_fixed(0.7, 0.2, 0.1), _fixed(0.5, 0.3, 0.2))],
    wrong={
        "First the mean of the two weights, then the logarithm: this is the loss with m = 1.": (
            lambda p, q: -(q * (p / q).log()).sum()
        ),
        "The two weights are averaged, so their sum is divided by 2.": lambda p, q: (
            -(torch.outer(q, q) * ((p / q)[:, None] + p / q).log()).sum()
        ),
        "A loss is the negative of the logarithm.": lambda p, q: (
            torch.outer(q, q) * (((p / q)[:, None] + p / q) / 2).log()
        ).sum(),
        "Pairs are drawn from the encoder, so q weights them, not p.": lambda p, q: (
            -(torch.outer(p, p) * (((p / q)[:, None] + p / q) / 2).log()).sum()
        ),
    },
)
EXERCISES["ex-table-1-law"] = Exercise(
    right=lambda x, y, z: (x * z - y**2) / (x + z - 2 * y),
    given=[(118.0, 113.0, 110.0), (3.0, 2.0, 1.5)],
    wrong={
        "The curve goes on falling after the last point.": lambda x, y, z: z,
        "This goes on with the last fall; but each fall is smaller than the one before.": (
            lambda x, y, z: 2 * z - y
        ),
        "The sign is turned: check it with 3, 2, 1.5, which end at 1.": lambda x, y, z: (
            (y**2 - x * z) / (x + z - 2 * y)
        ),
    },
)
EXERCISES["ex-table-1-fooled"] = Exercise(
    right=0.025,
    wrong={
        "Five per cent of the intervals miss 0, but only half of them on the claimed side.": 0.05,
        "That is how often the interval does hold 0.": 0.95,
    },
)

# --- 11 Learning with few labels

EXERCISES["ex-few-labels-belief"] = Exercise(
    right=lambda losses: (-losses).softmax(-1),
    given=[(_fixed([2.0, 0.5, 3.0], [1.0, 1.5, 0.5]),)],
    wrong={
        "The class with the smaller loss explains the image better: look at the sign.": lambda losses: (
            losses.softmax(-1)
        ),
        "All belief in the best class gives away the reward for doubt.": lambda losses: torch.eye(
            losses.shape[-1]
        )[losses.argmin(-1)],
        "These are the logarithms of the beliefs.": lambda losses: (-losses).log_softmax(-1),
        "Beliefs add up to 1: divide by their sum.": lambda losses: (-losses).exp(),
    },
)
EXERCISES["ex-few-labels-classes"] = Exercise(
    right=lambda r, D, I, G: (r * (D + I + G) - D) / (I + G),
    given=[(5.0, 4.0, 3.0, 6.0), (10.0, 1.0, 1.0, 1.0)],
    wrong={
        "That would be so if the classifier ran once for each class, too. It runs once in both.": lambda r, D, I, G: (
            r
        ),
        "The classifier's own run is part of what you pay: subtract D.": lambda r, D, I, G: (
            r * (D + I + G) / (I + G)
        ),
        "That is the ratio of the costs with r classes. Solve it for the number of classes.": lambda r, D, I, G: (
            (D + r * (I + G)) / (D + I + G)
        ),
    },
)
EXERCISES["ex-few-labels-alpha"] = Exercise(
    right=lambda share, N, n: share * N / n,
    given=[(0.1, 50_000, 100), (0.3, 60_000, 3_000)],
    wrong={
        "An average over n images gives each of them the weight 1/n.": lambda share, N, n: (
            share * N
        ),
        "N and n are exchanged: fewer labels make each of them count more.": lambda share, N, n: (
            share * n / N
        ),
        "That is the plain list, as if the bounds were averages, too. They are sums here.": lambda share, N, n: (
            share
        ),
    },
)
EXERCISES["ex-few-labels-best"] = Exercise(
    right=1.163,  # the mean of the largest of five standard normal numbers
    wrong={
        "Each run alone is right on average, but the best of five was picked for its luck.": 0.0,
        "That is the distance from the worst of the five to the best.": 2.326,
        "That is the largest of five signs of luck without their direction: bad luck is not picked.": 1.569,
    },
    same=lambda a, b: isinstance(a[0], (int, float)) and abs(a[0] - b[0]) < 0.03,
)

# --- 12 Your own model


def _nll(scores, target):
    return -(scores.log_softmax(-1) * target).sum(-1)


EXERCISES["ex-own-1"] = Exercise(
    right=lambda q: (
        math.log(q.logits.shape[-1]) - Categorical(q.mean.mean(0).log()).entropy().sum()
    ),
    given=[(Categorical(LOGITS),)],
    wrong={
        "That is the mean of the entropies: it asks each picture to be undecided. Average the probabilities first.": lambda q: (
            math.log(q.logits.shape[-1]) - q.entropy().mean()
        ),
        "An even use should cost 0: the entropy is subtracted from log K.": lambda q: (
            Categorical(q.mean.mean(0).log()).entropy().sum()
        ),
        "Lower should mean more even: the sign is turned.": lambda q: (
            Categorical(q.mean.mean(0).log()).entropy().sum() - math.log(q.logits.shape[-1])
        ),
    },
)
EXERCISES["ex-own-2"] = Exercise(
    right=lambda z, answers: (z @ answers).squeeze(-2),
    given=[(SOFT, torch.arange(24.0).view(2, 3, 4) ** 2)],
    wrong={
        "A soft sample has no index, and an index no slope: use a product with z.": lambda z, answers: (
            answers[range(len(answers)), z[..., 0, :].argmax(-1)]
        ),
        "There is an axis too many: the sample has one unit, whose axis should go.": lambda z, answers: (
            z @ answers
        ),
        "Each specialist's answer is weighted, but they are not added up: sum over the specialists.": lambda z, answers: (
            z.mT * answers
        ),
        "That sums over the digits. The specialists stand in the axis before.": lambda z, answers: (
            z.mT * answers
        ).sum(-1),
    },
)
EXERCISES["ex-own-3"] = Exercise(
    right=lambda pi, scores, target: (pi * _nll(scores, target[:, None])).sum(-1),
    given=[(SOFT[:, 0], torch.arange(24.0).sin().view(2, 3, 4), torch.eye(4)[[1, 3]])],
    wrong={
        "This mixes the answers and then takes the loss: the relaxed model, not the discrete one.": lambda pi, scores, target: (
            _nll((pi[:, None] @ scores)[:, 0], target)
        ),
        "This is the loss of the likeliest specialist; a draw may choose another one.": lambda pi, scores, target: (
            _nll(scores[range(len(pi)), pi.argmax(-1)], target)
        ),
        "The specialists are not equally likely: weight their losses with pi.": lambda pi, scores, target: (
            _nll(scores, target[:, None]).mean(-1)
        ),
        "One loss per picture: do not average over pictures.": lambda pi, scores, target: (
            (pi * _nll(scores, target[:, None])).sum(-1).mean()
        ),
    },
)
