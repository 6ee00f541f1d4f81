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


@dataclass(frozen=True)
class Patience:
    """``sleep`` may raise to end the waiting."""

    seconds: float = RETRY_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def pauses(self) -> Callable[[], bool]:
        """What to call after each failure: it sleeps, and says whether it is worth another try."""
        deadline = self.clock() + self.seconds
        pause = FIRST_PAUSE

        def again() -> bool:
            nonlocal pause
            if self.clock() >= deadline:
                return False
            # Jittered, so that workers that collided do not collide again.
            self.sleep(random.uniform(0.5, 1.0) * pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            return True

        return again

    def waits_for(self, call: Callable[[], T]) -> T:
        """What ``call`` returns; again while it raises a ``StorageError`` that may well pass."""
        again = self.pauses()
        while True:
            try:
                return call()
            except StorageError as error:
                if not error.passes or not again():
                    raise


PATIENCE = Patience()
