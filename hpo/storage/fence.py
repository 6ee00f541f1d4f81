"""Fencing: a write is accepted only while its worker holds the slot under the newest token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from hpo.errors import LeaseLostError
from hpo.storage.column_types import epoch_now
from hpo.storage.tables import SlotRow


@dataclass(frozen=True)
class Lease:
    """A worker's lease of a slot; ``trial_id`` and ``epoch`` are what earlier workers left."""

    study_id: int
    stage: str
    slot: int
    token: int
    trial_id: int | None
    epoch: int
    worker: str
    seconds: float
    given: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters that are not sampled."""


def pass_fence(connection: Connection, lease: Lease, **changes: Any) -> None:
    """Renew the lease and apply ``changes`` to its slot, or raise ``LeaseLostError``.

    Do this first in a transaction: it locks the slot's row, so that no other worker claims the slot
    meanwhile. An expired lease is still valid until another worker claims the slot.
    """
    renewed = {"lease_until": epoch_now() + lease.seconds, "progress_at": epoch_now(), **changes}
    if connection.execute(update(SlotRow).where(_held(lease)).values(renewed)).rowcount != 1:
        raise LeaseLostError(f"slot {lease.slot} was taken over: {lease.worker} no longer holds it")


def holds(connection: Connection, lease: Lease) -> bool:
    """Return whether the lease is still valid."""
    return connection.scalar(select(SlotRow.slot).where(_held(lease))) is not None


def has_newest_token(connection: Connection, lease: Lease) -> bool:
    """Return whether the slot exists and has not been claimed since; it may be over."""
    return connection.scalar(select(SlotRow.token).where(slot_is(lease))) == lease.token


def state_under_lease(connection: Connection, lease: Lease) -> str | None:
    """Return the slot's state if this lease is its newest, else None.

    It is not ``running`` after a transaction was committed whose answer the worker did not get.
    """
    return connection.scalar(select(SlotRow.state).where(slot_is(lease), SlotRow.token == lease.token))


def _held(lease: Lease) -> ColumnElement[bool]:
    # The worker too: SQLite gives a deleted study's id to the next one, whose tokens start again.
    held = SlotRow.token == lease.token, SlotRow.worker == lease.worker, SlotRow.state == "running"
    return and_(slot_is(lease), *held)


def slot_is(lease: Lease) -> ColumnElement[bool]:
    """Return the condition that selects the lease's slot."""
    return and_(SlotRow.study_id == lease.study_id, SlotRow.stage == lease.stage, SlotRow.slot == lease.slot)
