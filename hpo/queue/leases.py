"""Leases: a worker's time-limited hold on a slot. The database's clock is the only clock.

A lease that runs out makes its slot claimable again; the next claim raises the slot's token, and from then on
whatever the former worker writes is refused with ``LeaseLostError``.
"""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import ColumnElement, Connection, Select, or_, select, update

from hpo.errors import LeaseLostError
from hpo.queue.control import stopped_at
from hpo.signals import StudyStoppedError
from hpo.storage import attempts
from hpo.storage.column_types import epoch_now
from hpo.storage.fence import Lease, holds, pass_fence, slot_is
from hpo.storage.identity import is_dead_local
from hpo.storage.notify import notify_idle_workers
from hpo.storage.retry import PATIENCE, RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow

RELEASE_SECONDS = 5.0
"""Who gives a slot back is asked to stop, and does not wait for a database that is away."""


def claim(store: ResultsStore, study_id: int, worker: str, lease_seconds: float) -> Lease | None:
    """Hold the study's lowest slot that is free or whose lease ran out; ``None`` if there is none.

    Raises ``StudyStoppedError`` after `hpo stop`.
    """
    claimed: Lease | None = None

    def work(connection: Connection) -> Lease | None:
        nonlocal claimed
        if claimed is not None and holds(connection, claimed):  # by an earlier try, which did not hear of it
            return claimed
        if stopped_at(connection, study_id) is not None:
            raise StudyStoppedError
        key = connection.execute(_claimable(study_id)).one_or_none()
        if key is None:
            return None
        claimed = hold(connection, study_id, key.stage, key.slot, worker, lease_seconds)
        return claimed

    return store.write(work)


def hold(
    connection: Connection,
    study_id: int,
    stage: str,
    slot: int,
    worker: str,
    lease_seconds: float,
    *only_if: ColumnElement[bool],
) -> Lease | None:
    """Let the worker hold that slot, under a new token; None if it is not as ``only_if`` says."""
    row = connection.execute(
        update(SlotRow)
        .where(SlotRow.study_id == study_id, SlotRow.stage == stage, SlotRow.slot == slot, *only_if)
        .values(
            state="running",
            worker=worker,
            token=SlotRow.token + 1,
            lease_until=epoch_now() + lease_seconds,
            progress_at=epoch_now(),
        )
        .returning(SlotRow.token, SlotRow.trial_id, SlotRow.epoch, SlotRow.given)
    ).one_or_none()
    if row is None:
        return None
    return Lease(
        study_id, stage, slot, row.token, row.trial_id, row.epoch, worker, lease_seconds, row.given or {}
    )


def renew(
    store: ResultsStore, lease: Lease, silent_seconds: float = 0.0, patience: RetryPolicy = PATIENCE
) -> None:
    """Hold the slot for ``lease.seconds`` from now; raises ``LeaseLostError`` if it was taken over.

    ``silent_seconds`` is how long ago its trial last made progress.
    """
    progress_at = epoch_now() - silent_seconds
    store.write(lambda connection: pass_fence(connection, lease, progress_at=progress_at), patience)


def release(store: ResultsStore, lease: Lease) -> None:
    """Give the slot back, so that the next worker goes on with its trial at once."""
    _give_back(store, lease, "released", RetryPolicy(RELEASE_SECONDS))


def give_back_hung(store: ResultsStore, lease: Lease, patience: RetryPolicy) -> None:
    """Give the slot back because its trial makes no progress; whoever is at it will be refused."""
    _give_back(store, lease, "hung", patience)


def release_hung(store: ResultsStore, worker: str) -> None:
    """The same for what a worker holds that was killed because it hung."""
    for lease in _held(store, None):
        if lease.worker == worker:
            with suppress(LeaseLostError):
                _give_back(store, lease, "hung", RetryPolicy(RELEASE_SECONDS))


def release_dead_local(
    store: ResultsStore, study_id: int | None, patience: RetryPolicy | None = None
) -> list[int]:
    """Give back at once what workers of this machine held when they died; the slots given back.

    Those of one study, or of all.
    """
    given_back = []
    for lease in _held(store, study_id, patience):
        if not is_dead_local(lease.worker):
            continue
        # The lease may have run out and been claimed since it was read.
        with suppress(LeaseLostError):
            _give_back(store, lease, "lost", patience)
            given_back.append(lease.slot)
    return given_back


def _held(store: ResultsStore, study_id: int | None, patience: RetryPolicy | None = None) -> list[Lease]:
    running = select(SlotRow.__table__).where(SlotRow.state == "running").order_by(SlotRow.slot)
    if study_id is not None:
        running = running.where(SlotRow.study_id == study_id)
    rows = store.read(lambda connection: connection.execute(running).all(), patience)
    return [
        Lease(row.study_id, row.stage, row.slot, row.token, row.trial_id, row.epoch, row.worker, 0.0)
        for row in rows
    ]


def _give_back(
    store: ResultsStore, lease: Lease, attempt_outcome: str, patience: RetryPolicy | None = None
) -> None:
    def work(connection: Connection) -> None:
        said = {"progress_at": SlotRow.progress_at}  # giving back is no progress
        pass_fence(connection, lease, state="waiting", worker=None, lease_until=None, **said)
        trial_id = connection.scalar(select(SlotRow.trial_id).where(slot_is(lease)))
        if trial_id is not None:
            attempts.end(connection, trial_id, attempt_outcome)
        notify_idle_workers(connection)

    store.write(work, patience)


def _claimable(study_id: int) -> Select[str, int]:
    free = or_(SlotRow.state == "waiting", SlotRow.lease_until < epoch_now())
    return (
        select(SlotRow.stage, SlotRow.slot)
        # `<> 'done'` is what the partial index says.
        .where(SlotRow.study_id == study_id, SlotRow.state != "done", free)
        .order_by(SlotRow.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
