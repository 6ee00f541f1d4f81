"""Fencing: a write is accepted only while its worker holds the slot under the newest token."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    SQLColumnExpression,
    Update,
    and_,
    bindparam,
    select,
    update,
)

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


def pass_fence(connection: Connection, lease: Lease, **changes: Any) -> int | None:
    """Renew the lease, apply ``changes`` to its slot, and return its trial, or raise ``LeaseLostError``.

    Do this first in a transaction: it locks the slot's row, so that no other worker claims the slot
    meanwhile. An expired lease is still valid until another worker claims the slot.
    """
    expressions = {name: each for name, each in changes.items() if isinstance(each, SQLColumnExpression)}
    values = {f"new_{name}": each for name, each in changes.items() if name not in expressions}
    statement = _fence(tuple(name for name in changes if name not in expressions))
    if expressions:
        statement = statement.values(expressions)
    row = connection.execute(statement, {**_held_by(lease), **values}).one_or_none()
    if row is None:
        raise LeaseLostError(f"slot {lease.slot} was taken over: {lease.worker} no longer holds it")
    trial_id: int | None = row.trial_id
    return trial_id


def holds(connection: Connection, lease: Lease) -> bool:
    """Return whether the lease is still valid."""
    return connection.scalar(select(SlotRow.slot).where(_HELD), _held_by(lease)) is not None


def has_newest_token(connection: Connection, lease: Lease) -> bool:
    """Return whether the slot exists and has not been claimed since; it may be over."""
    return connection.scalar(select(SlotRow.token).where(SLOT), slot_key(lease)) == lease.token


def state_under_lease(connection: Connection, lease: Lease) -> str | None:
    """Return the slot's state if this lease is its newest, else None.

    It is not ``running`` after a transaction was committed whose answer the worker did not get.
    """
    return connection.scalar(_STATE_UNDER_LEASE, _held_by(lease))


def slot_key(lease: Lease) -> dict[str, Any]:
    """Return the parameters of ``SLOT``."""
    return {"of_study": lease.study_id, "of_stage": lease.stage, "of_slot": lease.slot}


SLOT = and_(
    SlotRow.study_id == bindparam("of_study"),
    SlotRow.stage == bindparam("of_stage"),
    SlotRow.slot == bindparam("of_slot"),
)
"""Selects a lease's slot. Statements are built once, which takes longer than running them."""
_NEWEST = and_(SLOT, SlotRow.token == bindparam("of_token"))
# The worker too: SQLite gives a deleted study's id to the next one, whose tokens start again.
_HELD = and_(_NEWEST, SlotRow.worker == bindparam("of_worker"), SlotRow.state == "running")
_STATE_UNDER_LEASE = select(SlotRow.state).where(_NEWEST)


def _held_by(lease: Lease) -> dict[str, Any]:
    return {
        **slot_key(lease),
        "of_token": lease.token,
        "of_worker": lease.worker,
        "for_seconds": lease.seconds,
    }


@cache
def _fence(changed: tuple[str, ...]) -> Update:
    renewed: dict[str, ColumnElement[Any]] = {
        "lease_until": epoch_now() + bindparam("for_seconds"),
        "progress_at": epoch_now(),
    }
    changes: dict[str, ColumnElement[Any]] = {name: bindparam(f"new_{name}") for name in changed}
    return update(SlotRow).where(_HELD).values(renewed | changes).returning(SlotRow.trial_id)
