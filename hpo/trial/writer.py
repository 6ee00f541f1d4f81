"""Background writer: records of a trial are written in order while the training continues, even if the
database is unreachable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TypeAlias

from hpo.config.objective import ACCURACY, Objective
from hpo.errors import LeaseLostError, StorageError
from hpo.records import ClassResult, EpochResult, Finding, LayerStatistics
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.testing.faults import fault_point

POLL_SECONDS = 0.2
"""Interval at which ``flush`` checks for a stop request."""
CLOSING_SECONDS = 5.0
"""How long a worker that stops waits for pending records; its checkpoint has them too."""

PendingRecord: TypeAlias = Finding | LayerStatistics
"""A record that a checkpoint keeps until the database confirms it. Epochs are kept in its curve."""


@dataclass(frozen=True)
class _Write:
    send: Callable[[], None]
    records: Sequence[PendingRecord] = ()


class BackgroundWriter:
    """Writes records in a background thread, each in one transaction under ``lease``, with retries.

    ``check`` and ``flush`` raise in the training thread what failed in the background: ``LeaseLostError`` or
    ``StorageError``, after which nothing more is written, or a bug, which is raised once.
    """

    def __init__(
        self, store: ResultsStore, lease: Lease, trial_id: int, objective: Objective = ACCURACY
    ) -> None:
        self._store = store
        self._lease = lease
        self._trial_id = trial_id
        self._objective = objective
        self._writes: deque[_Write] = deque()
        self._failure: BaseException | None = None
        self._closed = False
        self._changed = Condition()
        # A daemon thread: the interpreter does not wait at exit for a server that does not answer.
        Thread(target=self._run, name="writer", daemon=True).start()

    def epoch(self, record: EpochResult, classes: Sequence[ClassResult] = ()) -> None:
        """Record an epoch; with ``classes`` it is the best so far, and they replace those of another."""

        def send() -> None:
            fault_point("trial.epoch")
            self._store.record_epoch(self._lease, self._trial_id, record, self._objective, classes)
            fault_point("trial.epoch_stored")

        self._put(_Write(send))

    def classes(self, records: Sequence[ClassResult]) -> None:
        """Record what was predicted for each class, in place of what is there."""
        send = self._store.record_classes
        self._put(_Write(lambda: send(self._lease, self._trial_id, records)))

    def findings(self, records: Sequence[Finding]) -> None:
        """Record findings."""
        if records:
            send = self._store.record_findings
            self._put(_Write(lambda: send(self._lease, self._trial_id, records), records))

    def layers(self, records: Sequence[LayerStatistics]) -> None:
        """Record layer statistics."""
        if records:
            send = self._store.record_layers
            self._put(_Write(lambda: send(self._lease, self._trial_id, records), records))

    def requeue(self, records: Sequence[PendingRecord]) -> None:
        """Write what was pending in an earlier worker's checkpoint."""
        self.findings([record for record in records if isinstance(record, Finding)])
        self.layers([record for record in records if isinstance(record, LayerStatistics)])

    def statistics(self, fingerprint: str, state: bytes) -> None:
        """Record what preprocessing learned."""
        send = self._store.record_statistics
        self._put(_Write(lambda: send(self._lease, self._trial_id, fingerprint, state)))

    def pending(self) -> list[PendingRecord]:
        """Return what the database has not confirmed, the oldest first."""
        with self._changed:
            return [record for write in self._writes for record in write.records]

    def check(self) -> None:
        """Raise the error that stopped the writing, if there is one."""
        # Otherwise it is a stop request; the training checks for those itself, at a safe point.
        if isinstance(self._failure, Exception):
            self._raise()

    def flush(self, check_stop: Callable[[], None]) -> None:
        """Wait until everything is written. Raises like ``check``, and whatever ``check_stop`` raises."""
        while not self._wait(POLL_SECONDS):
            check_stop()
        self._raise()

    def close(self) -> None:
        """Stop the writer. Records that it cannot write within a few seconds stay unwritten."""
        self._wait(CLOSING_SECONDS)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, write: _Write) -> None:
        self.check()
        with self._changed:
            self._writes.append(write)
            self._changed.notify_all()

    def _wait(self, seconds: float) -> bool:
        """Wait for the queue to empty; return whether it is, or whether writing failed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._failure is not None or not self._writes, seconds)

    def _raise(self) -> None:
        failure = self._failure
        if failure is None:
            return
        if not _ends_writing(failure):
            self._failure = None
        raise failure

    def _run(self) -> None:
        while (write := self._next()) is not None:
            failure = _failure_of(write)
            with self._changed:
                self._failure = failure or self._failure
                if failure is None or not _ends_writing(failure):
                    self._writes.popleft()
                self._changed.notify_all()

    def _next(self) -> _Write | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_over() or self._writes)
            return None if self._closed or self._is_over() else self._writes[0]

    def _is_over(self) -> bool:
        return self._failure is not None and _ends_writing(self._failure)


def _failure_of(write: _Write) -> BaseException | None:
    try:
        write.send()
    except BaseException as failure:
        return failure
    return None


def _ends_writing(failure: BaseException) -> bool:
    return not isinstance(failure, Exception) or isinstance(failure, LeaseLostError | StorageError)
