"""The machine: the settings that every measured run shares, and what its numbers depend on."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
from pathlib import Path

import torch


def prepare_process(threads: int = 1, precision: str = "medium") -> None:
    """The settings that every measured run shares; each is part of its record.

    precision: of products of float32 numbers, as torch calls it.

    >>> prepare_process()
    >>> torch.get_num_threads()
    1
    """
    torch.set_num_threads(threads)
    # On some CPUs this picks a faster float32 kernel of the same accuracy (a test holds it
    # against float64).
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(True)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have the C library keep what is freed.

    By default it hands large blocks back, and faults them in at each step anew. Changes no number;
    halves the time of an evaluation. Does nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        # mmap threshold, trim threshold, top pad
        for option, value in ((-3, 32 << 20), (-1, 1 << 30), (-2, 64 << 20)):
            mallopt(option, value)


def environment(device: torch.device) -> dict:
    """What the numbers of a run may depend on besides its config, code and data.

    >>> sorted(environment(torch.device("cpu")))
    ['capability', 'device', 'matmul_precision', 'python', 'threads', 'torch']
    """
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        # One name of a processor can stand for several sets of instructions, which round
        # differently.
        "capability": str(torch.cuda.get_device_capability(device)) if cuda else capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


def capability() -> str:
    """The CPU's widest instructions that torch uses, such as "AVX2" or "AVX512"."""
    return torch.backends.cpu.get_cpu_capability()


def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """End this worker if its parent was killed, so that no orphan writes beside a new run."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)
