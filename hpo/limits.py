"""What this process may use of its machine: cores and memory, also by its own control groups (cgroups).

A container, a systemd unit or a batch job limits a process through its control group or one above it, in
version 1, version 2, or both at once (https://docs.kernel.org/admin-guide/cgroup-v1/,
https://docs.kernel.org/admin-guide/cgroup-v2.html).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of a page in 63 bits."""
_LIMITED = " allowed by its control group"


@dataclass(frozen=True)
class _Mount:
    """A mounted hierarchy of control groups; ``root`` is the group that lies at ``folder``."""

    root: str
    folder: Path
    controllers: frozenset[str]
    """Empty in version 2, whose groups have every controller."""


@dataclass(frozen=True)
class ControlGroups:
    """The control groups of a process, read from ``proc``: its ``/proc/self`` or a copy of it.

    What lies above the mounted folder, as outside of a container, cannot be seen.
    """

    proc: Path = Path("/proc/self")

    def cpu_quota(self) -> float | None:
        """Return the cores that the process may keep busy, such as 0.5; None without a quota."""
        quotas = []
        for group in self._levels("cpu"):
            period = _number(group / "cpu.cfs_period_us")
            quota = _number(group / "cpu.cfs_quota_us")
            if quota is None:
                quota, period = _pair(group / "cpu.max")
            if quota and period and quota > 0:
                quotas.append(quota / period)
        return min(quotas, default=None)

    def memory_limit(self) -> int | None:
        """Return the limit in bytes, beyond which the kernel kills or throttles; None without one."""
        return min((limit for _, limit in self._memory_limits()), default=None)

    def free_memory(self) -> int | None:
        """Return the bytes left below the limits, where files in the page cache count as free."""
        free = []
        for group, limit in self._memory_limits():
            used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes") or 0
            counts = _counts(group / "memory.stat")
            cached = [
                counts.get(f"total_{name}", counts.get(name, 0)) for name in ("active_file", "inactive_file")
            ]
            free.append(max(0, limit - max(0, used - sum(cached))))
        return min(free, default=None)

    def oom_kills(self) -> int | None:
        """Return how many processes of the group the kernel has killed for lack of memory, if it says so."""
        for group in self._levels("memory"):
            for name in ("memory.events", "memory.oom_control"):
                count = _counts(group / name).get("oom_kill")
                if count is not None:
                    return count
        return _counts(Path("/proc/vmstat")).get("oom_kill") if sys.platform == "linux" else None

    def _memory_limits(self) -> Iterator[tuple[Path, int]]:
        for group in self._levels("memory"):
            limits = [
                *(_number(group / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")),
                # Of groups that cannot be seen from here, too.
                _counts(group / "memory.stat").get("hierarchical_memory_limit"),
            ]
            found = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
            if found:
                yield group, min(found)

    def _levels(self, controller: str) -> Iterator[Path]:
        """Yield the folders of the process's group and of those above it, the own one first."""
        for mount, path in self._memberships(controller):
            folder = _place(mount, path)
            while True:
                yield folder
                if folder == mount.folder:
                    break
                folder = folder.parent

    def _memberships(self, controller: str) -> Iterator[tuple[_Mount, str]]:
        """Yield where the controller is mounted, with the process's group there."""
        mounts = list(_mounts(self.proc / "mountinfo"))
        for line in _lines(self.proc / "cgroup"):
            number, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                found = [mount for mount in mounts if controller in mount.controllers]
            elif number == "0" and not controllers:
                found = [mount for mount in mounts if not mount.controllers]
            else:
                continue
            holding = [mount for mount in found if _inside(mount, path) is not None]
            yield from ((mount, path) for mount in holding or found)


def available_cores() -> int:
    """Return the whole cores that this process may use, by its CPU affinity and its CPU quota; at least 1."""
    return max(1, int(usable_cores()))


def usable_cores() -> float:
    """Return the cores that this process may keep busy: a quota may leave it a part of one."""
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = ControlGroups().cpu_quota()
    return float(affinity) if quota is None else min(float(affinity), quota)


def limit_threads() -> None:
    """Have the libraries of this process, loaded later, start no more threads than a CPU quota gives cores.

    By themselves they count the cores of the machine. `$OMP_NUM_THREADS` of the user counts first.
    """
    if ControlGroups().cpu_quota() is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


@dataclass(frozen=True)
class Memory:
    """The memory for this process and its children, in bytes."""

    total: int
    free: int
    limited: bool
    """Whether a control group allows less than the machine has."""

    @property
    def described(self) -> str:
        """The total in words, such as ``2.1 GB of memory``."""
        return f"{self.total / 1e9:.1f} GB of memory{_LIMITED if self.limited else ''}"


def memory() -> Memory:
    """Return the machine's memory, or what the control groups of this process leave of it."""
    import psutil  # most commands do not ask

    machine, groups = psutil.virtual_memory(), ControlGroups()
    limit, free = groups.memory_limit(), groups.free_memory()
    return Memory(
        total=min(machine.total, limit or machine.total),
        free=machine.available if free is None else min(machine.available, free),
        limited=limit is not None and limit < machine.total,
    )


def _mounts(mountinfo: Path) -> Iterator[_Mount]:
    """Yield the mounted hierarchies; proc(5) describes the format."""
    for line in _lines(mountinfo):
        before, separator, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if not separator or len(fields) < 5 or kinds[:1] not in (["cgroup"], ["cgroup2"]):
            continue
        root, folder = (_unescaped(field) for field in fields[3:5])
        controllers = frozenset(kinds[-1].split(",")) if kinds[0] == "cgroup" else frozenset()
        yield _Mount(root, Path(folder), controllers)


def _inside(mount: _Mount, path: str) -> str | None:
    """Return the path of a group below the mount's root; None if it does not lie there."""
    root = mount.root.rstrip("/")
    return path[len(root) :] if path == root or path.startswith(f"{root}/") else None


def _place(mount: _Mount, path: str) -> Path:
    """Return the folder of the group ``path``.

    Seen from another cgroup namespace, the path does not begin at the mount's root. If the mount begins above
    the namespace, the names between are unknown: the process is looked for. Else the end of the path leads to
    the group, or the root itself is all that can be seen.
    """
    inside = _inside(mount, path)
    if inside is None and mount.root.startswith("/.."):
        for processes in mount.folder.rglob("cgroup.procs"):
            if str(os.getpid()) in _lines(processes):
                return processes.parent
    names = [name for name in (path if inside is None else inside).split("/") if name not in ("", "..")]
    while names and not mount.folder.joinpath(*names).is_dir():
        del names[0]
    return mount.folder.joinpath(*names)


def _unescaped(field: str) -> str:
    """Replace the octal escapes of mountinfo, such as of a space."""
    return field.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in field else field


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="surrogateescape").splitlines()
    return []


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None  # also for "max"


def _pair(path: Path) -> tuple[int | None, int | None]:
    """Read ``"50000 100000"``: quota and period in microseconds."""
    with suppress(OSError, ValueError):
        quota, period = path.read_text().split()
        return int(quota), int(period)
    return None, None


def _counts(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    counts = {}
    for line in _lines(path):
        with suppress(ValueError):
            name, value = line.split()
            counts[name] = int(value)
    return counts


_GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


def has_gpu() -> bool:
    """Return whether the machine has the driver of a GPU; asking PyTorch would take a second to load it."""
    return any(path.exists() for path in _GPU_DRIVERS)
