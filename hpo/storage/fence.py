"""The fence: a write is let through only while its worker holds the slot under the newest token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from hpo.errors import LeaseLostError
from hpo.storage.column_types import epoch_now
from hpo.storage.tables import SlotRow


@dataclass(frozen=True)
class Lease:
    """A hold on a slot under a fencing token; ``trial_id`` and ``epoch`` say how far earlier workers got."""

    study_id: int
    stage: str
    slot: int
    token: int
    trial_id: int | None
    epoch: int
    worker: str
    seconds: float
    given: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters that are not drawn."""


def pass_fence(connection: Connection, lease: Lease, **changes: Any) -> None:
    """Renew the lease and apply ``changes`` to its slot, or raise ``LeaseLostError``.

    Do this first in a transaction: it locks the slot's row, so that nobody claims the slot before the end.
    An expired lease that nobody claimed is still good.
    """
    renewed = {"lease_until": epoch_now() + lease.seconds, "progress_at": epoch_now(), **changes}
    if connection.execute(update(SlotRow).where(_held(lease)).values(renewed)).rowcount != 1:
        raise LeaseLostError(f"slot {lease.slot} was taken over: {lease.worker} no longer holds it")


def holds(connection: Connection, lease: Lease) -> bool:
    """Whether the hold is still good."""
    return connection.scalar(select(SlotRow.slot).where(_held(lease))) is not None


def state_under_lease(connection: Connection, lease: Lease) -> str | None:
    """The slot's state while this very hold is its newest, else None.

    It is not ``running`` where a transaction went through of which the worker has not heard.
    """
    return connection.scalar(select(SlotRow.state).where(slot_is(lease), SlotRow.token == lease.token))


def _held(lease: Lease) -> ColumnElement[bool]:
    # The worker too: SQLite gives a deleted study's id to the next one, whose tokens begin again.
    held = SlotRow.token == lease.token, SlotRow.worker == lease.worker, SlotRow.state == "running"
    return and_(slot_is(lease), *held)


def slot_is(lease: Lease) -> ColumnElement[bool]:
    """The condition that picks the hold's slot."""
    return and_(SlotRow.study_id == lease.study_id, SlotRow.stage == lease.stage, SlotRow.slot == lease.slot)
