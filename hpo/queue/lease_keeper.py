"""Renews a lease from a background thread, as long as the trial makes progress.

Leases can then be short, so that slots of dead workers are free soon, although a single evaluation may take
longer than a lease; a trial that hangs loses its slot. While the database is unreachable, training continues:
no other worker can claim the slot then either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from sqlalchemy import Connection

from hpo.errors import DatabaseTakenError, LeaseLostError, StorageError
from hpo.queue.control import stopped_at
from hpo.queue.leases import RELEASE_SECONDS, release_as_hung, renew
from hpo.signals import StudyStoppedError
from hpo.storage.fence import Lease, has_newest_token
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore

STOP_POLL_SECONDS = 2.0
"""Interval of the check for `hpo stop`: one small read."""


class _TrialOverError(Exception):
    """The trial is over: stop waiting for the database."""


class LeaseKeeper:
    """Context manager that keeps ``lease``, and releases it after ``hung_seconds`` without a heartbeat.

    All methods except ``tick`` are for the thread that trains.
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
        self._last_heartbeat = self._renewed = clock()
        self._stopped = False
        self._failure: BaseException | None = None
        self._trial_over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._trial_over.set()
        # A thread that still waits for the database is abandoned: once the trial is over it can do no harm.
        self._thread.join(RELEASE_SECONDS)

    def heartbeat(self) -> None:
        """Note that the training made progress."""
        self._last_heartbeat = self._clock()

    def raise_if_lost(self) -> None:
        """Raise ``LeaseLostError`` if the slot is lost, ``DatabaseTakenError`` if the database is."""
        if self._failure is not None:
            raise self._failure

    def check_stop(self) -> None:
        """Raise ``StudyStoppedError`` after `hpo stop`."""
        if self._stopped:
            raise StudyStoppedError

    def tick(self) -> None:
        """Do what is due: renew or release the lease, and check whether the study was stopped."""
        now = self._clock()
        silent = now - self._last_heartbeat
        retry = RetryPolicy(self._lease.seconds / 3, sleep=self._pause)
        if silent > self._hung_seconds:
            release_as_hung(self._store, self._lease, retry)
            raise LeaseLostError(f"slot {self._lease.slot} was released: no progress for {silent:.0f} s")
        if now - self._renewed >= self._lease.seconds / 3:
            renew(self._store, self._lease, silent, retry)
            self._renewed = now
        self._stopped = self._store.read(self._is_stopped, retry)

    def _is_stopped(self, connection: Connection) -> bool:
        if not has_newest_token(connection, self._lease):
            raise LeaseLostError(f"slot {self._lease.slot} was taken over, or is no longer there")
        return stopped_at(connection, self._lease.study_id) is not None

    def _pause(self, seconds: float) -> None:
        if self._trial_over.wait(seconds):
            raise _TrialOverError

    def _keep(self) -> None:
        every = min(STOP_POLL_SECONDS, self._lease.seconds / 3, self._hung_seconds / 3)
        while not self._trial_over.wait(every):
            try:
                self.tick()
            except _TrialOverError:
                return
            except DatabaseTakenError as failure:
                self._failure = failure
                return
            except StorageError:
                continue  # try again; the training's own writes report what is wrong
            except BaseException as failure:
                self._failure = failure  # raised in the training thread by `raise_if_lost`
                return
