"""The trained VAE of the interactive figure: the decoder of the page against torch's."""

import base64
import json
import re
from pathlib import Path

import latent
import pytest
import torch
from interactive import script
from safetensors.torch import save_file

from gsbook.__main__ import main
from gsbook.data import mnist
from gsbook.experiments.table1.config import Config
from gsbook.weights import load_model, stamp
from gslib.models import DiscreteVAE

ROOT = Path(__file__).resolve().parents[2]


def read(script):
    """The data of a script of the page."""
    return json.loads(script.partition("??= ")[2].rstrip(";\n"))


def stand_in(path):
    """A model with random weights, as large as trained ones, kept as `python -m gsbook keep`
    does."""
    model = DiscreteVAE("categorical", seeds=[4])
    weights = {name: (8 * value).half().contiguous() for name, value in model.state_dict().items()}
    config = Config("vae", "categorical", "gumbel_softmax", lr=1e-3, steps=7)
    about = {"key": config.key, "config": json.dumps(config.to_dict()), "slope": "1.0"}
    about["sha256"] = stamp(about, weights)
    save_file(weights, path, metadata=about)
    return path


@pytest.fixture(scope="module", params=["random", "kept"])
def model(request, tmp_path_factory):
    path = latent.kept()
    if request.param == "random":
        path = stand_in(tmp_path_factory.mktemp("weights") / "model.safetensors")
    elif not path.exists():
        pytest.skip(f"{path.name} is not there yet")
    return load_model(path)[0], read(script("gsLatent", latent.latent(path)))


@torch.no_grad()
def test_the_decoder_of_the_page_is_that_of_the_model(model):
    model, data = model
    codes = torch.cat([torch.tensor(data["codes"]), torch.randint(0, 10, (500, 20))])
    own = torch.empty_like(codes)
    own[:, data["units"]] = codes  # back into the model's order
    z = torch.nn.functional.one_hot(own, 10).float()
    probabilities = model.decoder(z.flatten(-2)).sigmoid()
    assert probabilities.std() > 0.1
    error = (latent.decode(data, codes) - probabilities).abs()
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
    images = torch.frombuffer(bytearray(base64.b64decode(data["images"])), dtype=torch.uint8).view(
        10, 784
    )
    assert torch.equal(model.posterior(images.float()).logits.argmax(-1)[:, data["units"]], codes)
    truth = mnist("test")
    for digit, image in enumerate(images):
        same = ((truth.images > 127) == image.bool()).all(-1)
        assert digit in truth.labels[same]
    assert torch.tensor(data["share"]).sum(-1) == pytest.approx(torch.ones(20), abs=1e-3)


def test_without_weights_there_is_a_picture_that_says_so(tmp_path):
    assert latent.latent(tmp_path / "none.safetensors") is None
    assert script("gsLatent", None) == "window.gsLatent ??= null;\n"
    latent.draw_latent(None, tmp_path / "none.svg")
    assert (tmp_path / "none.svg").stat().st_size > 0


def test_the_commands_that_the_page_names_are_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gsbook.timing.predicted_seconds", lambda *_: 60.0)
    said = (ROOT / "book" / "_static" / "latent.js").read_text(encoding="utf-8")
    run, keep = re.findall(r"<code>python -m gsbook ([^<]+)</code>", said)
    assert main([*run.split(), "--dry-run"]) == 0
    assert main([*keep.split(), "--results", str(tmp_path)]) != 0
    assert f"{latent.MODEL} has no finished final run" in capsys.readouterr().err
