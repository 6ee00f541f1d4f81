"""Live status of a study, read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, select

from hpo.config.study import StudySpec
from hpo.queries.study import StudyStatus, study_status
from hpo.records import EpochResult
from hpo.storage.attempts import busy_seconds
from hpo.storage.column_types import utc_now
from hpo.storage.engine import reading
from hpo.storage.record_columns import record_of
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import EPOCHS, FINDINGS, AttemptRow, SlotRow, TrialRow


@dataclass(frozen=True)
class RunningNow:
    """A trial that a worker has been training for ``seconds``, from ``from_epoch`` on."""

    number: int
    worker: str
    configuration: dict[str, Any]
    seconds: float
    from_epoch: int
    curve: tuple[EpochResult, ...]
    idle_seconds: float
    """Since its last epoch ended, or since the attempt began."""


@dataclass(frozen=True)
class EndedNow:
    """A trial that is over."""

    number: int
    state: str
    value: float | None
    verdict: str | None
    seconds: float


@dataclass(frozen=True)
class FindingNow:
    """A finding that is not a pass."""

    number: int
    check: str
    severity: str
    step: int
    message: str


@dataclass(frozen=True)
class StudyNow:
    """A study now: counts and workers, running trials, ended trials and findings."""

    status: StudyStatus
    searched: tuple[str, ...]
    costs: tuple[tuple[int, float], ...]
    """(trials, cost of each) stage after stage (``StudySpec.trial_costs``)."""
    running: tuple[RunningNow, ...]
    ended: tuple[EndedNow, ...]
    """All of them, the latest last."""
    findings: tuple[FindingNow, ...]
    """The latest few, the latest last."""


def study_now(engine: Engine, name: str, findings: int = 3) -> StudyNow:
    """Return the live status of a study with its latest findings; raises ``UnknownStudyError``."""
    status = study_status(engine, name)
    study_id = status.summary.study_id
    with reading(engine) as connection:
        spec = find_study(connection, name).spec
        now = connection.scalar(select(utc_now()))
        busy = busy_seconds(connection, study_id)
        ended = connection.execute(_ended(study_id)).all()
        return StudyNow(
            status=status,
            searched=tuple(spec.get("space", {})),
            costs=StudySpec.model_validate(spec).trial_costs,
            running=tuple(_running(connection, study_id, now)),
            ended=tuple(
                EndedNow(row.number, row.outcome, row.value, row.verdict, busy.get(row.trial_id, 0.0))
                for row in ended
            ),
            findings=tuple(
                FindingNow(*row) for row in reversed(connection.execute(_findings(study_id, findings)).all())
            ),
        )


def _running(connection: Connection, study_id: int, now: datetime) -> list[RunningNow]:
    rows = connection.execute(_held(study_id)).all()
    curves: dict[int, list[EpochResult]] = {row.trial_id: [] for row in rows}
    last = {row.trial_id: row.started_at for row in rows}
    epochs = select(EPOCHS).where(EPOCHS.c.trial_id.in_(curves)).order_by("trial_id", "epoch")
    for row in connection.execute(epochs):
        curves[row.trial_id].append(record_of(EpochResult, row._asdict()))
        last[row.trial_id] = row.ended_at
    return [
        RunningNow(
            number=row.number,
            worker=row.worker,
            configuration=row.configuration,
            seconds=(now - row.started_at).total_seconds(),
            from_epoch=row.from_epoch,
            curve=tuple(curves[row.trial_id]),
            idle_seconds=(now - last[row.trial_id]).total_seconds(),
        )
        for row in rows
    ]


def _held(study_id: int) -> Select[Any]:
    """Select the running slots whose trial has started, with its open attempt."""
    lasts = and_(AttemptRow.trial_id == SlotRow.trial_id, AttemptRow.outcome.is_(None))
    return (
        select(
            SlotRow.trial_id,
            KNOWN.c.number,
            SlotRow.worker,
            TrialRow.configuration,
            AttemptRow.started_at,
            AttemptRow.from_epoch,
        )
        .join(KNOWN, KNOWN.c.trial_id == SlotRow.trial_id)
        .join(TrialRow, TrialRow.trial_id == SlotRow.trial_id)
        .join(AttemptRow, lasts)
        .where(SlotRow.study_id == study_id, SlotRow.state == "running")
        .order_by(KNOWN.c.number, AttemptRow.attempt)
    )


def _ended(study_id: int) -> Select[Any]:
    return (
        select(TrialRow.trial_id, KNOWN.c.number, TrialRow.outcome, TrialRow.value, TrialRow.verdict)
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, TrialRow.outcome.is_not(None))
        .order_by(TrialRow.ended_at, KNOWN.c.number)
    )


def _findings(study_id: int, count: int) -> Select[Any]:
    message = func.coalesce(func.nullif(FINDINGS.c.layer, "") + ": ", "") + FINDINGS.c.message
    return (
        select(KNOWN.c.number, FINDINGS.c.check_name, FINDINGS.c.severity, FINDINGS.c.step, message)
        .join(KNOWN, KNOWN.c.trial_id == FINDINGS.c.trial_id)
        .join(TrialRow, TrialRow.trial_id == FINDINGS.c.trial_id)
        .where(TrialRow.study_id == study_id, FINDINGS.c.severity != "pass")
        .order_by(FINDINGS.c.id.desc())
        .limit(count)
    )
