"""The registry of workers: one row per worker process, with a heartbeat while it is idle.

While a worker trains, its lease shows that it is alive.
"""

from __future__ import annotations

import time
from contextlib import suppress

from sqlalchemy import Connection, and_, delete, insert, select, update

from hpo import provenance
from hpo.errors import StorageError
from hpo.queue.leases import RELEASE_SECONDS
from hpo.storage.column_types import epoch_now, utc_now
from hpo.storage.identity import HEARTBEAT_SECONDS
from hpo.storage.presence import gone_from
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow, WorkerRow
from hpo.storage.url import place

FORGOTTEN_SECONDS = 24 * 3600.0
"""Workers without a heartbeat for this long are removed from the registry."""


def require_registered(store: ResultsStore, worker: str) -> None:
    """Raise ``DatabaseTakenError`` if the worker's row is gone: the database is not what it was."""
    mine = select(WorkerRow.worker).where(WorkerRow.worker == worker)
    if store.read(lambda connection: connection.scalar(mine)) is None:
        raise gone_from(place(store.engine.url))


class WorkerRegistration:
    """A worker's row in the registry, written when this object is created."""

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
        self._last_heartbeat = time.monotonic()

        def register(connection: Connection) -> None:
            busy = select(SlotRow.worker).where(SlotRow.worker.is_not(None), SlotRow.state == "running")
            silent = WorkerRow.seen_at < epoch_now() - FORGOTTEN_SECONDS
            old = and_(silent, WorkerRow.worker.not_in(busy))
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

        store.write(register)

    def heartbeat(self) -> None:
        """Record that the worker is alive; writes at most once in ``HEARTBEAT_SECONDS``.

        Raises ``DatabaseTakenError`` if the row is gone.
        """
        now = time.monotonic()
        if now - self._last_heartbeat >= HEARTBEAT_SECONDS:
            self._last_heartbeat = now
            mine = update(WorkerRow).where(WorkerRow.worker == self._worker).values(seen_at=epoch_now())
            if self._store.write(lambda connection: connection.execute(mine).rowcount) != 1:
                raise gone_from(place(self._store.engine.url))

    def deregister(self) -> None:
        """Remove the row; does not wait long for an unreachable database."""
        mine = delete(WorkerRow).where(WorkerRow.worker == self._worker)
        with suppress(StorageError):
            self._store.write(lambda connection: connection.execute(mine), RetryPolicy(RELEASE_SECONDS))
