"""Records: one line of JSON per run, written here and nowhere else, and read back as a table."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from gsbook import files
from gsbook.code import code_of

EQUIVALENT = "equivalent_code.json"  # in the results folder, see `Records.changed`
CHECKED: set = set()  # by which check, of which cell, which bytes have passed in this process


class Records:
    """The runs of one folder of results, a file of JSON lines per cell, sorted by key so that
    differences are readable.

    Args:
        folder: such as results/table1. It need not exist.
        check: raises ValueError on a run that is no valid one of its experiment.
        modules: run -> the modules that decide its numbers, see `gsbook.code.code_of`.

    >>> records = Records("results/mine")
    >>> records.add([{"key": "toy_steps=5", "cell": "toy", "code": {}, "config": {}}])
    >>> list(records.runs_of("toy"))
    ['toy_steps=5']
    """

    def __init__(
        self,
        folder: str | Path,
        check: Callable[[dict], None] | None = None,
        modules: Callable[[dict], Iterable[str]] | None = None,
    ):
        self.folder, self.check, self.modules = Path(folder), check, modules

    def path(self, cell: str) -> Path:
        return self.folder / f"{cell}.jsonl"

    def runs_of(self, cell: str) -> dict[str, dict]:
        """The finished runs of a cell, by key.

        Raises:
            ValueError: a line that is no valid record; it names file, line and remedy.
        """
        path = self.path(cell)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return {}
        lines = content.removesuffix(b"\n").split(b"\n")
        # Pages ask for a cell again and again: what has been checked is only read.
        same = self.check, cell, hashlib.sha256(content).digest()
        if same in CHECKED:
            return {run["key"]: run for run in map(json.loads, lines)}
        runs: dict[str, dict] = {}
        for number, line in enumerate(lines, 1):
            try:
                run = parse(line)
                check_record(run, cell)
                if run["key"] in runs:
                    raise ValueError(f"the key {run['key']} stands twice")
                if self.check is not None:
                    self.check(run)
            except KeyError as error:
                raise ValueError(self._refused(path, number, f"it lacks {error}")) from None
            except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
                raise ValueError(self._refused(path, number, error)) from None
            runs[run["key"]] = run
        CHECKED.add(same)
        return runs

    @staticmethod
    def _refused(path: Path, number: int, reason) -> str:
        return (
            f"{path} line {number} is no record ({reason!s:.300}); restore the file from version "
            "control, or delete the line and run its config again"
        )

    def add(self, runs: list[dict]) -> None:
        """Write finished runs, replacing those of the same key; safe beside other writers."""
        for run in runs:  # or its line would be refused, and the cell's file with it
            check_record(parse(json.dumps(run, allow_nan=False).encode()), run["cell"])
            if self.check is not None:
                self.check(run)
        for cell in {run["cell"] for run in runs}:
            with files.lock(self.path(cell)):
                new = {run["key"]: run for run in runs if run["cell"] == cell}
                merged = self.runs_of(cell) | new
                lines = [json.dumps(merged[key], allow_nan=False) for key in sorted(merged)]
                files.write(self.path(cell), ("\n".join(lines) + "\n").encode())

    def tested(self, configs: Iterable) -> bool:
        """Whether an older record of one of these configs has test figures, which a new one must
        not lose."""
        old = (self.runs_of(config.cell).get(config.key) for config in configs)
        return any(run is not None and run["test"] for run in old)

    def cells(self) -> list[str]:
        """The cells that have a file here, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.jsonl"))

    def all(self) -> list[dict]:
        """Every run of the folder."""
        return [run for cell in self.cells() for run in self.runs_of(cell).values()]

    def frame(self):
        """A pandas DataFrame, a row per run: config, test figures, valid_bound, code, minutes and
        the curve (a dict)."""
        import pandas as pd

        rows = []
        for run in self.all():
            rest = {k: v for k, v in run.items() if k not in ("config", "test")}
            rows.append({**run["config"], **(run["test"] or {}), **rest})
        return pd.DataFrame(rows)

    # --- is it of the present code?

    def changed(self, run: dict, *, exactly: bool = False) -> list[str]:
        """The modules whose code has changed in what matters since the run, sorted.

        results/equivalent_code.json holds what is known to give equal numbers, each with its
        reason: "runs", a hash of old records -> the modules' hashes it equals; "modules", a
        module's old hash, "" before there was that module, -> the newer hash it equals. An
        equivalence has two ends, and counts only while it leads to the present code. One of "runs"
        may be "in": "distribution", where the arithmetic is the same and the random numbers are
        others: such runs stand in tables, but no new run may take their place or go on from them
        (exactly).
        """
        if self.modules is None:
            raise ValueError(f"{self.folder} was opened without `modules`, which code decides runs")
        then, known = run["code"], self.equivalent()
        if isinstance(then, str):
            equal = known.get("runs", {}).get(then, {})
            then = {} if exactly and equal.get("in") == "distribution" else equal.get("equals", {})
        now, modules = code_of(self.modules(run)), known.get("modules", {})
        pairs = ((name, then.get(name, "")) for name in now)
        return [name for name, old in pairs if not leads(old, now[name], modules.get(name, {}))]

    def is_current(self, run: dict, *, exactly: bool = False) -> bool:
        """Whether the run's numbers are those of the present code; exactly: in every bit."""
        return not self.changed(run, exactly=exactly)

    def stale_keys(self) -> list[str]:
        """Keys of the runs that the present code would not give again."""
        return [run["key"] for run in self.all() if not self.is_current(run)]

    def equivalent(self) -> dict[str, dict]:
        path = self.folder.parent / EQUIVALENT
        if not path.exists():
            return {}
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            for old in known.get("runs", {}).values():
                old["equals"].items()
            for module in known.get("modules", {}).values():
                [new["equals"] for new in module.values()]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no list of equivalences ({error!r}); restore it from version control"
            ) from None
        return known


def opener(
    config: type, check: Callable[[dict], None], modules: Callable[..., Iterable[str]]
) -> Callable[[str | Path], Records]:
    """What opens a folder of an experiment's records: each is checked when it is read, and the code
    of its numbers starts at `modules(config)`."""
    return lambda folder: Records(folder, check, lambda run: modules(config(**run["config"])))


def leads(then: str, now: str, known: dict[str, dict]) -> bool:
    """Whether a module's old hash is its present one, or a chain of equivalences ends there.

    >>> leads("a", "c", {"a": {"equals": "b"}, "b": {"equals": "c"}})
    True
    """
    seen = set()
    while then != now and then in known and then not in seen:
        seen.add(then)
        then = known[then]["equals"]
    return then == now


def parse(line: bytes) -> dict:
    """A line of JSON as JSON has it: UTF-8, every name once, no NaN and no infinity.

    >>> parse(b'{"nll": NaN}')
    Traceback (most recent call last):
    ValueError: NaN is no JSON
    """

    def once(pairs: list[tuple]) -> dict:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a name stands twice in it")
        return found

    def refuse(literal: str):
        raise ValueError(f"{literal} is no JSON")

    def finite(literal: str) -> float:
        return value if math.isfinite(value := float(literal)) else refuse(literal)  # 1e999

    return json.loads(
        line.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse, parse_float=finite
    )


def check_record(run: dict, cell: str) -> None:
    """Raise ValueError or KeyError unless a line has what every record has."""
    if not isinstance(run, dict):
        raise ValueError(f"a record is a JSON object, this is {run!r:.60}")
    for name, kind in (("key", str), ("cell", str), ("config", dict), ("code", (str, dict))):
        if not isinstance(run[name], kind):
            raise ValueError(f"{name} is {run[name]!r:.60}")
    code = run["code"]
    if isinstance(code, dict) and not all(isinstance(old, str) for old in code.values()):
        raise ValueError(f"code is {code!r:.60}")
    for name in ("data", "evaluation", "curve", "valid", "test"):
        part = run.get(name, {})
        if not (isinstance(part, dict) or (part is None and name == "test")):
            raise ValueError(f"{name} is {part!r:.60}, which is no object")
    for name in ("device", "capability", "torch", "python", "matmul_precision", "date"):
        if not isinstance(run.get(name, ""), str):
            raise ValueError(f"{name} is {run[name]!r:.60}, which is no text")
    if run["cell"] != cell:
        raise ValueError(f"it belongs to the cell {run['cell']!r}")


def read_config(kind: type, settings: dict):
    """The config of a record. A field that came after the record has its default, which keys
    leave out.

    Raises:
        ValueError: a field is missing or unknown, or its value is none of the field's type.
    """
    known = {field.name: str(field.type) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    if differing := sorted((needed - settings.keys()) | (settings.keys() - known.keys())):
        raise ValueError(f"its config lacks, or has beyond the known, {', '.join(differing)}")
    for name, value in settings.items():
        right = TYPES.get(known[name], object)
        if not isinstance(value, right) or (isinstance(value, bool) and right is not bool):
            raise ValueError(f"{name} of its config is {value!r:.60}, which is no {known[name]}")
    return kind(**settings)


TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool}


def check_run(run: dict, config, figures: tuple[str, ...]) -> None:
    """Raise ValueError or KeyError unless a trained run fits its config: names, data, the size of
    its evaluation, where it diverged, its curve, and test figures of these names or none."""
    if (run["key"], run["cell"]) != (config.key, config.cell):
        raise ValueError(f"its key is not the one of its config, {config.key}")
    if not isinstance(run["data"]["source"], str):
        raise ValueError(f"the source of its data is {run['data']['source']!r:.60}")
    sha256 = run["data"]["sha256"]
    if not (isinstance(sha256, dict) and isinstance(sha256["train"], str)):
        raise ValueError(f"the SHA-256 of its data is {sha256!r:.60}")
    for name in ("images", "samples", "valid_samples"):
        count = run["evaluation"][name]
        if not (is_count(count) or (count is None and name == "images")):
            raise ValueError(f"{name} of its evaluation is {count!r:.60}, which is no count")
    diverged = run["diverged"]
    if diverged is not None and not (is_count(diverged) and diverged <= config.steps):
        raise ValueError(f"diverged is {diverged!r:.60}, which is no step of its")
    if run["test"] is not None and set(figures) - run["test"].keys():
        raise ValueError(f"test is neither null nor has the figures {', '.join(figures)}")
    curve, steps = run["curve"], run["curve"]["step"]
    rising = all(map(is_count, steps)) and steps == sorted(set(steps))
    if not rising or not 0 < max(steps, default=0) <= config.steps:
        raise ValueError(f"the steps of its curve do not rise to {config.steps} at most")
    for name, values in curve.items():
        if len(values) not in ((len(steps), 0) if name == "test" else (len(steps),)):
            raise ValueError(f"its curve has {len(steps)} steps and {len(values)} of {name}")
        for value in values:
            check_numbers({f"{name} of its curve": value})
    if steps[-1] != config.steps:
        raise ValueError(f"its curve ends after {steps[-1]} of {config.steps} steps")
    null = [name for name, values in curve.items() if None in values]
    if "train" in null if diverged is None else not null:
        raise ValueError(f"diverged is {diverged}, and its curve does not say so")
    evaluated = run["evaluation"]["images"]
    if run["data"].get("images", evaluated) != evaluated:
        given = f"{run['data']['images']}, evaluated on {evaluated}"
        raise ValueError(f"the images of its data are {given}")


def is_count(value) -> bool:
    """Whether a value is a whole number above 0; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_numbers(figures: dict, lowest: float = -math.inf) -> None:
    """Raise ValueError unless every figure is a finite number of at least `lowest`, or None.

    >>> check_numbers({"nll": "61.5"})
    Traceback (most recent call last):
    ValueError: nll is '61.5', which is no finite number
    """
    for name, value in figures.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value)):
            raise ValueError(f"{name} is {value!r}, which is no finite number")
        if value < lowest:
            raise ValueError(f"{name} is {value}, below {lowest}")


def check_judged(run: dict, names: Iterable[str]) -> Iterator[tuple[str, dict]]:
    """The (split, figures) of validation and, where it was tested, of test. Raises ValueError
    unless figures are numbers of 0 or more, and these ones there unless the run diverged."""
    for split in ("valid", "test"):
        figures = run[split]
        if figures is None and split == "test":
            continue
        check_numbers(figures, lowest=0.0)
        for name in names:
            if figures[name] is None and run["diverged"] is None:
                raise ValueError(f"{name} on {split} is null, and yet it did not diverge")
        yield split, figures


def check_bound(run: dict, at_least_0: Iterable[str] | None = None) -> None:
    """Raise ValueError unless the bound on validation and the test figures are numbers, and there
    unless the run diverged.

    at_least_0: the figures that cannot be negative, all by default: a negated bound on binary
    pixels, the mean of -log p(x), is no less than 0.
    """
    figures = {"valid_bound": run["valid_bound"], **(run["test"] or {})}
    check_numbers(figures)
    check_numbers({k: figures.get(k) for k in at_least_0 or figures}, lowest=0.0)
    missing = [name for name, value in figures.items() if value is None]
    if missing and run["diverged"] is None:
        raise ValueError(f"{', '.join(missing)} is null, and yet it did not diverge")
