"""Who a worker is, and whether it lives."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hpo.storage import identity
from tests.helpers.local_worker import local_worker


@pytest.fixture(autouse=True)
def _ask_again() -> Iterator[None]:
    """What is known of this machine is remembered: forget what a test pretends."""
    yield
    for known in (identity.host, identity._boot, identity._without_proc):
        known.cache_clear()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def _named(process: subprocess.Popen[bytes]) -> str:
    """The process's name as a worker."""
    since_boot = psutil.Process(process.pid).create_time() - psutil.boot_time()
    return local_worker(process.pid, f"{since_boot:.2f}")


def test_worker_id_has_host_pid_start_and_boot() -> None:
    host, pid, start = identity.worker_id().rsplit(":", 2)
    assert (host, int(pid)) == (identity.host(), os.getpid())
    since_boot = psutil.Process().create_time() - psutil.boot_time()
    assert float(start.partition("@")[0]) == pytest.approx(since_boot, abs=0.01)


def test_life_of_a_process_outlives_a_change_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = identity.worker_id()
    started = psutil.Process().create_time()
    # Linux counts the time of its start from the time of day.
    later = psutil.boot_time() + 600
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: later)
    assert psutil.Process().create_time() == pytest.approx(started + 600, abs=0.01)
    assert identity.life_of(worker) == "alive"


def test_life_of_this_process_and_of_one_that_ended(child: subprocess.Popen[bytes]) -> None:
    assert identity.life_of(identity.worker_id()) == "alive"
    worker = _named(child)
    assert identity.life_of(worker) == "alive"
    child.kill()
    # Not waited for yet: a zombie trains nothing.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity.life_of(worker) == "dead"
    child.wait()
    assert identity.life_of(worker) == "dead"


def test_life_of_an_earlier_process_with_the_same_pid_is_dead() -> None:
    assert identity.life_of(local_worker(os.getpid(), "12345.00")) == "dead"


def test_life_of_a_worker_elsewhere_is_unknown() -> None:
    boot = identity.worker_id().rpartition("@")[2]
    assert identity.life_of(f"elsewhere:1:12345.00@{boot}") == "unknown"


@pytest.mark.parametrize("start", ["12345.00@0badcafe", "12345.00"])
def test_life_of_a_worker_of_another_boot_is_unknown(start: str) -> None:
    # Another machine of the same name, this one before it restarted, or a version that did not tell.
    worker = f"{identity.host()}:999999999:{start}"
    assert identity.life_of(worker) == "unknown"
    assert not identity.is_local(worker)


def test_boot_differs_between_machines_of_one_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(identity, "_PROC", tmp_path)
    marks = tmp_path / "sys/kernel/random"
    marks.mkdir(parents=True)
    found = set()
    for boot in ("24a15d51-8bcf-499d-9fce-039d342b5f6d", "7f9c2ba4-e88f-427d-a161-4ce82fe7c1a2"):
        (marks / "boot_id").write_text(f"{boot}\n")
        identity._boot.cache_clear()
        found.add(identity._boot())
    assert len(found) == 2


def test_life_without_proc_is_dead_only_without_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    worker = _named(child)
    monkeypatch.setattr(identity, "_PROC", tmp_path)
    assert identity.life_of(worker) == "unknown"
    assert identity.life_of(identity.worker_id()) == "unknown"
    assert identity.worker_id() == identity.worker_id()
    child.kill()
    child.wait()
    assert identity.life_of(worker) == "dead"


def test_life_is_unknown_where_proc_shows_another_namespace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = identity.worker_id()
    stat = Path(f"/proc/{os.getpid()}/stat").read_text()
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "stat").write_text(stat)
    (tmp_path / "self").symlink_to(str(os.getpid()))
    monkeypatch.setattr(identity, "_PROC", tmp_path)
    assert identity.life_of(worker) == "alive"
    # As after `unshare --pid` without a new /proc: its numbers are those of other processes.
    (tmp_path / "self").unlink()
    (tmp_path / "self").symlink_to("999999999")
    assert identity.life_of(worker) == "unknown"


_ASK = """
import os, sys
from hpo.storage.identity import life_of, worker_id
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
print([life_of(worker) for worker in (*sys.argv[1:], worker_id())])
"""


@pytest.mark.parametrize("hidden", ["noaccess", "invisible", "ptraceable"])
def test_life_of_another_users_hidden_process_is_unknown(hidden: str, child: subprocess.Popen[bytes]) -> None:
    _need_private_proc()
    gone = _named(child).replace(f":{child.pid}:", ":999999999:")
    mounted = f'mount -t proc -o hidepid={hidden} proc /proc && exec "$@"'
    ask = [sys.executable, "-c", _ASK, _named(child), gone]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted, "sh", *ask],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr:
        pytest.skip(f"/proc cannot be mounted here: {done.stderr.strip()}")
    assert done.stdout == "['unknown', 'dead', 'alive']\n", done.stderr


def _need_private_proc() -> None:
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    if platform.system() != "Linux" or os.getuid() != 0 or release < (5, 8):
        pytest.skip("needs root on Linux 5.8 or later, where each mount of /proc has its own options")


def test_host_of_a_container_has_its_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "box:1")
    monkeypatch.setattr(identity, "_FIRST_NAMESPACE", "pid:[1]")
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(Path, "readlink", lambda self: "pid:[42]")
    identity.host.cache_clear()
    assert identity.host() == "box-1/42"
    monkeypatch.setattr(Path, "readlink", lambda self: "pid:[1]")
    identity.host.cache_clear()
    assert identity.host() == "box-1"
