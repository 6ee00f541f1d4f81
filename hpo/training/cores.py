"""How many workers a machine gets by default, and how they share its cores; loads no PyTorch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

MOST_WORKERS = 4
"""By default; each takes half a gigabyte or more."""
# Asking PyTorch would take a second, and the process that starts the workers does not load it.
_GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


@dataclass(frozen=True)
class MachineShare:
    """How many worker processes train on this machine, and why so many."""

    workers: int
    why: str


def default_crew(device: str, trials: int | None = None) -> MachineShare:
    """The workers for a study of so many ``trials`` on ``device`` where none are asked for.

    One a core: on two cores (Zen 4, bf16) 4,038 images/s against 3,769 of one process with both at width 16,
    and 1,442 against 1,588 at width 32. A GPU is kept busy by one.
    """
    if device not in ("auto", "cpu"):
        return MachineShare(1, f"one process keeps {device} busy")
    if device == "auto" and any(path.exists() for path in _GPU_DRIVERS):
        return MachineShare(1, "there is a GPU, and one process keeps it busy")
    cores = available_cores()
    if trials is not None and trials < min(cores, MOST_WORKERS):
        return MachineShare(trials, "one a trial, which share the cores")
    if cores > MOST_WORKERS:
        return MachineShare(MOST_WORKERS, f"{cores} cores, shared by {MOST_WORKERS} to save memory")
    return MachineShare(cores, "one a core, the fastest at width 16")


def oversubscription(workers: int) -> str | None:
    """What to tell somebody who asks for more workers than there are cores; None if there is nothing."""
    cores = available_cores()
    if workers <= cores:
        return None
    return (
        f"{workers} workers share {cores} {'core' if cores == 1 else 'cores'}: each trial takes longer and "
        f"no more are finished; use --workers {cores} or fewer, unless a GPU does the work"
    )


def available_cores() -> int:
    """The cores that this process may use, by its CPU affinity and, in a container, its CPU quota."""
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _cgroup_cores(Path("/sys/fs/cgroup/cpu.max"))
    return affinity if quota is None else max(1, min(affinity, quota))


def _cgroup_cores(cpu_max: Path) -> int | None:
    """Whole cores of a cgroup's quota (``"200000 100000"`` is 2), None if there is none."""
    try:
        quota, period = cpu_max.read_text().split()
    except (OSError, ValueError):  # no cgroup v2, or the root group, which has no limit
        return None
    return None if quota == "max" else int(quota) // int(period)


def divide_threads(workers: int) -> int:
    """Threads for each of ``workers`` training processes, so that together they do not exceed the cores."""
    return max(1, available_cores() // workers)
