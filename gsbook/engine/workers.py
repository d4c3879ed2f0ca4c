"""Jobs: ensembles that train, save their state, are evaluated and leave records, one per core."""

from __future__ import annotations

import datetime
import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import torch

from gsbook import files
from gsbook.code import code_of
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.experiment import EvaluationSize, Experiment, Stages, Trainer
from gsbook.engine.machine import cores, end_with_parent, environment, prepare_process
from gsbook.engine.step import LONG
from gsbook.records import Records

# Between two saves of a state, at the next point of the curve. A kill costs the steps since, or,
# while a finished run is evaluated, its evaluation.
SAVE_SECONDS = 60.0


class Stopped(RuntimeError):
    """A run that could not go on. Its message says what happened, what is saved and what to do.

    status: the exit status of a command that ends with it.
    """

    status = 1


class Interrupted(Stopped):
    """A run that Ctrl-C ended."""

    status = 130


def run_job(
    experiment: Experiment,
    configs: list,
    size: EvaluationSize,
    test: bool,
    *,
    checkpoints: Path | None = None,
    device: str = "cpu",
    report: Callable[[int], None] | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> list[dict]:
    """Train (or take up) one ensemble, evaluate it, return a record per member.

    report: called with the number of steps (of all members) since the last call.
    """
    # On CUDA less than the highest precision would round the products of evaluations, too.
    prepare_process(precision="medium" if device == "cpu" else "highest")
    data, about = experiment.load_data(size.images)
    store = Checkpoints(experiment, about, checkpoints)
    trainer = experiment.trainer(configs, data, device=device)
    store.load(trainer)
    before, saved = trainer.step, time.monotonic()
    for step in trainer.advance(configs[0].steps):
        if step == configs[0].steps or time.monotonic() - saved >= save_seconds:
            store.save(trainer)
            saved = time.monotonic()
        end_with_parent()
        if report is not None:
            report((step - before) * len(configs))
        before = step
    started = time.perf_counter()
    figures = experiment.evaluate(trainer, size, test)
    trainer.seconds += time.perf_counter() - started
    return records_of(experiment, trainer, figures, size, about, torch.device(device))


def records_of(
    experiment: Experiment,
    trainer: Trainer,
    figures: list[dict],
    size: EvaluationSize,
    about: dict,
    device: torch.device,
) -> list[dict]:
    """A record per member of a finished ensemble.

    figures: by member, as `experiment.evaluate` gives them. about: what identifies the data.
    """
    shared = {
        "evaluation": asdict(size),
        "data": about,
        **environment(device),
        "minutes": round(trainer.seconds / len(trainer.configs) / 60, 3),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
    }
    return [
        {
            "key": config.key,
            "cell": config.cell,
            "config": config.to_dict(),
            "diverged": trainer.diverged[e],
            **rounded(figures[e]),
            "curve": asdict(trainer.curves[e]),
            "code": code_of(experiment.modules(config)),
            **shared,
        }
        for e, config in enumerate(trainer.configs)
    ]


def rounded(figures):
    """Figures as a record holds them: rounded, and None for what is not finite.

    >>> rounded({"nll": 61.54321, "single": float("nan"), "test": None})
    {'nll': 61.5432, 'single': None, 'test': None}
    """
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    if figures is None:
        return None
    return round(figures, 4) if math.isfinite(figures) else None


def run_stages(
    experiment: Experiment,
    plans: list[Stages],
    records: Records,
    size: EvaluationSize,
    *,
    jobs: int | None = None,
    device: str | None = None,
    checkpoints: Path | None = None,
    total: int | None = None,
    executor: Executor | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Run several plans side by side. A plan yields (configs, whether to test) and is sent their
    records, in order.

    Finished runs are read from `records`; new ones are written there as they end. On the CPU each
    ensemble has one process and one core; on CUDA ensembles run one after the other, each as large
    as memory likes.

    Args:
        executor: where jobs go instead of processes of this machine's own. Two attributes count
            where it has them: `reports`, a queue of finished steps, and `shared`, False where the
            states of its jobs do not outlive them.

    Raises:
        Stopped: a worker was killed, or a disk is full; what is saved, the message says.
    """
    from tqdm import tqdm  # plain text: the notebook widget needs scripts from a delivery network

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    jobs = 1 if device != "cpu" else jobs or cores()
    about = experiment.load_data(size.images)[1]
    store = Checkpoints(experiment, about, checkpoints)
    check_writable(records.folder, store.folder)  # before hours of training, not after
    options = dict(checkpoints=checkpoints, device=device, save_seconds=save_seconds)
    waiting: dict[Future, int] = {}
    asked: list[list] = [[] for _ in plans]
    bar = tqdm(total=total, unit="step", unit_scale=True, smoothing=0.02)
    with bar, local_pool(jobs, executor) as (pool, queue):

        def proceed(i: int, answer: list[dict] | None) -> None:
            """Give plan i the records it waits for; start what it asks for that is not there."""
            while True:
                try:
                    configs, test = plans[i].send(answer)
                except StopIteration:
                    return
                asked[i] = configs
                missing = missing_runs(experiment, configs, test, records, size, about)
                test = test or records.tested(missing)
                bar.update(sum(c.steps for c in configs if c not in missing))
                limit = members(experiment, device, configs)
                for job in ensembles(experiment, missing, store, limit):
                    bar.update(sum(store.step(c) for c in job))
                    report = queue.put if queue else None
                    future = pool.submit(
                        run_job, experiment, job, size, test, report=report, **options
                    )
                    waiting[future] = i
                if missing:
                    return
                answer = answers(configs, records)

        try:
            for i in range(len(plans)):
                proceed(i, None)
            while waiting:
                done, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                while queue and not queue.empty():
                    bar.update(queue.get())
                for future in done:
                    i = waiting.pop(future)
                    records.add(future.result())
                    if i not in waiting.values():
                        proceed(i, answers(asked[i], records))
        except BaseException as error:
            end(waiting, records)
            raise_sentence(error, where_it_is(records, store, getattr(executor, "shared", True)))


def where_it_is(records: Records, store: Checkpoints, shared: bool) -> str:
    """What is saved, and what to do, after a stop."""
    states = f"states of the others in {store.folder}" if shared else "the others begin anew"
    return f"Finished runs are in {records.folder}, {states}; the same command goes on from there"


def check_writable(*folders: Path) -> None:
    for folder in folders:
        if not files.writable(folder):
            raise Stopped(
                f"Nothing was run: {folder} takes no new files; correct its permissions, or name "
                "other folders with --results and --checkpoints"
            )


def end(waiting: Iterable[Future], records: Records) -> None:
    """Cancel what has not begun, and lose nothing of what ended beside a failure."""
    for future in waiting:  # or the error would wait for all that was asked for
        future.cancel()
    with suppress(Exception):  # the failure itself is what is told
        for future in waiting:
            if future.done() and not future.cancelled() and not future.exception():
                records.add(future.result())


@contextmanager
def local_pool(jobs: int, executor: Executor | None) -> Iterator[tuple[Executor, object | None]]:
    """(where jobs go, the queue in which they report steps): processes of this machine's own, or
    the executor that is given, with its own queue if it has one. An error ends the processes at
    once."""
    if executor is not None:
        yield executor, getattr(executor, "reports", None)
        return
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        others = set(multiprocessing.active_children())
        with ProcessPoolExecutor(jobs, context, initializer=leave_interrupts) as pool:
            try:
                yield pool, manager.Queue()
            except BaseException:
                for worker in set(multiprocessing.active_children()) - others:
                    worker.terminate()
                raise


def leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the parent ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def alone(function: Callable, *arguments):
    """What a function returns in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=leave_interrupts) as pool:
        return pool.submit(function, *arguments).result()


def raise_sentence(error: BaseException, saved: str) -> None:
    """Raise `Stopped` in place of what happens to long runs, and any other error as it is."""
    if isinstance(error, KeyboardInterrupt):
        raise Interrupted(f"Interrupted. {saved}") from None
    if isinstance(error, Stopped):
        raise Stopped(f"{error} {saved}") from None
    if isinstance(error, BrokenProcessPool):
        raise Stopped(
            "A worker process was killed, most often because memory ran out: try fewer --jobs. "
            + saved
        ) from None
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        raise Stopped(f"Memory ran out ({error}): try fewer --jobs. {saved}") from None
    if isinstance(error, OSError) and error.errno is not None:
        raise Stopped(f"{error}: free space or correct permissions. {saved}") from None
    raise error


def missing_runs(
    experiment: Experiment,
    configs: list,
    test: bool,
    records: Records,
    size: EvaluationSize,
    about: dict,
) -> list:
    """The configs without a finished record: of the present code, on these data, evaluated as the
    plan wants it, with test figures where they are wanted. A run of a search, which only ranks,
    may be of code that equals the present one in distribution.

    Raises:
        ValueError: the folder holds runs on other data, which no table may mix.
    """
    finished: dict[str, dict] = {}
    for cell in {c.cell for c in configs}:
        finished |= records.runs_of(cell)
    for run in finished.values():
        if run["data"].get("sha256", {}).get("train") != about["sha256"]["train"]:
            raise ValueError(
                f"{records.folder} holds runs on other data: {run['key']} has "
                f"{run['data']['source']!r}, here it is {about['source']!r}; give the records of "
                "these data a folder of their own (--results), or delete the old ones"
            )

    def is_finished(config) -> bool:
        run = finished.get(config.key)
        return (
            run is not None
            and run["evaluation"] == asdict(size)
            and not (test and not run["test"])
            and records.is_current(run, exactly=test)
        )

    return [c for c in configs if not is_finished(c)]


def answers(configs: list, records: Records) -> list[dict]:
    """The records that a plan waited for, in its order.

    Raises:
        Stopped: one is no longer there; its file was set back or replaced while the others ran.
    """
    for config in configs:
        if config.key not in records.runs_of(config.cell):
            file = records.path(config.cell)
            raise Stopped(f"The record of {config.key} has gone from {file} meanwhile.")
    return [records.runs_of(c.cell)[c.key] for c in configs]


def members(experiment: Experiment, device: str, configs: list) -> int:
    """How many runs may share an ensemble. On a core a compiled step is quickest for a lone run."""
    alone = device == "cpu" and all(config.steps >= LONG for config in configs)
    return 1 if alone else experiment.members[device]


def common(experiment: Experiment, config) -> list[str]:
    """What the members of an ensemble have in common: all but `experiment.together`."""
    fields = config.to_dict().items()
    return [str(value) for name, value in fields if name not in experiment.together]


def ensembles(experiment: Experiment, configs: list, store: Checkpoints, limit: int) -> list[list]:
    """Split runs into ensembles of members that have what is `common`, and their first and last
    steps, in common."""

    def order(config):
        return config.cell, common(experiment, config), config.steps, store.step(config)

    groups = []
    for _, group in groupby(sorted(configs, key=order), key=order):
        members = list(group)
        groups += [members[i : i + limit] for i in range(0, len(members), limit)]
    return groups
