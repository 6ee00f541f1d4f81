"""A small process that ends the commands of a worker, should the worker be killed."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hpo.config.command import trial_variable
from hpo.trainer.metric_lines import STDOUT_LINE

_PROGRAM = """
import json, os, re, select, signal, socket, sys, time

def programs(mark):
    for each in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        try:
            with open(f"/proc/{each}/environ", "rb") as file:
                if mark in file.read().split(b"\\0"):
                    yield int(each)
        except OSError:
            pass

def kill(end, number):
    try:
        end(number, signal.SIGKILL)
    except OSError:
        pass

signal.signal(signal.SIGINT, signal.SIG_IGN)
link = socket.socket(fileno=0)
text, outputs, held = b"", [], {}
while True:
    block, received, _, _ = socket.recv_fds(link, 1 << 16, 64)
    if not block:
        break
    text, outputs = text + block, outputs + received
    *lines, text = text.split(b"\\n")
    for what, file, group in map(json.loads, lines):
        if what == "hold":
            held[file] = [outputs.pop(0), None]
        elif what == "group" and file in held:
            held[file][1] = group
        elif what == "drop" and file in held:
            os.close(held.pop(file)[0])
for file, (output, group) in held.items():
    if group:
        kill(os.killpg, group)
    mark, end = os.fsencode(sys.argv[2] + "=" + file), time.monotonic() + 10
    while (left := list(programs(mark))) and time.monotonic() < end:
        for each in left:
            kill(os.kill, each)
        time.sleep(0.002)
    printed = b""
    while select.select([output], [], [], 1)[0] and (block := os.read(output, 1 << 16)):
        printed += block
    found = [line + b"\\n" for line in printed.split(b"\\n") if re.match(sys.argv[1].encode(), line)]
    try:
        os.write(os.open(file, os.O_WRONLY | os.O_APPEND), b"".join(found))
    except OSError:
        pass
"""


class Guard:
    """Kills the programs that it was told of once this process has ended, however it does.

    A program is known by the variable of its environment that has the file of its metrics, and its process
    group. What it has printed and this process has not read is searched for metrics, for that file.
    """

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        pattern, variable = STDOUT_LINE.pattern.decode(), trial_variable("trial.metrics")
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, pattern, variable]
        self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
        theirs.close()
        atexit.register(self._close)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def hold(self, metrics: Path, output: int) -> None:
        """Guard the program with this file of metrics, which starts next and writes to a pipe."""
        with suppress(OSError):
            socket.send_fds(self._link, [_line("hold", metrics)], [output])

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


def _line(what: str, metrics: Path, group: int | None = None) -> bytes:
    return json.dumps([what, str(metrics), group]).encode() + b"\n"


_guard: Guard | None = None


def guard() -> Guard:
    """Return the guard of this process."""
    global _guard
    if _guard is None or not _guard.is_alive:
        _guard = Guard()
    return _guard
