"""The names of workers on this machine."""

from __future__ import annotations

from hpo.storage import identity


def local_worker(pid: int, start: str = "1.00") -> str:
    """Return the name of a worker of this machine with that pid and start, in seconds since boot."""
    boot = identity.worker_id().rpartition("@")[2]
    return f"{identity.host()}:{pid}:{start}@{boot}"


def namesake(pid: int) -> str:
    """Return the name of a worker on another machine with this one's name."""
    return f"{identity.host()}:{pid}:1.00@0badcafe"
