"""A small process that ends the commands of a worker, should the worker be killed."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hpo.trainer.metric_lines import STDOUT_LINE

_PROGRAM = """
import json, os, re, select, signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
link = socket.socket(fileno=0)
text, outputs, held = b"", [], {}
while True:
    block, received, _, _ = socket.recv_fds(link, 1 << 16, 64)
    if not block:
        break
    text, outputs = text + block, outputs + received
    *lines, text = text.split(b"\\n")
    for group, file in map(json.loads, lines):
        if file:
            held[group] = file, outputs.pop(0)
        elif group in held:
            os.close(held.pop(group)[1])
for group, (file, output) in held.items():
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
    printed = b""
    while select.select([output], [], [], 1)[0] and (block := os.read(output, 1 << 16)):
        printed += block
    found = [line + b"\\n" for line in printed.split(b"\\n") if re.match(sys.argv[1].encode(), line)]
    try:
        file = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.write(file, b"".join(found))
    except OSError:
        pass
"""


class Guard:
    """Kills the process groups that it was given once this process has ended, however it does.

    Metrics that such a group has printed, and this process has not read, are written to a file.
    """

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, STDOUT_LINE.pattern.decode()]
        self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
        theirs.close()
        atexit.register(self._close)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def add(self, group: int, output: int, metrics: Path) -> None:
        """Guard a group; ``output`` is the descriptor of a pipe that it writes to."""
        with suppress(OSError):
            socket.send_fds(self._link, [_line(group, str(metrics))], [output])

    def discard(self, group: int) -> None:
        """Leave a group alone: it has ended."""
        with suppress(OSError):
            self._link.sendall(_line(group, ""))

    def _close(self) -> None:
        self._link.close()
        self._process.wait()


def _line(group: int, metrics: str) -> bytes:
    return json.dumps([group, metrics]).encode() + b"\n"


_guard: Guard | None = None


def guard() -> Guard:
    """Return the guard of this process."""
    global _guard
    if _guard is None or not _guard.is_alive:
        _guard = Guard()
    return _guard
