"""The data of the interactive figures: recomputed with gslib, and the decoder of the page against torch's."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import gslib
from gslib.__main__ import main
from gslib.experiment import Config
from gslib.experiment.weights import load_model
from gslib.models import DiscreteVAE

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import interactive  # noqa: E402


def read(script):
    """The data of a script."""
    return json.loads(script.partition("??= ")[2].rstrip(";\n"))


@pytest.fixture(scope="module")
def variance():
    return read((ROOT / "book" / "_static" / "variance-data.js").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("place", "program"), list(enumerate(interactive.TITLES)), ids=list(interactive.TITLES)
)
def test_the_gradients_are_those_that_gslib_computes(variance, place, program):
    written, some = variance["programs"][place], [0, 13, 20, 40]
    assert written["title"] == interactive.TITLES[program]
    assert variance["taus"] == pytest.approx(interactive.TAUS, rel=1e-3)
    again = interactive.measure(program, [interactive.TAUS[i] for i in some])
    assert set(variance["lines"]) == set(written["found"]) == set(again)
    for name, columns in again.items():
        for kind, values in zip(written["found"][name], columns, strict=True):
            at = some if name in interactive.RELAXED else [0]
            assert [kind[i] for i in at] == pytest.approx(values, rel=1e-3, abs=1e-6), name


@pytest.fixture(scope="module")
def measured():
    return {program: interactive.measure(program, [1.0]) for program in interactive.TITLES}


@pytest.mark.parametrize("name", [*interactive.RELAXED, *interactive.DISCRETE])
def test_bias_and_spread_agree_with_the_bench(name, measured):
    settings = {"tau": 1.0} if name in interactive.RELAXED else {}
    bench = {p.program: p for p in gslib.check(name, samples=20_000, **settings).programs}
    for program in interactive.TITLES:
        (bias,), (spread,) = measured[program][name]
        p = bench[program]
        assert p.bias / p.exact_norm == pytest.approx(
            bias, abs=4 * p.standard_error / p.exact_norm + 1e-9
        )
        assert p.variance**0.5 / p.exact_norm == pytest.approx(spread, rel=0.1, abs=1e-9)
        assert bias == 0 or name not in ("sf", "muprop")


def stand_in(path):
    """A model with random weights, as large as trained ones, kept as `python -m gslib keep` does."""
    model = DiscreteVAE("categorical", seeds=[4])
    weights = {name: (8 * value).half().contiguous() for name, value in model.state_dict().items()}
    config = Config("vae", "categorical", "gumbel_softmax", lr=1e-3, steps=7)
    save_file(weights, path, metadata={"config": json.dumps(config.to_dict()), "slope": "1.0"})
    return path


@pytest.fixture(scope="module", params=["random", "kept"])
def model(request, tmp_path_factory):
    path = interactive.kept()
    if request.param == "random":
        path = stand_in(tmp_path_factory.mktemp("weights") / "model.safetensors")
    elif not path.exists():
        pytest.skip(f"{path.name} is not there yet")
    return load_model(path)[0], read(interactive.script("gsLatent", interactive.latent(path)))


@torch.no_grad()
def test_the_decoder_of_the_page_is_that_of_the_model(model):
    model, data = model
    codes = torch.cat([torch.tensor(data["codes"]), torch.randint(0, 10, (500, 20))])
    own = torch.empty_like(codes)
    own[:, data["units"]] = codes  # back into the model's order
    z = torch.nn.functional.one_hot(own, 10).float()
    probabilities = model.decoder(z.flatten(-2)).sigmoid()
    assert probabilities.std() > 0.1
    error = (interactive.decode(data, codes) - probabilities).abs()
    assert error.max() < 0.05  # eight bits
    assert error.mean() < 2e-3


@torch.no_grad()
def test_codes_are_those_of_ten_digits(model):
    model, data = model
    codes = torch.tensor(data["codes"])
    assert codes.shape == (10, 20)
    assert torch.equal(
        torch.nn.functional.one_hot(codes, 10).sum(-1), torch.ones(10, 20, dtype=torch.long)
    )
    images = torch.frombuffer(
        bytearray(interactive.base64.b64decode(data["images"])), dtype=torch.uint8
    ).view(10, 784)
    assert torch.equal(model.posterior(images.float()).logits.argmax(-1)[:, data["units"]], codes)
    truth = gslib.data.mnist("test")
    for digit, image in enumerate(images):
        same = ((truth.images > 127) == image.bool()).all(-1)
        assert digit in truth.labels[same]
    assert torch.tensor(data["share"]).sum(-1) == pytest.approx(torch.ones(20), abs=1e-3)


def test_without_weights_there_is_a_picture_that_says_so(tmp_path):
    assert interactive.latent(tmp_path / "none.safetensors") is None
    assert interactive.script("gsLatent", None) == "window.gsLatent ??= null;\n"
    interactive.draw_latent(None, tmp_path / "none.svg")
    assert (tmp_path / "none.svg").stat().st_size > 0


def test_the_commands_that_the_page_names_are_there(tmp_path, capsys):
    said = (ROOT / "book" / "_static" / "latent.js").read_text(encoding="utf-8")
    run, keep = re.findall(r"<code>python -m gslib ([^<]+)</code>", said)
    assert main([*run.split(), "--dry-run"]) == 0
    with pytest.raises(SystemExit):
        main([*keep.split(), "--results", str(tmp_path)])
    assert f"{interactive.MODEL} has no finished final run" in capsys.readouterr().err
