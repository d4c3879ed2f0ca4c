"""Small trained weights kept beside the records, so that samples and completions render without training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from gslib.experiment.config import Config
from gslib.experiment.records import Records, write_atomically
from gslib.experiment.run import Checkpoints, load_data
from gslib.experiment.train import build_model


def keep(cell: str, records: Records, *, checkpoints: Path | None = None, folder: Path | None = None) -> Path:
    """Write the weights of the cell's final run at seed 0, in half precision, with the key of its record; returns the file.

    The run's saved state must still be on this machine: FileNotFoundError tells what to run again.
    """
    finals = [r for r in records.cell(cell).values() if r["test"] and r["config"]["seed"] == 0 and not r["diverged"]]
    if not finals:
        raise ValueError(f"{cell} has no finished final run in {records.folder}; run `python -m gslib run {cell}` first")
    run = max(finals, key=lambda r: (r["config"]["steps"], -r["valid_bound"]))
    config = Config(**run["config"])
    data, about = load_data(run["data"]["images"])
    state = Checkpoints(checkpoints, about).state(config)
    if state is None:
        raise FileNotFoundError(f"the saved state of {config.key} is not on this machine; delete its line from "
                                f"{records.folder / cell}.jsonl and run `python -m gslib run {cell}` to train it again")
    weights = {k.removeprefix("model."): v.half() for k, v in state.items() if k.startswith("model.")}
    path = (folder or records.folder.parent / "weights") / f"{cell}.safetensors"
    slope = config.slope(config.steps, max(1, len(data["train"]) // config.batch))
    about = {"key": config.key, "config": json.dumps(config.to_dict()), "slope": str(slope)}
    write_atomically(path, save(weights, metadata=about))
    return path


def load_model(path: str | Path) -> tuple[torch.nn.Module, Config]:
    """The trained model of a kept file, without an ensemble axis, and the config that its record has."""
    with safe_open(path, framework="pt") as file:
        config = Config(**json.loads(file.metadata()["config"]))
        slope = float(file.metadata()["slope"])
        weights = {k: file.get_tensor(k).float() for k in file.keys()}
    model = type(build_model([config]))(config.node)
    model.load_state_dict(weights)
    if config.estimator == "annealed_st":  # it changes the node itself
        model.slope = torch.tensor(slope)
    return model, config
