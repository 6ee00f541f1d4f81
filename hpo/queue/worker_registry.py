"""Which workers are there: each says so when it comes, now and then without a trial, and when it leaves.

While it trains, its lease says it.
"""

from __future__ import annotations

import time
from contextlib import suppress

from sqlalchemy import Connection, delete, insert, update

from hpo import provenance
from hpo.errors import StorageError
from hpo.queue.leases import RELEASE_SECONDS
from hpo.storage.column_types import epoch_now, utc_now
from hpo.storage.identity import HEARTBEAT_SECONDS
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.storage.tables import WorkerRow

FORGOTTEN_SECONDS = 24 * 3600.0
"""Workers that gave no sign for so long are no longer listed."""


class WorkerRegistration:
    """A worker's row, from its arrival on."""

    def __init__(
        self,
        store: ResultsStore,
        worker: str,
        *,
        device: str,
        tags: frozenset[str] = frozenset(),
        studies: tuple[str, ...] = (),
    ) -> None:
        self._store = store
        self._worker = worker
        self._signed = time.monotonic()

        def work(connection: Connection) -> None:
            old = WorkerRow.seen_at < epoch_now() - FORGOTTEN_SECONDS
            connection.execute(delete(WorkerRow).where(old | (WorkerRow.worker == worker)))
            connection.execute(
                insert(WorkerRow).values(
                    worker=worker,
                    device=device,
                    tags=sorted(tags),
                    studies=list(studies),
                    code_version=provenance.running_code(),
                    started_at=utc_now(),
                    seen_at=epoch_now(),
                )
            )

        store.write(work)

    def sign(self) -> None:
        """It is still there; said every ``HEARTBEAT_SECONDS``, however often this is called."""
        now = time.monotonic()
        if now - self._signed >= HEARTBEAT_SECONDS:
            self._signed = now
            mine = update(WorkerRow).where(WorkerRow.worker == self._worker)
            self._store.write(lambda connection: connection.execute(mine.values(seen_at=epoch_now())))

    def leave(self) -> None:
        """It goes; a database that is away is not waited for."""
        gone = delete(WorkerRow).where(WorkerRow.worker == self._worker)
        with suppress(StorageError):
            self._store.write(lambda connection: connection.execute(gone), RetryPolicy(RELEASE_SECONDS))
