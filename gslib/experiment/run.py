"""Jobs: ensembles that train, save their state, are evaluated and leave records, one process per core."""

from __future__ import annotations

import ctypes
import datetime
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from tqdm import (
    tqdm,
)  # plain text: the notebook widget needs scripts from a content-delivery network

from gslib import _files
from gslib import data as gslib_data
from gslib.experiment import few_labels
from gslib.experiment.config import Config
from gslib.experiment.evaluate import final_figures, valid_bound
from gslib.experiment.few_labels import FewLabels, FewLabelsRun
from gslib.experiment.records import (
    Records,
    code_hash,
    environment,
    few_labels_hash,
    write_atomically,
)
from gslib.experiment.train import Ensemble

CPU_MEMBERS = (
    3  # of one ensemble on a core: enough to hide Python's overhead, few enough for the cache
)
CUDA_MEMBERS = 256
SAVE_EVERY = 120  # seconds between two saved states: what a run that is killed loses at most
ONE_ENSEMBLE = (
    "lr",
    "seed",
    "anneal_rate",
    "steps",
)  # what the members of one ensemble may differ in


@dataclass(frozen=True)
class Scale:
    """How thoroughly runs are evaluated. images: of the validation and test sets (None: all). samples: m.

    >>> Scale(images=200).samples
    1000
    """

    images: int | None = None
    samples: int = 1000
    valid_samples: int = 100


def prepare_process(threads: int = 1) -> None:
    """The settings that every measured run shares; each is part of its record.

    >>> prepare_process()
    >>> torch.get_num_threads()
    1
    """
    torch.set_num_threads(threads)
    # On the CPU this picks a faster float32 kernel of the same accuracy (a test holds it against float64).
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have the C library keep what is freed: by default it hands large blocks back, and faults them in at each step anew.

    Changes no number; halves the time of an evaluation. Does nothing where the C library is not glibc.

    >>> keep_freed_memory()
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in (
            (-3, 32 << 20),
            (-1, 1 << 30),
            (-2, 64 << 20),
        ):  # mmap threshold, trim threshold, top pad
            mallopt(option, value)


def load_data(images: int | None = None) -> tuple[dict, dict]:
    """({split: uint8 tensor}, {"source", "sha256", "images"}): the binarised digits and what identifies them.

    >>> data, about = load_data(images=100)
    >>> len(data["valid"]), len(data["test"]), about["images"]
    (100, 100, 100)
    """
    splits = {name: gslib_data.binarized_mnist(name) for name in ("train", "valid", "test")}
    about = {
        "source": splits["train"].source,
        "sha256": {n: s.sha256 for n, s in splits.items()},
        "images": images,
    }
    if images is not None:
        for name in ("valid", "test"):
            splits[name] = gslib_data.subset(splits[name], min(images, len(splits[name])))
    return splits, about


def _start(configs: list[Config], data: dict, **options) -> Ensemble:
    """The ensemble of these configs, unless the data give it no batch."""
    images = len(data["train"])
    if configs and configs[0].batch > images:
        raise ValueError(
            f"a batch of {configs[0].batch} is more than the {images} training images; take a smaller batch, "
            f"Config(..., batch={images}) at most"
        )
    return Ensemble(configs, data, **options)


class TableOne:
    """What the runner needs to know of runs of Table 1: their data, trainer, code, size of ensembles and judges.

    >>> TableOne.members["cpu"]
    3
    """

    trainer, members = staticmethod(_start), {"cpu": CPU_MEMBERS, "cuda": CUDA_MEMBERS}

    @staticmethod
    def load_data(images: int | None) -> tuple[dict, dict]:
        return load_data(images)

    @staticmethod
    def code() -> str:
        return code_hash()

    @staticmethod
    def judge(ensemble: Ensemble, scale: Scale, test: bool) -> list[dict]:
        """The figures of a record, per member: on validation always, on test where asked for."""
        bounds = valid_bound(ensemble, scale.valid_samples)
        figures = final_figures(ensemble, scale.samples) if test else [None] * len(bounds)
        return [{"valid_bound": float(b), "test": f} for b, f in zip(bounds, figures, strict=True)]


class TableTwo:
    """The same for runs of Table 2, which learn with few labels.

    >>> data, about = TableTwo.load_data(images=100)
    >>> len(data["valid"].labels)
    100
    """

    trainer, members = FewLabelsRun, {"cpu": 1, "cuda": 1}
    load_data = staticmethod(few_labels.load_data)
    code = staticmethod(few_labels_hash)

    @staticmethod
    def judge(run: FewLabelsRun, scale: Scale, test: bool) -> list[dict]:
        return [
            {
                "valid": run.evaluate(run.data["valid"], "valid"),
                "test": run.evaluate(run.data["test"], "test") if test else None,
            }
        ]


def kind(config: Config | FewLabels) -> type[TableOne] | type[TableTwo]:
    """Which experiment a run belongs to.

    >>> kind(Config("vae", "bernoulli", "st", lr=1e-3)).__name__
    'TableOne'
    """
    return TableTwo if isinstance(config, FewLabels) else TableOne


def budget_name() -> str:
    """The budget that GSLIB_BUDGET names: "smoke" (default; seconds), "laptop" (minutes to hours) or "paper".

    >>> budget_name() in ("smoke", "laptop", "paper")
    True
    """
    name = os.environ.get("GSLIB_BUDGET", "smoke")
    if name not in ("smoke", "laptop", "paper"):
        raise ValueError(f"GSLIB_BUDGET must be smoke, laptop or paper, got {name!r}")
    return name


def train(
    configs: list[Config], data: dict | None = None, *, size=None, progress: bool = True
) -> Ensemble:
    """Train an ensemble in this process and return it: its `model` holds all members, `curves` their losses.

    configs: as for `Ensemble`. data: as `load_data` gives, by default everything. size: of the nodes. No record is kept.

    >>> data = dict.fromkeys(("train", "valid", "test"), torch.randint(0, 2, (20, 16), dtype=torch.uint8))
    >>> config = Config("vae", "bernoulli", "st", lr=1e-3, steps=4, eval_every=2, batch=10)
    >>> train([config], data, size=(8,), progress=False).curves[0].step
    [2, 4]
    """
    data = load_data()[0] if data is None else data
    ensemble = _start(
        configs, data, device="cuda" if torch.cuda.is_available() else "cpu", size=size
    )
    with tqdm(total=max(c.steps for c in configs), unit="step", disable=not progress) as bar:
        for step in ensemble.advance(bar.total):
            bar.update(step - bar.n)
    return ensemble


class Checkpoints:
    """Saved states of trajectories, one safetensors file each, for one version of the code and one set of data.

    >>> Checkpoints(Path("states")).step(Config("vae", "bernoulli", "st", lr=1e-3))  # nothing is saved yet
    0
    """

    def __init__(
        self, folder: Path | None = None, about: dict | None = None, code: str | None = None
    ):
        base = folder or _files.cache_folder() / "checkpoints"
        data = "-" + about["sha256"]["train"][:12] + f"-{about['images'] or 'all'}" if about else ""
        self.folder = base / ((code or code_hash())[:12] + data)

    def path(self, config: Config) -> Path:
        return self.folder / f"{config.trajectory}.safetensors"

    def step(self, config: Config) -> int:
        """The step at which the trajectory can be taken up, 0 if none was saved or it is beyond this run's end."""
        found = self._open(config)
        step = found[0]["step"] if found else 0
        usable = step == config.steps or (step < config.steps and step % config.eval_every == 0)
        return step if usable else 0

    def state(self, config: Config) -> dict | None:
        """The tensors saved at the run's last step, or None."""
        found = self._open(config)
        return found[1] if found and found[0]["step"] == config.steps else None

    def _open(self, config: Config) -> tuple[dict, dict] | None:
        try:
            with safe_open(self.path(config), framework="pt") as file:
                return json.loads(file.metadata()["run"]), {
                    k: file.get_tensor(k) for k in file.keys()
                }
        except FileNotFoundError:
            return None
        except Exception:  # a damaged file: the run starts anew
            self.path(config).unlink(missing_ok=True)
            return None

    def save(self, ensemble: Ensemble) -> None:
        states = ensemble.states()
        for e, config in enumerate(ensemble.configs):
            about = {
                "step": ensemble.step,
                "curve": asdict(ensemble.curves[e]),
                "diverged": ensemble.diverged[e],
                "seconds": ensemble.seconds / len(ensemble.configs),
            }
            write_atomically(
                self.path(config), save(states[e], metadata={"run": json.dumps(about)})
            )

    def load(self, ensemble: Ensemble) -> None:
        """Bring the ensemble to its members' saved states, if they have one (all at the same step)."""
        found = [self._open(c) for c in ensemble.configs] if self.step(ensemble.first) else []
        if not found:
            return
        ensemble.load_states([state for _, state in found], found[0][0]["step"])
        ensemble.curves = [
            type(curve)(**about["curve"])
            for curve, (about, _) in zip(ensemble.curves, found, strict=True)
        ]
        ensemble.diverged = [about["diverged"] for about, _ in found]
        ensemble.seconds = sum(about["seconds"] for about, _ in found)


_progress = None  # in a worker process: the queue that its parent reads steps from


def _start_worker(progress) -> None:
    global _progress
    _progress = progress
    prepare_process()


def _report(steps: int) -> None:
    """Tell the parent; end with it if it was killed, so that no orphan writes beside a run that was started anew."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)
    if _progress is not None:
        _progress.put(steps)


def run_job(
    configs: list[Config], scale: Scale, test: bool, checkpoints: Path | None, device: str
) -> list[dict]:
    """Train (or take up) one ensemble, evaluate it, return a record per member.

    >>> config = Config("sbn", "bernoulli", "st", lr=1e-3, steps=2)
    >>> (record,) = run_job([config], Scale(images=10, valid_samples=2), False, Path("states"), "cpu")
    >>> record["key"], record["test"], record["curve"]["step"]
    ('sbn-bernoulli-st_lr=0.001_seed=0_steps=2', None, [2])
    """
    of = kind(configs[0])
    data, about = of.load_data(scale.images)
    store = Checkpoints(checkpoints, about, of.code())
    ensemble = of.trainer(configs, data, device=device)
    store.load(ensemble)
    before, saved = ensemble.step, time.monotonic()
    for step in ensemble.advance(configs[0].steps):
        # At each point of the curve it would be tens of gigabytes where sixty members share an accelerator.
        if step == configs[0].steps or time.monotonic() - saved > SAVE_EVERY:
            store.save(ensemble)
            saved = time.monotonic()
        _report((step - before) * len(configs))
        before = step
    started = time.perf_counter()
    found = of.judge(ensemble, scale, test)
    ensemble.seconds += time.perf_counter() - started
    return [
        {
            "key": config.key,
            "cell": config.cell,
            "config": config.to_dict(),
            "diverged": ensemble.diverged[e],
            **_numbers(found[e]),
            "evaluation": asdict(scale),
            "curve": asdict(ensemble.curves[e]),
            "code": of.code(),
            "data": about,
            **environment(ensemble.device),
            "minutes": round(ensemble.seconds / len(configs) / 60, 3),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        }
        for e, config in enumerate(configs)
    ]


def _numbers(found):
    """Figures as a record holds them: rounded, and None for what is not finite."""
    if isinstance(found, dict):
        return {name: _numbers(value) for name, value in found.items()}
    return (
        found if found is None else round(found, 4) if abs(found) < float("inf") else None
    )  # NaN compares false, too


Stages = Generator[tuple[list[Config], bool], list[dict], None]


def run_stages(
    stages: list[Stages],
    records: Records,
    scale: Scale,
    *,
    jobs: int | None = None,
    device: str | None = None,
    checkpoints: Path | None = None,
    total: int | None = None,
) -> None:
    """Run several plans side by side. A plan yields (configs, whether to test) and is sent their records, in order.

    Finished runs are read from `records`; new ones are written there as they end. On the CPU each ensemble has one
    process and one core; on CUDA ensembles run one after the other, each as large as memory likes.

    >>> run_stages([], Records("results/mine"), Scale(images=10))  # no plan, so no run
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    jobs = 1 if device != "cpu" else jobs or os.cpu_count() or 1
    loaded: dict[type, dict] = {}
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tqdm(total=total, unit="step", unit_scale=True, smoothing=0.02) as bar:
        with ProcessPoolExecutor(
            jobs, context, initializer=_start_worker, initargs=(queue,)
        ) as pool:
            waiting: dict[Future, int] = {}
            asked: list[list[Config]] = [[] for _ in stages]

            def proceed(i: int, answer: list[dict] | None) -> None:
                """Give plan i the records it waits for and start what it asks for next, past what is there already."""
                while True:
                    try:
                        configs, test = stages[i].send(answer)
                    except StopIteration:
                        return
                    asked[i] = configs
                    of = kind(configs[0])
                    if of not in loaded:
                        loaded[of] = of.load_data(scale.images)[1]
                    about = loaded[of]
                    missing = _missing(configs, test, records, about)
                    store = Checkpoints(checkpoints, about, of.code())
                    bar.update(sum(c.steps for c in configs if c not in missing))
                    for job in _ensembles(missing, store, of.members[device]):
                        bar.update(sum(store.step(c) for c in job))
                        waiting[pool.submit(run_job, job, scale, test, checkpoints, device)] = i
                    if missing:
                        return
                    answer = _answers(configs, records)

            try:
                for i in range(len(stages)):
                    proceed(i, None)
                while waiting:
                    done, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                    while not queue.empty():
                        bar.update(queue.get())
                    for future in done:
                        i = waiting.pop(future)
                        records.add(future.result())
                        if i not in waiting.values():
                            proceed(i, _answers(asked[i], records))
            except BaseException:
                pool.shutdown(
                    wait=False, cancel_futures=True
                )  # or the error would wait for all that was asked for
                raise


def _missing(configs: list[Config], test: bool, records: Records, about: dict) -> list[Config]:
    known = {kind(configs[0]).code(), *records.equivalent()}
    finished = {}
    for cell in {c.cell for c in configs}:
        finished |= records.cell(cell)
    other = next((run for run in finished.values() if run["data"] != about), None)
    if other:
        theirs, ours = (
            f"{data['source']!r} (images: {data['images'] or 'all'})"
            for data in (other["data"], about)
        )
        raise ValueError(
            f"{records.folder} holds runs on other data: {other['key']} has {theirs}, here it is {ours}; give "
            "the records of these data a folder of their own (--results), or delete the old ones"
        )
    return [
        c
        for c in configs
        if c.key not in finished
        or finished[c.key]["code"] not in known
        or (test and finished[c.key]["test"] is None)
    ]


def _answers(configs: list[Config], records: Records) -> list[dict]:
    return [records.cell(c.cell)[c.key] for c in configs]


def _ensembles(configs: list[Config], store: Checkpoints, limit: int) -> list[list[Config]]:
    """Split runs into ensembles of members that have all but `ONE_ENSEMBLE` in common, and their first and last steps."""

    def order(c: Config):
        common = [str(value) for name, value in c.to_dict().items() if name not in ONE_ENSEMBLE]
        return (c.cell, common, c.steps, store.step(c))

    groups = []
    for _, group in groupby(sorted(configs, key=order), key=order):
        group = list(group)
        groups += [group[i : i + limit] for i in range(0, len(group), limit)]
    return groups
