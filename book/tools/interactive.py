"""Data and still pictures of the two interactive figures that need gslib: gradients against temperature, a trained VAE.

    python book/tools/interactive.py     recompute book/_static/variance-data.js and variance.svg (half a minute)

The gradients stand in the repository, and a test compares them with a recomputation. The VAE is written when the book is
built, from the weights that `python -m gslib keep` has put beside the records. Data travel in scripts, since a page that
is opened from a disk may not fetch files.
"""

import base64
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import NullLocator

import gslib
from gslib import plots
from gslib.check import PROGRAMS
from gslib.program import Trace
from notebooks import ROOT

STATIC = ROOT / "book" / "_static"

# --- gradients against temperature -----------------------------------------------------------------------------------

TITLES = {
    "bernoulli, linear": "three coins, linear loss",
    "bernoulli, quadratic": "three coins, quadratic loss",
    "bernoulli, cubic": "three coins, cubic loss",
    "categorical, two layers": "three classes, two layers",
}
RELAXED, DISCRETE = ("gumbel_softmax", "st_gumbel_softmax"), ("sf", "muprop", "st")
TAUS = [10 ** (k / 20 - 1) for k in range(41)]
POINTS, SEED = 2**16, 0
FLOOR = 0.003  # what is smaller is drawn on the line of zero


def gradients(name, program, samples, uniform, **settings):
    """Gradients of `samples` independent surrogates, [samples, P], over all parameters P of the program."""
    parameters, build = PROGRAMS[program]
    copies = [p.expand(samples, *p.shape).clone().requires_grad_() for p in parameters]
    surrogate = gslib.ESTIMATORS[name](build(*copies), uniform=uniform, **settings)
    found = torch.autograd.grad(surrogate.sum(), copies)
    return torch.cat([g.reshape(samples, -1) for g in found], -1)


def nodes(program):
    """The distributions of a program, each with its sample, from one run on its parameters."""
    parameters, build = PROGRAMS[program]
    trace = Trace()
    build(*parameters)(trace.recording(lambda q: q.sample()))
    return trace


def moments(estimates, weights, truth):
    """Bias and standard deviation of weighted estimates [n, P], relative to the length of the exact gradient."""
    mean = (weights[:, None] * estimates).sum(0)
    variance = (weights[:, None] * (estimates - mean) ** 2).sum()
    return (mean - truth).norm() / truth.norm(), variance.sqrt() / truth.norm()


def enumerated(name, program, truth):
    """Bias and standard deviation of an estimator with discrete samples, exact: one row for each joint state.

    Uniform noise close to 0 or 1 forces a state; a second run reads off how probable it is.
    """
    kinds = [q for q, _ in nodes(program)]
    choice = torch.cartesian_prod(*[torch.arange(q.n_states()) for q in kinds]).reshape(
        -1, len(kinds)
    )
    states = [q.states()[column] for q, column in zip(kinds, choice.unbind(-1), strict=True)]
    edge = 1e-12
    noise = iter([edge + (1 - 2 * edge) * z for z in states])
    estimates = gradients(
        name, program, len(choice), lambda logits: next(noise).reshape(logits.shape)
    )

    parameters, build = PROGRAMS[program]
    trace, forced = Trace(), iter(states)
    build(*[p.expand(len(choice), *p.shape) for p in parameters])(
        trace.recording(lambda q: next(forced))
    )
    return moments(estimates, trace.log_prob().exp(), truth)


def sampled(name, program, truth, tau):
    """Bias and standard deviation of a relaxed estimator, from evenly spread (scrambled Sobol) uniform noise."""
    sizes = [z.numel() for _, z in nodes(program)]
    u = torch.quasirandom.SobolEngine(sum(sizes), scramble=True, seed=SEED).draw(
        POINTS, dtype=torch.float64
    )
    noise = iter(u.split(sizes, -1))
    estimates = gradients(
        name, program, len(u), lambda logits: next(noise).reshape(logits.shape), tau=tau
    )
    return moments(estimates, torch.full((POINTS,), 1 / POINTS, dtype=u.dtype), truth)


def measure(program, taus=TAUS):
    """Estimator -> its biases and its standard deviations, one of each for every tau that makes a difference."""
    truth = gradients("exact", program, 1, None)[0]
    found = {name: [enumerated(name, program, truth)] for name in DISCRETE}
    found |= {name: [sampled(name, program, truth, tau) for tau in taus] for name in RELAXED}
    # Five digits; what is left of an exact zero is rounding.
    return {
        name: [
            [float(f"{x:.5g}") if x > 1e-9 else 0.0 for x in column]
            for column in zip(*pairs, strict=True)
        ]
        for name, pairs in found.items()
    }


def script(variable, data):
    """A script that leaves the data in a variable of the page, unless a test has put others there."""
    return f"window.{variable} ??= {json.dumps(data, separators=(',', ':'))};\n"


def variance():
    """All that variance.js draws, with the book's colours and lines."""
    dashes = {"-": "", "--": "9 5", "-.": "9 4 2 4", ":": "2 4"}
    lines = {
        name: {
            "label": plots.LABELS[name],
            "color": plots.COLORS[name],
            "dash": dashes[plots.LINESTYLES[name]],
        }
        for name in (*RELAXED, *DISCRETE)
    }
    programs = [{"title": title, "found": measure(name)} for name, title in TITLES.items()]
    return {
        "points": POINTS,
        "taus": [float(f"{tau:.4g}") for tau in TAUS],
        "lines": lines,
        "programs": programs,
    }


def draw_variance(data, path):
    """The still picture: the quadratic loss, and the mean of a hundred draws."""
    plots.use_style()
    found, taus, n = data["programs"][1]["found"], data["taus"], 100
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.6), sharey=True)
    for name, (bias, spread) in found.items():
        bias, spread = (torch.tensor(x).expand(len(taus)) for x in (bias, spread))
        measures = bias, spread / n**0.5, (bias**2 + spread**2 / n).sqrt()
        for ax, values in zip(axes, measures, strict=True):
            ax.plot(taus, values.clamp(min=FLOOR), **plots.estimator_style(name, marker=""))
    for ax, title in zip(axes, ("bias", "standard deviation", "error, both together"), strict=True):
        ax.set(
            xscale="log", yscale="log", ylim=(FLOOR, 10), title=title, xlabel=r"temperature $\tau$"
        )
        ax.set_yticks([FLOOR, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
        ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
        ax.yaxis.set_minor_locator(NullLocator())
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=11, columnspacing=1.2)
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)


# --- a trained VAE ---------------------------------------------------------------------------------------------------

MODEL = "vae-categorical-gumbel_softmax"


def kept():
    """The file of the model's weights, which may not be there yet."""
    return (
        Path(os.environ.get("GSLIB_RESULTS") or ROOT / "results")
        / "weights"
        / f"{MODEL}.safetensors"
    )


def packed(numbers, kind):
    """A tensor as text: base64 of its numbers, little-endian."""
    return base64.b64encode(numbers.contiguous().numpy().astype(kind).tobytes()).decode()


@torch.no_grad()
def latent(path):
    """All that latent.js needs of a kept VAE; None without one.

    The decoder is linear: its logits are a bias and one template for each variable, which the variable's class chooses.
    Each template is given as its difference from the variable's mean template, in 8 bits with a
    scale of its own, which moves a probability by 0.03 at most and halves the page; the means go
    into the bias. Variables are sorted by what they say about a digit, in nats.
    """
    if not path.exists():
        return None
    from gslib.experiment.weights import load_model

    model, config = load_model(path)
    images, labels = gslib.data.mnist("test")
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
    """Pixel probabilities [..., 784] of codes [..., 20], from the packed data, as latent.js computes them."""
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
    """The still picture: a digit's code with each of its five most telling variables put to all of its classes."""
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


# --- in the book -----------------------------------------------------------------------------------------------------


def write(path, text):
    """Write a file unless it holds this text already, since a page is read again when its pictures change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def configure(app, config):
    """Draw the still picture of the VAE before its page is read; its data wait for the folder of the pages."""
    app.latent = latent(kept())
    path = ROOT / "_build" / "generated" / "latent.svg"
    draw_latent(app.latent, path.with_suffix(".new.svg"))
    write(path, path.with_suffix(".new.svg").read_text(encoding="utf-8"))
    path.with_suffix(".new.svg").unlink()


def write_data(app):
    if app.builder.format == "html":
        write(Path(app.outdir, "_static", "latent-data.js"), script("gsLatent", app.latent))


def add_scripts(app, page, template, context, doctree):
    """Only the pages with an interactive figure load its script and its data."""
    if "gs-simplex" in context.get("body", ""):
        app.add_js_file("simplex.js")
    for name in ("variance", "latent"):
        if f"gs-{name}" in context.get("body", ""):
            app.add_css_file("figures.css")
            app.add_js_file("figures.js")
            app.add_js_file(f"{name}-data.js")
            app.add_js_file(f"{name}.js")


def setup(app):
    app.connect("config-inited", configure)
    app.connect("builder-inited", write_data)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    data = variance()
    write(STATIC / "variance-data.js", script("gsVariance", data))
    draw_variance(data, STATIC / "variance.svg")
