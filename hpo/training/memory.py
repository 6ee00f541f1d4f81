"""A failure to get memory, told in the user's terms and without holding on to what was allocated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import torch

from hpo.errors import OutOfMemoryError
from hpo.spec.configuration import Configuration
from hpo.training.device import release_freed_memory

T = TypeVar("T")

_CPU_SIGNS = ("DefaultCPUAllocator", "std::bad_alloc", "bad allocation")
"""What torch's RuntimeErrors say where the system gives no memory; it has no class of its own for them."""


def within_memory(work: Callable[[], T], configuration: Configuration, device: torch.device) -> T:
    """What ``work`` returns; OutOfMemoryError, which names batch size and width, if there is no memory."""
    try:
        return work()
    except (torch.OutOfMemoryError, MemoryError) as error:
        reason = str(error)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _CPU_SIGNS):
            raise
        reason = str(error)
    # Raised out here, the error does not carry the old traceback, whose frames hold the activations.
    release_freed_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        f"{device} has too little memory for batch_size {configuration.batch_size} at width "
        f"{configuration.width}; lower one of them ({_asked(reason)})"
    )


def _asked(reason: str) -> str:
    """How much was asked for, if the allocator says so; else what it says."""
    found = re.search(r"allocate (\d+) bytes", reason)
    if found:
        return f"{int(found[1]) / 1e9:.2f} GB more were asked for"
    return reason.partition("\n")[0] or "it gives no reason"
