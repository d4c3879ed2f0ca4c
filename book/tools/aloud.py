"""Data and still picture of the interactive figure that reads a word aloud, from the weights that
`python -m gsbook keep` has put beside the records."""

import base64

import matplotlib.pyplot as plt
import torch
from latent import packed

from gsbook.experiments.reading import results
from gsbook.experiments.reading.model import SAID, SIGNS, ReadingAloud, spell
from gsbook.reader import plots
from gsbook.reader.sounds import HEARD
from gsbook.weights import load_model, weights_file
from gsbook.words import Word

# The first one is shown first; a network is 130 kB of a page that should stay under 1.5 MB.
METHODS = ("gumbel_softmax", "soft")
STILL = ("menthol", "queen", "wren", "plague")  # held out, as those of aloud.js


def kept():
    """The files of the weights that are there, by method."""
    found = {method: weights_file(f"reading-{method}") for method in METHODS}
    return {method: path for method, path in found.items() if path.exists()}


def quantised(weight):
    """A matrix in 8 bits, with a scale for each row; a vector as it is."""
    if weight.ndim == 1:
        return {"shape": list(weight.shape), "values": packed(weight, "<f4")}
    scale = weight.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    rows = packed((weight / scale).round(), "i1")
    return {"shape": list(weight.shape), "scale": packed(scale, "<f4"), "rows": rows}


def restored(weight):
    """What `quantised` has packed, as aloud.js reads it."""

    def numbers(name, kind):
        return torch.frombuffer(bytearray(base64.b64decode(weight[name])), dtype=kind)

    if "values" in weight:
        return numbers("values", torch.float32)
    return (
        numbers("rows", torch.int8).view(weight["shape"]) * numbers("scale", torch.float32)[:, None]
    )


@torch.no_grad()
def aloud(paths):
    """All that aloud.js needs of the kept networks, by method; None without one."""
    models = {}
    for method, path in paths.items():
        model, config = load_model(path)
        models[method] = {
            "label": results.LABELS[method],
            "steps": config.steps,
            "width": config.width,
            "soft": method == "soft",
            "weights": {name: quantised(w) for name, w in model.state_dict().items()},
        }
    return {"signs": SIGNS, "said": SAID, "heard": HEARD, "models": models} if models else None


def network(data, method):
    """The network whose weights are those of the page."""
    weights = {k: restored(w) for k, w in data["models"][method]["weights"].items()}
    sizes = dict(embedding=weights["letter.weight"].shape[1], width=data["models"][method]["width"])
    model = ReadingAloud(**sizes, hidden=weights["out.weight"].shape[1])
    model.load_state_dict(weights)
    return model


def draw_aloud(data, path):
    """The still picture: where the network of the first method looks as it reads four words."""
    plots.use_style()
    if data is None:
        _, ax = plt.subplots(figsize=(6, 2))
        plots.nothing(ax, "The networks of this figure are not trained yet.")
    else:
        method = next(iter(data["models"]))
        letters = spell([Word(word, ()) for word in STILL]).letters
        sounds, looks = network(data, method).read(letters, soft=data["models"][method]["soft"])
        _, axes = plt.subplots(2, 2, figsize=(7, 6.6))
        for ax, word, said, looked in zip(axes.flat, STILL, sounds, looks, strict=True):
            plots.alignment(word, [SAID[k] for k in said if k >= 0], looked, ax)
    plt.savefig(path, metadata={"Date": None})
    plt.close()
