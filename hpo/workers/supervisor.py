"""Supervises a pool of workers until all have ended: restarts those that crash, kills those that hang."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import singledispatchmethod
from typing import Any, Protocol

from hpo.errors import StorageError, UserError, WorkerError
from hpo.events import DatabaseAway, DatabaseBack, EpochDone, Stopping, TrialEnded, WorkerLost
from hpo.queue.leases import release_dead_local, release_hung
from hpo.settings import settings
from hpo.signals import StopFlag
from hpo.storage.attempts import store_death
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import (
    STOP_SECONDS,
    Crashed,
    CrashReport,
    Emit,
    Exited,
    Failed,
    Ready,
    Refused,
    Report,
    StoppedByUser,
)

POLL_SECONDS = 0.2
HUNG_GRACE_SECONDS = 5.0
"""A hung worker that still can releases its slot itself before it is killed."""


class WorkerHandle(Protocol):
    """One worker of a pool."""

    name: str
    identity: str
    """The worker's name in the database; equal to ``name`` until it is known."""
    hung: bool
    """Whether it was killed because it hung."""

    def silent_seconds(self) -> float:
        """Return the time since its trial last made progress; 0 without a trial."""

    def kill(self) -> None:
        """Kill the process; the pool then reports that it crashed."""

    def crash_report(self) -> CrashReport:
        """Describe its death."""


class WorkerPool(Protocol):
    """Workers with one order: processes of this machine, or actors on a Ray cluster."""

    count: int
    """Number of workers."""

    @property
    def running(self) -> Sequence[Any]:
        """Handles of the workers that have not ended."""

    def start(self) -> None:
        """Have all workers start to work."""

    def poll(self, seconds: float) -> Iterable[tuple[Any, Report]]:
        """Yield what happened to workers; wait at most ``seconds`` for something to happen."""

    def restart(self, worker: Any) -> None:
        """Replace a crashed worker."""

    def remove(self, worker: Any) -> None:
        """Do not replace a worker that ended."""

    def stop(self) -> None:
        """Ask every worker to stop at a safe point."""

    def end(self) -> None:
        """Kill all workers that still run; may be called again."""


class WorkerEvents:
    """Forwards what workers report, and keeps what it means for the whole run."""

    def __init__(self, emit: Emit, on_ready: Callable[[Ready], None]) -> None:
        self.problems: list[str] = []
        """What went wrong with workers."""
        self.stopped = False
        """Whether `hpo stop` ended the work."""
        self.failure: Failed | None = None
        """The worker's failure that ended the work."""
        self.error: BaseException | None = None
        """What a listener raised: it gets nothing more, and the work stops in good order first."""
        self.emit = self._until_it_raises(emit)
        self._on_ready = self._until_it_raises(on_ready)
        self._crashes = 0
        self._away: set[str] = set()
        """Workers that cannot reach the database."""

    def _until_it_raises(self, listener: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(message: Any) -> None:
            if self.error is None:
                try:
                    listener(message)
                except BaseException as error:
                    self.error = error

        return call

    @singledispatchmethod
    def handle(self, message: Any) -> None:
        """Handle a worker's message: events without a meaning for the run are passed on."""
        self.emit(message)

    @handle.register
    def _(self, message: Ready) -> None:
        self._on_ready(message)

    @handle.register
    def _(self, message: Failed) -> None:
        self.failure = self.failure or message

    @handle.register
    def _(self, message: StoppedByUser) -> None:
        if not self.stopped:
            self.emit(Stopping(0))
        self.stopped = True

    @handle.register
    def _(self, event: EpochDone | TrialEnded) -> None:
        self._crashes = 0
        self.emit(event)

    @handle.register
    def _(self, event: DatabaseAway | DatabaseBack) -> None:
        # Passed on once: what one worker cannot reach, none can.
        were_away = bool(self._away)
        if isinstance(event, DatabaseAway):
            self._away.add(event.worker)
        else:
            self._away.discard(event.worker)
        if bool(self._away) != were_away:
            self.emit(event)

    def worker_exited(self, worker: str) -> None:
        """Forget a worker that has ended."""
        self._away.discard(worker)

    def worker_crashed(self, worker: str, message: str) -> int:
        """Report a crash; return the number of crashes since a trial last made progress."""
        self._crashes += 1
        self.emit(WorkerLost(worker, message))
        self.problems.append(message)
        return self._crashes

    def raise_failure(self) -> None:
        """Raise what a listener raised, or ``UserError`` or ``WorkerError`` if a worker failed."""
        if self.error is not None:
            raise self.error
        if self.failure is not None:
            kind = UserError if self.failure.exit_code == 2 else WorkerError
            raise kind(self.failure.message)


class Supervisor:
    """Runs a pool until its workers have ended.

    A crashed worker is restarted, unless more than ``most_crashes`` crashed since a trial last made progress.
    """

    def __init__(
        self, pool: WorkerPool, store: ResultsStore, events: WorkerEvents, stop: StopFlag, most_crashes: int
    ) -> None:
        self._pool = pool
        self._store = store
        self._events = events
        self._stop = stop
        self._most_crashes = most_crashes
        self._ready: set[str] = set()
        self._refusals: list[tuple[WorkerHandle, str]] = []
        """Workers that could not serve, and why; only those not reported yet."""
        self._served = False
        """Whether a worker ended because nothing is left to do."""

    def run(self) -> None:
        """Return when all workers have ended.

        Raises ``UserError`` or ``WorkerError`` if a worker failed, and what a listener of the events raised,
        unless a signal came: the exit code is then the signal's.
        """
        self._pool.start()
        deadline: float | None = None
        while self._pool.running:
            if self._is_stopping and deadline is None:
                if self._stop.signum:
                    self._events.emit(Stopping(self._stop.signum))
                self._pool.stop()
                deadline = time.monotonic() + STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                break
            for worker, report in self._pool.poll(POLL_SECONDS):
                self._handle(report, worker)
                self._report_refusals()
            self._kill_hung()
        self._pool.end()
        if deadline is not None:
            with suppress(StorageError):  # else the lease of a worker that did not stop in time expires
                release_dead_local(self._store, None, RetryPolicy(0.0))
        self._raise_failure()

    @property
    def _is_stopping(self) -> bool:
        return bool(self._stop.signum or self._events.failure or self._events.error)

    @singledispatchmethod
    def _handle(self, report: Any, worker: WorkerHandle) -> None:
        if isinstance(report, Ready):
            self._ready.add(worker.name)
        self._events.handle(report)

    @_handle.register
    def _(self, report: Exited, worker: WorkerHandle) -> None:
        self._served |= not report.refused
        self._note_end(worker)
        self._pool.remove(worker)

    @_handle.register
    def _(self, report: Refused, worker: WorkerHandle) -> None:
        self._ready.discard(worker.name)
        self._refusals.append((worker, report.reason))

    @_handle.register
    def _(self, report: Crashed, worker: WorkerHandle) -> None:
        self._note_end(worker)
        if self._is_stopping:
            self._pool.remove(worker)
            return
        crash = worker.crash_report()
        with suppress(StorageError):
            self._store.write(
                lambda connection: store_death(connection, worker.identity, crash.output, crash.cause),
                RetryPolicy(0.0),
            )
        with suppress(StorageError):  # else its replacement does it, or the lease expires
            release_dead_local(self._store, None, RetryPolicy(0.0))
        if self._events.worker_crashed(worker.identity, crash.message) <= self._most_crashes:
            self._pool.restart(worker)
        else:
            self._pool.remove(worker)

    def _note_end(self, worker: WorkerHandle) -> None:
        self._ready.discard(worker.name)
        self._events.worker_exited(worker.identity)
        if worker.hung:
            # It may have been unable to release its slot, as when its whole process was frozen.
            with suppress(StorageError):  # else the lease expires
                release_hung(self._store, worker.identity)

    def _kill_hung(self) -> None:
        limit = settings().hung_seconds + HUNG_GRACE_SECONDS
        for worker in self._pool.running:
            if not worker.hung and worker.silent_seconds() > limit:
                worker.hung = True
                worker.kill()

    def _report_refusals(self) -> None:
        """Report workers that cannot serve as lost while others serve; if none can, the run fails instead."""
        if not any(worker.name in self._ready for worker in self._pool.running):
            return
        while self._refusals:
            worker, reason = self._refusals.pop()
            self._events.worker_crashed(worker.identity, f"{worker.name} left: {reason}")

    def _raise_failure(self) -> None:
        if not (self._stop.signum and self._events.error):
            self._events.raise_failure()
        if self._refusals and not (self._served or self._stop.signum or self._events.stopped):
            raise UserError(self._refusals[0][1])
