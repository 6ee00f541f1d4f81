"""The workers of a study and of the database, and what they are doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, func, select

from hpo.storage.column_types import epoch_now
from hpo.storage.engine import reading
from hpo.storage.identity import SILENT_SECONDS, life_of
from hpo.storage.studies import KNOWN
from hpo.storage.tables import TRIALS, AttemptRow, SlotRow, StudyRow, TrialRow, WorkerRow


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process; ``study`` and ``number`` are those of its trial. Times in seconds."""

    worker: str
    device: str | None
    tags: tuple[str, ...]
    serves: tuple[str, ...]
    """The studies that it serves; empty for all."""
    code_version: str | None
    started_at: datetime | None
    """UTC."""
    study: str | None
    number: int | None
    epoch: int | None
    silent_seconds: float
    """Since its last heartbeat, or the last progress in its trial."""
    lease_seconds_left: float | None
    """None without a trial; below 0 another worker may claim the slot."""


def list_workers(engine: Engine) -> list[WorkerInfo]:
    """Return the registered workers and those that hold a slot, by name."""
    with reading(engine) as connection:
        held = {row.worker: row for row in connection.execute(_held())}
        known = {row.worker: row for row in connection.execute(_known())}
    return [_present(name, known.get(name), held.get(name)) for name in sorted(held.keys() | known.keys())]


def _present(name: str, known: Any, held: Any) -> WorkerInfo:
    silent = [each.silent for each in (known, held) if each is not None and each.silent is not None]
    return WorkerInfo(
        worker=name,
        device=known.device if known else None,
        tags=tuple(known.tags) if known else (),
        serves=tuple(known.studies) if known else (),
        code_version=known.code_version if known else None,
        started_at=known.started_at if known else None,
        study=held.study if held else None,
        number=held.number if held else None,
        epoch=held.epoch if held else None,
        silent_seconds=max(0.0, min(silent, default=0.0)),
        lease_seconds_left=held.lease_left if held else None,
    )


def _known() -> Select[Any]:
    return select(WorkerRow.__table__, (epoch_now() - WorkerRow.seen_at).label("silent"))


def _held() -> Select[Any]:
    return (
        select(
            SlotRow.worker,
            StudyRow.name.label("study"),
            KNOWN.c.number,
            SlotRow.epoch,
            (epoch_now() - SlotRow.progress_at).label("silent"),
            (SlotRow.lease_until - epoch_now()).label("lease_left"),
        )
        .join(StudyRow, StudyRow.study_id == SlotRow.study_id)
        .outerjoin(KNOWN, KNOWN.c.trial_id == SlotRow.trial_id)
        .where(SlotRow.state == "running")
    )


@dataclass(frozen=True)
class WorkerStatus:
    """A worker with a slot; an expired lease may be taken over. Times by the database's clock."""

    worker: str
    stage: str
    slot: int
    number: int | None
    epoch: int
    attempt: int | None
    """The number of the trial's attempt; None if the trial has not started."""
    lease_until: datetime
    """UTC."""
    lease_seconds_left: float
    silent_seconds: float | None
    """Since the last progress."""


@dataclass(frozen=True)
class Interrupted:
    """A trial that waits for a worker to resume it."""

    number: int
    epoch: int
    attempts: int
    outcome: str | None
    """The outcome of its last attempt: released, lost or hung."""


@dataclass(frozen=True)
class Work:
    """The workers of a study, its interrupted trials and its attempts."""

    workers: tuple[WorkerStatus, ...]
    interrupted: tuple[Interrupted, ...]
    attempts: dict[str, int]
    """Their number by outcome; open ones are ``running``."""


def study_workers(connection: Connection, study_id: int) -> Work:
    """Return the study's workers, interrupted trials and attempts."""
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


STATES = ("at work", "idle", "silent", "dead")


def state_of(worker: WorkerInfo) -> str:
    """Return one of ``STATES``. Silent: its lease has expired, or it is idle and sends no heartbeat.

    Dead only if this machine knows it: of a process that cannot be seen, its lease and heartbeats tell.
    """
    if life_of(worker.worker) == "dead":
        return "dead"
    if worker.lease_seconds_left is not None:
        return "at work" if worker.lease_seconds_left > 0 else "silent"
    return "idle" if worker.silent_seconds < SILENT_SECONDS else "silent"
