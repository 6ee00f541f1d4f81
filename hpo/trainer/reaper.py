"""A small process that ends the commands of a worker that was killed."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpo.config.command import trial_variable
from hpo.trainer.metric_lines import STDOUT_LINE

_PROGRAM = Path(__file__).with_name("reaper_program.py")


class Reaper:
    """Kills the programs that it holds once this process has ended, for whatever reason.

    It recognizes a program's processes by their group, and by the environment variable with the file of its
    metrics. Metrics that the program has printed and this process has not read are added to that file, which
    is locked until then (``wait_for_metrics``).
    """

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        pattern, variable = STDOUT_LINE.pattern.decode(), trial_variable("trial.metrics")
        command = [sys.executable, "-I", "-S", str(_PROGRAM), pattern, variable]
        self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
        theirs.close()
        atexit.register(self._close)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def hold(self, metrics: Path, output: int) -> None:
        """Hold the program with this file of metrics, which starts next and prints to the pipe ``output``."""
        with suppress(OSError), _locked(metrics) as lock:
            socket.send_fds(self._link, [_line("hold", metrics)], [output, lock])

    def group(self, metrics: Path, group: int) -> None:
        """Tell it the process group of a program that it holds."""
        with suppress(OSError):
            self._link.sendall(_line("group", metrics, group))

    def drop(self, metrics: Path) -> None:
        """Leave a program alone: it has ended."""
        with suppress(OSError):
            self._link.sendall(_line("drop", metrics))

    def _close(self) -> None:
        self._link.close()
        self._process.wait()


@contextmanager
def _locked(metrics: Path) -> Iterator[int]:
    """Lock a file; the lock lasts as long as anyone has this descriptor, or it is on its way to someone."""
    descriptor = os.open(metrics, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_metrics(file: Path, seconds: float = 15.0) -> None:
    """Wait until the reaper of a killed worker has added to ``file`` what the program had printed."""
    deadline = time.monotonic() + seconds
    with suppress(OSError), file.open("rb") as opened:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.01)


def _line(what: str, metrics: Path, group: int | None = None) -> bytes:
    return json.dumps([what, str(metrics), group]).encode() + b"\n"


_reaper: Reaper | None = None


def reaper() -> Reaper:
    """Return the reaper of this process."""
    global _reaper
    if _reaper is None or not _reaper.is_alive:
        _reaper = Reaper()
    return _reaper
