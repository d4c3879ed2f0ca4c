"""Runs of Table 2: labels, learning, what methods differ in, and states taken up to the bit."""

import math

import pytest
import torch
from helpers import LABELLED, execute, few_labels, once, toy2, without_times

from gsbook.code import code_of
from gsbook.data import Labelled
from gsbook.engine.checkpoints import Checkpoints
from gsbook.experiments.table2 import train
from gsbook.experiments.table2.config import METHODS, FewLabels
from gsbook.experiments.table2.record import modules
from gsbook.experiments.table2.train import FewLabelsRun, binarise, labelled_rows, load_data
from gslib.functional import stream

pytestmark = pytest.mark.filterwarnings("ignore:GSLIB_DATA")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FewLabels("st", 1.0), "method must be one of marginalisation, .*, got 'st'"),
        (lambda: FewLabels("supervised", 0.0), "alpha must be positive, got 0.0"),
        (lambda: few_labels(decay="cosine"), "decay must be one of none, linear, got 'cosine'"),
        (lambda: few_labels(average=1.0), "average must be from 0 to below 1, got 1.0"),
        (
            lambda: labelled_rows(torch.tensor([0, 0, 1]), 2, 0),
            "2 labelled images of each class are wanted, but a class has 1",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Data


def test_labels_are_balanced_and_a_choice_of_the_seed():
    labels = torch.randint(10, (3000,), generator=stream("labels of a test"))
    rows = [labelled_rows(labels, 10, seed) for seed in (0, 0, 1)]
    assert all(labels[r].bincount().tolist() == [10] * 10 for r in rows)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert len(rows[0].unique()) == 100
    # A record can be made again only with the same stream: whoever is first in it is chosen.
    order = torch.randperm(3000, generator=stream("labels", 0))
    assert torch.isin(order[:10], rows[0]).all()
    assert not torch.isin(order[-1000:], rows[0]).any()


def test_binarisation_is_drawn_anew_with_the_grey_value_as_probability():
    grey = torch.tensor([0, 64, 255], dtype=torch.uint8).expand(20_000, 3)
    first, second = (binarise(grey, torch.rand_like) for _ in range(2))
    assert first.unique().tolist() == [0, 1]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.mean(0), torch.tensor([0, 64 / 255, 1]), atol=0.02, rtol=0)


@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_black_and_white_pixels_stay_whatever_is_drawn(u):
    grey = torch.tensor([[0, 255]], dtype=torch.uint8)
    assert binarise(grey, lambda like: torch.full_like(like, u)).tolist() == [[0, 1]]


def numbered(n):
    """Images that say in their first two pixels which one they are."""
    images = torch.zeros(n, 784, dtype=torch.uint8)
    images[:, 0], images[:, 1] = torch.arange(n) % 256, torch.arange(n) // 256
    return Labelled(images, torch.arange(n) % 10)


def numbers(images):
    return (images[:, 0].int() + 256 * images[:, 1].int()).tolist()


def epochs(**changes):
    """Numbers of the images without labels, and with them, in each of two epochs of three steps."""
    run = FewLabelsRun([few_labels(**changes)], dict.fromkeys(("train", "valid", "test"), IDS))
    found = [([], []), ([], [])]
    for run.step in range(6):
        images, labelled, y = run.batch()
        assert torch.equal(y.argmax(-1), IDS.labels[numbers(labelled)])
        assert y.sum(-1).tolist() == [1] * len(labelled)
        for seen, those in zip(found[run.step // 3], (images, labelled), strict=True):
            seen.extend(numbers(those))
    return found


IDS = numbered(300)


def test_an_epoch_shows_each_image_once_in_a_new_order():
    sizes = {"batch": 100, "labelled_batch": 10, "labels": 3}
    (first, labelled), (second, labelled_again) = epochs(**sizes)
    assert sorted(first) == sorted(second) == list(range(300))
    rows = labelled_rows(IDS.labels, 3, 0).tolist()
    assert sorted(labelled) == sorted(labelled_again) == rows
    assert first != second
    assert labelled != labelled_again
    assert epochs(**sizes)[1] == (second, labelled_again)
    assert epochs(**sizes, seed=1)[0][0] not in (first, second)
    # A record can be made again only with the same names of streams.
    orders = {"unlabelled": (first, range(300)), "labelled": (labelled, rows)}
    for name, (found, of) in orders.items():
        order = torch.randperm(len(of), generator=stream("order", name, 0, 0))
        assert found == [of[i] for i in order.tolist()]


# Runs


def test_noise_is_of_its_use_seed_and_step():
    def drawn(use="noise", seed=0, step=0):
        run = FewLabelsRun([few_labels(seed=seed)], LABELLED)
        run.step = step
        return tuple(run.noise(use)(torch.zeros(4)).tolist())

    assert drawn() == drawn()
    assert len({drawn(), drawn("curve"), drawn(seed=1), drawn(step=1)}) == 4


def test_the_curve_is_the_mean_loss_since_the_last_point_and_a_fixed_part_of_validation(
    monkeypatch,
):
    monkeypatch.setattr(train, "CURVE_IMAGES", 30)  # of 60
    run, losses = FewLabelsRun([few_labels()], LABELLED), []
    objective = run.objective

    def noted(batch, noise):
        losses.append(objective(batch, noise))
        return losses[-1]

    run.objective = noted
    for end in run.advance(8):
        (curve,), last = run.curves, torch.stack(losses[-4:])
        assert curve.step[-1] == end
        assert curve.train[-1] == pytest.approx(float(last.detach().mean()), abs=1e-3)
        found = run.evaluate(LABELLED["valid"], "curve", 30)
        assert curve.valid[-1] == round(-found["elbo"], 4) > 0
        assert curve.accuracy[-1] == round(found["accuracy"], 4)
    assert len(losses) == 8


@pytest.mark.parametrize(
    ("method", "cooled"),
    [("marginalisation", False), ("gumbel_softmax", True), ("st_gumbel_softmax", True)],
)
def test_the_temperature_of_the_step_reaches_the_estimator(method, cooled):
    slopes = []
    for rate in (0.0, 0.1):
        run = FewLabelsRun([few_labels(method, anneal_rate=rate, anneal_every=1)], LABELLED)
        run.step = 5
        loss = run.objective(run.batch(), run.noise("noise"))
        slopes.append(torch.autograd.grad(loss, run.model.class_network[0].weight)[0])
    assert torch.equal(*slopes) != cooled


@pytest.mark.parametrize("method", METHODS)
def test_a_run_taken_up_again_gives_the_same_record(tmp_path, method):
    options = {"experiment": toy2(), "name": "table2"}
    whole = execute(tmp_path / "whole", once([few_labels(method)]), **options)
    execute(tmp_path / "parts", once([few_labels(method, steps=4)]), **options)
    store = Checkpoints(toy2(), toy2().load_data(None)[1], tmp_path / "parts" / "checkpoints")
    assert store.step(few_labels(method)) == 4, "the second part would start anew"
    parts = execute(tmp_path / "parts", once([few_labels(method)]), **options)
    assert without_times(whole)[0] in without_times(parts)
    record = whole.all()[0]
    assert record["code"] == code_of(modules(few_labels(method)))
    assert record["diverged"] is None
    assert len(record["curve"]["accuracy"]) == 2


def test_a_run_that_averages_is_taken_up_again_with_its_average(tmp_path):
    c = few_labels(average=0.9)
    whole, part, again = (FewLabelsRun([c], LABELLED) for _ in range(3))
    for point in (4, 8):  # noise is drawn anew at each point of the curve
        whole.train_to(point)
    part.train_to(4)
    again.load_states(part.states(), 4)
    again.train_to(8)
    (one,), (two,) = whole.states(), again.states()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_average_is_what_is_judged_and_lags_behind():
    run = FewLabelsRun([few_labels(average=0.5)], LABELLED)
    seen = []
    for step in range(1, 5):
        run.train_to(step)
        seen.append(run.model.decoder[0].bias.detach().clone())
    # each step keeps min(0.5, n / (n + 10)) of what was there, the first one nothing
    expected = seen[0]
    for count, weights in enumerate(seen[1:], 1):
        expected = expected.lerp(weights, 1 - count / (count + 10))
    torch.testing.assert_close(run.judged.decoder[0].bias, expected)
    plain = FewLabelsRun([few_labels()], LABELLED)
    assert plain.judged is plain.model


def test_a_falling_rate_ends_at_nothing():
    run = FewLabelsRun([few_labels(decay="linear", steps=4)], LABELLED)
    rates = []
    for step in range(1, 5):
        run.train_to(step)
        rates += [group["lr"] / run.first.lr for group in run.optimizer.param_groups]
    assert rates == pytest.approx([1, 0.75, 0.5, 0.25])


def test_methods_differ_in_their_unlabelled_term_alone():
    batch = FewLabelsRun([few_labels()], LABELLED).batch()
    values, slopes = {}, {}
    for method in ("marginalisation", "gumbel_softmax", "st_gumbel_softmax"):
        one = FewLabelsRun([few_labels(method)], LABELLED)
        loss = one.objective(batch, one.noise("noise"))
        values[method] = float(loss.detach())
        slopes[method] = torch.autograd.grad(loss, one.weights, allow_unused=True)
    assert len(set(values.values())) == 3
    assert all(g is not None for slope in slopes.values() for g in slope)
    one = FewLabelsRun([few_labels("supervised")], LABELLED)
    _, labelled, y = batch
    x = binarise(labelled, one.noise("noise"))
    assert torch.equal(
        one.objective(batch, one.noise("noise")), 5.0 * one.model.classification(x, y).mean()
    )


@pytest.mark.parametrize("method", METHODS)
def test_training_learns(method):
    one = FewLabelsRun([few_labels(method, steps=60, eval_every=30, lr=1e-2)], LABELLED)
    for _ in one.advance(60):
        pass
    found = one.evaluate(LABELLED["test"], "test")
    assert found["accuracy"] > 60
    if method != "supervised":
        assert one.curves[0].valid[-1] < one.curves[0].valid[0]
        assert found["elbo"] == pytest.approx(found["single"], rel=0.05)


def test_temperature_falls_in_steps():
    c = few_labels(anneal_rate=0.1, anneal_every=5, tau_min=0.5)
    assert [c.tau(s) for s in (0, 4, 5, 9, 100)] == [1, 1, math.exp(-0.5), math.exp(-0.5), 0.5]


def test_a_diverged_run_is_recorded_as_such(tmp_path):
    diverging = few_labels(lr=1e30)
    (record,) = execute(tmp_path, once([diverging]), experiment=toy2(), name="table2").all()
    assert record["diverged"] == 4
    assert record["test"]["elbo"] is None


def test_batches_larger_than_the_data():
    with pytest.raises(
        ValueError,
        match=r"^batch 301 or labelled_batch 20 is larger than its set: there are 300 images, "
        r"100 of them labelled; take a smaller one$",
    ):
        FewLabelsRun([few_labels(batch=301)], LABELLED)
    with pytest.raises(ValueError, match="labelled_batch 101 is larger than its set"):
        FewLabelsRun([few_labels(labelled_batch=101)], LABELLED)
    FewLabelsRun([few_labels(batch=300, labelled_batch=100)], LABELLED)


def test_keys_tell_configs_apart():
    variants = [
        few_labels(),
        few_labels(seed=1),
        few_labels(alpha=1.0),
        few_labels(steps=9),
        few_labels(style=3),
        few_labels("supervised"),
        few_labels(average=0.9),
        few_labels(decay="linear"),
    ]
    falling = [few_labels(decay="linear", steps=n) for n in (4, 8)]
    assert len({c.trajectory for c in falling}) == 2, "a run of 4 steps is no start of one of 8"
    assert len({c.key for c in variants}) == len(variants)
    assert FewLabels(**few_labels().to_dict()) == few_labels()


def test_real_digits_have_labels_to_choose_from():
    data, about = load_data(50)
    rows = labelled_rows(data["train"].labels, 10, 0)
    assert data["train"].labels[rows].bincount().tolist() == [10] * 10
    assert len(data["test"].images) == 50
    assert about["images"] == 50
