"""How many workers there are by default, and how they share the cores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo import limits
from hpo.limits import Memory
from hpo.training import cores as module
from hpo.training.cores import default_workers, divide_threads, memory_shortage, oversubscription


@pytest.mark.parametrize(
    ("device", "trials", "cores", "gpu", "expected"),
    [
        ("auto", None, 1, False, (1, "one per core")),
        ("auto", 12, 2, False, (2, "one per core")),
        ("cpu", 12, 64, False, (4, "64 cores, shared by 4 to save memory")),
        ("cpu", 3, 64, False, (3, "one per trial")),
        ("auto", 1, 2, False, (1, "one per trial")),
        ("auto", 12, 64, True, (1, "there is a GPU")),
        ("cpu", 12, 2, True, (2, "one per core")),
        ("cuda:1", 12, 8, False, (1, "one process keeps cuda:1 busy")),
        ("mps", 12, 8, False, (1, "one process keeps mps busy")),
    ],
)
def test_default_workers(
    device: str,
    trials: int | None,
    cores: int,
    gpu: bool,
    expected: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: cores)
    monkeypatch.setattr(limits, "_GPU_DRIVERS", (tmp_path,) if gpu else ())
    found = default_workers(device, trials)
    workers, why = expected
    assert found.workers == workers
    assert why in found.reason
    assert found.workers * divide_threads(found.workers) <= cores


def test_workers_of_own_trainings_have_no_reason_of_the_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    assert default_workers("cpu", 12).reason == "one per core, the fastest at width 16"
    assert default_workers("cpu", 12, built_in=False).reason == "one per core"


@pytest.mark.parametrize(("workers", "threads"), [(1, 6), (2, 3), (4, 1), (6, 1), (20, 1)])
def test_threads_of_all_workers_fit_the_cores(
    workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 6)
    assert divide_threads(workers) == threads


def test_more_workers_than_cores_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    assert oversubscription(2) is None
    warning = oversubscription(3)
    assert warning is not None
    assert "3 workers share 2 cores" in warning
    assert "--workers 2" in warning


@pytest.mark.parametrize(
    ("gigabytes", "trials", "expected"),
    [(1.0, None, 1), (1.5, None, 2), (1.5, 1, 1), (64.0, None, 3), (0.2, None, 1)],
)
def test_default_workers_fit_into_the_memory(
    gigabytes: float, trials: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    monkeypatch.setattr(module, "memory", lambda: Memory(int(gigabytes * 1e9), int(1e9), limited=True))
    found = default_workers("cpu", trials)
    assert found.workers == expected
    assert (f"{gigabytes} GB of memory allowed by its control group" in found.reason) == (
        expected < min(3, trials or 3)
    )


@pytest.mark.parametrize(
    ("free", "remedy"), [(1.4e9, None), (1.3e9, "use --workers 1"), (1e8, "free some memory")]
)
def test_memory_shortage_names_a_remedy(
    free: float, remedy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "memory", lambda: Memory(int(2e9), int(free), limited=False))
    found = memory_shortage(2)
    assert (found and found[1]) == remedy
    assert (
        found is None
        or found[0] == f"{free / 1e9:.1f} of 2.0 GB of memory are free, and a worker needs up to 0.7 GB"
    )


def test_it_loads_no_pytorch() -> None:
    script = "import sys, hpo.training.cores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
