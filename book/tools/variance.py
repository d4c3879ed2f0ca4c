"""Data and still picture of the interactive figure of gradients against temperature.

    python book/tools/variance.py     recompute book/_static/variance-data.js and variance.svg

It takes some minutes. The data stand in the repository, and a test compares them with a
recomputation.
"""

import matplotlib.pyplot as plt
import torch
from interactive import script
from matplotlib.ticker import NullLocator
from repository import ROOT

import gslib
from gsbook.reader import plots
from gslib.program import Trace
from gslib.programs import PROGRAMS

STATIC = ROOT / "book" / "_static"

TITLES = {
    "bernoulli, linear": "three coins, linear loss",
    "bernoulli, quadratic": "three coins, quadratic loss",
    "bernoulli, cubic": "three coins, cubic loss",
    "categorical, two layers": "three classes, two layers",
}
# With a temperature; with none, and one sample of each node; with none, and several samples.
RELAXED = ("gumbel_softmax", "st_gumbel_softmax", "gumbel_rao", "gapped_st", "rebar")
DISCRETE, SEVERAL = ("sf", "muprop", "st", "reinmax"), ("rloo", "double_cv", "disarm")
NEWER = ("reinmax", "gumbel_rao", "gapped_st", "rloo", "double_cv", "disarm", "rebar")
# Known to be zero, and by tests; spread points would leave a small rest.
UNBIASED = ("rebar", *SEVERAL)
TAUS = [10 ** (k / 20 - 1) for k in range(41)]
POINTS, SEED = 2**16, 0
FLOOR = 0.003  # what is smaller is drawn on the line of zero


def gradients(name, program, samples, uniform, **settings):
    """Gradients of `samples` independent surrogates, [samples, P], over all parameters P of the
    program."""
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
    """Bias and standard deviation of weighted estimates [n, P], relative to the length of the exact
    gradient."""
    mean = (weights[:, None] * estimates).sum(0)
    variance = (weights[:, None] * (estimates - mean) ** 2).sum()
    return (mean - truth).norm() / truth.norm(), variance.sqrt() / truth.norm()


def enumerated(name, program, truth):
    """Bias and standard deviation of an estimator with discrete samples, exact: one row for each
    joint state.

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


def sampled(name, program, truth, **settings):
    """Bias and standard deviation of an estimator, from evenly spread (scrambled Sobol) uniform
    noise: a dimension for each number that one of its estimates asks for."""
    asked = []

    def ask(like):
        asked.append(like.numel())
        return torch.full_like(like, 0.5)

    gradients(name, program, 1, ask, **settings)
    u = torch.quasirandom.SobolEngine(sum(asked), scramble=True, seed=SEED).draw(
        POINTS, dtype=torch.float64
    )
    noise = iter(u.split(asked, -1))

    def spread(like):
        points, ahead = next(noise), like.shape.index(POINTS)  # axes of samples come first
        return points.reshape(POINTS, *like.shape[:ahead], *like.shape[ahead + 1 :]).movedim(
            0, ahead
        )

    estimates = gradients(name, program, POINTS, spread, **settings)
    bias, deviation = moments(estimates, torch.full((POINTS,), 1 / POINTS, dtype=u.dtype), truth)
    return (0 * bias if name in UNBIASED else bias), deviation


def measure(program, taus=TAUS):
    """Estimator -> its biases and its standard deviations, one of each for every tau that makes a
    difference."""
    truth = gradients("exact", program, 1, None)[0]
    found = {name: [sampled(name, program, truth, tau=t) for t in taus] for name in RELAXED}
    found |= {name: [enumerated(name, program, truth)] for name in DISCRETE}
    found |= {name: [sampled(name, program, truth)] for name in SEVERAL}
    # Five digits; what is left of an exact zero is rounding.
    return {
        name: [
            [float(f"{x:.5g}") if x > 1e-9 else 0.0 for x in column]
            for column in zip(*pairs, strict=True)
        ]
        for name, pairs in found.items()
    }


def variance():
    """All that variance.js draws, with the book's colours and lines."""
    dashes = {"-": "", "--": "9 5", "-.": "9 4 2 4", ":": "2 4"}
    own = [look for look in plots.LINESTYLES.values() if isinstance(look, tuple)]
    dashes |= {look: " ".join(str(2 * length) for length in look[1]) for look in own}
    lines = {
        name: {
            "label": plots.LABELS[name],
            "color": plots.COLORS[name],
            "dash": dashes[plots.LINESTYLES[name]],
            "newer": name in NEWER,
        }
        for name in (*RELAXED, *DISCRETE, *SEVERAL)
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
    for name in [name for name in found if name not in NEWER]:
        bias, spread = found[name]
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


if __name__ == "__main__":
    data = variance()
    (STATIC / "variance-data.js").write_text(script("gsVariance", data), encoding="utf-8")
    draw_variance(data, STATIC / "variance.svg")
