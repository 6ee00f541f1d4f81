"""A lease held from a thread of its own: renewed by time, but only while the trial makes progress.

So a lease can be short, for workers that die, and a long evaluation does not lose it; and a trial that hangs
does. The database may be away meanwhile: nobody can claim the slot then either, and the training goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from hpo.errors import LeaseLostError, StorageError
from hpo.queue.control import is_stopped
from hpo.queue.leases import RELEASE_SECONDS, give_back_hung, renew
from hpo.signals import StudyStoppedError
from hpo.storage.fence import Lease
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore

LOOK_SECONDS = 2.0
"""How often `hpo stop` is looked for: one small read."""


class _LeftError(Exception):
    """The trial is over, and nobody waits for the database any more."""


class LeaseKeeper:
    """Holds ``lease`` while inside, and gives it back if no progress is made for ``hung_seconds``.

    All but ``look`` is for the thread that trains.
    """

    def __init__(
        self,
        store: ResultsStore,
        lease: Lease,
        hung_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lease = lease
        self._hung_seconds = hung_seconds
        self._clock = clock
        self._progressed = self._renewed = clock()
        self._stopped = False
        self._failure: BaseException | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="lease", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        # A thread that waits for a database that is away is left behind: after its slot it can do no harm.
        self._thread.join(RELEASE_SECONDS)

    def progressed(self) -> None:
        """The training went on."""
        self._progressed = self._clock()

    def check_held(self) -> None:
        """Raises ``LeaseLostError`` if the slot is no longer this worker's."""
        if self._failure is not None:
            raise self._failure

    def check_stop(self) -> None:
        """Raises ``StudyStoppedError`` after `hpo stop`."""
        if self._stopped:
            raise StudyStoppedError

    def look(self) -> None:
        """Do what is due: renew, or give back; see whether the study is stopped."""
        now = self._clock()
        silent = now - self._progressed
        patience = RetryPolicy(self._lease.seconds / 3, sleep=self._pause)
        if silent > self._hung_seconds:
            give_back_hung(self._store, self._lease, patience)
            raise LeaseLostError(f"slot {self._lease.slot} was given back: no progress for {silent:.0f} s")
        if now - self._renewed >= self._lease.seconds / 3:
            renew(self._store, self._lease, silent, patience)
            self._renewed = now
        self._stopped = is_stopped(self._store, self._lease.study_id, patience)

    def _pause(self, seconds: float) -> None:
        if self._left.wait(seconds):
            raise _LeftError

    def _hold(self) -> None:
        every = min(LOOK_SECONDS, self._lease.seconds / 3, self._hung_seconds / 3)
        while not self._left.wait(every):
            try:
                self.look()
            except _LeftError:
                return
            except StorageError:
                continue  # tried again; a write of the training itself says what is wrong
            except BaseException as failure:
                self._failure = failure  # raised where the training asks
                return
