"""Heartbeat: work that makes progress calls ``beat``, so that hung trials can be detected.

A process trains one trial at a time, so there is one listener. The parent process may read the time of the
last beat.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """A number in shared memory: the monotonic time of the last beat, 0 if none is expected."""

    value: float


@dataclass
class _Listener:
    call: Callable[[], None]
    thread: int


_listener: _Listener | None = None
_clock: Clock | None = None
_raised: BaseException | None = None
"""What the listener raised last."""


def beat() -> None:
    """Report progress, such as a finished step or batch. Raises whatever the listener raises."""
    # Progress of a background thread is not progress of the training.
    global _raised
    if _listener is not None and threading.get_ident() == _listener.thread:
        _publish(time.monotonic())
        _raised = None
        try:
            _listener.call()
        except BaseException as error:
            _raised = error
            raise


def is_from_listener(error: BaseException) -> bool:
    """Whether the listener raised it: code that handles its own errors lets it pass."""
    return error is _raised


def publish_to(clock: Clock) -> None:
    """Write the time of each beat to ``clock`` from now on."""
    global _clock
    _clock = clock


@contextmanager
def on_beat(listen: Callable[[], None]) -> Iterator[None]:
    """Call ``listen`` for each beat of this thread while inside."""
    global _listener
    before, _listener = _listener, _Listener(listen, threading.get_ident())
    _publish(time.monotonic())
    try:
        yield
    finally:
        _listener = before
        _publish(0.0 if before is None else time.monotonic())


def _publish(moment: float) -> None:
    if _clock is not None:
        _clock.value = moment
