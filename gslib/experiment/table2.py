"""Table 2 and Figure 5a: which runs make them, which recorded runs stand for them, and how speed is measured."""

from __future__ import annotations

import datetime
import math
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from tqdm import tqdm

from gslib import data as gslib_data
from gslib._checks import unchecked
from gslib.experiment.few_labels import METHODS, FewLabels, FewLabelsRun, load_data
from gslib.experiment.records import Records, environment, few_labels_hash
from gslib.experiment.run import Scale, Stages, prepare_process
from gslib.experiment.verdict import accuracy_verdict, cell_verdict, interval
from gslib.functional import stream

ALPHAS = (0.1, 0.2, 0.3, 0.8, 1.0)  # the paper's list
SCALE = (
    (50_000 + 100) / 100
)  # images per labelled image: alpha of a sum over images, as a weight of means over minibatches
COOLING = 3.0  # r times the number of steps: the paper's r = 3e-5 over 100,000 steps
CLASSES = (5, 10, 20, 50, 100)
TIMED = ("gumbel_softmax", "marginalisation")


@dataclass(frozen=True)
class Budget:
    """rungs: (steps, how many alphas stay) of the search, on one seed. steps, seeds: of the final runs. alphas: tried.
    scale: of the evaluation. seconds, repeats: of each measurement of speed, and which numbers of classes.

    >>> BUDGETS["paper"].steps, BUDGETS["paper"].seeds
    (100000, 5)
    """

    rungs: tuple[tuple[int, int], ...]
    steps: int
    seeds: int
    alphas: tuple[float, ...] = (*ALPHAS, *(round(a * SCALE, 1) for a in ALPHAS))
    scale: Scale = field(default_factory=Scale)
    seconds: float = 3.0
    repeats: int = 5
    classes: tuple[int, ...] = CLASSES


BUDGETS = {
    "smoke": Budget(
        (), 40, 1, (1.0,), Scale(images=200), seconds=0.3, repeats=2, classes=CLASSES[:2]
    ),
    "laptop": Budget(((1_000, 3), (2_000, 1)), 5_000, 3),
    "paper": Budget((), 100_000, 5),
}


def candidates(method: str, budget: Budget) -> list[FewLabels]:
    """The configs among which alpha is chosen, at seed 0; without the generative half alpha changes nothing.

    >>> [len(candidates(method, BUDGETS["paper"])) for method in ("gumbel_softmax", "supervised")]
    [10, 1]
    """
    first = FewLabels(
        method,
        1.0,
        steps=budget.steps,
        anneal_rate=COOLING / budget.steps,
        anneal_every=max(1, budget.steps // 50),
        eval_every=max(20, budget.steps // 20),
    )
    return [
        first if METHODS[method] is None else replace(first, alpha=a)
        for a in (budget.alphas if METHODS[method] else (1.0,))
    ]


def stages(method: str, budget: Budget) -> Stages:
    """The plan of a method: yields (configs, whether to test) and is sent their records. Everything is tested, so that the
    paper's choice of alpha on the test set can be shown beside ours on the validation set.

    >>> configs, test = next(stages("supervised", BUDGETS["laptop"]))
    >>> [config.seed for config in configs]
    [0, 1, 2]
    """
    contenders = candidates(method, budget)
    for steps, keep in budget.rungs if len(contenders) > 1 else ():
        records = yield [replace(c, steps=steps) for c in contenders], True
        contenders = best(contenders, records)[:keep]
    yield [replace(c, seed=seed) for c in contenders for seed in range(budget.seeds)], True


def best(configs: list[FewLabels], records: list[dict]) -> list[FewLabels]:
    """Configs by their accuracy on the validation set, best first; diverged ones last.

    >>> configs = candidates("gumbel_softmax", BUDGETS["laptop"])[:2]
    >>> best(configs, [{"diverged": None, "valid": {"accuracy": accuracy}} for accuracy in (90.0, 92.0)])[0].alpha
    0.2
    """
    scores = [-math.inf if r["diverged"] else r["valid"]["accuracy"] for r in records]
    return [c for _, c in sorted(zip(scores, configs, strict=True), key=lambda pair: -pair[0])]


@dataclass(frozen=True)
class Row:
    """What stands for a method in Table 2: its final runs by seed, at the alpha that validation chose.

    >>> Row("supervised", 1.0, 100, {0: {"test": {"accuracy": 71.5}}}).figure("accuracy")
    {0: 71.5}
    """

    method: str
    alpha: float
    steps: int
    runs: dict[int, dict]

    def figure(self, name: str) -> dict[int, float]:
        """A test figure by seed: "elbo" or "single" in nats, "accuracy" in per cent."""
        found = {seed: run["test"][name] for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}


def row(records: Records, method: str) -> Row | None:
    """The longest runs that have most seeds, at the alpha that is best on validation; None where there are none.

    Runs on the embedded digits or with part of the images are none of the table's.

    >>> row(Records("none"), "gumbel_softmax") is None
    True
    """
    groups = defaultdict(dict)
    for run in records.cell(method).values():
        if run["test"] and run["data"]["source"] == "mnist" and run["data"]["images"] is None:
            groups[run["config"]["steps"], run["config"]["alpha"]][run["config"]["seed"]] = run

    def rank(item):
        (steps, _), runs = item
        return (
            len(runs) > 1,
            steps,
            len(runs),
            statistics.fmean(r["valid"]["accuracy"] for r in runs.values()),
        )

    (steps, alpha), runs = max(groups.items(), key=rank, default=((0, 0.0), {}))
    return Row(method, alpha, steps, dict(sorted(runs.items()))) if runs else None


def comparison(records: Records):
    """Table 2 as a pandas DataFrame, a line per method: the paper's numbers, ours with 95 % intervals, and verdicts.

    >>> comparison(Records("none")).loc["gumbel_softmax", "verdict accuracy"]
    'not run yet'
    """
    import pandas as pd

    from gslib.experiment.summary import NOT_RUN, ledger

    paper, lines = ledger()["table2"]["rows"], {}
    for method in METHODS:
        found, line, theirs = row(records, method), {}, paper.get(method, {})
        for name, title, rule in (
            ("elbo", "ELBO", lambda v, p: cell_verdict([-x for x in v], -p)),
            ("accuracy", "accuracy", accuracy_verdict),
        ):
            values = list(found.figure(name).values()) if found else []
            ours = interval(values) if values else None
            line[f"paper {title}"] = theirs.get(name, math.nan)
            line["ours ELBO" if name == "elbo" else "accuracy"] = ours.mean if ours else math.nan
            line[f"± {title}"] = ours.half_width if ours else math.nan
            line[f"verdict {title}"] = (
                "" if not theirs else rule(values, theirs[name]) if values else NOT_RUN
            )
        lines[method] = line | {
            "alpha": found.alpha if found else math.nan,
            "steps": found.steps if found else 0,
            "seeds": len(found.runs) if found else 0,
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def alphas(records: Records, method: str):
    """The search of a method as a DataFrame by alpha: "valid accuracy", "test accuracy", "elbo" (test), at seed 0 and the
    fewest steps at which most were tried (attrs["steps"]).

    >>> alphas(Records("none"), "gumbel_softmax").attrs["steps"]
    0
    """
    import pandas as pd

    groups = defaultdict(dict)
    for run in records.cell(method).values():
        if run["config"]["seed"] == 0 and run["test"]:
            groups[run["config"]["steps"]][run["config"]["alpha"]] = run
    steps, runs = min(groups.items(), key=lambda item: (-len(item[1]), item[0]), default=(0, {}))
    frame = pd.DataFrame(
        {
            alpha: {
                "valid accuracy": runs[alpha]["valid"]["accuracy"],
                "elbo": runs[alpha]["test"]["elbo"],
                "test accuracy": runs[alpha]["test"]["accuracy"],
            }
            for alpha in sorted(runs)
        }
    ).T
    frame.attrs["steps"] = steps
    return frame


# --- Figure 5a ---------------------------------------------------------------------------------------------------------


def cell(classes: int) -> str:
    """The name of the records of speed with k classes.

    >>> cell(50)
    'ssl-classes-50'
    """
    return f"ssl-classes-{classes}"


def time_steps(
    method: str, classes: int, seconds: float, device: str = "cpu"
) -> tuple[float, float]:
    """(steps per second, megabytes that a step holds for its way back), for MNIST's images with random labels of k classes.

    The median of the times of single steps, after a warm-up; one thread.

    >>> steps_per_second, megabytes = time_steps("gumbel_softmax", classes=5, seconds=0.01)
    >>> steps_per_second > 0 and megabytes > 0
    True
    """
    prepare_process()
    config = FewLabels(method, 1.0, classes=classes, eval_every=10**9)
    images = load_data()[0]["train"].images
    labels = torch.randint(classes, (len(images),), generator=stream("random labels", classes))
    run = FewLabelsRun([config], {"train": gslib_data.Labelled(images, labels)}, device=device)
    synchronise = torch.cuda.synchronize if run.device.type == "cuda" else lambda: None
    times, started = [], None
    with unchecked():
        held = held_for_backward(lambda: run.objective(run._batch(), run.noise("memory")))
        while started is None or time.perf_counter() - started < seconds or len(times) < 3:
            begin = time.perf_counter()
            run._train_to(run.step + 1)
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


def measure_speed(records: Records, budget: Budget, *, device: str | None = None) -> None:
    """Figure 5a: time both methods for every number of classes, in turns, and record a line per repeat.

    On an otherwise idle machine: one process at a time, one thread. Repeats that are recorded already are not made again.

    >>> measure_speed(Records("none"), replace(BUDGETS["smoke"], classes=()))  # no number of classes, so nothing to do
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    context, about = multiprocessing.get_context("spawn"), load_data()[1]
    wanted = [(repeat, k) for repeat in range(budget.repeats) for k in budget.classes]
    for repeat, k in tqdm(wanted, unit="measurement"):
        key = f"{cell(k)}_repeat={repeat}"
        if key in records.cell(cell(k)):
            continue
        found = {}
        for method in TIMED if repeat % 2 else TIMED[::-1]:
            with context.Pool(1) as pool:
                found[method] = pool.apply(time_steps, (method, k, budget.seconds, device))
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
                    "cell": cell(k),
                    "config": {"classes": k, "seed": repeat, "seconds": budget.seconds},
                    "test": {name: round(value, 4) for name, value in test.items()},
                    "code": few_labels_hash(),
                    "data": about,
                    **environment(torch.device(device)),
                    "threads": 1,
                    "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
                }
            ]
        )


def speed(records: Records):
    """Figure 5a as a DataFrame by number of classes: "ratio" with its 95 % interval over repeats ("± ratio"), and of each
    method the median steps per second and megabytes. attrs["device"]: where it was measured.

    >>> speed(Records("none")).empty
    True
    """
    import pandas as pd

    lines, device = {}, None
    for k in CLASSES:
        runs = list(records.cell(cell(k)).values())
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
    return frame
