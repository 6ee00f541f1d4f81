"""Leases: a worker's time-limited hold on a slot. The database's clock is the only clock.

When a lease expires, its slot can be claimed again. The next claim increments the slot's token; from then on
every write of the previous holder is refused with ``LeaseLostError``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import ColumnElement, Connection, bindparam, or_, select, update

from hpo.errors import LeaseLostError
from hpo.queue.control import stopped_at
from hpo.signals import StudyStoppedError
from hpo.storage import attempts
from hpo.storage.column_types import epoch_now
from hpo.storage.fence import SLOT, Lease, holds, pass_fence
from hpo.storage.identity import life_of
from hpo.storage.notify import notify_idle_workers
from hpo.storage.retry import DEFAULT_RETRY, RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow

RELEASE_SECONDS = 5.0
"""A worker that releases a slot was asked to stop: it does not wait long for an unreachable database."""


def claim(store: ResultsStore, study_id: int, worker: str, lease_seconds: float) -> Lease | None:
    """Claim the study's lowest slot that is waiting or whose lease expired; None if there is none.

    Raises ``StudyStoppedError`` after `hpo stop`.
    """

    def claim_next(connection: Connection) -> Lease | None:
        if stopped_at(connection, study_id) is not None:
            raise StudyStoppedError
        key = connection.execute(_CLAIMABLE, {"of_study": study_id}).one_or_none()
        if key is None:
            return None
        return claim_slot(connection, study_id, key.stage, key.slot, worker, lease_seconds)

    return claim_within(store, claim_next)


def claim_within(store: ResultsStore, find: Callable[[Connection], Lease | None]) -> Lease | None:
    """Claim the slot that ``find`` claims, in a transaction that may be retried.

    A retry whose earlier commit went through although the connection broke returns the lease claimed then.
    """
    claimed: Lease | None = None

    def work(connection: Connection) -> Lease | None:
        nonlocal claimed
        if claimed is None or not holds(connection, claimed):
            claimed = find(connection)
        return claimed

    return store.write(work)


def claim_slot(
    connection: Connection,
    study_id: int,
    stage: str,
    slot: int,
    worker: str,
    lease_seconds: float,
    *only_if: ColumnElement[bool],
) -> Lease | None:
    """Claim one slot for the worker under a new token; None unless ``only_if`` holds for its row."""
    claimed = {"of_study": study_id, "of_stage": stage, "of_slot": slot}
    claimed |= {"new_worker": worker, "for_seconds": lease_seconds}
    statement = _CLAIM.where(*only_if) if only_if else _CLAIM
    row = connection.execute(statement, claimed).one_or_none()
    if row is None:
        return None
    return Lease(
        study_id, stage, slot, row.token, row.trial_id, row.epoch, worker, lease_seconds, row.given or {}
    )


def renew(
    store: ResultsStore, lease: Lease, silent_seconds: float = 0.0, retry: RetryPolicy = DEFAULT_RETRY
) -> None:
    """Extend the lease to ``lease.seconds`` from now; raises ``LeaseLostError`` if it was taken over.

    ``silent_seconds`` is the time since its trial last made progress.
    """
    progress_at = epoch_now() - silent_seconds
    store.write(lambda connection: pass_fence(connection, lease, progress_at=progress_at), retry)


def release(store: ResultsStore, lease: Lease) -> None:
    """Release the slot, so that the next worker can resume its trial at once."""
    _release(store, lease, "released", RetryPolicy(RELEASE_SECONDS))


def release_as_hung(store: ResultsStore, lease: Lease, retry: RetryPolicy) -> None:
    """Release the slot of a trial that makes no progress; later writes of its worker are refused."""
    _release(store, lease, "hung", retry)


def release_as_lost(store: ResultsStore, lease: Lease, said: str) -> None:
    """Release the slot of a trial whose process was killed, so that it is resumed; count it as a death.

    ``said`` is the last line of its output.
    """
    _release(store, lease, "lost", RetryPolicy(RELEASE_SECONDS), said)


def release_hung(store: ResultsStore, worker: str) -> None:
    """Release what a worker held that was killed because it hung."""
    for lease in _held(store, None):
        if lease.worker == worker:
            with suppress(LeaseLostError):
                _release(store, lease, "hung", RetryPolicy(RELEASE_SECONDS))


def release_dead_local(
    store: ResultsStore, study_id: int | None, retry: RetryPolicy | None = None
) -> list[int]:
    """Release what dead workers of this machine held, in one study or in all; return the slots' numbers."""
    released = []
    for lease in _held(store, study_id, retry):
        if life_of(lease.worker) != "dead":
            continue
        # The lease may have expired and been claimed since it was read.
        with suppress(LeaseLostError):
            _release(store, lease, "lost", retry)
            released.append(lease.slot)
    return released


def _held(store: ResultsStore, study_id: int | None, retry: RetryPolicy | None = None) -> list[Lease]:
    running = select(SlotRow.__table__).where(SlotRow.state == "running").order_by(SlotRow.slot)
    if study_id is not None:
        running = running.where(SlotRow.study_id == study_id)
    rows = store.read(lambda connection: connection.execute(running).all(), retry)
    return [
        Lease(row.study_id, row.stage, row.slot, row.token, row.trial_id, row.epoch, row.worker, 0.0)
        for row in rows
    ]


def _release(
    store: ResultsStore,
    lease: Lease,
    attempt_outcome: str,
    retry: RetryPolicy | None = None,
    said: str = "",
) -> None:
    def work(connection: Connection) -> None:
        unchanged = {"progress_at": SlotRow.progress_at}  # a release is not progress
        trial_id = pass_fence(connection, lease, state="waiting", worker=None, lease_until=None, **unchanged)
        if trial_id is not None:
            attempts.end(connection, trial_id, attempt_outcome, said)
        notify_idle_workers(connection)

    store.write(work, retry)


_CLAIMABLE = (
    select(SlotRow.stage, SlotRow.slot)
    # `<> 'done'` matches the partial index.
    .where(
        SlotRow.study_id == bindparam("of_study"),
        SlotRow.state != "done",
        or_(SlotRow.state == "waiting", SlotRow.lease_until < epoch_now()),
    )
    .order_by(SlotRow.slot)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(SlotRow)
    .where(SLOT)
    .values(
        state="running",
        worker=bindparam("new_worker"),
        token=SlotRow.token + 1,
        lease_until=epoch_now() + bindparam("for_seconds"),
        progress_at=epoch_now(),
    )
    .returning(SlotRow.token, SlotRow.trial_id, SlotRow.epoch, SlotRow.given)
)
