"""Devices, and what a prepared process does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from hpo.errors import DeviceError
from hpo.training.device import existing_devices, resolve_device


def _with_cuda(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert "cpu" in existing_devices()


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "gpu", ""])
def test_a_missing_device_is_named_with_those_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_cuda(monkeypatch, 0)
    with pytest.raises(DeviceError, match=rf"no device '{name}'.* use cpu"):
        resolve_device(name)


def test_cuda_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_cuda(monkeypatch, 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cuda") == torch.device("cuda")
    with pytest.raises(DeviceError, match=r"'cuda:2'.*cpu, cuda:0, cuda:1"):
        resolve_device("cuda:2")


@pytest.mark.parametrize(("cuda", "expected"), [(0, "cpu"), (1, "cuda")])
def test_auto_prefers_cuda(cuda: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_cuda(monkeypatch, cuda)
    assert resolve_device("auto") == torch.device(expected)


PREPARED = """
import json, resource, torch
from hpo.training.device import prepare_process
prepare_process(2)
tiny = torch.full((4_000_000,), 1e-30) * 1e-10
def step():
    activations = [torch.empty(1_000_000).fill_(1) for _ in range(20)]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()  # the heap grows to what is needed
before = faults()
for _ in range(20):
    step()
print(json.dumps([torch.get_num_threads(), int((tiny.view(torch.int32) != 0).sum()), faults() - before]))
"""


def test_prepared_process_flushes_denormals_and_keeps_its_memory() -> None:
    output = subprocess.run([sys.executable, "-c", PREPARED], capture_output=True, text=True, check=True)
    threads, denormals, faults = json.loads(output.stdout)
    assert threads == 2
    assert denormals == 0
    if sys.platform == "linux":
        assert faults < 50_000  # returned and fetched again each time, it is 20 * 20 * 1,000 pages
