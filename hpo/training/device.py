"""Devices: choosing one, preparing the process for it, and handling out-of-memory errors."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from hpo.config.configuration import Configuration
from hpo.errors import DeviceError, OutOfMemoryError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_KEEP_BYTES = 1 << 30


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``cuda:<n>`` or ``mps``.

    ``auto`` prefers CUDA, then the CPU. Raises ``DeviceError`` if this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in _existing_names():
        raise DeviceError(
            f"there is no device {name!r} on this machine; use {_listed(existing_devices())} or auto"
        )
    return torch.device(name)


def existing_devices() -> list[str]:
    """Return the devices of this machine, e.g. ``["cpu", "cuda:0", "cuda:1"]``."""
    cuda = (
        [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


def _existing_names() -> set[str]:
    devices = existing_devices()
    return {*devices, "cuda"} if "cuda:0" in devices else set(devices)


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def prepare_process(threads: int) -> None:
    """Set this process up for training with ``threads`` threads. Call it before the first tensor operation.

    Denormal numbers are flushed to zero: Intel's processors need over a hundred cycles for each (see its
    optimization manual), and a network with vanishing gradients produces many. The pool's threads inherit
    this only if it is set before they start.
    """
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Make glibc reuse freed blocks instead of returning them to the kernel.

    By default, activations are mapped page by page and unmapped in every step: 1,600 page faults and a tenth
    of the CPU time of a step at width 16 (docs/training.md).
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


def release_freed_memory() -> None:
    """Return the memory that glibc keeps to the kernel; call it after something large was freed."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def release_trial_memory() -> None:
    """Free the memory of a trial that is over; call it when nothing refers to the trial any more.

    Networks, hooks and optimizers form reference cycles, which Python would collect too rarely: it counts
    objects, not their megabytes. Otherwise the heap grows from trial to trial.
    """
    gc.collect()
    release_freed_memory()


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None  # musl does not


T = TypeVar("T")

_CPU_SIGNS = ("DefaultCPUAllocator", "std::bad_alloc", "bad allocation")
"""Texts of torch's RuntimeError if the system has too little memory; torch has no class for it."""


def translating_oom(work: Callable[[], T], configuration: Configuration, device: torch.device) -> T:
    """Return ``work()``. Raises ``OutOfMemoryError``, naming batch size and width, if memory runs out."""
    try:
        return work()
    except (torch.OutOfMemoryError, MemoryError) as error:
        reason = str(error)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _CPU_SIGNS):
            raise
        reason = str(error)
    # Raised here, the error does not carry the old traceback, whose frames hold the activations.
    release_freed_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        f"{device} has too little memory for batch_size {configuration.batch_size} at width "
        f"{configuration.width}; lower one of them ({_asked(reason)})"
    )


def _asked(reason: str) -> str:
    """Return the requested size if the allocator's message contains it, else the message."""
    found = re.search(r"allocate (\d+) bytes", reason)
    if found:
        return f"{int(found[1]) / 1e9:.2f} GB more were requested"
    return reason.partition("\n")[0] or "no reason given"
