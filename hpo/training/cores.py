"""The default number of workers on a machine, and how they share its cores. Does not load PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.limits import available_cores, has_gpu, memory
from hpo.text import counted

MOST_WORKERS = 4
"""By default; each needs half a gigabyte or more."""
WORKER_BYTES = 700_000_000
"""The most that a worker needs for the default network (benchmarks/memory.py)."""


@dataclass(frozen=True)
class WorkerCount:
    """The number of worker processes, and the reason for it."""

    workers: int
    reason: str


def default_workers(device: str, trials: int | None = None, *, built_in: bool = True) -> WorkerCount:
    """Return the number of workers for a study of ``trials`` on ``device`` if the user sets none.

    One per core: on two cores (Zen 4, bf16) 4,038 images/s against 3,769 for one process with both at width
    16, and 1,442 against 1,588 at width 32. One worker keeps a GPU busy. Only of the built-in training is it
    known to be the fastest: ``built_in`` False gives a reason without that.
    """
    if device not in ("auto", "cpu"):
        return WorkerCount(1, f"one process keeps {device} busy")
    if device == "auto" and has_gpu():
        return WorkerCount(1, "there is a GPU, and one process keeps it busy")
    cores, room = available_cores(), memory()
    most = min(cores, MOST_WORKERS)
    fitting = max(1, room.total // WORKER_BYTES)
    if fitting < most and (trials is None or fitting < trials):
        return WorkerCount(fitting, f"the most that fit into {room.described}")
    if trials is not None and trials < most:
        return WorkerCount(trials, "one per trial, sharing the cores")
    if cores > MOST_WORKERS:
        return WorkerCount(MOST_WORKERS, f"{counted(cores, 'core')}, shared by {MOST_WORKERS} to save memory")
    return WorkerCount(cores, "one per core, the fastest at width 16" if built_in else "one per core")


def oversubscription(workers: int) -> str | None:
    """Return a warning if there are more workers than cores, else None."""
    cores = available_cores()
    if workers <= cores:
        return None
    return (
        f"{counted(workers, 'worker shares', 'workers share')} {counted(cores, 'core')}: each "
        "trial takes longer and "
        f"the study is not faster; use --workers {cores} or fewer, unless a GPU does the work"
    )


def memory_shortage(workers: int) -> tuple[str, str] | None:
    """Return a warning and its remedy if there is too little free memory for the workers, else None."""
    room = memory()
    if room.free >= workers * WORKER_BYTES:
        return None
    remedy = f"use --workers {fitting}" if (fitting := room.free // WORKER_BYTES) else "free some memory"
    return (
        f"{room.free / 1e9:.1f} of {room.described} are free, and a worker needs up to "
        f"{WORKER_BYTES / 1e9:.1f} GB",
        remedy,
    )


def divide_threads(workers: int) -> int:
    """Return the number of threads per worker, so that together they do not exceed the cores."""
    return max(1, available_cores() // workers)
