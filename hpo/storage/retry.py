"""Patience: for how long a transaction is tried again while the database is away, and with which pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hpo.errors import StorageError

T = TypeVar("T")

RETRY_SECONDS = 600.0
"""A restart of PostgreSQL takes seconds, a failover or a cut network minutes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 10.0


TELL_SECONDS = 3.0
"""Shorter waits, as for a lock, nobody needs to hear of."""


def _say_nothing() -> None:
    pass


@dataclass(frozen=True)
class RetryPolicy:
    """``sleep`` may raise to end the waiting; ``away`` is told of a long wait, ``back`` of its good end.

    ``again`` is told of each further try.
    """

    seconds: float = RETRY_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    away: Callable[[], None] = _say_nothing
    back: Callable[[], None] = _say_nothing
    again: Callable[[], None] = _say_nothing

    def waits_for(self, call: Callable[[], T]) -> T:
        """What ``call`` returns; again while it raises a ``StorageError`` that may well pass."""
        waiting = Waiting(self)
        while True:
            try:
                answer = call()
            except StorageError as error:
                if not error.passes or not waiting.again():
                    raise
            else:
                waiting.over()
                return answer


class Waiting:
    """The tries of one transaction."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience
        self._began = patience.clock()
        self._pause = FIRST_PAUSE
        self._told = False

    def again(self) -> bool:
        """To call after each failure: it sleeps, and says whether it is worth another try."""
        waited = self._patience.clock() - self._began
        if waited >= self._patience.seconds:
            return False
        if waited >= TELL_SECONDS and not self._told:
            self._told = True
            self._patience.away()
        self._patience.again()
        # Jittered, so that workers that collided do not collide again.
        self._patience.sleep(random.uniform(0.5, 1.0) * self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True

    def over(self) -> None:
        """To call once it has succeeded."""
        if self._told:
            self._patience.back()


PATIENCE = RetryPolicy()
