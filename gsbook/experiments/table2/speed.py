"""Figure 5a: how fast a step is with marginalisation and with Gumbel-Softmax."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable

import torch

from gsbook import data as digits
from gsbook.code import code_of
from gsbook.engine.machine import environment, prepare_process
from gsbook.engine.workers import alone, raise_sentence
from gsbook.experiments.table2 import record
from gsbook.experiments.table2.config import FewLabels
from gsbook.experiments.table2.train import FewLabelsRun, load_data
from gsbook.places import results_folder
from gsbook.records import Records, check_numbers, is_count
from gsbook.verdicts import interval
from gslib._checks import unchecked
from gslib.functional import stream

CLASSES = (5, 10, 20, 50, 100)
TIMED = ("gumbel_softmax", "marginalisation")


def modules(classes: int) -> tuple[str, ...]:
    """The modules that a measurement stands on: those of the runs that it times, and its own."""
    runs = (FewLabels(method, 1.0, classes=classes) for method in TIMED)
    return __name__, *(name for run in runs for name in record.modules(run))


def check(run: dict) -> None:
    """Raise ValueError or KeyError unless a record can be a measurement of speed."""
    classes, repeat = run["config"]["classes"], run["config"]["seed"]
    if not is_count(classes) or not (is_count(repeat) or repeat == 0):
        raise ValueError(f"{classes!r:.60} classes and repeat {repeat!r:.60} are no counts")
    if run["key"] != f"{speed_cell(classes)}_repeat={repeat}":
        raise ValueError("its key is not the one of its config")
    names = ["ratio", *TIMED, *(f"{method}_mb" for method in TIMED)]
    if missing := [name for name in names if (run["test"] or {}).get(name) is None]:
        raise ValueError(f"test lacks {', '.join(missing)}")
    check_numbers(run["test"], lowest=0.0)
    if not isinstance(run["device"], str):
        raise ValueError(f"device is {run['device']!r:.60}")


def records(folder) -> Records:
    """The measurements of a folder, each checked when it is read."""
    return Records(folder, check, lambda run: modules(run["config"]["classes"]))


def results() -> Records:
    """The book's measurements of speed.

    >>> results().folder.name
    'speed'
    """
    return records(results_folder() / "speed")


def speed_cell(classes: int) -> str:
    """The name of the records of speed with k classes.

    >>> speed_cell(50)
    'ssl-classes-50'
    """
    return f"ssl-classes-{classes}"


def time_steps(
    method: str, classes: int, seconds: float, device: str = "cpu"
) -> tuple[float, float]:
    """(steps per second, megabytes that a step holds for its way back), for MNIST's images with
    random labels of k classes.

    The median of the times of single steps, after a warm-up; one thread.

    >>> steps_per_second, megabytes = time_steps("gumbel_softmax", classes=5, seconds=0.01)
    >>> steps_per_second > 0 and megabytes > 0
    True
    """
    prepare_process()
    config = FewLabels(method, 1.0, classes=classes, eval_every=10**9)
    images = load_data()[0]["train"].images
    labels = torch.randint(classes, (len(images),), generator=stream("random labels", classes))
    run = FewLabelsRun([config], {"train": digits.Labelled(images, labels)}, device=device)
    synchronise = torch.cuda.synchronize if run.device.type == "cuda" else lambda: None
    times, started = [], None
    with unchecked():
        held = held_for_backward(lambda: run.objective(run.batch(), run.noise("memory")))
        while started is None or time.perf_counter() - started < seconds or len(times) < 3:
            begin = time.perf_counter()
            run.train_to(run.step + 1)
            synchronise()
            times.append(time.perf_counter() - begin)
            if started is None and run.step == 2:
                times, started = [], time.perf_counter()
    return 1 / statistics.median(times), held / 2**20


def held_for_backward(function: Callable[[], torch.Tensor]) -> int:
    """Bytes of the tensors that autograd keeps between a function's call and its backward pass.

    >>> x = torch.zeros(1000, requires_grad=True)
    >>> held_for_backward(lambda: x.exp())  # the result, 4 bytes a number
    4000
    """
    held = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _result = function()  # alive until all is counted, so that no address is used twice
    return sum(held.values())


def measure_speed(records: Records, budget, *, device: str | None = None) -> None:
    """Figure 5a: time both methods for every number of classes, in turns, and record a line per
    repeat.

    On an otherwise idle machine: one process at a time, one thread. Repeats that are recorded
    already, by the present code, are not made again.

    >>> from types import SimpleNamespace
    >>> measure_speed(records("none"), SimpleNamespace(repeats=2, classes=()))  # nothing to do
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    here = environment(torch.device(device))["device"]
    if others := {run["device"] for run in records.all()} - {here}:
        raise ValueError(
            f"{records.folder} holds measurements of {', '.join(sorted(others))}, this is {here}: "
            "give those of this machine a folder of their own (--results), or delete the old ones"
        )
    about = load_data()[1]
    wanted = [(repeat, k) for repeat in range(budget.repeats) for k in budget.classes]
    from tqdm import tqdm

    for repeat, k in tqdm(wanted, unit="measurement"):
        key = f"{speed_cell(k)}_repeat={repeat}"
        config = {"classes": k, "seed": repeat, "seconds": budget.seconds}
        recorded = records.runs_of(speed_cell(k)).get(key)
        if recorded and recorded["config"] == config and records.is_current(recorded):
            continue
        found = {}
        try:
            for method in TIMED if repeat % 2 else TIMED[::-1]:
                found[method] = alone(time_steps, method, k, budget.seconds, device)
        except BaseException as error:
            raise_sentence(error, f"Finished repeats are in {records.folder}")
        (fast, small), (slow, large) = (found[method] for method in TIMED)
        test = {
            "ratio": fast / slow,
            "gumbel_softmax": fast,
            "marginalisation": slow,
            "gumbel_softmax_mb": small,
            "marginalisation_mb": large,
        }
        records.add(
            [
                {
                    "key": key,
                    "cell": speed_cell(k),
                    "config": config,
                    "test": {name: round(value, 4) for name, value in test.items()},
                    "code": code_of(modules(k)),
                    "data": about,
                    **environment(torch.device(device)),
                    "threads": 1,
                    "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
                }
            ]
        )


def speed(records: Records):
    """Figure 5a as a DataFrame by number of classes: "ratio" with its 95 % interval over repeats
    ("± ratio"), and of each method the median steps per second and megabytes. attrs: "device",
    where it was measured; "stale", how many measurements are of older code.

    >>> speed(Records("none")).empty
    True
    """
    import pandas as pd

    lines, device = {}, None
    for k in CLASSES:
        runs = list(records.runs_of(speed_cell(k)).values())
        if runs:
            ratio, device = interval([run["test"]["ratio"] for run in runs]), runs[0]["device"]
            lines[k] = {"ratio": ratio.mean, "± ratio": ratio.half_width}
            for method in TIMED:
                lines[k][method] = statistics.median(run["test"][method] for run in runs)
                lines[k][f"{method} MB"] = statistics.median(
                    run["test"][f"{method}_mb"] for run in runs
                )
    frame = pd.DataFrame.from_dict(lines, orient="index")
    frame.attrs["device"] = device
    frame.attrs["stale"] = 0 if records.modules is None else len(records.stale_keys())
    return frame
