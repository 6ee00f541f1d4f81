"""The processes that a training starts, also those that have left its process group or lost their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "HPO_TRAINER_MARK"
"""The environment variable by which the descendants of a trainer process are known after its death."""
_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
_ROUNDS = 20
"""Looks for processes that were forked while the others were killed."""
_LASTING = "multiprocessing.resource_tracker"
"""Python starts this process once and keeps it."""


def adopt_orphans() -> None:
    """On Linux, become the parent of descendants whose own parent ends; elsewhere init does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1)


def left_running(process: psutil.Process) -> bool:
    """Whether a process has children that run."""
    return any(_runs(each) for each in _children(process))


def _children(process: psutil.Process) -> list[psutil.Process]:
    tasks = Path(f"/proc/{process.pid}/task")
    try:  # without a look at each process of the machine
        found = [each for task in tasks.iterdir() for each in (task / "children").read_text().split()]
    except OSError:
        return process.children()
    children = []
    for each in found:
        with suppress(psutil.Error):
            children.append(psutil.Process(int(each)))
    return children


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and _LASTING not in " ".join(process.cmdline())
    return False


def kill_with_descendants(process: psutil.Process, mark: str) -> None:
    """Kill a process that leads its group, and all that it has started.

    ``mark`` is the value of ``MARK`` in their environment.
    """
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        found = process.children(recursive=True)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(_ROUNDS):
        for each in found:
            with suppress(psutil.Error):
                each.kill()
        found = _marked(mark)
        if not found:
            break


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.environ().get(MARK) == mark and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
