"""Who is at work on a study, what waits to be gone on with, and what attempts came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select

from hpo.results.clock import epoch_now
from hpo.results.tables import TRIALS, AttemptRow, SlotRow, TrialRow


@dataclass(frozen=True)
class WorkerStatus:
    """A worker with a slot; a lease with no seconds left may be taken over. Times by the database's clock."""

    worker: str
    stage: str
    slot: int
    number: int | None
    epoch: int
    attempt: int | None
    """Which of the trial's it is; None if the trial has not begun."""
    lease_until: datetime
    """UTC."""
    lease_seconds_left: float
    silent_seconds: float | None
    """Since the last sign of progress."""


@dataclass(frozen=True)
class Interrupted:
    """A trial that waits for a worker to go on with it."""

    number: int
    epoch: int
    attempts: int
    outcome: str | None
    """What its last attempt came to: released, lost or hung."""


@dataclass(frozen=True)
class Work:
    """Everything about the workers of a study."""

    workers: tuple[WorkerStatus, ...]
    interrupted: tuple[Interrupted, ...]
    attempts: dict[str, int]
    """How many came to what; those under way are ``running``."""


def work_on(connection: Connection, study_id: int) -> Work:
    """Who is at work on the study now, and what became of those who were."""
    counts = connection.execute(_attempt_counts(study_id))
    return Work(
        workers=tuple(_worker(row) for row in connection.execute(_workers(study_id))),
        interrupted=tuple(Interrupted(*row) for row in connection.execute(_interrupted(study_id))),
        attempts={outcome or "running": count for outcome, count in counts},
    )


def _worker(row: Row[Any]) -> WorkerStatus:
    values = dict(row._mapping)
    values["lease_until"] = datetime.fromtimestamp(row.lease_until, UTC).replace(tzinfo=None)
    return WorkerStatus(**values)


def _last_attempt() -> Any:
    mine = AttemptRow.trial_id == SlotRow.trial_id
    return select(func.max(AttemptRow.attempt)).where(mine).correlate(SlotRow).scalar_subquery()


def _workers(study_id: int) -> Select[Any]:
    return (
        select(
            SlotRow.worker,
            SlotRow.stage,
            SlotRow.slot,
            TRIALS.c.number,
            SlotRow.epoch,
            _last_attempt().label("attempt"),
            SlotRow.lease_until,
            (SlotRow.lease_until - epoch_now()).label("lease_seconds_left"),
            (epoch_now() - SlotRow.progress_at).label("silent_seconds"),
        )
        .outerjoin(TRIALS, TRIALS.c.trial_id == SlotRow.trial_id)
        .where(SlotRow.study_id == study_id, SlotRow.state == "running")
        .order_by(SlotRow.slot)
    )


def _interrupted(study_id: int) -> Select[Any]:
    last = and_(AttemptRow.trial_id == SlotRow.trial_id, AttemptRow.attempt == _last_attempt())
    return (
        select(TRIALS.c.number, SlotRow.epoch, AttemptRow.attempt, AttemptRow.outcome)
        .select_from(SlotRow)
        .join(TRIALS, TRIALS.c.trial_id == SlotRow.trial_id)
        .join(AttemptRow, last)
        .where(SlotRow.study_id == study_id, SlotRow.state == "waiting")
        .order_by(TRIALS.c.number)
    )


def _attempt_counts(study_id: int) -> Select[str | None, int]:
    return (
        select(AttemptRow.outcome, func.count().label("count"))
        .join(TrialRow, TrialRow.trial_id == AttemptRow.trial_id)
        .where(TrialRow.study_id == study_id)
        .group_by(AttemptRow.outcome)
        .order_by(AttemptRow.outcome)
    )
