"""State of a process that a training may change and hpo cannot restore."""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_MORE_FILES = 64
"""Files left open for which a process is not used again."""


def fixed_state() -> tuple[Any, ...]:
    """Return a value that compares equal to another one if nothing has changed."""
    limits = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
    return (
        [resource.getrlimit(each) for each in limits],
        [_identity(each) for each in range(3)],
        _umask(),
        os.nice(0),
        os.sched_getaffinity(0) if sys.platform == "linux" else None,
        signal.pthread_sigmask(signal.SIG_BLOCK, []),
        _open_files() // _MORE_FILES,
    )


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return which file a descriptor is; None for a closed one."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        return found.st_dev, found.st_ino
    return None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _open_files() -> int:
    with suppress(OSError):
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    return 0
