"""What a worker writes about its trial, in order and in the background: training goes on while the database
is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TypeAlias

from hpo.errors import LeaseLostError, StorageError
from hpo.records import EpochResult, Finding, LayerStatistics
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.testing.faults import fault_point

LOOK_SECONDS = 0.2
"""How often who waits for the database looks whether to stop."""
CLOSING_SECONDS = 5.0
"""How long a worker that stops waits for what is unsent: its checkpoint has it too."""

Unsent: TypeAlias = Finding | LayerStatistics
"""What a checkpoint keeps of writes that the database has not confirmed. Epochs are in its curve."""


@dataclass(frozen=True)
class _Write:
    send: Callable[[], None]
    records: Sequence[Unsent] = ()


class BackgroundWriter:
    """Each write is one transaction under ``hold``, tried again with the store's patience.

    ``check`` and ``flush`` raise in the thread that trains what went wrong in the background:
    ``LeaseLostError`` or ``StorageError``, after which nothing is written any more, or, once, a bug.
    """

    def __init__(self, store: ResultsStore, hold: Lease, trial_id: int) -> None:
        self._store = store
        self._hold = hold
        self._trial_id = trial_id
        self._writes: deque[_Write] = deque()
        self._failure: BaseException | None = None
        self._closed = False
        self._changed = Condition()
        # A daemon: an interpreter that ends does not wait for a server that does not answer.
        Thread(target=self._run, name="outbox", daemon=True).start()

    def epoch(self, record: EpochResult) -> None:
        """Add a point to the curves."""

        def send() -> None:
            fault_point("trial.epoch")
            self._store.record_epoch(self._hold, self._trial_id, record)
            fault_point("trial.epoch_stored")

        self._put(_Write(send))

    def findings(self, records: Sequence[Finding]) -> None:
        """Store what checks found."""
        if records:
            send = self._store.record_findings
            self._put(_Write(lambda: send(self._hold, self._trial_id, records), records))

    def layers(self, records: Sequence[LayerStatistics]) -> None:
        """Store layer statistics."""
        if records:
            send = self._store.record_layers
            self._put(_Write(lambda: send(self._hold, self._trial_id, records), records))

    def requeue(self, records: Sequence[Unsent]) -> None:
        """Store what an earlier worker's checkpoint says was unsent."""
        self.findings([record for record in records if isinstance(record, Finding)])
        self.layers([record for record in records if isinstance(record, LayerStatistics)])

    def statistics(self, fingerprint: str, state: bytes) -> None:
        """Store what preprocessing learned."""
        send = self._store.record_statistics
        self._put(_Write(lambda: send(self._hold, self._trial_id, fingerprint, state)))

    def pending(self) -> list[Unsent]:
        """What the database has not confirmed, the oldest first."""
        with self._changed:
            return [record for write in self._writes for record in write.records]

    def check(self) -> None:
        """Raise what ended the writing, if something did."""
        # Otherwise it is a wish to stop; who trains looks for that by itself, at a safe point.
        if isinstance(self._failure, Exception):
            self._raise()

    def flush(self, check_stop: Callable[[], None]) -> None:
        """Return once all is written; raises as ``check`` does, and what ``check_stop`` raises."""
        while not self._wait(LOOK_SECONDS):
            check_stop()
        self._raise()

    def close(self) -> None:
        """End the writer; what it cannot write soon stays unwritten."""
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
        """Whether nothing is left to do, perhaps only after a while."""
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
