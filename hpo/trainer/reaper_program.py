"""The program of the reaper: ``python -I -S reaper_program.py PATTERN VARIABLE``, with a socket as its input.

It imports nothing of hpo, so that it starts fast and needs little memory. Each line that it receives is a
JSON list: what to do (``hold``, ``group`` or ``drop``), the file of metrics, and the process group. With
``hold`` come two descriptors: the program's output, and the file of metrics, locked.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

_BLOCK = 1 << 16
_SECONDS = 10.0
"""Time for the processes of a program to end."""


class Held:
    """A program that is killed when the worker has ended.

    ``output`` is the pipe that it prints to, ``lock`` the file of its metrics: locked while this is open.
    """

    def __init__(self, output: int, lock: int) -> None:
        self.output = output
        self.lock = lock
        self.group: int | None = None

    def close(self) -> None:
        """Let go of the pipe and the file."""
        os.close(self.output)
        os.close(self.lock)


def held_at_the_end(link: socket.socket) -> dict[str, Held]:
    """Follow the worker's lines until it has ended; return the programs that run, by file of metrics."""
    text = b""
    files: list[int] = []
    held: dict[str, Held] = {}
    while True:
        block, received, _, _ = socket.recv_fds(link, _BLOCK, 64)
        if not block:
            return held
        text, files = text + block, files + received
        *lines, text = text.split(b"\n")
        for what, file, group in map(json.loads, lines):
            if what == "hold":
                held[file] = Held(files.pop(0), files.pop(0))
            elif what == "group" and file in held:
                held[file].group = group
            elif what == "drop" and file in held:
                held.pop(file).close()


def end(program: Held, mark: bytes) -> None:
    """Kill a program, with all processes that have ``mark`` in their environment."""
    if program.group:
        _kill(os.killpg, program.group)
    deadline = time.monotonic() + _SECONDS
    while (left := list(_marked(mark))) and time.monotonic() < deadline:
        for each in left:
            _kill(os.kill, each)
        time.sleep(0.002)


def save_metrics(output: int, pattern: bytes, file: str) -> None:
    """Append the lines of metrics that the worker has not read to the program's file of metrics."""
    printed = b""
    while select.select([output], [], [], 1)[0] and (block := os.read(output, _BLOCK)):
        printed += block
    found = [line + b"\n" for line in printed.split(b"\n") if re.match(pattern, line)]
    with suppress(OSError):
        os.write(os.open(file, os.O_WRONLY | os.O_APPEND), b"".join(found))


def _marked(mark: bytes) -> Iterator[int]:
    names: list[str] = []
    with suppress(OSError):  # a system without /proc
        names = [each.name for each in os.scandir("/proc") if each.name.isdigit()]
    for each in names:
        with suppress(OSError), open(f"/proc/{each}/environ", "rb") as file:  # noqa: PTH123 # pathlib is slow
            if mark in file.read().split(b"\0"):
                yield int(each)


def _kill(how: Callable[[int, int], None], number: int) -> None:
    with suppress(OSError):
        how(number, signal.SIGKILL)


def main(pattern: str, variable: str) -> None:
    """Wait for the end of the worker; then end its programs, and save what they have reported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for file, program in held_at_the_end(socket.socket(fileno=0)).items():
        end(program, os.fsencode(f"{variable}={file}"))
        save_metrics(program.output, pattern.encode(), file)
        program.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
