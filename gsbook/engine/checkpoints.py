"""Saved states of runs: whole, checked by SHA-256, and never taken for another run's."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gsbook import code, files
from gsbook.engine.experiment import Experiment, Trainer


class Checkpoints:
    """Saved states of trajectories, one safetensors file each, for one version of the code and one
    set of data.

    Args:
        experiment: whose runs they are. about: identifies the data, as its `load_data` says.
        folder: where; default in the user's cache folder.
    """

    def __init__(self, experiment: Experiment, about: dict, folder: Path | None = None):
        self.experiment, self.about = experiment, about
        self.folder = folder or files.cache_folder() / "checkpoints"

    def path(self, config) -> Path:
        source = f"{self.about['sha256']['train'][:12]}-{self.about['images'] or 'all'}"
        version = code.digest(code.code_of(self.experiment.modules(config)))
        return self.folder / f"{version}-{source}" / f"{config.trajectory}.safetensors"

    def step(self, config) -> int:
        """The step at which the trajectory can be taken up, 0 if none was saved or it is beyond
        this run's end."""
        found = self._open(config)
        step = found[0]["step"] if found else 0
        usable = step == config.steps or (step < config.steps and step % config.eval_every == 0)
        return step if usable else 0

    def state(self, config) -> dict[str, Tensor] | None:
        """The tensors saved at the run's last step, or None."""
        found = self._open(config)
        return found[1] if found and found[0]["step"] == config.steps else None

    def save(self, trainer: Trainer) -> None:
        for e, (config, state) in enumerate(zip(trainer.configs, trainer.states(), strict=True)):
            kept = self._open(config)
            if kept and kept[0]["step"] > trainer.step:
                continue  # a longer run's, which goes on from there
            about = {
                "trajectory": config.trajectory,
                "step": trainer.step,
                "curve": asdict(trainer.curves[e]),
                "diverged": trainer.diverged[e],
                "seconds": trainer.seconds / len(trainer.configs),
            }
            text = json.dumps(about)
            metadata = {"run": text, "sha256": checksum(text, state)}
            files.write(self.path(config), save(state, metadata=metadata))

    def load(self, trainer: Trainer) -> None:
        """Bring the trainer to its members' saved states, if they have one (all at the same
        step)."""
        found = (
            [self._open(c) for c in trainer.configs] if self.step(trainer.configs[0]) else [None]
        )
        if None in found:  # no state, or one is gone or damaged: all begin anew
            return
        steps = {about["step"] for about, _ in found}
        if len(steps) > 1:
            raise ValueError(f"members of one ensemble were saved at different steps: {steps}")
        trainer.load_states([state for _, state in found], steps.pop())
        for e, (about, _) in enumerate(found):
            trainer.curves[e] = type(trainer.curves[e])(**about["curve"])
            trainer.diverged[e] = about["diverged"]
        trainer.seconds = sum(about["seconds"] for about, _ in found)

    def _open(self, config) -> tuple[dict, dict[str, Tensor]] | None:
        path = self.path(config)
        try:
            return read(path, config.trajectory)
        except FileNotFoundError:
            return None
        except Damaged as error:
            aside = path.with_name(f"{path.name}.corrupt")
            try:
                os.replace(path, aside)
            except FileNotFoundError:  # another process was quicker
                return None
            warnings.warn(
                f"the saved state {path} is not used: {error}. It is now {aside.name}, and the run "
                "starts anew",
                stacklevel=2,
            )
            return None


class Damaged(Exception):
    """A saved state that is proved to be other than what was written."""


def read(path: Path, trajectory: str) -> tuple[dict, dict[str, Tensor]]:
    """(what `Checkpoints.save` noted, the tensors) of a file.

    Raises:
        Damaged: not what was written, or another run's. FileNotFoundError. OSError, MemoryError:
        it cannot be read now, which says nothing about the file.
    """
    content = path.read_bytes()  # apart from what reads the format, which calls all trouble damage
    try:
        state = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header.get("__metadata__", {})
        text = metadata.get("run", "")
        if metadata.get("sha256") != checksum(text, state):
            raise Damaged("its SHA-256 is not the one it was saved with")
        about = json.loads(text)
        if about["trajectory"] != trajectory:
            raise Damaged(f"it holds the run {about['trajectory']}")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"it is no whole safetensors file of ours ({error})") from None
    return about, state


def checksum(text: str, state: dict[str, Tensor]) -> str:
    """SHA-256 over a text and the names, shapes and bytes of tensors."""
    whole = hashlib.sha256(text.encode())
    for name in sorted(state):
        value = state[name].contiguous().cpu()
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(value.reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()
