"""The machine: what every measured run sets, and what its record says of where it ran."""

import platform
from pathlib import Path

import pytest
import torch

from gsbook.engine import machine

TINY = 1e-40  # a denormal number of float32


def test_a_measured_process_has_one_thread_and_no_denormal_numbers():
    torch.set_num_threads(2)
    machine.prepare_process()
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == "medium"
    assert (torch.tensor(TINY) * 1.0).item() == 0.0
    machine.prepare_process(threads=2, precision="highest")
    assert torch.get_num_threads() == 2
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_record_says_where_its_run_was_made(monkeypatch):
    monkeypatch.setattr(machine, "processor", lambda: "a processor")
    assert machine.environment(torch.device("cpu")) == {
        "device": "a processor",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": 1,
        "matmul_precision": "medium",
    }


def test_a_record_names_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU of {device}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, device.index))
    found = machine.environment(torch.device("cuda", 1))
    assert (found["device"], found["capability"]) == ("the GPU of cuda:1", "(9, 1)")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vendor_id : A\nmodel name\t: EPYC: 9 \nmodel name\t: other\n", "EPYC: 9"),
        ("Hardware : a board\n", "arm"),  # names no model
        (None, "arm"),
    ],
)
def test_the_processor_is_named_as_far_as_the_system_tells(monkeypatch, text, name):
    def read_text(self):
        assert self == Path("/proc/cpuinfo")
        if text is None:
            raise FileNotFoundError(self)
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm")
    assert machine.processor() == name
    if text is None:
        monkeypatch.setattr(platform, "processor", lambda: "i386")
        assert machine.processor() == "i386"


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {4, 6, 7}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 5)
    assert machine.cores() == 5
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    assert machine.cores() == 1


def test_freed_memory_is_left_alone_where_the_c_library_is_another(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(machine.ctypes, "CDLL", None)  # calling it would be an error
    machine.keep_freed_memory()
