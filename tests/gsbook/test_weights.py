"""Weights beside the records."""

import shutil

import pytest
import torch
from helpers import TINY, config, execute, once, toy1

from gsbook import weights
from gsbook.experiments.table1.train import Ensemble


@pytest.mark.parametrize("estimator", ["st", "annealed_st"])
def test_kept_weights_give_the_trained_model_back(tmp_path, jobs, monkeypatch, estimator):
    wide = {name: split.repeat(1, 49) for name, split in TINY.items()}
    monkeypatch.setattr(run, "load_data", lambda images: (wide, ABOUT | {"images": images}))
    configs = [config("sbn", estimator=estimator, lr=1e-3, seed=s, slope_rate=0.5) for s in (0, 1)]
    records = execute(tmp_path, once(configs))
    path = weights_module.keep(configs[0].cell, records, checkpoints=tmp_path / "checkpoints")
    assert path == tmp_path / "weights" / f"{configs[0].cell}.safetensors"
    model, found = weights_module.load_model(path)
    assert found == configs[0]
    ensemble = Ensemble([configs[0]], wide)
    for _ in ensemble.advance(20):
        pass
    x = wide["test"].float()
    expected = ensemble.model.loss(x.unsqueeze(0), lambda q: q.mean)[0]
    torch.testing.assert_close(model.loss(x, lambda q: q.mean), expected, rtol=1e-3, atol=1e-2)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(
        FileNotFoundError,
        match=r"saved state of .* is not on this machine; delete its line .* run `py",
    ):
        weights_module.keep(configs[0].cell, records, checkpoints=tmp_path / "checkpoints")
    with pytest.raises(ValueError, match="vae-bernoulli-sf has no finished final run"):
        weights_module.keep("vae-bernoulli-sf", records)
