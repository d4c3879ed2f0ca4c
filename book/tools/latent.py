"""Data and still picture of the interactive figure of a trained VAE, from the weights that
`python -m gsbook keep` has put beside the records."""

import base64

import matplotlib.pyplot as plt
import torch

import gslib
from gsbook import data
from gsbook.places import results_folder
from gsbook.reader import plots
from gsbook.weights import load_model

MODEL = "vae-categorical-gumbel_softmax"


def kept():
    """The file of the model's weights, which may not be there yet."""
    return results_folder() / "weights" / f"{MODEL}.safetensors"


def packed(numbers, kind):
    """A tensor as text: base64 of its numbers, little-endian."""
    return base64.b64encode(numbers.contiguous().numpy().astype(kind).tobytes()).decode()


@torch.no_grad()
def latent(path):
    """All that latent.js needs of a kept VAE; None without one.

    The decoder is linear: its logits are a bias and one template for each variable, which the
    variable's class chooses. Each template is given as its difference from the variable's mean
    template, in 8 bits with a scale of its own, which moves a probability by 0.03 at most and
    halves the page; the means go into the bias. Variables are sorted by what they say about a
    digit, in nats."""
    if not path.exists():
        return None
    model, config = load_model(path)
    images, labels = data.mnist("test")
    x = (images > 127).float()
    q = model.posterior(x)
    order = gslib.kl(q, model.prior()).mean(0).argsort(descending=True)
    share = q.mean.mean(0)[order]  # [20, 10]: how often each class is chosen
    templates = model.decoder.weight.unflatten(0, model.size)[order]  # [20, 10, 784]
    means = (share[..., None] * templates).sum(1, keepdim=True)
    differences = templates - means
    scale = differences.abs().amax(-1, keepdim=True) / 127
    first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    codes = q.logits.argmax(-1)[first][:, order]
    return {
        "steps": config.steps,
        "units": order.tolist(),  # the model's own numbers
        "bias": packed((model.decoder.bias[0] + means.sum((0, 1))), "<f4"),
        "scale": packed(scale, "<f4"),
        "templates": packed((differences / scale).round(), "i1"),
        "share": [[round(p, 4) for p in row] for row in share.tolist()],
        "codes": codes.tolist(),
        "images": packed(x[first], "uint8"),
    }


def decode(data, codes):
    """Pixel probabilities [..., 784] of codes [..., 20], from the packed data, as latent.js
    computes them."""
    bias, scale, templates = (
        torch.frombuffer(bytearray(base64.b64decode(data[name])), dtype=kind)
        for name, kind in (
            ("bias", torch.float32),
            ("scale", torch.float32),
            ("templates", torch.int8),
        )
    )
    templates = templates.view(20, 10, 784) * scale.view(20, 10, 1)
    return (bias + templates[torch.arange(20), codes].sum(-2)).sigmoid()


def draw_latent(data, path):
    """The still picture: a digit's code with each of its five most telling variables put to all of
    its classes."""
    plots.use_style()
    if data is None:
        _, ax = plt.subplots(figsize=(6, 2))
        plots.nothing(ax, "The model of this figure is not trained yet.")
    else:
        codes = torch.tensor(data["codes"][3]).repeat(5, 10, 1)
        for variable in range(5):
            codes[variable, :, variable] = torch.arange(10)
        plots.digits(decode(data, codes.flatten(0, 1)))
    plt.savefig(path, metadata={"Date": None})
    plt.close()
