"""A running program: its output is passed on, and its lines of metrics go to the file of metrics."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from hpo.limits import ControlGroups
from hpo.trainer.metric_lines import LIKE_A_REPORT, STDOUT_LINE, append_line
from hpo.trainer.reaper import reaper

LAST_LINES = 20
"""Lines of output that tell why a program has failed."""
_LONGEST_LINE = 1 << 20
"""Longer ones are passed on, but report no metrics."""
_BEAT_SECONDS = 0.5
_BLOCK = 1 << 16
_BLOCKS = 64
"""Blocks that are read before the worker does something else."""


class Program:
    """A program that has been started, with its process group."""

    def __init__(self, command: list[str], environment: dict[str, str], metrics: Path) -> None:
        self._metrics = metrics
        self._kills = ControlGroups().oom_kills() or 0
        output, writes = os.pipe()
        reaper().hold(metrics, output)  # before it starts: this worker may be killed at any time
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writes,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # its descendants are ended with it
            )
        except OSError:
            reaper().drop(metrics)
            os.close(output)
            raise
        finally:
            os.close(writes)
        reaper().group(metrics, self._process.pid)
        self.watched = psutil.Process(self._process.pid)
        self.code: int | None = None
        """The exit code, once it has ended; negative for a signal."""
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.like_a_report = ""
        """The first line that looks like a report of metrics and is none."""
        self._started = time.monotonic()
        self._beat_at = 0.0
        self._selector = selectors.DefaultSelector()
        assert self._process.stderr is not None, "it is a pipe"
        self._open: dict[int, IO[bytes]] = {1: os.fdopen(output, "rb", 0), 2: self._process.stderr}
        self._rests = {1: b"", 2: b""}
        for target, stream in self._open.items():
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, target)
        self._watch_end()

    def _watch_end(self) -> None:
        """Have ``read`` return when the program ends, where the system can tell."""
        self._end: int | None = None
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self._end = os.pidfd_open(self._process.pid)
                self._selector.register(self._end, selectors.EVENT_READ, 0)

    def seconds(self) -> float:
        """Return how long it has run."""
        return time.monotonic() - self._started

    def read(self, seconds: float) -> bool:
        """Pass on what it prints, and wait for that or for its end. Return whether to report progress."""
        blocks = 0
        for blocks in range(_BLOCKS):
            ready = self._selector.select(seconds if blocks == 0 else 0)
            targets = [key.data for key, _ in ready if key.data]
            if not targets:
                break
            for target in targets:
                self._pass_on(target)
        if not blocks or time.monotonic() - self._beat_at < _BEAT_SECONDS:
            return False
        self._beat_at = time.monotonic()
        return True

    def _pass_on(self, target: int) -> None:
        try:
            block = os.read(self._open[target].fileno(), _BLOCK)
        except BlockingIOError:
            return
        if not block:
            self._close(target)
            return
        *lines, rest = (self._rests[target] + block).split(b"\n")
        self._rests[target] = rest if len(rest) < _LONGEST_LINE else b""
        for line in lines:  # metrics first: what is read here is lost if this worker is killed
            self._line(target, line)
        with suppress(OSError):  # a full disk
            os.write(target, block)

    def _line(self, target: int, line: bytes) -> None:
        if target == 1 and STDOUT_LINE.match(line):
            append_line(self._metrics, line)
        elif LIKE_A_REPORT.search(line):
            self.like_a_report = self.like_a_report or line[:200].decode(errors="replace").strip()
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")  # the last of a progress bar
        if text.strip():
            self.last_lines.append(text[:1000])

    def _close(self, target: int) -> None:
        stream = self._open.pop(target)
        self._selector.unregister(stream)
        stream.close()
        self._line(target, self._rests[target])

    def has_ended(self) -> bool:
        """Whether it has ended; its descendants may still run."""
        if self.code is None and hasattr(os, "waitid"):
            # It is left as a zombie, so that its process group cannot become another one before ``end``.
            found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return found is not None
        return self._process.poll() is not None

    def signal(self, number: int) -> None:
        """Send a signal to the program and its descendants."""
        if self.code is None:
            with suppress(OSError):
                os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Kill what is left of it, and read the rest of its output."""
        if self.code is not None:
            return
        self.signal(signal.SIGKILL)
        self.code = self._process.wait()
        reaper().drop(self._metrics)
        if self._end is not None:
            self._selector.unregister(self._end)
            os.close(self._end)
        deadline = time.monotonic() + 1  # a descendant in another session may hold the output open
        while self._open and time.monotonic() < deadline and self._selector.select(0.05):
            for target in list(self._open):
                self._pass_on(target)
        for target in list(self._open):
            self._close(target)
        self._selector.close()

    def was_short_of_memory(self) -> bool:
        """Whether it was killed, and the kernel has killed a process for lack of memory meanwhile."""
        killed = self.code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        return killed and (ControlGroups().oom_kills() or 0) > self._kills
