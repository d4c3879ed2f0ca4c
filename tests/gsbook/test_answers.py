"""The exercises of the notebooks: blanks fail, solutions pass, wrong answers get their hints."""

import ast
import json
import math
import re
from pathlib import Path

import pytest
import torch

import gslib
from gsbook.answers import EXERCISES
from gsbook.exercise import Exercise
from gsbook.reader.exercises import BLANK, check

NOTEBOOKS = sorted(Path(__file__).resolve().parents[2].glob("notebooks/*.ipynb"))
CALL = re.compile(r'^(assert )?exercises\.check\("([\w-]+)", (.+)\)$', re.MULTILINE)


def sources(path, kind):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def found():
    """Label -> {"blank", "solution": cell, "imports": the notebook's}, for all that is checked."""
    cells = {}
    for path in NOTEBOOKS:
        code = [
            text for text in sources(path, "code") if "importlib.metadata" not in text
        ]  # without the set-up cell
        statements = [
            node
            for text in code
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.stmt)
        ]
        imports = "\n".join(
            ast.unparse(s) for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))
        )
        for text in code:
            for solves, label, _ in CALL.findall(text):
                cell = cells.setdefault(label, {"imports": imports, "path": path.name})
                kind = "solution" if solves else "blank"
                assert kind not in cell, f"{label}: two cells check it"
                cell[kind] = text
    return cells


CELLS = found()
each = pytest.mark.parametrize("label", CELLS)


def verdict(label, text):
    """The verdict of a cell's check, run as a reader would, after the notebook's imports alone."""
    names = {"gslib": gslib}
    exec(CELLS[label]["imports"], names)
    call = CALL.search(text)
    exec(text[: call.start()], names)
    return eval(f'exercises.check("{label}", {call[3]})', names)


def test_every_exercise_has_a_check_and_every_check_an_exercise():
    labels = [
        label
        for path in NOTEBOOKS
        for text in sources(path, "markdown")
        for label in re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text)
    ]
    assert sorted(labels) == sorted(CELLS) == sorted(EXERCISES)


@each
def test_blank_fails_and_asks_for_an_answer(label):
    assert "..." in CELLS[label]["blank"]
    answer = verdict(label, CELLS[label]["blank"])
    assert not answer
    assert repr(answer) == BLANK


@each
def test_solution_passes(label):
    answer = verdict(label, CELLS[label]["solution"])
    assert answer
    assert repr(answer) == "Right."


@each
def test_typical_wrong_answers_get_their_hints(label):
    exercise = EXERCISES[label]
    assert exercise.wrong
    for hint, wrong in exercise.wrong.items():
        answer = check(label, wrong)
        assert not answer
        assert answer.message == hint
        assert len(hint) > 20


# Mistakes made in the solutions: what is changed, into what, and a word of the hint to come.
MISTAKES = {
    "ex-tensors-1": (".sum(0) / member.sum(0)", ".mean(0)", "of the class"),
    "ex-tensors-2": (".sum(-1)", "", "summed away"),
    "ex-tensors-3": (
        "(backward - backward.detach())",
        "(backward - backward).detach()",
        "Nothing is left",
    ),
    "ex-learning-1": ("2 * eta", "eta", "factor 2"),
    "ex-learning-2": ("torch.sigmoid(theta) - z", "z - torch.sigmoid(theta)", "minus in front"),
    "ex-learning-3": ("b1 @ W2 + b2", "b2", "b1 pass"),
    "ex-learning-4": ('{"b2"}', '{"b2", "W2"}', "hidden results"),
    "ex-learning-5": (
        "math.log(said), math.log(1 - said)",
        "math.log2(said), math.log2(1 - said)",
        "bits",
    ),
    "ex-choices-1": ("classes**units", "classes * units", "adds up"),
    "ex-choices-2": (".sum(-1)", ".sum(-1).mean()", "do not average"),
    "ex-choices-3": ("(2 * h)", "h", "2h"),
    "ex-choices-4": ("2 * (p - c)", "(1 - 2 * c)", "exact slope"),
    "ex-choices-5": ("-(z1", "2 * (z1", "inner function"),
    "ex-gumbel-max-clocks": ("argmin", "argmax", "smallest"),
    "ex-gumbel-max-top-two": (" / (1 - pi[i])", "", "with replacement"),
    "ex-gumbel-max-log-z": (" - 0.5772156649", "", "not 0"),
    "ex-gumbel-max-rarest": (" - functional.gumbel(smallest)", "", "rival"),
    "ex-relaxation-flat": ("1.0", "0.5", "like a U"),
    "ex-relaxation-mean": (
        "r * math.log(r) / (r - 1) ** 2 - 1 / (r - 1)",
        "1 / (1 + r)",
        "class probability",
    ),
    "ex-relaxation-tau": ("return -y", "return y", "sign in front"),
    "ex-relaxation-hot": ("(s - s.mean(-1, keepdim=True))", "s", "centred"),
    "ex-estimator-1": ("return q.sample()", "return q.mean", "with a sample"),
    "ex-estimator-2": ("2 * ((1 - c)", "4 * ((1 - c)", "average"),
    "ex-estimator-3": ("hard + (soft - soft.detach())", "hard + soft - soft.detach()", "brackets"),
    "ex-estimator-4": (
        "math.ceil(math.log(2) / rate / every) * every",
        "math.log(2) / rate",
        "multiple",
    ),
    "ex-estimator-5": ("6.0", "2.0", "1 and 5"),
    "ex-others-1": ("f.detach()", "f", "detach f"),
    "ex-others-2": ("(q * f * s**2).sum() / (q * s**2).sum()", "(q * f).sum()", "mean loss"),
    "ex-others-3": ('{"sf"}', '{"sf", "muprop"}', "cancels"),
    "ex-others-4": ("((1 - p) / 2 if z == 1 else p / 2)", "((1 - p) if z == 1 else p)", "one half"),
    "ex-vae-1": ("log_K - ", "-", "log K"),
    "ex-vae-2": (".sum(-1)", "", "sum over the units"),
    "ex-vae-3": ("loss - ", "loss + ", "twice"),
    "ex-vae-4": ("torch.randperm(len(images))[:n]", ":n", "sorted"),
    "ex-sbn-1": ("q.mean", "q.logits", "logits"),
    "ex-sbn-2": ("std(0).mean(-1)", "std(-1).mean(0)", "over draws"),
    "ex-sbn-3": ("stats.t.ppf(0.975, 2 * n - 2)", "1.96", "Student"),
    "ex-sbn-4": (', "torch"', "", "PyTorch"),
    "ex-vae-full-cooling": (
        "max(0.5, math.exp(-rate * (t // 500 * 500)))",
        "math.exp(-rate * (t // 500 * 500))",
        "floor",
    ),
    "ex-vae-full-toy": ("2 * math.log(2)", "math.log(2)", "two pixels"),
    "ex-vae-full-samples": (
        "math.log(len(log_w)) - log_w.logsumexp(0)",
        "-log_w.mean(0)",
        "mean of the logarithms",
    ),
    "ex-table-1-interval": ("stats.t.ppf(0.975, n - 1)", "1.96", "Student"),
    "ex-table-1-kendall": ("np.sqrt(pairs_a * pairs_b)", "len(signs_a)", "Tied"),
    "ex-table-1-two": (") / 2 ", ") ", "divided by 2"),
    "ex-table-1-law": ("(x * z - y**2)", "(y**2 - x * z)", "sign"),
    "ex-table-1-fooled": ("0.05 / 2", "0.05", "half of them"),
    "ex-few-labels-belief": ("(-losses)", "losses", "look at the sign"),
    "ex-few-labels-classes": ("(r * (D + I + G) - D)", "r * (D + I + G)", "subtract D"),
    "ex-few-labels-alpha": (" / n", "", "weight 1/n"),
    "ex-few-labels-best": ("scatter.max(1).mean()", "scatter.mean()", "picked for its luck"),
    "ex-own-1": ("average.entropy().sum()", "q.entropy().mean()", "mean of the entropies"),
    "ex-own-2": (
        "(z @ answers).squeeze(-2)",
        "answers[range(len(answers)), z[..., 0, :].argmax(-1)]",
        "no index",
    ),
    "ex-own-3": ("(pi * nll).sum(-1)", "nll.mean(-1)", "weight"),
    "ex-later-1": ("f - (f.sum(0) - f) / (len(f) - 1)", "f - f.mean(0)", "mean of all"),
    "ex-later-2": ("max(p, 1 - p)", "min(p, 1 - p)", "one such pair"),
    "ex-later-3": ("(s0 + s1) / 2", "(p * s1 + (1 - p) * s0)", "straight-through"),
    "ex-later-4": ("pi + pairs.sum(0) - pairs.diagonal()", "1 - (1 - pi) ** 2", "with replacement"),
    "ex-temperature-error": ("noise**2 / n", "(noise / n) ** 2", "by n, not the standard"),
    "ex-temperature-line": ("min(1.0, t / steps)", "t / steps", "goes on falling"),
    "ex-temperature-local": ("(F - (pi * F).sum(-1, keepdim=True))", "F", "Subtract the mean"),
    "ex-poles-to-go": ("costs.flip(0).cumsum(0).flip(0)", "costs.cumsum(0)", "from then on"),
    "ex-poles-others": ("(x.sum() - x) / (len(x) - 1)", "x.mean()", "has seen the action"),
    "ex-poles-larger": ("/ 63", "/ 64", "63 others"),
    "ex-poles-half": (
        "p * world(state, 1.0) + (1 - p) * world(state, 0.0)",
        "world(state, p)",
        "relaxed action leads",
    ),
    "ex-codes-size": ("math.log2(K)", "K", "log2 K bits"),
    "ex-codes-rebuild": ("mkd->nd", "mkd->nmd", "axis for them"),
    "ex-codes-greedy": ("row = row - book[best]", "pass", "have left"),
    "ex-codes-scores": (".sum(1)", "", "add them up"),
    "ex-codes-perplexity": (".sum().exp()", ".sum()", "back into a number"),
    "ex-dead-said": ("(q / q.mean(0))", "(q * q.shape[-1])", "uniform prior"),
    "ex-dead-price": ("(pi * len(pi))", "pi", "1 / K"),
    "ex-dead-bias": (".clamp(0.001, 0.999)", "", "infinite bias"),
    "ex-right-1": ("p.softmax(-1)", "p", "wanted"),
    "ex-right-2": ("N * (math.log(K) + 1 / K)", "N * math.log(K)", "subtracts"),
    "ex-right-3": ("tau * (y[", "(y[", "divided by tau"),
    "ex-right-4": ("1 - (1 - p) ** draws", "p * draws", "mean number"),
    "ex-alphabets-shrink": (".mean((2, 4))", ".sum((2, 4))", "The mean divides"),
    "ex-alphabets-floor": (".sum(-1).mean()", ".mean()", "all of its coins"),
    "ex-alphabets-pairs": ("agree.float().mean()", "agree.float().sum()", "divide by their number"),
    "ex-alphabets-adam": ("-rate * mean", "rate * mean", "downhill"),
    "ex-aloud-likelihood": ("-(log_q - f)", "-(-f)", "not equally likely"),
    "ex-aloud-mask": ("-torch.inf", "0.0", "exp(0) is 1"),
    "ex-aloud-posterior": ("(log_q - f)", "(-f)", "before the sound"),
    "ex-aloud-slope": (
        "log_q.exp() - (log_q - f).softmax(-1)",
        "(log_q - f).softmax(-1) - log_q.exp()",
        "sign",
    ),
}


@each
def test_a_mistake_in_the_solution_gets_a_hint(label):
    right, wrong, word = MISTAKES[label]
    text = CELLS[label]["solution"]
    assert right in text
    answer = verdict(label, text.replace(right, wrong))
    assert not answer
    assert word in repr(answer)
    assert repr(answer) in EXERCISES[label].wrong


# --- the mechanism


@pytest.fixture
def toy(monkeypatch):
    exercise = Exercise(
        right=lambda x: 2 * x,
        wrong={"Twice, please.": lambda x: x},
        given=[(torch.ones(3),), (2.0,)],
    )
    monkeypatch.setitem(EXERCISES, "ex-toy", exercise)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x + x, "Right."),
        (lambda x: x * 1, "Twice, please."),
        (lambda x: 5 * x, "Not right yet. Your answer gives [5.0, 5.0, 5.0]."),
        (lambda x: 1 / 0, "Your answer stops with ZeroDivisionError: division by zero"),
        (lambda x: (2 * x, ...), BLANK),
        (lambda x: None, BLANK),
        (..., BLANK),
        (lambda x: 2 * torch.ones(1), "Not right yet. Your answer gives [2.0]."),
        (lambda x: torch.nan * x, "Not right yet. Your answer gives [nan, nan, nan]."),
        (lambda x: "two", "Not right yet. Your answer gives two."),
        (2.0, "The answer should be a function, which can be called; this is 2.0."),
    ],
)
def test_check_judges_answers(toy, answer, message):
    found = check("ex-toy", answer)
    assert repr(found) == message
    assert bool(found) == (message == "Right.")


@each
@pytest.mark.parametrize(
    "odd",
    [
        "six",
        math.nan,
        math.inf,
        -1,
        [],
        {},
        {1},
        object(),
        True,
        torch.eye(2) / 3,
        (torch.ones(2),),
    ],
    ids=["text", "nan", "inf", "-1", "list", "dict", "set", "object", "True", "matrix", "tuple"],
)
def test_odd_answers_are_not_right_and_stop_nothing(label, odd):
    assert not check(label, odd)
    assert not check(label, lambda *given: odd)


@pytest.mark.parametrize(
    ("label", "answer", "right"),
    [
        ("ex-estimator-5", torch.tensor(7.0), True),
        ("ex-estimator-5", 0, True),
        ("ex-relaxation-hot", lambda s, t: 1 / 3 + (s - s.mean(-1, keepdim=True)) / (3 * t), False),
        ("ex-vae-1", lambda q: math.log(3) - q.entropy(), False),
        ("ex-vae-2", lambda q, p, z: (q.log_prob(z) - p.log_prob(z))[..., 0], False),
    ],
)
def test_what_fits_one_case_only_is_not_right(label, answer, right):
    assert bool(check(label, answer)) is right


def test_check_leaves_the_random_state_and_the_answers_arguments_alone(toy):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check("ex-toy", lambda x: torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())
    assert not check("ex-toy", lambda x: x.mul_(2) if isinstance(x, torch.Tensor) else x)
    assert check("ex-toy", lambda x: 2 * x)  # the arguments of the next answer are fresh


def test_check_names_the_exercises_there_are():
    with pytest.raises(KeyError, match="ex-learning-1"):
        check("ex-nothing", 1)
