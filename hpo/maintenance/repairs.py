"""Repairs of a database. Each gets the rows that its check found in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, insert, select, text, update

from hpo.records import Outcome
from hpo.storage import attempts, orphans, schema
from hpo.storage.column_types import utc_now
from hpo.storage.optuna.trials import finish_in_optuna
from hpo.storage.store import curve_sums
from hpo.storage.tables import EPOCHS, AttemptRow, Base, SlotRow, TrialRow

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Repair: TypeAlias = Callable[[Connection, Rows], None]

_OUTCOMES = {"complete": "complete", "pruned": "pruned", "fail": "failed"}
_BY_A_PERSON = "ended with Optuna's tools"


def recreate_views(connection: Connection, rows: Rows) -> None:
    """Recreate every view."""
    schema.create_views(connection)


def delete_orphans(connection: Connection, rows: Rows) -> None:
    """Delete rows whose study or trial Optuna no longer has."""
    orphans.delete_orphans(connection)


def drop_dangling(connection: Connection, rows: Rows) -> None:
    """Delete rows that refer to a missing row; a slot only loses its trial."""
    for row in rows:
        table = Base.metadata.tables[row["table"]]
        if table is SlotRow.__table__ and row["detail"] == TrialRow.__tablename__:
            statement = text("UPDATE hpo_slot SET trial_id = NULL WHERE rowid = :rowid")
        else:
            statement = text(f"DELETE FROM {table.name} WHERE rowid = :rowid")
        connection.execute(statement, {"rowid": row["rowid"]})


def release_slots(connection: Connection, rows: Rows) -> None:
    """Release slots, unless their worker has renewed its lease since the check."""
    for row in rows:
        held = update(SlotRow).where(
            *_slot(row), SlotRow.state == "running", SlotRow.lease_until == row["lease_until"]
        )
        freed = held.values(state="waiting", worker=None, lease_until=None).returning(SlotRow.trial_id)
        trial_id = connection.execute(freed).scalar()
        if trial_id is not None:
            attempts.end(connection, trial_id, "lost")


def follow_optuna(connection: Connection, rows: Rows) -> None:
    """End trials as in Optuna; a complete one without a finite value stays as it is."""
    for row in rows:
        outcome = _OUTCOMES[row["state"]]
        if outcome == "complete" and row["value"] is None:
            continue
        of_trial = TrialRow.trial_id == row["trial_id"]
        connection.execute(
            update(TrialRow)
            .where(of_trial)
            .values(
                outcome=outcome,
                **({} if row["value"] is None else {"value": row["value"]}),
                verdict=func.coalesce(TrialRow.verdict, _BY_A_PERSON),
                ended_at=func.coalesce(TrialRow.ended_at, utc_now()),
            )
        )
        attempts.end(connection, row["trial_id"], outcome)
        ended = update(SlotRow).where(SlotRow.trial_id == row["trial_id"])
        connection.execute(ended.values(state="done", worker=None, lease_until=None))
        _sum(connection, row["trial_id"])


def fit_slots(connection: Connection, rows: Rows) -> None:
    """Set slots to the state of their trial; one without a trial waits."""
    for row in rows:
        known = {"trial_id": row["trial_id"], "state": "done" if row["outcome"] else "waiting"}
        # A higher token, so that writes of an earlier worker are refused.
        fresh = {"epoch": 0} if row["trial_id"] is None else {}
        slot = update(SlotRow).where(*_slot(row))
        connection.execute(slot.values(token=SlotRow.token + 1, **known, **fresh))


def add_slots(connection: Connection, rows: Rows) -> None:
    """Add the missing slots of trials."""
    for row in rows:
        state = "done" if row["outcome"] else "waiting"
        values = {"study_id": row["study_id"], "stage": row["stage"], "slot": row["detail"]}
        connection.execute(insert(SlotRow).values(**values, trial_id=row["trial_id"], state=state))


def end_attempts(connection: Connection, rows: Rows) -> None:
    """End attempts without a worker as lost."""
    for row in rows:
        last = select(func.coalesce(func.max(EPOCHS.c.epoch), 0)).where(EPOCHS.c.trial_id == row["trial_id"])
        connection.execute(
            update(AttemptRow)
            .where(AttemptRow.trial_id == row["trial_id"], AttemptRow.attempt == row["attempt"])
            .values(outcome="lost", to_epoch=last.scalar_subquery())
        )


def end_in_optuna(connection: Connection, rows: Rows) -> None:
    """End trials in Optuna as they ended in hpo."""
    for row in rows:
        ours = connection.execute(
            select(TrialRow.__table__).where(TrialRow.trial_id == row["trial_id"])
        ).one()
        outcome = Outcome(ours.outcome, ours.value, ours.verdict, ours.remedy, best_epoch=ours.best_epoch)
        finish_in_optuna(connection, row["trial_id"], outcome)


def sum_again(connection: Connection, rows: Rows) -> None:
    """Compute epochs, seconds and images from the curve."""
    for row in rows:
        _sum(connection, row["trial_id"])


def _slot(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return SlotRow.study_id == row["study_id"], SlotRow.stage == row["stage"], SlotRow.slot == row["slot"]


def _sum(connection: Connection, trial_id: int) -> None:
    sums = curve_sums(connection, trial_id)
    connection.execute(update(TrialRow).where(TrialRow.trial_id == trial_id).values(**sums))
