"""What control groups leave of a machine: recorded trees of both versions, and real groups."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from hpo import limits
from hpo.limits import ControlGroups, available_cores, memory, usable_cores
from tests.helpers.control_groups import real_group, recorded

V1 = {"cpu": "/ cgroup rw,cpu,cpuacct", "memory": "/ cgroup rw,memory", "systemd": "/ cgroup rw,name=systemd"}
V2 = {"": "/ cgroup2 rw,nsdelegate"}
HYBRID = {**V1, "unified": "/ cgroup2 rw"}
GIB = 2**30


def _v1(cpu: str, memory: str = "/") -> str:
    return f"9:name=systemd:/\n4:memory:{memory}\n2:cpu,cpuacct:{cpu}\n"


def _cpu(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    place = f"cpu{folder}"
    return {f"{place}/cpu.cfs_quota_us": str(quota), f"{place}/cpu.cfs_period_us": str(period)}


CPU_CASES = {
    "v1, own group": (V1, _v1("/job"), {**_cpu("/job", 50_000), **_cpu("", -1)}, 0.5),
    "v1, a group above": (
        V1,
        _v1("/a/b/c"),
        {**_cpu("/a/b/c", -1), **_cpu("/a/b", -1), **_cpu("/a", 150_000)},
        1.5,
    ),
    "v1, the smallest": (V1, _v1("/a/b"), {**_cpu("/a/b", 400_000), **_cpu("/a", 200_000, 50_000)}, 4.0),
    "v1, a container that sees the host's path": (
        {**V1, "cpu": "/docker/4f0a cgroup rw,cpu,cpuacct"},
        _v1("/docker/4f0a"),
        _cpu("", 250_000),
        2.5,
    ),
    "v1, below a container's root": (
        {**V1, "cpu": "/docker/4f0a cgroup rw,cpu,cpuacct"},
        _v1("/docker/4f0a/job"),
        {**_cpu("", -1), **_cpu("/job", 100_000)},
        1.0,
    ),
    "v1, no quota": (V1, _v1("/job"), {**_cpu("/job", -1), **_cpu("", -1)}, None),
    "v2, own group": (
        V2,
        "0::/system.slice/hpo.service\n",
        {"system.slice/hpo.service/cpu.max": "150000 100000", "system.slice/cpu.max": "max 100000"},
        1.5,
    ),
    "v2, a slice above": (
        V2,
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        {
            "user.slice/user-1000.slice/session-2.scope/cpu.max": "max 100000",
            "user.slice/cpu.max": "75000 50000",
        },
        1.5,
    ),
    "v2, the root of a cgroup namespace": (V2, "0::/\n", {"cpu.max": "200000 100000"}, 2.0),
    "v2, the host's path in a namespaced mount": (
        V2,
        "0::/kubepods/pod7/4f0a\n",
        {"cpu.max": "50000 100000", "cgroup.procs": ""},
        0.5,
    ),
    "v2, a mount of the host in a namespace": (
        {"": "/../../.. cgroup2 rw"},
        "0::/job\n",
        {"job/cpu.max": "30000 100000", "cpu.max": "max 100000"},
        0.3,
    ),
    "v2, a namespace without a mount of its own": (
        {"": "/../.. cgroup2 rw"},
        "0::/\n",
        {"a/b/cgroup.procs": f"1\n{os.getpid()}", "a/b/cpu.max": "max 100000", "a/cpu.max": "70000 100000"},
        0.7,
    ),
    "v2, moved out of its namespace": (V2, "0::/../other\n", {"other/cpu.max": "100000 100000"}, 1.0),
    "v2, without cpu controller": (V2, "0::/job\n", {"job/cgroup.procs": ""}, None),
    "hybrid, v1 has the controller": (
        HYBRID,
        _v1("/job") + "0::/x\n",
        {**_cpu("/job", 50_000), "unified/x/cgroup.procs": ""},
        0.5,
    ),
    "hybrid, v2 has the controller": (
        {"systemd": "/ cgroup rw,name=systemd", "unified": "/ cgroup2 rw"},
        "1:name=systemd:/x\n0::/x\n",
        {"unified/x/cpu.max": "50000 100000"},
        0.5,
    ),
    "another container's group mounted too": (
        {**V1, "other": "/docker/77 cgroup rw,cpu,cpuacct"},
        _v1("/docker/4f0a"),
        {
            **_cpu("/docker/4f0a", 200_000),
            "other/cpu.cfs_quota_us": "10000",
            "other/cpu.cfs_period_us": "100000",
        },
        2.0,
    ),
    "nonsense": (V2, "0::/\n", {"cpu.max": "nonsense"}, None),
    "no control groups": ({}, "", {}, None),
}


@pytest.mark.parametrize(("mounts", "cgroup", "files", "cores"), CPU_CASES.values(), ids=CPU_CASES)
def test_cpu_quota_is_that_of_the_own_group_or_one_above(
    mounts: Mapping[str, str], cgroup: str, files: Mapping[str, str], cores: float | None, tmp_path: Path
) -> None:
    found = recorded(tmp_path, mounts=mounts, cgroup=cgroup, files=files).cpu_quota()
    assert found == (None if cores is None else pytest.approx(cores))


MEMORY_CASES = {
    "v1": (V1, _v1("/", "/job"), {"memory/job/memory.limit_in_bytes": str(GIB)}, GIB),
    "v1, no limit": (V1, _v1("/", "/job"), {"memory/job/memory.limit_in_bytes": "9223372036854771712"}, None),
    "v1, above what is mounted": (
        {**V1, "memory": "/docker/4f0a cgroup rw,memory"},
        _v1("/", "/docker/4f0a"),
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/memory.stat": f"cache 0\nhierarchical_memory_limit {GIB}",
        },
        GIB,
    ),
    "v2, a group above": (V2, "0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": str(GIB)}, GIB),
    "v2, throttled": (V2, "0::/a\n", {"a/memory.max": str(2 * GIB), "a/memory.high": str(GIB)}, GIB),
    "v2, no limit": (V2, "0::/a\n", {"a/memory.max": "max", "a/memory.high": "max"}, None),
    "no control groups": ({}, "", {}, None),
}


@pytest.mark.parametrize(("mounts", "cgroup", "files", "size"), MEMORY_CASES.values(), ids=MEMORY_CASES)
def test_memory_limit_is_the_smallest_that_applies(
    mounts: Mapping[str, str], cgroup: str, files: Mapping[str, str], size: int | None, tmp_path: Path
) -> None:
    assert recorded(tmp_path, mounts=mounts, cgroup=cgroup, files=files).memory_limit() == size


@pytest.mark.parametrize(
    ("mounts", "cgroup", "place", "names"),
    [
        (V1, _v1("/", "/job"), "memory/job", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")),
        (V2, "0::/job\n", "job", ("memory.max", "memory.current", "")),
    ],
    ids=["v1", "v2"],
)
def test_free_memory_counts_the_page_cache_as_free(
    mounts: Mapping[str, str], cgroup: str, place: str, names: tuple[str, str, str], tmp_path: Path
) -> None:
    limit, usage, prefix = names
    stat = f"{prefix}active_file 200\n{prefix}inactive_file 100\nanon 600"
    files = {f"{place}/{limit}": "1000", f"{place}/{usage}": "900", f"{place}/memory.stat": stat}
    assert recorded(tmp_path, mounts=mounts, cgroup=cgroup, files=files).free_memory() == 1000 - (900 - 300)


@pytest.mark.parametrize(
    ("mounts", "cgroup", "files"),
    [
        (
            V1,
            _v1("/", "/job"),
            {"memory/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3"},
        ),
        (V2, "0::/job\n", {"job/memory.events": "low 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0"}),
    ],
    ids=["v1", "v2"],
)
def test_oom_kills_are_counted(
    mounts: Mapping[str, str], cgroup: str, files: Mapping[str, str], tmp_path: Path
) -> None:
    assert recorded(tmp_path, mounts=mounts, cgroup=cgroup, files=files).oom_kills() == 3


@pytest.mark.parametrize(
    ("quota", "usable", "available"), [(0.5, 0.5, 1), (1.9, 1.9, 1), (2.0, 2.0, 2), (99.0, 4.0, 4)]
)
def test_cores_are_the_whole_ones_of_the_quota(
    quota: float, usable: float, available: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(ControlGroups, "cpu_quota", lambda self: quota)
    assert usable_cores() == usable
    assert available_cores() == available


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has affinities")
def test_a_process_bound_to_one_core_has_one() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from hpo.limits import available_cores; print(available_cores())"
    assert _printed(script) == "1\n"


@pytest.mark.parametrize(
    ("quota", "given", "threads"), [(None, None, None), (0.5, None, "1"), (2.0, None, "2"), (2.0, "7", "7")]
)
def test_limit_threads_leaves_no_more_threads_than_cores(
    quota: float | None, given: str | None, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(ControlGroups, "cpu_quota", lambda self: quota)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    limits.limit_threads()
    assert os.environ.pop("OMP_NUM_THREADS", None) == threads


def test_memory_without_a_limit_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.ControlGroups, "memory_limit", lambda self: None)
    monkeypatch.setattr(limits.ControlGroups, "free_memory", lambda self: None)
    found = memory()
    assert (found.total, found.limited) == (psutil.virtual_memory().total, False)
    assert 0 < found.free < found.total


def test_a_real_cpu_quota_is_found() -> None:
    with real_group("cpu", cpu_max=50_000, cpu_cfs_quota_us=50_000) as enter:
        assert _printed("from hpo.limits import usable_cores; print(usable_cores())", enter) == "0.5\n"


def test_a_real_memory_limit_is_found() -> None:
    with real_group("memory", memory_max=GIB, memory_limit_in_bytes=GIB) as enter:
        script = (
            "from hpo.limits import memory; m = memory(); print(m.total, m.limited, 0 < m.free <= m.total)"
        )
        assert _printed(script, enter) == f"{GIB} True True\n"


def test_a_real_kill_for_lack_of_memory_is_counted() -> None:
    limit = 64 * 2**20
    with real_group("memory", memory_max=limit, memory_limit_in_bytes=limit) as enter:
        script = (
            "import os, signal\n"
            "from hpo.limits import ControlGroups\n"
            "before = ControlGroups().oom_kills()\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    bytearray(512 * 2**20)\n"
            "    os._exit(0)\n"
            "_, status = os.waitpid(child, 0)\n"
            "print(os.waitstatus_to_exitcode(status), ControlGroups().oom_kills() - before)\n"
        )
        assert _printed(script, enter) == "-9 1\n"


def _printed(script: str, enter: Callable[[], None] | None = None) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=enter).stdout
