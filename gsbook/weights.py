"""Small trained weights kept beside the records, so that samples and completions render without
training."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gsbook import files
from gsbook.engine.checkpoints import Checkpoints, checksum
from gsbook.engine.experiment import Experiment
from gsbook.experiments import ALPHABETS, READING, TABLE1, TABLE2
from gsbook.experiments.alphabets.config import Config as Deeper
from gsbook.experiments.alphabets.model import deepen
from gsbook.experiments.reading.config import Reading
from gsbook.experiments.reading.model import ReadingAloud
from gsbook.experiments.table1.config import MODELS, Config
from gsbook.experiments.table1.plan import again
from gsbook.experiments.table2.config import FewLabels
from gsbook.places import command, results_folder
from gsbook.records import Records, read_config
from gslib.estimators import ESTIMATORS
from gslib.models import SemiSupervisedVAE

# What a kept file's name begins with -> whose runs it holds; those of Table 1 have cells alone.
PREFIXES = {"few-labels-": TABLE2, "reading-": READING, "alphabets-": ALPHABETS}
Kept = Config | FewLabels | Reading
WIDEST = 10_000  # units of a layer: what a file may ask for before anything large is made

AVERAGED = "average.module."


def keep(
    cell: str, found: Records, *, checkpoints: Path | None = None, folder: Path | None = None
) -> Path:
    """Write the weights of the cell's final run at seed 0, in half precision, with the key of its
    record and their SHA-256; returns the file.

    cell: of Table 1, a method of Table 2, "reading-" and a method of reading aloud, or "alphabets-"
    and a cell of other alphabets.

    Raises:
        ValueError: no such run is recorded. FileNotFoundError: its saved state is no longer on
        this machine; both tell what to run.
    """
    experiment, first = of(cell)
    cell = cell.removeprefix(first)
    makes = command(cell if experiment is TABLE1 else experiment.name)
    finals = [
        run
        for run in found.runs_of(cell).values()
        if run["test"] and run["config"]["seed"] == 0 and not run["diverged"]
    ]
    if not finals:
        raise ValueError(f"{cell} has no finished final run in {found.folder}; run `{makes}` first")
    run = max(finals, key=lambda r: (r["config"]["steps"], -goodness(experiment, r)))
    config = experiment.config(**run["config"])
    data, about = experiment.load_data(run["data"]["images"])
    state = Checkpoints(experiment, about, checkpoints).state(config)
    if state is None:
        makes = again(cell, config.steps) if experiment is TABLE1 else makes
        raise FileNotFoundError(
            f"the saved state of {config.key} is not on this machine; delete its line from "
            f"{found.path(cell)} and run `{makes}` to train it again"
        )
    averaged = any(k.startswith(AVERAGED) for k in state)  # then these are what was evaluated
    prefix = AVERAGED if averaged else "model."
    weights = {k.removeprefix(prefix): v.half() for k, v in state.items() if k.startswith(prefix)}
    metadata = {"key": config.key, "config": json.dumps(config.to_dict())}
    if experiment in (TABLE1, ALPHABETS):
        splits = data if experiment is TABLE1 else data[config.data]
        per_epoch = max(1, len(splits["train"]) // config.batch)
        metadata["slope"] = str(config.slope(config.steps, per_epoch))
    metadata["sha256"] = stamp(metadata, weights)
    path = weights_file(first + cell, folder or found.folder.parent / "weights")
    files.write(path, save(weights, metadata=metadata))
    return path


def of(cell: str) -> tuple[Experiment, str]:
    """(experiment, prefix of its kept files) of what `keep` is asked for.

    >>> of("reading-st")[0].name, of("supervised")[0].name, of("vae-bernoulli-st")[0].name
    ('reading', 'table2', 'table1')
    """
    for prefix, experiment in PREFIXES.items():
        if cell.startswith(prefix):
            return experiment, prefix
    return (TABLE2, "few-labels-") if cell in TABLE2.cells else (TABLE1, "")


def goodness(experiment: Experiment, run: dict) -> float:
    """What of several finished runs decides, lower is better."""
    if experiment is READING:
        return run["valid"]["nll"]
    return -run["valid"]["accuracy"] if experiment is TABLE2 else run["valid_bound"]


def weights_file(cell: str, folder: Path | None = None) -> Path:
    """Where the kept weights of a cell of Table 1 or a method of Table 2 are.

    >>> weights_file("vae-bernoulli-st").name
    'vae-bernoulli-st.safetensors'
    """
    prefix = of(cell)[1]
    name = f"{prefix}{cell.removeprefix(prefix)}.safetensors"
    return (folder or results_folder() / "weights") / name


def stamp(metadata: dict[str, str], weights: dict[str, torch.Tensor]) -> str:
    """The SHA-256 of kept weights, with the run that they are of and the slope that they need."""
    return checksum(repr((metadata["key"], metadata.get("slope"))), weights)


def load_model(path: str | Path) -> tuple[torch.nn.Module, Kept]:
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
            weights = {k: file.get_tensor(k) for k in file.keys()}
        sha256 = stamp(metadata, weights)
        weights = {k: value.float() for k, value in weights.items()}
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError("a weight is not finite")
        model = build(config, weights, slope)
        if metadata.get("sha256") != sha256:
            raise ValueError("its SHA-256 is not the one that it was kept with")
        return model, config
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no weights that `python -m gsbook keep` wrote ({error}); restore it "
            "from version control, or keep it again"
        ) from None


def config_of(metadata: dict[str, str]) -> Kept:
    if not {"config", "key"} <= metadata.keys():
        raise ValueError("its metadata lack the config and the key of a record")
    settings = json.loads(metadata["config"])
    kind: type[Kept] = Deeper if "network" in settings else Config
    if "method" in settings:
        kind = FewLabels if "alpha" in settings else Reading
    config = read_config(kind, settings)
    if config.key != metadata["key"]:
        raise ValueError(f"its key {metadata['key']} is not the one of its config, {config.key}")
    if (
        isinstance(config, FewLabels)
        and max(config.classes, config.style, *config.channels) > WIDEST
    ):
        raise ValueError(f"its model is wider than {WIDEST:,} units")
    if isinstance(config, Reading) and max(config.embedding, config.width, config.hidden) > WIDEST:
        raise ValueError(f"its model is wider than {WIDEST:,} units")
    return config


def build(config: Kept, weights: dict, slope: float) -> torch.nn.Module:
    if isinstance(config, Reading):
        model = ReadingAloud(embedding=config.embedding, width=config.width, hidden=config.hidden)
        fill(model, weights)
        return model
    if isinstance(config, FewLabels):
        model = SemiSupervisedVAE(config.classes, style=config.style, channels=config.channels)
        fill(model, weights)
        return model
    model = MODELS[config.model](config.node)
    if isinstance(config, Deeper):
        deepen(model, config.network)
    fill(model, weights)
    if ESTIMATORS[config.estimator].schedule == "slope":  # it changes the node itself
        model.slope, model.slope_form = torch.tensor(slope), config.slope_form
    return model


def fill(model: torch.nn.Module, weights: dict) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # names and shapes; what runs out of memory says so elsewhere
        raise ValueError(" ".join(str(error).split())) from None
