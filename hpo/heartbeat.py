"""Signs of progress: whoever works says that the work went on, and whoever watches for hung trials hears it.

A process trains one trial at a time, so there is one listener. Its parent may read when the last sign came.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """A number in memory that processes share: the monotonic time of the last sign, 0 where none is due."""

    value: float


@dataclass
class _Listener:
    hear: Callable[[], None]
    thread: int


_listener: _Listener | None = None
_shown: Clock | None = None


def beat() -> None:
    """A step, a batch, a part of something longer is done. Raises what the listener raises."""
    # A thread in the background that goes on says nothing of the training.
    if _listener is not None and threading.get_ident() == _listener.thread:
        _show(time.monotonic())
        _listener.hear()


def publish_to(clock: Clock) -> None:
    """From now on, write there when each sign came."""
    global _shown
    _shown = clock


@contextmanager
def on_beat(hear: Callable[[], None]) -> Iterator[None]:
    """While inside, ``hear`` hears of each sign that this thread gives."""
    global _listener
    before, _listener = _listener, _Listener(hear, threading.get_ident())
    _show(time.monotonic())
    try:
        yield
    finally:
        _listener = before
        _show(0.0)


def _show(moment: float) -> None:
    if _shown is not None:
        _shown.value = moment
