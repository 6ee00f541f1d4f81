"""SIGINT and SIGTERM set a flag and nothing else; a second one kills the process as usual."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequestedError(BaseException):
    """Raised at a safe point after a signal. Not an ``Exception``: it is not a bug of a trial."""


class StudyStoppedError(StopRequestedError):
    """The same after `hpo stop`: this worker has nothing more to do for the study."""


@dataclass
class StopFlag:
    """Which signal asked this process to stop; 0 while none did."""

    signum: int = 0

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum

    def check(self) -> None:
        """Raise ``StopRequestedError`` if a signal has come."""
        if self.signum:
            raise StopRequestedError


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """While inside, the first SIGINT or SIGTERM sets the flag; the next one has its default effect.

    In a thread other than the main one, to which signals do not come, nothing is changed.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def set_flag(signum: int, _frame: FrameType | None) -> None:
        flag.signum = signum
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    before = {signum: signal.signal(signum, set_flag) for signum in SIGNALS}
    try:
        yield flag
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def wait_readable(sources: Sequence[Any], seconds: float) -> bool:
    """Whether one of them (each with a ``fileno``) can be read, after at most so many seconds.

    A signal ends the waiting too, where Python would go on with it; in another thread than the main one it
    cannot.
    """
    if threading.current_thread() is not threading.main_thread():
        return bool(_wait(sources, seconds))
    end, signalled = os.pipe()
    os.set_blocking(signalled, False)
    before = signal.set_wakeup_fd(signalled)
    try:
        return any(each is not end for each in _wait([*sources, end], seconds))
    finally:
        signal.set_wakeup_fd(before)
        os.close(end)
        os.close(signalled)


def _wait(sources: Sequence[Any], seconds: float) -> list[Any]:
    if sources:
        return wait(sources, seconds)
    time.sleep(seconds)
    return []
