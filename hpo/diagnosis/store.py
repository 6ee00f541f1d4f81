"""What the checks of a whole study read, and where their findings are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from hpo.records import StudyFinding
from hpo.storage.attempts import busy_seconds
from hpo.storage.column_types import utc_now
from hpo.storage.record_columns import row_of
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import STUDY_FINDINGS, SlotRow, StudyRow, TrialRow


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended; ``configuration`` has ``None`` where a hyperparameter did not apply."""

    trial_id: int
    stage: str
    slot: int
    given: dict[str, Any]
    number: int
    outcome: str
    value: float | None
    cause: str | None
    configuration: dict[str, Any]
    seconds: float
    """From the start to the end of its attempts."""


@dataclass(frozen=True)
class FinishedTrials:
    """A study's spec and data set, and its trials that have ended, in the order of their numbers."""

    study_id: int
    spec: dict[str, Any]
    classes: int | None
    train_images: int | None
    trials: tuple[FinishedTrial, ...]


def read_finished(connection: Connection, name: str) -> FinishedTrials:
    """All that the checks of a study read; raises ``UnknownStudyError``."""
    found = find_study(connection, name)
    study = connection.execute(select(StudyRow.__table__).where(StudyRow.study_id == found.study_id)).one()
    seconds = busy_seconds(connection, study.study_id)
    ended = (
        select(TrialRow.__table__, KNOWN.c.number, SlotRow.given)
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .outerjoin(SlotRow, SlotRow.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study.study_id, TrialRow.outcome.is_not(None))
        .order_by(KNOWN.c.number)
    )
    return FinishedTrials(
        study.study_id,
        study.spec,
        study.classes,
        study.train_images,
        tuple(
            FinishedTrial(
                row.trial_id,
                row.stage,
                row.slot,
                row.given or {},
                row.number,
                row.outcome,
                row.value,
                row.cause,
                row.configuration,
                seconds.get(row.trial_id, 0.0),
            )
            for row in connection.execute(ended)
        ),
    )


def lock(connection: Connection, name: str) -> None:
    """Keep others from replacing the study's findings until the transaction ends."""
    connection.execute(select(StudyRow.study_id).where(StudyRow.name == name).with_for_update())


def replace(connection: Connection, study_id: int, records: Sequence[StudyFinding], trials_seen: int) -> None:
    """Put these findings in the place of the study's former ones."""
    connection.execute(delete(STUDY_FINDINGS).where(STUDY_FINDINGS.c.study_id == study_id))
    for position, record in enumerate(records, start=1):
        connection.execute(
            insert(STUDY_FINDINGS).values(
                study_id=study_id,
                position=position,
                trials_seen=trials_seen,
                made_at=utc_now(),
                **row_of(record),
            )
        )
