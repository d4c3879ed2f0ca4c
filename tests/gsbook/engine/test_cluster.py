"""Runs on a Dask cluster of processes on this machine: the same records, whatever is killed."""

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import InThisProcess, once, without_times

from gsbook.__main__ import main
from gsbook.engine import cluster
from gsbook.engine.experiment import EvaluationSize
from gsbook.engine.workers import Stopped, run_stages
from gsbook.experiments import TABLE1
from gsbook.experiments.table1.config import Config

pytest.importorskip("distributed", reason="Dask is not installed (pip install distributed)")

ROOT = Path(__file__).parents[3]
SIZE = EvaluationSize(images=20, samples=3, valid_samples=2)
CONFIGS = [
    Config("vae", "bernoulli", name, 1e-2, seed=seed, steps=400, batch=20, eval_every=20)
    for name in ("st", "muprop")
    for seed in (0, 1)
]
SECONDS = 300  # for a process to start or to end, on a busy machine


@pytest.fixture(scope="module", autouse=True)
def _embedded(tmp_path_factory):
    """Small real data, on client and workers alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GSLIB_DATA", raising=False)
        patch.setenv("GSLIB_OFFLINE", "1")
        patch.setenv("GSLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Cluster:
    """A scheduler on a free port, and workers, as processes of their own."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.stack = folder, ExitStack()

    def start(self, *command, code=ROOT):
        environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
        log = open(self.folder / f"{time.monotonic_ns()}.log", "w")
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        self.stack.callback(log.close)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def scheduler(self, code=ROOT):
        port = self.address.rsplit(":", 1)[1]
        where = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        return self.start("distributed.cli.dask_scheduler", *where, code=code)

    def worker(self, code=ROOT):
        local = ("--local-directory", str(self.folder), "--no-dashboard", "--death-timeout", "300")
        lone = ("--nthreads", "1", "--no-nanny")
        return self.start("distributed.cli.dask_worker", self.address, *lone, *local, code=code)

    def connect(self, patience=SECONDS, **options):
        options = {"device": "cpu"} | options
        return cluster.connect(self.address, patience=patience, **options)


@pytest.fixture
def machines(tmp_path):
    found = Cluster(tmp_path)
    with found.stack:
        yield found


def run(folder, executor, configs=CONFIGS, **options):
    """Run the configs and return their records."""
    records = TABLE1.records(folder)
    pair = replace(TABLE1, members={"cpu": 2, "cuda": 2})  # a job per estimator
    options = {"device": "cpu", "checkpoints": folder / "states", "save_seconds": 0.0} | options
    run_stages(pair, [once(configs)], records, SIZE, executor=executor, **options)
    return records


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The records of this machine alone."""
    return without_times(run(tmp_path_factory.mktemp("local"), InThisProcess()))


class Counted(queue.Queue):
    """Reports that are counted before the progress bar takes them."""

    steps = 0

    def put(self, steps):
        self.steps += steps
        super().put(steps)


def kill_once_saved(worker, states):
    """Kill a process as soon as a first state is saved; the thread that does it."""

    def work():
        end = time.monotonic() + SECONDS
        while not list(states.glob("*/*.safetensors")) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_killed_worker_and_a_new_scheduler_change_no_number(machines, local, tmp_path):
    folder, states = tmp_path / "records", tmp_path / "states"
    scheduler, workers = machines.scheduler(), [machines.worker(), machines.worker()]
    with machines.connect(checkpoints=states) as executor:
        executor.client.wait_for_workers(2, timeout=SECONDS)
        executor.reports = Counted()
        killer = kill_once_saved(workers[0], states)
        part = run(folder, executor, CONFIGS[:4], checkpoints=states)
        killer.join()
        time.sleep(0.5)  # events may come after the result
        # The second worker began where the first had saved.
        assert 0 < executor.reports.steps <= sum(c.steps for c in CONFIGS)
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None  # it did the other's job as well
    assert without_times(part) == local

    scheduler.kill()
    scheduler.wait()
    workers[1].kill()
    longer = [replace(c, steps=420) for c in CONFIGS[:2]]
    machines.scheduler(), machines.worker()
    with machines.connect(checkpoints=states) as executor:
        executor.reports = Counted()
        both = run(folder, executor, [*CONFIGS, *longer], checkpoints=states)
        time.sleep(0.5)
        assert executor.reports.steps == 2 * 20  # only what was missing
    again = without_times(run(tmp_path / "again", InThisProcess(), longer))
    expected = sorted(local + again, key=lambda r: (r["cell"], r["key"]))
    assert without_times(both) == expected


def test_without_a_shared_folder_no_state_is_left(machines, local, tmp_path):
    machines.scheduler(), machines.worker()
    with machines.connect() as executor:
        assert executor.slots == 1
        assert executor.device == "cpu"
        found = run(tmp_path / "records", executor, CONFIGS[:2], checkpoints=None)
        assert without_times(found) == [r for r in local if r["cell"] == CONFIGS[0].cell]
        assert not list(tmp_path.rglob("*.safetensors"))

        # What else a worker is asked before it may begin, on the same cluster.
        executor.data[SIZE.images] = {"sha256": {"train": "0" * 64}}
        with pytest.raises(Stopped, match="has other data, from source 'embedded-5000'"):
            run(tmp_path / "other", executor, CONFIGS[:1])
        executor.data.clear()
        executor.mark, executor.checkpoints = "not there", tmp_path / "not_mounted"
        with pytest.raises(Stopped, match=r"does not see the client's folder .*not_mounted"):
            run(tmp_path / "other", executor, CONFIGS[:1])
        assert not TABLE1.records(tmp_path / "other").all()


def changed_copy(folder, module):
    """The packages in a folder, with one more line in a module."""
    for package in ("gslib", "gsbook"):
        shutil.copytree(ROOT / package, folder / package)
    path = folder / f"{module.replace('.', '/')}.py"
    path.write_text(path.read_text() + "\nCHANGED = 1\n")
    return folder


def test_other_code_is_refused(machines, tmp_path):
    """A worker whose jobs are others, one without us, and one that trains in another way."""
    (tmp_path / "bare/gsbook").mkdir(parents=True)
    (tmp_path / "bare/gsbook/__init__.py").write_text("import a_package_that_is_missing")
    jobs, training = "gsbook.engine.workers", "gsbook.experiments.table1.train"

    machines.scheduler()
    other = machines.worker(changed_copy(tmp_path / "jobs", jobs))
    with pytest.raises(Stopped, match=f"has other code than this machine, in {jobs}: "):
        with machines.connect():
            pass
    other.kill()
    other.wait()
    lacking = machines.worker(tmp_path / "bare")
    with pytest.raises(Stopped, match=r"cannot import .*a_package_that_is_missing"):
        with machines.connect():
            pass
    lacking.kill()
    lacking.wait()
    machines.worker(changed_copy(tmp_path / "training", training))
    with machines.connect() as executor:
        with pytest.raises(Stopped, match=f"has other code than this machine, in {training}: "):
            run(tmp_path / "records", executor)
    assert not TABLE1.records(tmp_path / "records").all()


def test_nobody_there(machines, tmp_path, capsys):
    """No scheduler, no certificates, no worker, workers that all die: a sentence each."""
    command = ["run", "vae-bernoulli-st", "--scheduler", "tcp://127.0.0.1:1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "PATIENCE", 1.0)
        assert main([*command, "--results", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in said
    with pytest.raises(Stopped, match="tls://host:8786 asks for certificates"):
        cluster.connect("tls://host:8786").__enter__()

    machines.scheduler()
    with pytest.raises(Stopped, match="has no worker after 2 seconds"), machines.connect(2.0):
        pass
    states, only = tmp_path / "states", machines.worker()
    with machines.connect(checkpoints=states) as executor:
        executor.patience = 2.0
        killer = kill_once_saved(only, states)
        with pytest.raises(Stopped, match=r"the cluster had no worker.*Finished runs are in"):
            run(tmp_path / "records", executor, checkpoints=states)
        killer.join()


def test_the_command_runs_on_a_cluster(machines, tmp_path, capsys):
    (tmp_path / "bare/gsbook").mkdir(parents=True)
    (tmp_path / "bare/gsbook/__init__.py").write_text("raise ImportError('a scheduler needs none')")
    machines.scheduler(tmp_path / "bare"), machines.worker()
    folders = ("--results", str(tmp_path / "records"), "--checkpoints", str(tmp_path / "states"))
    command = ["run", "vae-bernoulli-st", "--budget", "smoke", "--steps", "20", "--jobs", "5"]
    assert main([*command, "--scheduler", machines.address, *folders]) == 0
    said = capsys.readouterr().out
    assert "--jobs is not used" in said
    assert "1 jobs at a time" in said
    assert len(TABLE1.records(tmp_path / "records").all()) == 2
    assert (tmp_path / "states" / cluster.MARK).exists()
