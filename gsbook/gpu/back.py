"""What comes back from a GPU: a few files of records and states, checked before they count."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from gsbook import files
from gsbook.engine.checkpoints import Checkpoints
from gsbook.experiments.table1.plan import TABLE1

FILES, LARGEST = 8, 29_000_000  # of what comes back: how many files, and bytes of one
RECORDS, REPORT = "records.tar", "report.json"


def pack_states(out: Path, store: Checkpoints) -> list[str]:
    """Write saved states to a few files; returns the names of those that did not fit."""
    work = store.folder.parent
    parts: list[list[Path]] = [[]]
    size = 0
    for path in sorted(store.folder.glob("*/*.safetensors")):
        needed = path.stat().st_size + 2048  # its header, and what fills a block
        if size + needed > LARGEST:
            parts.append([])
            size = 0
        parts[-1].append(path)
        size += needed
    for number, part in enumerate(parts[: FILES - 1], 1):
        if part:
            files.write(out / f"states-{number}.tar", tar(part, work))
    return [path.name for part in parts[FILES - 1 :] for path in part]


def tar(paths: list[Path], root: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in paths:
            archive.add(path, path.relative_to(root))
    return buffer.getvalue()


def unpack(out: Path, work: Path) -> None:
    """What an earlier call wrote, as files again."""
    for path in sorted(out.glob("*.tar")):
        try:
            with tarfile.open(path, "r:") as archive:
                archive.extractall(work, filter="data")
        except tarfile.TarError as error:
            raise ValueError(
                f"{path} is no whole archive of `python -m gsbook gpu` ({error}); copy it again"
            ) from None


def take(out: Path, folder: Path, checkpoints: Path | None = None) -> str:
    """Add brought-back records to a folder of records, and states to the saved ones; says what
    was added.

    Raises:
        FileNotFoundError: there is nothing to take. ValueError: a record that cannot be, is of
        other code than the present, or on other data than the folder's.
    """
    if not (out / RECORDS).exists():
        raise FileNotFoundError(
            f"{out / RECORDS} does not exist; name the folder that `python -m gsbook gpu` wrote to"
        )
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        unpack(out, work)
        found = TABLE1.records(work / TABLE1.name).all()  # each is checked as it is read
        if not found:
            raise ValueError(f"{out / RECORDS} holds no record; nothing was taken")
        mine = TABLE1.records(folder)
        data = {run["data"]["sha256"]["train"] for run in mine.all()}
        for run in found:
            if changed := mine.changed(run, exactly=True):
                raise ValueError(
                    f"{run['key']} is of other code than the present, in {', '.join(changed)}: "
                    "check out the version that made it, or run it again"
                )
            if data and run["data"]["sha256"]["train"] not in data:
                raise ValueError(
                    f"{run['key']} was trained on other data, {run['data']['source']!r}; give its "
                    "records a folder of their own (--results)"
                )
        known = {run["key"] for run in mine.all()}
        again = sum(run["key"] in known for run in found)
        mine.add(found)
        target = checkpoints or Checkpoints(TABLE1, {}).folder
        states = sorted((work / "states").glob("*/*.safetensors"))
        for path in states:
            files.write(target / path.relative_to(work / "states"), path.read_bytes())
    return (
        f"{len(found)} runs are in {folder}, {again} of them in place of an older one; "
        f"{len(states)} states are in {target}"
    )
