"""The checks that load PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpo.limits import Memory, available_cores
from hpo.reporting.doctor import machine
from hpo.training import cores
from hpo.training.speed import Speed


def test_pytorch_describes_its_build() -> None:
    found = machine.pytorch()
    assert torch.__version__ in found.message
    assert torch.backends.cpu.get_cpu_capability() in found.message


def test_pytorch_with_an_unused_gpu_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_NVIDIA_DRIVER", tmp_path)
    found = machine.pytorch()
    assert found.condition == "warning"
    assert "NVIDIA driver" in found.message
    assert "pytorch.org" in found.remedy


def test_devices_lists_the_cpu_and_what_trains() -> None:
    found = machine.devices("cpu")
    assert found.condition == "ok"
    assert f"{available_cores()} cores" in found.message
    assert found.message.endswith("trains on cpu")


def test_devices_with_an_unknown_device_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = machine.devices("cuda")
    assert found.condition == "problem"
    assert "no device 'cuda'" in found.message


@pytest.mark.parametrize(
    ("share", "undisturbed", "condition", "message"),
    [
        (
            0.55,
            0.99,
            "ok",
            "1,234 images/s in fp32, 55% of what matrix products reach",
        ),
        (0.19, 0.99, "ok", "19% of what matrix products reach"),
        (0.55, 0.5, "warning", "had its core for 50% of the time"),
    ],
)
def test_speed_is_compared_with_matrix_products(
    share: float, undisturbed: float, condition: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = Speed("fp32", 1234.0, share, undisturbed)
    monkeypatch.setattr(machine, "measure_speed", lambda *_: speed)
    monkeypatch.setattr(machine, "resolve_precision", lambda *_: "fp32")
    found = machine.speed("cpu")
    assert found.condition == condition
    assert message in found.message
    assert bool(found.remedy) == (condition == "warning")


def test_speed_under_a_quota_names_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "measure_speed", lambda *_: Speed("fp32", 1234.0, 0.5, 0.5))
    monkeypatch.setattr(machine, "resolve_precision", lambda *_: "fp32")
    monkeypatch.setattr(machine, "usable_cores", lambda: 0.5)
    found = machine.speed("cpu")
    assert "its control group has 0.5 cores" in found.message
    assert "CPU quota" in found.remedy


@pytest.mark.parametrize(("free", "condition"), [(1.5e9, "ok"), (1.3e9, "warning"), (0.1e9, "warning")])
def test_workers_without_enough_memory_warn(
    free: float, condition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 2)
    monkeypatch.setattr(cores, "memory", lambda: Memory(int(4e9), int(free), limited=False))
    found = machine.workers("cpu")
    assert found.condition == condition
    assert "2 by default, threads per worker: 1 (" in found.message
    assert bool(found.remedy) == (condition == "warning")
