"""Jobs and stages: records hold all that numbers depend on; finished runs are skipped."""

import json
import math
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from unittest.mock import MagicMock

import pytest
import torch
import tqdm
from helpers import ABOUT, SIZE, TINY, InThisProcess, config, execute, once, toy1, without_times

from gsbook.code import code_of
from gsbook.engine import workers
from gsbook.engine.workers import Interrupted, Stopped, alone, raise_sentence, run_job
from gsbook.experiments import TABLE1
from gsbook.experiments.table1.config import COLUMNS, Config
from gsbook.experiments.table1.evaluate import final_figures, valid_bound
from gsbook.experiments.table1.record import modules
from gsbook.experiments.table1.train import Ensemble, train
from gsbook.records import EQUIVALENT, Records


class Killed(BaseException):
    pass


@pytest.fixture
def pool():
    return InThisProcess()


def test_a_record_holds_what_the_numbers_depend_on(tmp_path, pool):
    c = config(anneal_rate=0.1)
    (record,) = execute(tmp_path, once([c])).all()
    ensemble = Ensemble([c], TINY)
    for _ in ensemble.advance(20):
        pass
    assert record["key"] == c.key
    assert Config(**record["config"]) == c
    assert record["curve"] == vars(ensemble.curves[0])
    assert record["valid_bound"] == round(float(valid_bound(ensemble, 2)), 4)
    assert record["test"] == {k: round(v, 4) for k, v in final_figures(ensemble, 3)[0].items()}
    assert record["code"] == code_of(modules(c))
    assert record["data"] == ABOUT
    assert record["evaluation"] == asdict(SIZE)
    assert (record["torch"], record["threads"], record["matmul_precision"]) == (
        torch.__version__,
        1,
        "medium",
    )
    assert record["minutes"] >= 0
    assert record["device"]
    assert record["diverged"] is None


def test_a_record_says_when_it_was_made_and_how_long_each_member_took(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(workers.time, "perf_counter", lambda: now[0])

    def evaluate(ensemble, size, test):
        now[0] += 90.0
        return TABLE1.evaluate(ensemble, size, test)

    configs = [config(lr=lr) for lr in (1e-2, 1e-3)]
    options = {"experiment": replace(toy1(), evaluate=evaluate)}
    found = execute(tmp_path, once(configs), **options).all()
    assert [record["minutes"] for record in found] == [0.75, 0.75]
    made = datetime.strptime(found[0]["date"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - made) < timedelta(hours=1)


def test_progress_counts_what_is_finished_and_what_is_taken_up(tmp_path, monkeypatch):
    finished, begun, new = config(steps=20), config(seed=1, steps=40), config(seed=2, steps=30)
    execute(tmp_path, once([finished, replace(begun, steps=10)]))
    bar = MagicMock()
    monkeypatch.setattr(tqdm, "tqdm", bar)
    execute(tmp_path, once([finished, begun, new]), total=90)
    assert bar.call_args.kwargs["total"] == 90
    counted = bar.return_value.update.call_args_list
    assert sum(call.args[0] for call in counted) == 20 + 10


def test_finished_runs_are_skipped(tmp_path, pool):
    configs = [config(lr=lr, seed=s) for lr in (1e-2, 1e-3) for s in (0, 1)]
    first = without_times(execute(tmp_path, once(configs[:3]), executor=pool))
    assert pool.ran == [[c.key for c in configs[:3]]]
    records = execute(tmp_path, once(configs), executor=pool)
    assert pool.ran[1:] == [[configs[3].key]]
    assert [r for r in without_times(records) if r["key"] != configs[3].key] == first
    file = tmp_path / "table1" / "vae-bernoulli-st.jsonl"
    before = [r["date"] for r in records.all()], file.stat().st_mtime_ns
    again = execute(tmp_path, once(configs), executor=pool)
    assert len(pool.ran) == 2
    assert ([r["date"] for r in again.all()], file.stat().st_mtime_ns) == before


def test_a_plan_gets_its_records_in_order_and_runs_are_tested_when_asked(tmp_path, pool):
    configs, answers = [config(lr=lr) for lr in (1e-2, 1e-3)], []

    def plan():
        answers.append((yield configs, False))
        answers.append((yield configs[::-1], True))
        answers.append((yield [replace(c, steps=30) for c in configs], False))

    records = execute(tmp_path, plan())
    assert [[r["key"] for r in answer] for answer in answers] == [
        [c.key for c in configs],
        [c.key for c in configs[::-1]],
        [replace(c, steps=30).key for c in configs],
    ]
    assert [[r["test"] is None for r in answer] for answer in answers] == [
        [True] * 2,
        [False] * 2,
        [True] * 2,
    ]
    assert answers[1] == [records.runs_of("vae-bernoulli-st")[c.key] for c in configs[::-1]]
    assert answers[2][0]["curve"]["step"] == [10, 20, 30]
    assert answers[2][0]["curve"]["valid"][:2] == answers[0][0]["curve"]["valid"]


def test_ensembles_hold_what_fits_together(tmp_path, pool):
    configs = [config(seed=s) for s in range(4)]
    configs += [config(kl="sampled"), config(estimator="sf"), config(steps=30)]
    other = config("sbn")
    execute(tmp_path, once(configs), once([other]), executor=pool)
    assert sorted(map(len, pool.ran)) == [1, 1, 1, 1, 1, 3]
    asked = sorted(c.key for c in [*configs, other])
    assert sorted(key for job in pool.ran for key in job) == asked


@pytest.mark.parametrize("estimator", COLUMNS)
@pytest.mark.parametrize("reports", [1, 2, 3])
def test_interrupted_and_started_again_leaves_the_same_records(tmp_path, estimator, reports):
    model, node = ("vae", "categorical") if reports % 2 else ("sbn", "bernoulli")
    rate = 0.01 if model == "vae" else 0.0
    configs = [
        config(model, node, estimator, lr, anneal_rate=rate, steps=25)
        for lr in (1e-2, 1e30, 1e-3, 1e-4)
    ]

    def plan():
        yield configs, False
        yield [replace(c, steps=40) for c in configs[2:]], True

    straight = execute(tmp_path / "straight", plan())
    left = [reports]

    def report(steps):
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with pytest.raises(Killed):
        execute(tmp_path / "killed", plan(), executor=InThisProcess(report))
    assert list((tmp_path / "killed" / "checkpoints").rglob("*.safetensors"))
    assert not (tmp_path / "killed" / "table1").exists() or reports == 3
    pool = InThisProcess()
    again = execute(tmp_path / "killed", plan(), executor=pool)
    assert pool.ran
    assert without_times(again) == without_times(straight)
    assert [p.name for p in (tmp_path / "killed" / "table1").glob("[!.]*")] == [
        f"{configs[0].cell}.jsonl"
    ]


def test_a_batch_larger_than_the_training_set_is_refused(tmp_path):
    message = "a batch of 81 is more than the 80 training images; take a smaller batch"
    with pytest.raises(ValueError, match=message):
        train([config(batch=81)], TINY, size=(4,), progress=False)
    with pytest.raises(ValueError, match=message):
        run_job(toy1(), [config(batch=81)], SIZE, False, checkpoints=tmp_path)
    train([config(batch=80, steps=1)], TINY, size=(4,), progress=False)


def test_a_diverged_run_is_recorded_without_nan(tmp_path, pool):
    records = execute(tmp_path, once([config(lr=lr) for lr in (1e-2, 1e30)]))
    text = (tmp_path / "table1" / "vae-bernoulli-st.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    bad = records.runs_of("vae-bernoulli-st")[config(lr=1e30).key]
    assert (bad["diverged"], bad["valid_bound"]) == (10, None)
    assert set(bad["test"].values()) == {None}


def test_records_of_other_data_are_never_taken_for_finished(tmp_path):
    execute(tmp_path, once([config()]))
    other = toy1(about=ABOUT | {"source": "other", "sha256": {"train": "9" * 64}})
    message = (
        r"table1 holds runs on other data: .*'random', here it is 'other'.* folder of their own"
    )
    with pytest.raises(ValueError, match=message):
        execute(tmp_path, once([config(seed=1)]), experiment=other)
    found = execute(tmp_path, once([config()]), experiment=other, name="other")
    assert len(found.all()) == 1


def test_an_error_in_a_job_surfaces(tmp_path):
    def broken(*_):
        raise RuntimeError("no such figure")

    with pytest.raises(RuntimeError, match="no such figure"):
        execute(tmp_path, once([config()]), experiment=replace(toy1(), evaluate=broken))


def test_a_record_that_is_taken_away_meanwhile_is_named(tmp_path, monkeypatch):
    c, add = config(lr=1e-3), Records.add

    def forget(records, runs):
        add(records, runs)
        records.path(c.cell).unlink()

    named = rf"record of {c.key} has gone from .*{c.cell}\.jsonl meanwhile\. .* the same command"
    monkeypatch.setattr(Records, "add", forget)
    with pytest.raises(Stopped, match=named):
        execute(tmp_path, once([c]))
    monkeypatch.setattr(Records, "add", add)
    assert [run["key"] for run in execute(tmp_path, once([c])).all()] == [c.key]


def test_what_ended_beside_a_failure_is_recorded(tmp_path):
    """One job fails, another has ended and waits to be recorded: a day of training, perhaps."""
    good, bad = config(), config(seed=1, estimator="sf")

    def evaluate(ensemble, size, test):
        if ensemble.configs[0] == bad:
            raise RuntimeError("no such figure")
        return TABLE1.evaluate(ensemble, size, test)

    with pytest.raises(RuntimeError, match="no such figure"):
        execute(tmp_path, once([good]), once([bad]), experiment=replace(toy1(), evaluate=evaluate))
    assert [r["key"] for r in toy1().records(tmp_path / "table1").all()] == [good.key]


@pytest.mark.parametrize(
    "lacking",
    [
        {"evaluation": {"images": None, "samples": 2, "valid_samples": 2}},
        {
            "evaluation": {"images": 20, "samples": 3, "valid_samples": 2},
            "data": ABOUT | {"images": 20},
        },
        {"test": None},
        {"code": {}},
    ],
    ids=["fewer samples", "some images", "no test figures", "other code"],
)
def test_finished_is_all_that_the_plan_wants(tmp_path, pool, lacking):
    (whole,) = execute(tmp_path, once([config()])).all()
    records = toy1().records(tmp_path / "table1")
    records.add([whole | lacking])
    execute(tmp_path, once([config()]), executor=pool)
    assert pool.ran == [[config().key]]
    assert without_times(records)[0] == {
        k: v for k, v in whole.items() if k not in ("minutes", "date")
    }
    execute(tmp_path, once([config()]), executor=pool)
    assert len(pool.ran) == 1


def test_test_figures_are_kept_where_none_are_wanted(tmp_path, pool):
    execute(tmp_path, once([config()]))
    execute(tmp_path, once([config()], test=False), executor=pool)
    assert pool.ran == []


def test_test_figures_are_made_again_where_a_search_repeats_their_run(tmp_path, pool):
    records = execute(tmp_path, once([config()]))
    (run,) = records.all()
    records.add([run | {"code": "1" * 64}])  # of older code
    execute(tmp_path, once([config()], test=False), executor=pool)
    (again,) = records.all()
    assert pool.ran == [[config().key]]
    assert again["test"] == run["test"]


def test_stale_runs_are_run_again_and_equivalent_ones_are_not(tmp_path, pool):
    configs = [config(seed=s) for s in range(3)]
    records = execute(tmp_path, once(configs))
    runs = records.all()
    now = runs[0]["code"]
    runs[1]["code"], runs[2]["code"] = "1" * 64, "2" * 64
    records.add(runs)
    known = {"runs": {"2" * 64: {"equals": now, "why": "words alone"}}}
    (tmp_path / EQUIVALENT).write_text(json.dumps(known))
    execute(tmp_path, once(configs), executor=pool)
    assert pool.ran == [[configs[1].key]]


# What happens to long runs: one sentence each


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyboardInterrupt(), Interrupted, "Interrupted. Kept."),
        (BrokenProcessPool("abrupt"), Stopped, "worker process was killed.* fewer --jobs. Kept."),
        (MemoryError(), Stopped, "Memory ran out.* fewer --jobs. Kept."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), Stopped, "Memory ran out"),
        (OSError(28, "No space left on device", "/f"), Stopped, "No space left .*'/f': free space"),
        (PermissionError(13, "Permission denied", "/f"), Stopped, "correct permissions. Kept."),
        (ValueError("as it is"), ValueError, "^as it is$"),
        (OSError("a mirror's"), OSError, "^a mirror's$"),
    ],
)
def test_one_sentence_for_each_stop(error, kind, message):
    with pytest.raises(kind, match=message) as caught:
        raise_sentence(error, "Kept.")
    assert type(caught.value) is kind
    assert getattr(kind, "status", 2) == {Stopped: 1, Interrupted: 130}.get(kind, 2)


@pytest.mark.parametrize("shared", [True, False])
def test_a_stop_says_where_the_runs_are_and_whether_the_others_begin_anew(tmp_path, pool, shared):
    def broken(*_):
        raise MemoryError

    pool.shared = shared
    with pytest.raises(Stopped) as caught:
        execute(
            tmp_path, once([config()]), executor=pool, experiment=replace(toy1(), evaluate=broken)
        )
    folders = tmp_path / "table1", tmp_path / "checkpoints"
    others = f"states of the others in {folders[1]}" if shared else "the others begin anew"
    assert str(caught.value).endswith(
        f" Finished runs are in {folders[0]}, {others}; the same command goes on from there"
    )


@pytest.mark.parametrize("closed", ["table1", "checkpoints"])
def test_folders_that_take_no_files_are_named_before_training(tmp_path, pool, closed):
    (tmp_path / closed).mkdir()
    (tmp_path / closed).chmod(0o555)
    with pytest.raises(Stopped, match=f"Nothing was run: .*{closed}.* takes no new files; correct"):
        execute(tmp_path, once([config()]), executor=pool)
    assert pool.ran == []
    (tmp_path / closed).chmod(0o755)


def test_alone_is_a_process_of_its_own():
    # Of a module that other processes find, too: packages may bring a `tests` of their own.
    assert alone(math.isqrt, 9) == 3
    assert alone(os.getpid) != os.getpid()
