"""Who a worker is, and whether a worker of this machine is still alive."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import psutil

# A process's start is kept in clock ticks since boot; in seconds it moves a little when the clock is set.
_START_TOLERANCE_SECONDS = 2.0
# The inode of the first PID namespace of a Linux machine (PROC_PID_INIT_INO in the kernel's sources).
_FIRST_NAMESPACE = "pid:[4026531836]"


def worker_id() -> str:
    """This process as ``host:pid:start``; the start tells it from a later process with the same pid."""
    return f"{host()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


@cache
def host() -> str:
    """The machine's name, and its PID namespace where that is not the machine's own.

    Containers that share a machine's network share its name, but a pid of one means nothing in another.
    """
    name = platform.node().replace(":", "-") or "localhost"
    link = Path("/proc/self/ns/pid")
    namespace = str(link.readlink()) if link.exists() else _FIRST_NAMESPACE
    return name if namespace == _FIRST_NAMESPACE else f"{name}/{namespace.strip('pid:[]')}"


def is_dead_local(worker: str) -> bool:
    """Whether the worker ran on this machine and its process is gone; of other machines nothing is known."""
    where, pid, start = worker.rsplit(":", 2)
    if where != host():
        return False
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(process.create_time() - float(start)) > _START_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return True
