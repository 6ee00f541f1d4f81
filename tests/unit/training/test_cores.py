"""How many workers there are by default, and how they share the cores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.training import cores as module
from hpo.training.cores import available_cores, default_workers, divide_threads, oversubscription


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
    monkeypatch.setattr(module, "_GPU_DRIVERS", (tmp_path,) if gpu else ())
    found = default_workers(device, trials)
    workers, why = expected
    assert found.workers == workers
    assert why in found.reason
    assert found.workers * divide_threads(found.workers) <= cores


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


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has affinities")
def test_a_process_bound_to_one_core_has_one() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from hpo.training.cores import available_cores; print(available_cores())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", None), ("200000 100000", 2), ("50000 100000", 0), ("nonsense", None)]
)
def test_a_containers_quota_counts_as_cores(text: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert module._cgroup_cores(tmp_path / "cpu.max") == cores
    assert module._cgroup_cores(tmp_path / "missing") is None


def test_it_loads_no_pytorch() -> None:
    script = "import sys, hpo.training.cores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
