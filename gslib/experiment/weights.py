"""Small trained weights kept beside the records, so that samples and completions render without training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from gslib.estimators import ESTIMATORS
from gslib.experiment.config import Config
from gslib.experiment.few_labels import METHODS, FewLabels
from gslib.experiment.records import Records, write_atomically
from gslib.experiment.run import Checkpoints, kind
from gslib.experiment.train import build_model
from gslib.models import SemiSupervisedVAE


def keep(
    cell: str, records: Records, *, checkpoints: Path | None = None, folder: Path | None = None
) -> Path:
    """Write the weights of the cell's final run at seed 0, in half precision, with the key of its record; returns the file.

    The run's saved state must still be on this machine: FileNotFoundError tells what to run again.

    >>> keep("vae-bernoulli-st", Records("none"))
    Traceback (most recent call last):
    ValueError: vae-bernoulli-st has no finished final run in none; run `python -m gslib run vae-bernoulli-st` first
    """
    finals = [
        r
        for r in records.cell(cell).values()
        if r["test"] and r["config"]["seed"] == 0 and not r["diverged"]
    ]
    if not finals:
        raise ValueError(
            f"{cell} has no finished final run in {records.folder}; run `python -m gslib run {cell}` first"
        )
    few_labels = cell in METHODS
    run = max(
        finals,
        key=lambda r: (
            r["config"]["steps"],
            r["valid"]["accuracy"] if few_labels else -r["valid_bound"],
        ),
    )
    config = (FewLabels if few_labels else Config)(**run["config"])
    data, about = kind(config).load_data(run["data"]["images"])
    state = Checkpoints(checkpoints, about, kind(config).code()).state(config)
    if state is None:
        target = "table2" if few_labels else cell
        raise FileNotFoundError(
            f"the saved state of {config.key} is not on this machine; delete its line from "
            f"{records.folder / cell}.jsonl and run `python -m gslib run {target}` to train it again"
        )
    weights = {
        k.removeprefix("model."): v.half() for k, v in state.items() if k.startswith("model.")
    }
    about = {"key": config.key, "config": json.dumps(config.to_dict())}
    if not few_labels:
        about["slope"] = str(config.slope(config.steps, max(1, len(data["train"]) // config.batch)))
    path = (
        folder or records.folder.parent / "weights"
    ) / f"{'few-labels-' if few_labels else ''}{cell}.safetensors"
    write_atomically(path, save(weights, metadata=about))
    return path


def load_model(path: str | Path) -> tuple[torch.nn.Module, Config | FewLabels]:
    """The trained model of a kept file, without an ensemble axis, and the config that its record has.

    >>> from gslib.experiment import summary
    >>> model, config = load_model(summary.book() / "results" / "weights" / "sbn-bernoulli-gumbel_softmax.safetensors")
    >>> model.complete(torch.zeros(1, 392)).shape, config.cell
    (torch.Size([1, 392]), 'sbn-bernoulli-gumbel_softmax')
    """
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        settings, slope = json.loads(about["config"]), float(about.get("slope", 1))
        weights = {k: file.get_tensor(k).float() for k in file.keys()}
    if "method" in settings:
        config = FewLabels(**settings)
        model = SemiSupervisedVAE(config.classes, style=config.style, channels=config.channels)
        model.load_state_dict(weights)
        return model, config
    config = Config(**settings)
    model = type(build_model([config]))(config.node)
    model.load_state_dict(weights)
    if ESTIMATORS[config.estimator].schedule == "slope":  # it changes the node itself
        model.slope = torch.tensor(slope)
    return model, config
