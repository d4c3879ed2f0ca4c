"""Is this device right? Its noise, its products, and some steps of every cell beside the CPU's."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from gsbook.engine.noise import Noise, keys
from gsbook.engine.workers import Stopped
from gsbook.experiments.table1.evaluate import valid_bound
from gsbook.experiments.table1.train import Ensemble
from gsbook.gpu.session import Session, cells_of, finals

# Relative difference of what a few steps change: a bit that rounding flips makes some 1e-3 in one
# tensor, noise or a schedule that is wrong makes 1.
CLOSE = 3e-2


def check(session: Session, data: dict[str, Tensor]) -> dict[str, str]:
    """Cell -> the mode in which its steps are right here. Cells that are right in none are left
    out, and the report says so."""
    started = session.clock()
    found: dict = {"noise": noise_difference(session.device), "product": product_error(session)}
    print(f"noise differs from the CPU's by {found['noise']:.1e} at most", flush=True)
    print(f"products differ from float64 by {found['product']:.1e}, relatively", flush=True)
    if found["noise"] > 2**-22 or found["product"] > 1e-5:
        raise Stopped(
            f"this device's noise or products are not those of the CPU ({found}): its numbers "
            "would be of another experiment; nothing was trained"
        )
    part = {name: split[:2000].cpu() for name, split in data.items()}
    part |= {name: part[name][:20] for name in ("valid", "test")}
    modes = {}
    for cell in cells_of(session.scale):
        found[cell] = {}
        expected = trained(session, cell, part, "cpu", "eager")
        for mode in dict.fromkeys((session.mode, "eager")):
            try:
                got = trained(session, cell, part, session.device, mode)
                found[cell][mode] = distance(expected, got)
            except Exception as error:  # of any kind: the next mode may do
                found[cell][mode] = f"{type(error).__name__}: {error}"[:300]
                continue
            if found[cell][mode] < CLOSE:
                modes[cell] = mode
                break
        else:
            print(f"WRONG {cell}: {found[cell]}; it is left out", flush=True)
        if cell in modes and modes[cell] != session.mode:
            print(f"SLOW {cell}: {found[cell]}", flush=True)
    seconds = session.wait() - started
    worst = max((found[c][m] for c, m in modes.items()), default=math.nan)
    print(
        f"{len(modes)} cells agree with the CPU, the worst within {worst:.1e} "
        f"({seconds:.0f} seconds)",
        flush=True,
    )
    session.report["check"] = found | {"seconds": seconds}
    return modes


def noise_difference(device: torch.device) -> float:
    """The largest difference of the noise of two members on this device and on the CPU."""
    place = torch.tensor([3, 70_000])
    both = [
        Noise(keys("noise", [0, 1], device=d), place.to(d), ndim=3)(torch.zeros(2, 50, 200).to(d))
        for d in (torch.device("cpu"), device)
    ]
    return float((both[0] - both[1].cpu()).abs().max())


def product_error(session: Session) -> float:
    """The relative error of a product of float32 matrices, which TF32 would make 1,000 times as
    large."""
    a, b = (torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(0))).unbind()
    exact = a.double() @ b.double()
    got = (a.to(session.device) @ b.to(session.device)).cpu().double()
    return float((got - exact).norm() / exact.norm())


def trained(session: Session, cell: str, data: dict, device, mode: str) -> dict[str, Tensor]:
    """What a few steps change, and what they lead to: tensors on the CPU."""
    configs = [replace(c, batch=session.scale.batch) for c in finals(cell, session.scale)[:2]]
    trainer = Ensemble(configs, data, device=device, mode=mode)
    before = trainer.training.kept()
    trainer.train_to(session.scale.checked)
    after = trainer.training.kept()
    change = {name: value.double() - before[name].double() for name, value in after.items()}
    change["losses"] = trainer.training.losses().cpu().double()
    change["bound"] = valid_bound(trainer, 5).cpu().double()
    return change


def distance(expected: dict[str, Tensor], got: dict[str, Tensor]) -> float:
    """The largest relative difference of two sets of tensors, infinite where one is not finite."""
    worst, least = 0.0, 1e-6 * max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        error = float((got[name] - value).norm() / value.norm().clamp(min=least))
        worst = max(worst, error) if math.isfinite(error) else math.inf
    return worst
