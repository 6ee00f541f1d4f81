"""Devices, the division of cores, and what a prepared process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpo.errors import DeviceError
from hpo.training import device as module
from hpo.training.cores import available_cores, divide_threads
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


@pytest.mark.parametrize(("workers", "threads"), [(1, 6), (2, 3), (4, 1), (6, 1), (20, 1)])
def test_threads_of_all_workers_fit_the_cores(
    workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 6)
    assert divide_threads(workers) == threads


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", None), ("200000 100000", 2), ("50000 100000", 0), ("nonsense", None)]
)
def test_a_containers_quota_counts_as_cores(text: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert module._cgroup_cores(tmp_path / "cpu.max") == cores
    assert module._cgroup_cores(tmp_path / "missing") is None


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


def test_a_prepared_process_flushes_denormals_on_every_thread_and_keeps_its_memory() -> None:
    output = subprocess.run([sys.executable, "-c", PREPARED], capture_output=True, text=True, check=True)
    threads, denormals, faults = json.loads(output.stdout)
    assert threads == 2
    assert denormals == 0
    if sys.platform == "linux":
        assert faults < 50_000  # returned and fetched again each time, it is 20 * 20 * 1,000 pages
