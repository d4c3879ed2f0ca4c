"""One step of training as one function of tensors that it changes in place: run as it is, compiled,
or captured."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from gsbook import files
from gsbook.engine import kernels
from gsbook.engine.noise import Noise, keys
from gslib._checks import unchecked
from gslib.functional import stream
from gslib.program import Program, Trace

MODES = ("eager", "compiled", "captured", "fused")
_COMPILING = threading.RLock()  # the compiler's settings are the process's, not a thread's
KEPT = ("model.", "baseline.", "velocity.")


class Step:
    """E runs of one program, and the step that all of them take: a batch, an estimate, momentum,
    the baseline's update.

    Everything that a step reads or changes is a tensor of `state` with a leading axis E, on the
    device: weights and buffers of the model and the baseline (the very tensors of the modules),
    velocities, the epoch's order, the step's number, learning rates, schedules (fill them in
    place), keys of the noise, and the sum of losses. So a step needs nothing from the host, and the
    same source serves three modes:

    - "eager": operation by operation, all members at once. Needs nothing, costs most.
    - "compiled": traced once through the estimator's own backward passes into one flat graph, which
      TorchInductor compiles for one member; the members take turns, so that none can feel another.
      Needs a C++ compiler, on CUDA Triton.
    - "captured": a CUDA graph of the operations for all members at once. Ready in a second.
    - "fused": a CUDA graph of the step that Triton has compiled for all members at once, which
      takes a while.

    Args:
        model: weights [E, ...], a module. program: images [E, B, D] (float) -> a `gslib` program of
        that model. estimator: called as estimator(program, uniform=..., **schedules) and, with a
        baseline, baseline=... images: [n, D], uint8. seeds: one per member. lr: learning rates [E].
        batch: B. momentum: of SGD. baseline: a `gslib.Baseline` with E members. sees: images ->
        what its network is given. schedules: name -> [E], hyperparameters of the estimator. mode:
        one of `MODES`, by default eager.

    Raises RuntimeError where `mode` asks for a compiler or a device that is not there; see
    `usable`.

    >>> model = gslib.models.DiscreteVAE("bernoulli", ensemble=2, data=16, size=(4,))
    >>> images, program = torch.ones(20, 16, dtype=torch.uint8), lambda x: partial(model.loss, x)
    >>> options = dict(seeds=[0, 1], lr=torch.full((2,), 1e-3), batch=10)
    >>> step = Step(model, program, gslib.ESTIMATORS["st"], images, **options)
    >>> step.run(3)
    >>> step.number, step.losses().shape
    (3, torch.Size([2]))
    """

    def __init__(
        self,
        model: nn.Module,
        program: Callable[[Tensor], Program],
        estimator: Callable[..., Tensor],
        images: Tensor,
        *,
        seeds: list[int],
        lr: Tensor,
        batch: int,
        momentum: float = 0.9,
        baseline: nn.Module | None = None,
        sees: Callable[[Tensor], Tensor] = lambda x: x,
        schedules: dict[str, Tensor] | None = None,
        mode: str = "eager",
    ):
        reason = usable(mode, images.device)
        if reason:
            raise RuntimeError(f"mode {mode!r} cannot be used: {reason}")
        self.program, self.estimator, self.images = program, estimator, images
        self.seeds, self.batch, self.momentum, self.sees, self.mode = (
            seeds,
            batch,
            momentum,
            sees,
            mode,
        )
        self.modules = nn.ModuleDict({"model": model})
        if baseline is not None:
            self.modules["baseline"] = baseline
        named = dict(self.modules.named_parameters())
        self.differentiable = {name for name, p in named.items() if p.requires_grad}
        self.trained = [n for n in named if n in self.differentiable and n.startswith("model.")]
        self.held = [*named, *dict(self.modules.named_buffers())]
        self.ndim = axes(program(images[:1].to(lr.dtype).expand(len(seeds), 1, -1)))
        self.number, self._count, self._order, self._take = 0, 0, None, None
        make = partial(torch.zeros, device=images.device)
        velocity = {f"velocity.{n}": torch.zeros_like(named[n].detach()) for n in self.trained}
        self.state: dict[str, Tensor] = {
            **{n: t.detach() for n, t in (named | dict(self.modules.named_buffers())).items()},
            **velocity,
            **{f"schedule.{name}": value for name, value in (schedules or {}).items()},
            "lr": lr,
            "keys": keys("noise", seeds, device=images.device),
            "order": make(len(seeds), len(images), dtype=torch.int32),
            "step": make(len(seeds), dtype=torch.int64),
            "losses": torch.zeros_like(lr),
        }

    def run(self, steps: int) -> None:
        """Take so many steps more."""
        per_epoch = len(self.images) // self.batch
        with unchecked():
            for _ in range(steps):
                epoch = self.number // per_epoch
                if epoch != self._order:
                    self._shuffle(epoch)
                self.prepare()
                self._take()
                self.number += 1
                self._count += 1

    def prepare(self) -> None:
        """Compile or capture the step now, rather than when it is first taken.

        While a graph is captured, no other thread may use the device.
        """
        if self._take is None:
            state = list(self.state.values())
            self._take = prepared(self._step, state, [self.images], self.mode)

    def losses(self) -> Tensor:
        """Mean training loss [E] of the steps since the last call, in nats."""
        mean = self.state["losses"] / max(1, self._count)
        self.state["losses"].zero_()
        self._count = 0
        return mean

    def kept(self) -> dict[str, Tensor]:
        """What a saved state holds, each tensor [E, ...] and copied to the CPU: weights,
        velocities, the baseline's state."""
        names = [n for n in self.state if n.startswith(KEPT) and n != "model.slope"]
        return {n: self.state[n].to("cpu", copy=True) for n in names}

    def load(self, tensors: dict[str, Tensor], number: int) -> None:
        """Go on from saved tensors, at this step."""
        for name, value in tensors.items():
            self.state[name].copy_(value)
        self.number, self._order, self._count = number, None, 0
        self.state["step"].fill_(number)
        self.state["losses"].zero_()

    def _shuffle(self, epoch: int) -> None:
        """Each member's own order of the images in this epoch, a function of its seed and the
        epoch."""
        n = len(self.images)
        orders = {
            s: torch.randperm(n, generator=stream("order", s, epoch)) for s in set(self.seeds)
        }
        self.state["order"].copy_(torch.stack([orders[s] for s in self.seeds]))
        self._order = epoch

    def _step(self, *tensors: Tensor) -> None:
        """One step of the members whose state these tensors are (in the order of `state`, then the
        images)."""
        *own, images = tensors
        state = dict(zip(self.state, own, strict=True))
        position = state["step"] % (len(images) // self.batch) * self.batch  # [E]
        column = position.unsqueeze(1) + torch.arange(self.batch, device=images.device)
        x = images[state["order"].gather(1, column)].to(state["lr"].dtype)  # [E, B, D]
        held = {n: state[n] for n in self.held}
        held |= {n: held[n].detach().requires_grad_() for n in self.differentiable}
        uniform = Noise(state["keys"], state["step"], ndim=self.ndim)
        options = {n[9:]: t for n, t in state.items() if n.startswith("schedule.")}
        with holding(self.modules, held), torch.enable_grad():
            if "baseline" in self.modules:
                baseline = self.modules["baseline"]
                network = getattr(baseline, "network", None) is not None
                options["baseline"] = partial(baseline, x=self.sees(x)) if network else baseline
            loss = self.estimator(self.program(x), uniform=uniform, **options).mean(-1)  # [E]
            # The sum keeps members apart; scaling by each one's rate here spares a pass over the
            # weights.
            slopes = torch.autograd.grad(
                (loss * state["lr"]).sum(), [held[n] for n in self.trained]
            )
            if "baseline" in self.modules:
                baseline.update()
        with torch.no_grad():
            for name, slope in zip(self.trained, slopes, strict=True):
                velocity = state[f"velocity.{name}"]
                velocity.mul_(self.momentum).add_(slope)
                state[name].sub_(velocity)
            state["losses"].add_(loss.detach())
            state["step"].add_(1)


def axes(program: Program) -> int:
    """The number of axes [E, B, ...] of a program's nodes.

    >>> axes(lambda sample: sample(gslib.Bernoulli(torch.zeros(2, 5, 3))).sum(-1))
    3
    """
    trace = Trace()
    with torch.no_grad(), unchecked():
        program(trace.recording(lambda q: q.mean))
    return trace[0][0].logits.ndim


def usable(mode: str, device: torch.device | str = "cpu") -> str:
    """Why a mode cannot be used on this device, in a sentence; "" if it can.

    >>> usable("eager")
    ''
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    device = torch.device(device)
    if mode in ("captured", "fused") and device.type != "cuda":
        return f"a CUDA graph needs a CUDA device, and this one is {device.type}"
    if mode in ("compiled", "fused") and device.type == "cuda":
        found = torch.utils._triton.has_triton()
        return "" if found else "there is no Triton on this machine"
    if mode == "compiled" and not compiler():
        return "there is no C++ compiler on this machine (install g++, or set CXX)"
    return ""


def best_mode(steps: int, device: torch.device | str = "cpu") -> str:
    """The mode for runs of so many steps; says so once where a compiler is missed.

    It does not depend on how many runs there are or what is done already, so that a run has the
    same bits in any company and after any interruption. A short run that is made longer than `LONG`
    goes on compiled, equal to rounding only.

    >>> best_mode(100)
    'eager'
    """
    if torch.device(device).type == "cuda":
        return "captured"
    if steps < LONG:
        return "eager"
    reason = usable("compiled", device)
    if reason:
        warnings.warn(f"training runs uncompiled, at about half the speed: {reason}", stacklevel=2)
    return "eager" if reason else "compiled"


LONG = 10_000  # steps from which a compilation of some 10 seconds pays even for a lone run


def compiler() -> str | None:
    names = [
        os.environ.get("CXX"),
        "g++",
        "clang++",
        "c++",
        "cl" if sys.platform == "win32" else None,
    ]
    return next((path for name in names if name and (path := shutil.which(name))), None)


def prepared(
    function: Callable[..., None], state: list[Tensor], shared: list[Tensor], mode: str
) -> Callable[[], None]:
    """function(*state, *shared) in a mode, for state [E, ...] and tensors that all members
    share."""
    if mode == "eager":
        return partial(function, *state, *shared)
    if mode == "compiled":
        members = [[t[e : e + 1] for t in state] + shared for e in range(len(state[0]))]
        one = compiled(function, members[0])
        return lambda: [one(*tensors) for tensors in members]
    if mode == "fused":
        function = compiled(function, [*state, *shared])
    return captured(function, state, shared)


def compiled(function: Callable[..., None], tensors: list[Tensor]) -> Callable[..., None]:
    """TorchInductor's compilation of a function that changes these tensors in place, for tensors of
    these shapes.

    The function is traced below autograd, so gradients that it takes itself are part of the graph.
    What is compiled is kept in the user's cache folder and found there by later processes.
    """
    with _COMPILING:
        return _compiled(function, [t.clone() for t in tensors])


def _compiled(function: Callable[..., None], examples: list[Tensor]) -> Callable[..., None]:
    # No pool of helpers, one core per process, and no pattern for softmax: its guards cost more
    # than they save here.
    options = {"compile_threads": 1, "cpp.threads": 1, "pattern_matcher": False}
    with unchecked(), torch.no_grad(), _cache(), torch._inductor.config.patch(options):
        sparse = not examples[0].is_cuda and kernels.load(
            Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]), compiler()
        )
        graph = make_fx(function)(*examples)
        if sparse:
            kernels.use(graph)
        # Without an environment of shapes, TorchInductor keeps its kernels but not the graph, which
        # takes it nearly as long; with symbols for shapes it would make slower code.
        fake = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)
        with tracing(TracingContext(fake)):
            return torch._inductor.compile(graph, [fake.from_tensor(t) for t in examples])


@contextmanager
def _cache() -> Iterator[None]:
    """Keep compiled code in the user's cache, for the time of the block; where the user named a
    folder, there."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    if os.environ.get(name):
        yield
        return
    os.environ[name] = str(files.cache_folder() / "compiled")
    try:
        yield
    finally:
        del os.environ[name]


def captured(
    function: Callable[..., None], state: list[Tensor], shared: list[Tensor]
) -> Callable[[], None]:
    """A CUDA graph of function(*state, *shared), to be replayed; the warm-up's changes of `state`
    are undone.

    Under a stream of the caller's own (`with torch.cuda.stream(...)`) it is captured on that one.
    Replay graphs that run beside each other on the streams they were captured on: cuBLAS keeps one
    workspace per stream, and a graph its address.
    """
    before, current = [t.clone() for t in state], torch.cuda.current_stream()
    side = torch.cuda.Stream() if current == torch.cuda.default_stream() else current
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(3):
            function(*state, *shared)
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        function(*state, *shared)
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    return graph.replay


@contextmanager
def holding(module: nn.Module, tensors: dict[str, Tensor]) -> Iterator[None]:
    """Put other tensors in the place of a module's parameters and buffers, for the time of the
    block."""
    places = {}
    for name in tensors:
        owner, _, leaf = name.rpartition(".")
        owner = module.get_submodule(owner)
        places[name] = owner._parameters if leaf in owner._parameters else owner._buffers, leaf
    before = {name: where[leaf] for name, (where, leaf) in places.items()}
    try:
        for name, (where, leaf) in places.items():
            where[leaf] = tensors[name]
        yield
    finally:
        for name, (where, leaf) in places.items():
            where[leaf] = before[name]
