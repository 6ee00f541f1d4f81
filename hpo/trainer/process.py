"""The trainer process as its worker sees it: started, reused for the next trial, watched and ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from hpo.limits import ControlGroups
from hpo.trainer.connection import HUNG_UP
from hpo.trainer.descendants import MARK, kill_with_descendants, left_running
from hpo.trainer.messages import Channel, Leftover, Load, ToTrainer, ToWorker

TERM_SECONDS = 3.0
"""Time between SIGTERM and SIGKILL."""
_LEAKED_BYTES = 1 << 30
"""Growth over its trials for which a process is replaced."""


@dataclass(frozen=True)
class Usage:
    """What the process and its descendants use."""

    processor_seconds: float
    memory: int
    """Resident, in bytes."""


def usage_of(process: psutil.Process) -> Usage:
    """Return what a process and its descendants use now."""
    seconds, memory = 0.0, 0
    with suppress(psutil.Error):
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                times = each.cpu_times()
                seconds += times.user + times.system
                memory += each.memory_info().rss
    return Usage(seconds, memory)


class TrainingProcess(Protocol):
    """What a worker runs the training of a trial in."""

    def send(self, message: ToTrainer) -> None:
        """Send a message; if the process is dead, ``receive`` says so."""

    def receive(self, seconds: float) -> ToWorker | None:
        """Return the next message; None if none came in time. Raises ``EOFError`` if the process has died."""

    def usage(self) -> Usage:
        """Return what it uses now."""

    def is_clean(self, leftover: Leftover) -> bool:
        """Whether it can be used again, after a trial that left this."""

    def terminate(self) -> None:
        """Send SIGTERM, which ends the trial wherever it is."""

    def end(self) -> None:
        """Kill it and its descendants."""

    def death(self) -> Death:
        """Return how it died, after ``receive`` has said so."""


class TrainerProcess:
    """A process that runs the trainer ``trainer`` for one trial after another."""

    def __init__(self, trainer: str, threads: int) -> None:
        self._fits = _fit(trainer, threads)
        self._kills = ControlGroups().oom_kills()
        self._mark = uuid.uuid4().hex
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "hpo.trainer", str(theirs.fileno()), str(os.getpid())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # its descendants are ended with it
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
                MARK: self._mark,
            },
        )
        theirs.close()
        self._watched = psutil.Process(self._process.pid)
        self._memory_at_first: int | None = None
        self.told: dict[str, set[int]] = {}
        """By study, the trials that a training with Optuna's interface has been told."""
        self._channel = Channel(ours)
        with suppress(OSError):  # ``receive`` notices
            self._channel.send(Load(trainer, list(sys.path), threads))

    def fits(self, trainer: str, threads: int) -> bool:
        """Whether it can run a trial of this trainer."""
        return self._process.poll() is None and self._fits == _fit(trainer, threads)

    def send(self, message: ToTrainer) -> None:
        """Send a message; if the process is dead, ``receive`` says so."""
        with suppress(OSError):
            self._channel.send(message)

    def receive(self, seconds: float) -> ToWorker | None:
        """Return the next message; None if none came in time. Raises ``EOFError`` if the process has died."""
        if not self._channel.waiting() and not select.select([self._channel], [], [], seconds)[0]:
            if self._process.poll() is None or self._channel.waiting():
                return None
            raise EOFError  # a descendant may hold the other end open
        return self._channel.receive()  # type: ignore[return-value]

    def usage(self) -> Usage:
        """Return what it uses now."""
        return usage_of(self._watched)

    def is_clean(self, leftover: Leftover) -> bool:
        """Whether it can be used again, after a trial that left this."""
        with suppress(psutil.Error):
            memory = self._watched.memory_info().rss
            if self._memory_at_first is None:
                self._memory_at_first = memory
            grown = memory - self._memory_at_first
            untouched = not leftover.threads and not leftover.changed
            return untouched and grown < _LEAKED_BYTES and not left_running(self._watched)
        return False

    def terminate(self) -> None:
        """Send SIGTERM, which ends the trial wherever it is."""
        with suppress(OSError):
            self._process.terminate()

    def end(self) -> None:
        """End it; the next trial starts another."""
        end_trainer_process()

    def kill(self) -> None:
        """Kill it and its descendants, and wait for its end."""
        kill_with_descendants(self._watched, self._mark)
        self._process.wait()
        self._channel.close()

    def death(self) -> Death:
        """Return how it died, after ``receive`` has said so."""
        end = time.monotonic() + TERM_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)  # it has closed its connection, but runs
        code = self._process.returncode
        self.kill()
        now = ControlGroups().oom_kills()
        return Death(code, code == -signal.SIGKILL and (now or 0) > (self._kills or 0))


@dataclass(frozen=True)
class Death:
    """How a trainer process ended by itself: its exit code, negative for a signal; None if it did not."""

    code: int | None
    by_kernel: bool
    """Whether the kernel killed it for lack of memory."""

    @property
    def is_external(self) -> bool:
        """Whether it was killed from outside, as a worker may be: its trial is resumed."""
        return self.code in (-signal.SIGKILL, -signal.SIGTERM) and not self.by_kernel

    def __str__(self) -> str:
        if self.code in (None, HUNG_UP):
            return "closed its connection to hpo"
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in list(signal.Signals) else str(-self.code)
        return f"was killed by signal {name}"


def _fit(trainer: str, threads: int) -> tuple[str, ...]:
    """Return what a process is started for: it imports the same module only once, from where it was first."""
    return trainer, str(threads), str(Path.cwd()), *sys.path


_running: TrainerProcess | None = None
"""A worker trains one trial at a time, so it has one process."""


def trainer_process(trainer: str, threads: int) -> TrainerProcess:
    """Return this worker's trainer process: the running one if it fits, else a new one."""
    global _running
    if _running is not None and not _running.fits(trainer, threads):
        end_trainer_process()
    if _running is None:
        _running = TrainerProcess(trainer, threads)
    return _running


def end_trainer_process() -> None:
    """End this worker's trainer process, if it has one; the next trial starts another."""
    global _running
    process, _running = _running, None
    if process is not None:
        process.kill()
