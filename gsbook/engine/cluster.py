"""Jobs on a Dask cluster: the same jobs as `workers` gives to processes of one machine.

A worker is asked what it is before its numbers count: it must hold this code, these data and, where
states are shared, this folder. Only the client writes records.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from gsbook import files
from gsbook.code import code_of
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.experiment import Experiment
from gsbook.engine.workers import Stopped, ensembles

PATIENCE = 60.0  # seconds without a scheduler, or without any worker, until a run gives up
MARK = ".shared"  # the file by which a worker knows that its folder of states is the client's


# Expressions: a function of ours could be sent to no worker, and through no scheduler, without us.
HERE = f"__import__('{__name__}', fromlist=['x'])"
INTRODUCTION, JOB = f"{HERE}.introduction()", f"{HERE}.on_worker(job)"


class Refused(RuntimeError):
    """A worker whose numbers would not be this run's. Its message says which, why, what to do."""


@contextmanager
def connect(
    address: str,
    *,
    checkpoints: Path | None = None,
    device: str | None = None,
    patience: float | None = None,
) -> Iterator[ClusterExecutor]:
    """The workers of an existing Dask cluster as an executor of `run_stages`.

    Args:
        address: of the scheduler, such as tcp://host:8786. checkpoints: the folder of states, if
        all workers see the client's. device: "cpu", "cuda"; by default CUDA where a worker has it.
        patience: seconds without an answer until a run gives up, by default `PATIENCE`.

    Raises:
        Stopped: no scheduler or no worker answers, or a worker is not fit for these runs.
    """
    patience = PATIENCE if patience is None else patience
    try:
        from distributed import Client, Security
    except ImportError:
        raise Stopped(
            "--scheduler needs Dask: pip install 'gumbel-softmax-book[book,cluster]'"
        ) from None
    if (
        address.startswith(("tls:", "wss:"))
        and not Security().get_connection_args("client")["ssl_context"]
    ):
        raise Stopped(
            f"{address} asks for certificates, and Dask's settings name none: set "
            "distributed.comm.tls.ca-file, and client.cert and client.key beside it"
        )
    try:
        client = Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise Stopped(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, "
            "or correct --scheduler"
        ) from None
    executor = None
    try:
        executor = ClusterExecutor(client, checkpoints and checkpoints.resolve(), device, patience)
        yield executor
    finally:
        if executor is not None:
            executor.shutdown()
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot say goodbye
            client.close(timeout=5)


class ClusterExecutor(Executor):
    """`submit` takes what `run_stages` submits, and has it run by a worker of the cluster.

    slots: jobs that run at once, workers times their threads. device: what most would run on.
    reports: a queue of steps, as they are reported. shared: whether states outlive their job.
    """

    def __init__(self, client, checkpoints: Path | None, device: str | None, patience: float):
        self.client, self.pool, self.patience = client, client.get_executor(), patience
        self.shared, self.checkpoints, self.wanted = checkpoints is not None, checkpoints, device
        self.mark = write_mark(checkpoints) if self.shared else None
        self.reports: queue.Queue[int] = queue.Queue()
        self.waiting: set[Future] = set()
        self.topic = f"gsbook-{client.id}"  # of the events in which workers report steps
        self.data: dict = {}
        self.lock, self.ended = threading.Lock(), threading.Event()
        answers = self.introduce()
        cuda = all(answer["cuda"] for answer in answers.values())
        self.device = device or ("cuda" if cuda else "cpu")
        self.slots = sum(client.nthreads().values())
        client.subscribe_topic(self.topic, lambda event: self.reports.put(event[1]))
        threading.Thread(target=self.watch, daemon=True).start()

    def introduce(self) -> dict[str, dict]:
        """What each worker says of itself; raises where one is not fit for these runs."""
        try:
            self.client.wait_for_workers(1, timeout=self.patience)
        except OSError:
            raise Stopped(
                f"the scheduler {self.client.scheduler.address} has no worker after "
                f"{self.patience:.0f} seconds; start some with `dask worker ADDRESS --nthreads 1`"
            ) from None
        answers = self.client.run(eval, INTRODUCTION, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, BaseException):
                raise Stopped(sentence(answer, address))
            if changed := differing(answer["code"], code_here()):
                raise Stopped(str(other_code(address, changed)))
        return answers

    def submit(self, function: Callable, experiment: Experiment, configs, size, test, **options):
        import cloudpickle  # comes with Dask

        if size.images not in self.data:
            self.data[size.images] = experiment.load_data(size.images)[1]
        needs = {
            "start": experiment.check.__module__,
            "code": code_here(experiment.check.__module__),
            "data": self.data[size.images]["sha256"],
            "mark": self.mark,
            "topic": self.topic,
        }
        options |= {"report": None, "checkpoints": self.checkpoints, "device": self.wanted}
        job = cloudpickle.dumps((needs, function, experiment, configs, size, test, options))
        inner = self.pool.submit(eval, JOB, {"job": job})
        outer: Future = Future()
        with self.lock:
            self.waiting.add(outer)
        outer.add_done_callback(lambda done: inner.cancel() if done.cancelled() else None)
        inner.add_done_callback(partial(self.hand_on, outer))
        return outer

    def hand_on(self, outer: Future, inner: Future) -> None:
        """Give a job's outcome to who waits for it, in words where it is one of the cluster's."""
        error = CancelledError() if inner.cancelled() else inner.exception()
        with self.lock:
            self.waiting.discard(outer)
            if outer.done():
                return
            if error is None:
                outer.set_result(inner.result())
            else:
                text = sentence(error)
                outer.set_exception(Stopped(text) if text else error)

    def watch(self) -> None:
        """End what waits once no worker is left: Dask itself would wait for ever."""
        alone = 0.0
        while not self.ended.wait(1.0):
            try:
                workers = self.client.scheduler_info(n_workers=1)["workers"]
            except Exception:  # no connection: Dask tries again by itself
                workers = {}
            alone = 0.0 if workers else alone + 1.0
            if alone < self.patience:
                continue
            with self.lock:
                lost, self.waiting = self.waiting, set()
                for outer in lost:
                    if not outer.done():
                        outer.set_exception(
                            Stopped(
                                f"For {alone:.0f} seconds the cluster had no worker, or no "
                                "scheduler: start them again, and then this command."
                            )
                        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.ended.set()
        self.pool.shutdown(wait=False)


def introduction() -> dict:
    """What a worker is: its code, and whether it has CUDA."""
    return {"code": code_here(), "cuda": torch.cuda.is_available()}


def code_here(*starts: str) -> dict[str, str]:
    """The code of the jobs themselves, and of further modules, such as an experiment's."""
    return code_of({*starts, Stopped.__module__, __name__})


def differing(theirs: dict[str, str], own: dict[str, str]) -> list[str]:
    """Modules that are not the same in both."""
    return sorted(m for m in own.keys() | theirs.keys() if own.get(m) != theirs.get(m))


def on_worker(job: bytes) -> list[dict]:
    """A job, on a worker: refuse it or run it.

    job: what the client has and what it wants, see `ClusterExecutor.submit`.
    """
    from distributed import get_worker

    needs, function, experiment, configs, size, test, o = pickle.loads(job)
    worker = get_worker()
    place = f"{worker.address} ({socket.gethostname()})"
    if changed := differing(needs["code"], code_here(needs["start"])):
        raise other_code(place, changed)
    about = experiment.load_data(size.images)[1]
    if about["sha256"] != needs["data"]:
        raise Refused(
            f"the worker {place} has other data, from source {about['source']!r}: give it the "
            "client's files, and name their folder in its GSLIB_DATA"
        )
    task = worker.get_current_task()

    def report(steps: int) -> None:
        worker.log_event(needs["topic"], steps)
        known = worker.state.tasks.get(task)
        if known is None or known.state not in ("executing", "long-running"):
            raise Refused("nobody waits for this job any more")  # a thread cannot be killed

    o |= {"report": report, "device": o["device"] or device_here()}
    with folder_of_states(needs["mark"], o.pop("checkpoints"), place) as folder:
        store, found = Checkpoints(experiment, about, folder), []
        # A worker that was killed between two saves leaves members at different steps.
        for members in ensembles(experiment, configs, store, len(configs)):
            found += function(experiment, members, size, test, checkpoints=folder, **o)
        return found


def device_here() -> str:
    """CUDA where this worker has it: dask-cuda gives each of its workers one device to see."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def write_mark(folder: Path) -> str:
    """Mark a folder of states as this run's, for workers to know it by."""
    path = folder / MARK
    if not path.exists():
        files.write(path, uuid.uuid4().hex.encode())
    return path.read_text()


@contextmanager
def folder_of_states(mark: str | None, folder: Path | None, place: str) -> Iterator[Path]:
    """The client's folder, once it is seen here; without one, a folder that nobody keeps."""
    if mark is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    path = folder / MARK
    if not path.exists() or path.read_text() != mark:
        raise Refused(
            f"the worker {place} does not see the client's folder {folder}: mount it there at the "
            "same path, or leave out --checkpoints, and no state is kept"
        )
    yield folder


def other_code(place: str, changed: list[str]) -> Refused:
    return Refused(
        f"the worker {place} has other code than this machine, in {', '.join(changed)}: install "
        "one version on all of them and restart the workers"
    )


def sentence(error: BaseException, place: str = "") -> str:
    """What an error of the cluster means and what to do; "" for an error of the job itself."""
    from distributed import KilledWorker

    where = f"the worker {place}" if place else "a worker"
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, ImportError):
        return (
            f"{where} cannot import what the runs need ({error}): install gumbel-softmax-book[book,"
            "cluster] there, in the version of this machine, and restart it"
        )
    if isinstance(error, KilledWorker):
        return (
            f"A job's workers were killed {error.allowed_failures + 1} times, most often because "
            "memory ran out: give workers more memory, or one thread each (--nthreads 1)."
        )
    if isinstance(error, CancelledError):
        return "The scheduler lost the jobs: it was restarted, or somebody cancelled them."
    return f"{where} does not answer as a worker of this book ({error!r})" if place else ""
