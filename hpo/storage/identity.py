"""The identity of a worker, and whether its process is still alive, as far as this process can tell."""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import psutil

Life: TypeAlias = Literal["alive", "dead", "unknown"]

# proc(5): the state of a process and its start are fields 3 and 22 of its stat; the first after its name, in
# parentheses, is field 3.
_STATE = 3 - 3
_START_TICKS = 22 - 3
_ENDED = frozenset("ZXx")
# The inode of the first PID namespace of a Linux machine (PROC_PID_INIT_INO in the kernel's sources).
_FIRST_NAMESPACE = "pid:[4026531836]"
_PROC = Path("/proc")


def worker_id() -> str:
    """Return this process as ``host:pid:start@boot``, which no other process ever has.

    ``start`` distinguishes processes with the same pid, ``boot`` machines with the same name.
    """
    return f"{host()}:{os.getpid()}:{_start(os.getpid(), 'self') or _without_proc()}"


@cache
def host() -> str:
    """Return the machine's name, with the PID namespace if it is not the machine's own.

    Containers that share a machine's network share its name, but not its pids.
    """
    name = platform.node().replace(":", "-") or "localhost"
    link = _PROC / "self" / "ns" / "pid"
    namespace = str(link.readlink()) if link.exists() else _FIRST_NAMESPACE
    return name if namespace == _FIRST_NAMESPACE else f"{name}/{namespace.strip('pid:[]')}"


def is_local(worker: str) -> bool:
    """Return whether the worker runs on this machine, in the same container, since the same boot."""
    where, _, start = worker.rsplit(":", 2)
    return where == host() and start.partition("@")[2] == _boot()


def life_of(worker: str) -> Life:
    """Return whether the worker's process is alive; "unknown" if this process cannot tell.

    It cannot on other machines, in other containers, and where the system hides the processes of other users
    (``hidepid``) or has no ``/proc``. A worker that may be alive keeps its slot until its lease expires.
    """
    if not is_local(worker):
        return "unknown"
    _, pid, start = worker.rsplit(":", 2)
    found = _start(int(pid))
    if found is not None:
        return "alive" if found == start else "dead"
    # Only this answer holds where /proc hides other users' processes: it is asked last, as the process may
    # have ended since.
    return "unknown" if _has_process(int(pid)) else "dead"


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _without_proc() -> str:
    """Return what stands for this process's start where the system does not tell it."""
    return f"{time.monotonic():.2f}@{_boot()}"


def _start(pid: int, entry: str = "") -> str | None:
    """Return the start of a process as in its identity, "ended" for a zombie; None if it cannot be seen.

    In seconds since boot on Linux: the time of day may be changed. ``entry`` is its name in /proc.
    """
    if platform.system() != "Linux":
        try:
            return f"{psutil.Process(pid).create_time():.2f}@{_boot()}"
        except psutil.Error:
            return None
    if not (entry or _shows_own_namespace()):
        return None
    try:
        fields = (_PROC / (entry or str(pid)) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[_STATE] in _ENDED:
        return "ended"
    return f"{int(fields[_START_TICKS]) / os.sysconf('SC_CLK_TCK'):.2f}@{_boot()}"


def _shows_own_namespace() -> bool:
    """Return whether /proc shows this process's PID namespace, and not that of another (`unshare --pid`)."""
    try:
        return str((_PROC / "self").readlink()) == str(os.getpid())
    except OSError:
        return False


@cache
def _boot() -> str:
    """Return what distinguishes this machine, since it booted, from all others: two may have one name."""
    try:
        mark = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        mark = f"{uuid.getnode():012x}"
    return hashlib.sha256(mark.encode()).hexdigest()[:8]


HEARTBEAT_SECONDS = 15.0


SILENT_SECONDS = 4 * HEARTBEAT_SECONDS
