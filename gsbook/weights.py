"""Small trained weights kept beside the records, so that samples and completions render without
training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gsbook import files
from gsbook.engine.checkpoints import Checkpoints
from gsbook.engine.experiment import Experiment
from gsbook.experiments import TABLE1, TABLE2
from gsbook.experiments.table1.config import MODELS, Config
from gsbook.experiments.table2.config import FewLabels
from gsbook.places import command, results_folder
from gsbook.records import Records, read_config
from gslib.estimators import ESTIMATORS
from gslib.models import SemiSupervisedVAE

WIDEST = 10_000  # units of a layer: what a file may ask for before anything large is made

AVERAGED = "average.module."


def keep(
    cell: str, found: Records, *, checkpoints: Path | None = None, folder: Path | None = None
) -> Path:
    """Write the weights of the cell's final run at seed 0, in half precision, with the key of its
    record; returns the file.

    Raises:
        ValueError: no such run is recorded. FileNotFoundError: its saved state is no longer on
        this machine; both tell what to run.
    """
    experiment = TABLE2 if cell in TABLE2.cells else TABLE1
    finals = [
        run
        for run in found.runs_of(cell).values()
        if run["test"] and run["config"]["seed"] == 0 and not run["diverged"]
    ]
    if not finals:
        raise ValueError(
            f"{cell} has no finished final run in {found.folder}; run `{command(cell)}` first"
        )
    run = max(finals, key=lambda r: (r["config"]["steps"], -goodness(experiment, r)))
    config = experiment.config(**run["config"])
    data, about = experiment.load_data(run["data"]["images"])
    state = Checkpoints(experiment, about, checkpoints).state(config)
    if state is None:
        raise FileNotFoundError(
            f"the saved state of {config.key} is not on this machine; delete its line from "
            f"{found.path(cell)} and run `{command(cell)}` to train it again"
        )
    averaged = any(k.startswith(AVERAGED) for k in state)  # then these are what was evaluated
    prefix = AVERAGED if averaged else "model."
    weights = {k.removeprefix(prefix): v.half() for k, v in state.items() if k.startswith(prefix)}
    metadata = {"key": config.key, "config": json.dumps(config.to_dict())}
    if experiment is TABLE1:
        per_epoch = max(1, len(data["train"]) // config.batch)
        metadata["slope"] = str(config.slope(config.steps, per_epoch))
    path = weights_file(cell, folder or found.folder.parent / "weights")
    files.write(path, save(weights, metadata=metadata))
    return path


def goodness(experiment: Experiment, run: dict) -> float:
    """What of several finished runs decides, lower is better."""
    return -run["valid"]["accuracy"] if experiment is TABLE2 else run["valid_bound"]


def weights_file(cell: str, folder: Path | None = None) -> Path:
    """Where the kept weights of a cell of Table 1 or a method of Table 2 are.

    >>> weights_file("vae-bernoulli-st").name
    'vae-bernoulli-st.safetensors'
    """
    prefix = "few-labels-" if cell in TABLE2.cells else ""
    return (folder or results_folder() / "weights") / f"{prefix}{cell}.safetensors"


def load_model(path: str | Path) -> tuple[torch.nn.Module, Config | FewLabels]:
    """The trained model of a kept file, without an ensemble axis, and the config of its record.

    Raises:
        ValueError: the file is no such file; it says why, and what to do. FileNotFoundError.

    >>> model, config = load_model(weights_file("sbn-bernoulli-gumbel_softmax"))
    >>> model.complete(torch.zeros(1, 392)).shape, config.cell
    (torch.Size([1, 392]), 'sbn-bernoulli-gumbel_softmax')
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            config, slope = config_of(metadata), float(metadata.get("slope", 1))
            if not 1 <= slope <= WIDEST:
                raise ValueError(f"its slope is {slope:g}")
            weights = {k: file.get_tensor(k).float() for k in file.keys()}
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError("a weight is not finite")
        return build(config, weights, slope), config
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no weights that `python -m gsbook keep` wrote ({error}); restore it "
            "from version control, or keep it again"
        ) from None


def config_of(metadata: dict[str, str]) -> Config | FewLabels:
    if not {"config", "key"} <= metadata.keys():
        raise ValueError("its metadata lack the config and the key of a record")
    settings = json.loads(metadata["config"])
    kind = FewLabels if "method" in settings else Config
    config = read_config(kind, settings)
    if config.key != metadata["key"]:
        raise ValueError(f"its key {metadata['key']} is not the one of its config, {config.key}")
    if (
        isinstance(config, FewLabels)
        and max(config.classes, config.style, *config.channels) > WIDEST
    ):
        raise ValueError(f"its model is wider than {WIDEST:,} units")
    return config


def build(config: Config | FewLabels, weights: dict, slope: float) -> torch.nn.Module:
    if isinstance(config, FewLabels):
        model = SemiSupervisedVAE(config.classes, style=config.style, channels=config.channels)
        fill(model, weights)
        return model
    model = MODELS[config.model](config.node)
    fill(model, weights)
    if ESTIMATORS[config.estimator].schedule == "slope":  # it changes the node itself
        model.slope, model.slope_form = torch.tensor(slope), config.slope_form
    return model


def fill(model: torch.nn.Module, weights: dict) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # names and shapes; what runs out of memory says so elsewhere
        raise ValueError(" ".join(str(error).split())) from None
