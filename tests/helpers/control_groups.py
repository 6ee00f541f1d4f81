"""Control groups for tests: recorded trees of files, and real ones where root may make them."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hpo.limits import ControlGroups
from tests.helpers.waiting import wait_until

_REAL = Path("/sys/fs/cgroup")


def recorded(
    folder: Path, *, mounts: Mapping[str, str], cgroup: str, files: Mapping[str, str]
) -> ControlGroups:
    """Write a recorded ``/proc/self`` and its mounted groups below ``folder``.

    ``mounts`` has the root, type and options of each mount, such as ``"/ cgroup rw,memory"``, by its folder
    in ``/sys/fs/cgroup``.
    """
    mounted = folder / "sys fs cgroup"
    proc = folder / "proc"
    proc.mkdir()
    escaped = str(mounted).replace(" ", "\\040")
    lines = ["23 28 0:22 / / rw,relatime - ext4 /dev/vda rw"]
    for place, mount in mounts.items():
        root, kind, options = mount.split()
        at = f"{escaped}/{place}".rstrip("/")
        lines.append(f"32 31 0:29 {root} {at} rw,nosuid shared:9 - {kind} {kind} {options}")
    (proc / "mountinfo").write_text("\n".join(lines) + "\n")
    (proc / "cgroup").write_text(cgroup)
    for name, content in files.items():
        path = mounted / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return ControlGroups(proc)


@contextmanager
def real_group(controller: str, **limits: int) -> Iterator[Callable[[], None]]:
    """Make a group of version 1 or 2 with limits for the processes that call what is yielded.

    Pass the names of both versions, such as ``cpu_max`` and ``cpu_cfs_quota_us``; skips the test where none
    can be made.
    """
    version_1 = _REAL / controller
    folder = (version_1 if version_1.is_dir() else _REAL) / f"hpo-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        for name, value in limits.items():
            file = folder / name.replace("_", ".", 1)
            if file.exists():
                file.write_text(str(value))
        if not any((folder / name.replace("_", ".", 1)).exists() for name in limits):
            pytest.skip(f"the {controller} controller is not available here")

        def enter() -> None:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

        yield enter
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the end of the group's processes")
        folder.rmdir()
