"""The default number of workers on a machine, and how they share its cores. Does not load PyTorch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

MOST_WORKERS = 4
"""By default; each needs half a gigabyte or more."""
# Loading PyTorch to ask would take a second; the process that starts the workers does not need it.
_GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


@dataclass(frozen=True)
class WorkerCount:
    """The number of worker processes, and the reason for it."""

    workers: int
    reason: str


def default_workers(device: str, trials: int | None = None) -> WorkerCount:
    """Return the number of workers for a study of ``trials`` on ``device`` if the user sets none.

    One per core: on two cores (Zen 4, bf16) 4,038 images/s against 3,769 for one process with both at width
    16, and 1,442 against 1,588 at width 32. One worker keeps a GPU busy.
    """
    if device not in ("auto", "cpu"):
        return WorkerCount(1, f"one process keeps {device} busy")
    if device == "auto" and any(path.exists() for path in _GPU_DRIVERS):
        return WorkerCount(1, "there is a GPU, and one process keeps it busy")
    cores = available_cores()
    if trials is not None and trials < min(cores, MOST_WORKERS):
        return WorkerCount(trials, "one per trial, sharing the cores")
    if cores > MOST_WORKERS:
        return WorkerCount(MOST_WORKERS, f"{cores} cores, shared by {MOST_WORKERS} to save memory")
    return WorkerCount(cores, "one per core, the fastest at width 16")


def oversubscription(workers: int) -> str | None:
    """Return a warning if there are more workers than cores, else None."""
    cores = available_cores()
    if workers <= cores:
        return None
    return (
        f"{workers} workers share {cores} {'core' if cores == 1 else 'cores'}: each trial takes longer and "
        f"the study is not faster; use --workers {cores} or fewer, unless a GPU does the work"
    )


def available_cores() -> int:
    """Return the number of cores this process may use, by its CPU affinity and a container's CPU quota."""
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _cgroup_cores(Path("/sys/fs/cgroup/cpu.max"))
    return affinity if quota is None else max(1, min(affinity, quota))


def _cgroup_cores(cpu_max: Path) -> int | None:
    """Return the whole cores of a cgroup's quota (``"200000 100000"`` is 2); None without a quota."""
    try:
        quota, period = cpu_max.read_text().split()
    except (OSError, ValueError):  # no cgroup v2, or the root group, which has no limit
        return None
    return None if quota == "max" else int(quota) // int(period)


def divide_threads(workers: int) -> int:
    """Return the number of threads per worker, so that together they do not exceed the cores."""
    return max(1, available_cores() // workers)
