"""Retrying while the database is unreachable: for how long, with which pauses, and who is notified."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hpo.errors import StorageError
from hpo.rng import JITTER

T = TypeVar("T")

RETRY_SECONDS = 600.0
"""A restart of PostgreSQL takes seconds, a failover or a cut network minutes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 10.0
OUTAGE_SECONDS = 3.0
"""Shorter waits, as for a lock, are not reported as an outage."""


def _ignore() -> None:
    pass


def passes(error: Exception) -> bool:
    """Return whether the error is a ``StorageError`` that may go away by itself."""
    return isinstance(error, StorageError) and error.passes


@dataclass(frozen=True)
class RetryPolicy:
    """``sleep`` may raise to end the wait. ``on_retry`` runs before each further attempt.

    ``on_outage`` runs once when the wait gets long, and then ``on_recovery`` if the call succeeds.
    """

    seconds: float = RETRY_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    on_outage: Callable[[], None] = _ignore
    on_recovery: Callable[[], None] = _ignore
    on_retry: Callable[[], None] = _ignore

    def call(self, function: Callable[[], T], is_transient: Callable[[Exception], bool] = passes) -> T:
        """Return what ``function`` returns; call it again while its error is transient and time is left."""
        started = self.clock()
        pause = FIRST_PAUSE
        outage = False
        while True:
            try:
                result = function()
            except Exception as error:
                waited = self.clock() - started
                if not is_transient(error) or waited >= self.seconds:
                    raise
            else:
                if outage:
                    self.on_recovery()
                return result
            if waited >= OUTAGE_SECONDS and not outage:
                outage = True
                self.on_outage()
            self.on_retry()
            # With jitter, so that workers that collided do not collide again.
            self.sleep(JITTER.uniform(0.5, 1.0) * pause)
            pause = min(2 * pause, LONGEST_PAUSE)


DEFAULT_RETRY = RetryPolicy()
