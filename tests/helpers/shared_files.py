"""Files that the processes of a test session share: the first that needs one creates it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def created_once(factory: pytest.TempPathFactory, name: str, create: Callable[[Path], object]) -> Path:
    """Return the path of a file that ``create`` writes once for all processes of the session."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            new = path.with_name(f"new-{name}")
            create(new)
            new.replace(path)
    return path
