"""SIGINT and SIGTERM set a flag and nothing else; a second one kills the process as usual."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

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
