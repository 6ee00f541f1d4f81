"""Who a worker is, and whether a worker of this machine is still alive."""

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
    """This process as ``host:pid:start``; the start tells it from a later process with the same pid."""
    return f"{host()}:{os.getpid()}:{_start(psutil.Process())}"


@cache
def host() -> str:
    """The machine's name, and its PID namespace where that is not the machine's own.

    Containers that share a machine's network share its name, but a pid of one means nothing in another.
    """
    name = platform.node().replace(":", "-") or "localhost"
    link = Path("/proc/self/ns/pid")
    namespace = str(link.readlink()) if link.exists() else _FIRST_NAMESPACE
    return name if namespace == _FIRST_NAMESPACE else f"{name}/{namespace.strip('pid:[]')}"


def is_local(worker: str) -> bool:
    """Whether the worker is of this machine, or of this container."""
    return worker.rsplit(":", 2)[0] == host()


def is_dead_local(worker: str) -> bool:
    """Whether the worker ran on this machine and its process is gone; of other machines nothing is known."""
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
    """When it began, in seconds since the machine did where that is known: the time of day may be set."""
    stat = Path(f"/proc/{process.pid}/stat")
    if platform.system() != "Linux":
        return f"{process.create_time():.2f}"
    ticks = int(stat.read_text().rpartition(")")[2].split()[_START_TICKS])
    return f"{ticks / os.sysconf('SC_CLK_TCK'):.2f}"


HEARTBEAT_SECONDS = 15.0


SILENT_SECONDS = 4 * HEARTBEAT_SECONDS
