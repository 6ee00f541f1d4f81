"""SIGINT, SIGTERM and SIGHUP set a flag and nothing else; a second SIGINT or SIGTERM kills."""

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

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLEEP_SECONDS = 0.2


class StopRequestedError(BaseException):
    """Raised at a safe point after a signal. Not an ``Exception``: it is not a trial's failure."""


class StudyStoppedError(StopRequestedError):
    """Raised at a safe point after `hpo stop`."""


@dataclass
class StopFlag:
    """The signal that asked this process to stop; 0 until one arrives."""

    signum: int = 0

    @property
    def exit_code(self) -> int:
        """Exit code by the shell's convention: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.signum

    def check(self) -> None:
        """Raise ``StopRequestedError`` if a signal has arrived."""
        if self.signum:
            raise StopRequestedError


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Within the block, the first signal sets the flag; the next one kills, unless it is SIGHUP.

    A terminal that closes sends several SIGHUP: from the kernel and from the shell. Where SIGHUP is ignored
    (`nohup`), it stays ignored. Changes nothing outside the main thread, which alone receives signals.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def set_flag(signum: int, _frame: FrameType | None) -> None:
        flag.signum = signum
        for each in handled:
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)

    without_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    handled = [each for each in SIGNALS if not (without_hangup and each == signal.SIGHUP)]
    before = {signum: signal.signal(signum, set_flag) for signum in handled}
    try:
        yield flag
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def waiting_for_children() -> Iterator[None]:
    """Within the block, the exit codes of child processes are known, also if the caller ignores SIGCHLD.

    A launcher that ignores it hands that down to the programs that it starts; the system then forgets how
    their children ended.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGCHLD) != signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def sleep_until_signal(stop: StopFlag, seconds: float) -> None:
    """Sleep; raise ``StopRequestedError`` after a signal."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, _SLEEP_SECONDS))


def wait_readable(sources: Sequence[Any], seconds: float) -> bool:
    """Wait up to ``seconds`` until a source (with a ``fileno``) can be read; return whether one can.

    In the main thread a signal ends the wait too, which Python would otherwise resume.
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
