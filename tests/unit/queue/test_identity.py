"""Who a worker is, and whether it lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hpo.storage import identity


def test_a_worker_is_named_by_host_pid_and_start() -> None:
    host, pid, start = identity.worker_id().rsplit(":", 2)
    assert (host, int(pid)) == (identity.host(), os.getpid())
    since_boot = psutil.Process().create_time() - psutil.boot_time()
    assert float(start) == pytest.approx(since_boot, abs=0.01)


def test_a_worker_lives_on_when_somebody_sets_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = identity.worker_id()
    started = psutil.Process().create_time()
    # Linux counts the time of its start from the time of day.
    later = psutil.boot_time() + 600
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: later)
    assert psutil.Process().create_time() == pytest.approx(started + 600, abs=0.01)
    assert not identity.is_dead_local(worker)


def test_this_process_lives_and_one_that_ended_does_not() -> None:
    assert not identity.is_dead_local(identity.worker_id())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        since_boot = psutil.Process(child.pid).create_time() - psutil.boot_time()
        worker = f"{identity.host()}:{child.pid}:{since_boot:.2f}"
        assert not identity.is_dead_local(worker)
        child.kill()
        # Not waited for yet: a zombie trains nothing.
        psutil.wait_procs([psutil.Process(child.pid)], timeout=0)
        while psutil.pid_exists(child.pid) and psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert identity.is_dead_local(worker)
    assert identity.is_dead_local(worker)


def test_a_later_process_with_the_same_pid_is_another() -> None:
    assert identity.is_dead_local(f"{identity.host()}:{os.getpid()}:12345.00")


def test_of_other_machines_nothing_is_known() -> None:
    assert not identity.is_dead_local("elsewhere:1:12345.00")


def test_a_container_that_shares_the_machines_name_is_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "box:1")
    monkeypatch.setattr(identity, "_FIRST_NAMESPACE", "pid:[1]")
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(Path, "readlink", lambda self: "pid:[42]")
    identity.host.cache_clear()
    assert identity.host() == "box-1/42"
    monkeypatch.setattr(Path, "readlink", lambda self: "pid:[1]")
    identity.host.cache_clear()
    assert identity.host() == "box-1"
    identity.host.cache_clear()
