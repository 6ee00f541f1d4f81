"""The fence: a write is let through only while its worker holds the slot under the newest token."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, select, update

from hpo.errors import LeaseLostError
from hpo.results.clock import epoch_now
from hpo.results.tables import SlotRow


class Hold(Protocol):
    """A worker's hold on a slot, as `hpo.queue.leases.Lease` is one."""

    @property
    def study_id(self) -> int: ...
    @property
    def stage(self) -> str: ...
    @property
    def slot(self) -> int: ...
    @property
    def token(self) -> int: ...
    @property
    def worker(self) -> str: ...
    @property
    def seconds(self) -> float: ...


def pass_fence(connection: Connection, hold: Hold, **changes: Any) -> None:
    """Renew the lease and apply ``changes`` to its slot, or raise ``LeaseLostError``.

    Do this first in a transaction: it locks the slot's row, so that nobody claims the slot before the end.
    An expired lease that nobody claimed is still good.
    """
    renewed = {"lease_until": epoch_now() + hold.seconds, "progress_at": epoch_now(), **changes}
    if connection.execute(update(SlotRow).where(_held(hold)).values(renewed)).rowcount != 1:
        raise LeaseLostError(f"slot {hold.slot} was taken over: {hold.worker} no longer holds it")


def holds(connection: Connection, hold: Hold) -> bool:
    """Whether the hold is still good."""
    return connection.scalar(select(SlotRow.slot).where(_held(hold))) is not None


def state_under(connection: Connection, hold: Hold) -> str | None:
    """The slot's state while this very hold is its newest, else None.

    It is not ``running`` where a transaction went through of which the worker has not heard.
    """
    return connection.scalar(select(SlotRow.state).where(slot_is(hold), SlotRow.token == hold.token))


def _held(hold: Hold) -> ColumnElement[bool]:
    # The worker too: SQLite gives a deleted study's id to the next one, whose tokens begin again.
    held = SlotRow.token == hold.token, SlotRow.worker == hold.worker, SlotRow.state == "running"
    return and_(slot_is(hold), *held)


def slot_is(hold: Hold) -> ColumnElement[bool]:
    """The condition that picks the hold's slot."""
    return and_(SlotRow.study_id == hold.study_id, SlotRow.stage == hold.stage, SlotRow.slot == hold.slot)
