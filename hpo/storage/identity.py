"""The identity of a worker, and whether a worker on this machine is still alive."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

import psutil

# proc(5): field 22 of a process's stat; the first after its name, in parentheses, is field 3.
_START_TICKS = 22 - 3
# The inode of the first PID namespace of a Linux machine (PROC_PID_INIT_INO in the kernel's sources).
_FIRST_NAMESPACE = "pid:[4026531836]"


def worker_id() -> str:
    """Return this process as ``host:pid:start``; the start time distinguishes processes with the same pid."""
    return f"{host()}:{os.getpid()}:{_start(psutil.Process())}"


@cache
def host() -> str:
    """Return the machine's name, with the PID namespace if it is not the machine's own.

    Containers that share a machine's network share its name, but not its pids.
    """
    name = platform.node().replace(":", "-") or "localhost"
    link = Path("/proc/self/ns/pid")
    namespace = str(link.readlink()) if link.exists() else _FIRST_NAMESPACE
    return name if namespace == _FIRST_NAMESPACE else f"{name}/{namespace.strip('pid:[]')}"


def is_local(worker: str) -> bool:
    """Return whether the worker runs on this machine, in the same container."""
    return worker.rsplit(":", 2)[0] == host()


def is_dead_local(worker: str) -> bool:
    """Return whether the worker ran on this machine and its process is gone; False for other machines."""
    if not is_local(worker):
        return False
    _, pid, start = worker.rsplit(":", 2)
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return _start(process) != start
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def _start(process: psutil.Process) -> str:
    """Return the start time, in seconds since boot on Linux: the time of day may be changed."""
    stat = Path(f"/proc/{process.pid}/stat")
    if platform.system() != "Linux":
        return f"{process.create_time():.2f}"
    ticks = int(stat.read_text().rpartition(")")[2].split()[_START_TICKS])
    return f"{ticks / os.sysconf('SC_CLK_TCK'):.2f}"


HEARTBEAT_SECONDS = 15.0


SILENT_SECONDS = 4 * HEARTBEAT_SECONDS
