"""Reads: what the command line and reports want to know, as typed rows. SQL from people is in `ad_hoc`.

Each function takes the engine of a `ResultsStore` or of `results_engine`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    String,
    and_,
    case,
    column,
    func,
    select,
    table,
)

from hpo.errors import UnknownStudyError
from hpo.results.engine import open_reader, reading
from hpo.results.revision import require
from hpo.results.tables import (
    OUTCOMES,
    STUDIES,
    SlotRow,
    StudyRow,
    TrialRow,
)
from hpo.results.work import Work, work_on
from hpo.spec.stage import MAIN, TEST

_IS_RANKED = TrialRow.stage != TEST
"""Not the trial that is measured on the test images: its value is of other images."""
KNOWN = table(
    "hpo_known_trial",
    column("trial_id", Integer),
    column("study", String),
    column("number", Integer),
    column("state", String),
)
"""The view that every other view joins."""


@dataclass(frozen=True)
class StudySummary:
    """A study, how many of its slots are in which state, and the best value so far."""

    name: str
    study_id: int
    created_at: datetime
    dataset: str
    waiting: int
    running: int
    paused: int
    complete: int
    pruned: int
    failed: int
    best_value: float | None
    stopped_at: datetime | None
    """Since when `hpo stop` holds (UTC)."""
    priority: int

    @property
    def done(self) -> int:
        """Slots whose trial has ended, in whatever way."""
        return self.complete + self.pruned + self.failed

    @property
    def trials(self) -> int:
        """All slots."""
        return self.waiting + self.running + self.paused + self.done


@dataclass(frozen=True)
class StudyStatus:
    """A study, its best trial's number, and who is at work on it."""

    summary: StudySummary
    best_number: int | None
    work: Work


@dataclass(frozen=True)
class Leader:
    """A complete trial and its rank; ``searched`` holds the hyperparameters that the study varies."""

    rank: int
    number: int
    value: float
    best_epoch: int | None
    seconds: float | None
    verdict: str | None
    searched: dict[str, Any]
    stage: str = MAIN


def results_engine(url: str) -> Engine:
    """An engine that only reads; raises ``StorageError`` if hpo has not used this database yet."""
    engine = open_reader(url)
    try:
        require(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def list_studies(engine: Engine) -> list[StudySummary]:
    """Every study that hpo made, the oldest first."""
    with reading(engine) as connection:
        return [_summary(row) for row in connection.execute(_summaries())]


def study_status(engine: Engine, name: str) -> StudyStatus:
    """How far a study is; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        summary = _summary(connection.execute(_summaries().where(StudyRow.study_id == study.study_id)).one())
        best = connection.execute(_ranked(study.study_id).limit(1)).one_or_none()
        work = work_on(connection, study.study_id)
    return StudyStatus(
        summary=summary,
        best_number=best.number if best else None,
        work=work,
    )


def leaderboard(engine: Engine, name: str, count: int = 10) -> list[Leader]:
    """The best complete trials of a study, best first; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        rows = connection.execute(_ranked(study.study_id).limit(count)).all()
    searched = searched_names(study)
    return [
        Leader(
            rank=row.rank,
            stage=row.stage,
            number=row.number,
            value=row.value,
            best_epoch=row.best_epoch,
            seconds=row.seconds,
            verdict=row.verdict,
            searched={name: row.configuration.get(name) for name in searched},
        )
        for row in rows
    ]


def find_study(connection: Connection, name: str) -> Row[Any]:
    """A study's id, uid, name and spec; raises ``UnknownStudyError``."""
    row = connection.execute(
        select(StudyRow.study_id, StudyRow.uid, StudyRow.name, StudyRow.spec)
        .join(STUDIES, _is_known_study())
        .where(StudyRow.name == name)
    ).one_or_none()
    if row is None:
        raise UnknownStudyError(_unknown(connection, name))
    return row


def _unknown(connection: Connection, name: str) -> str:
    names = list(
        connection.scalars(select(StudyRow.name).join(STUDIES, _is_known_study()).order_by(StudyRow.name))
    )
    if not names:
        return f"there is no study {name}: this database has none yet"
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"there is no study {name} in this database: {hint}It has {', '.join(names)}"


def _is_known_study() -> Any:
    """Whether Optuna still has the study; see `views/hpo_known_trial.sql`."""
    return and_(STUDIES.c.study_id == StudyRow.study_id, STUDIES.c.study_name == StudyRow.name)


def _summaries() -> Select[Any]:
    def count(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    ended = [count(TrialRow.outcome == outcome).label(outcome) for outcome in OUTCOMES]
    return (
        select(
            StudyRow.name,
            StudyRow.study_id,
            StudyRow.created_at,
            StudyRow.dataset,
            StudyRow.stopped_at,
            StudyRow.priority,
            count(SlotRow.state == "waiting").label("waiting"),
            count(SlotRow.state == "running").label("running"),
            count(SlotRow.state == "paused").label("paused"),
            *ended,
            func.max(case((and_(TrialRow.outcome == "complete", _IS_RANKED), TrialRow.value))).label(
                "best_value"
            ),
        )
        .join(STUDIES, _is_known_study())
        .join(SlotRow, SlotRow.study_id == StudyRow.study_id)
        .outerjoin(TrialRow, TrialRow.trial_id == SlotRow.trial_id)
        .group_by(
            StudyRow.study_id,
            StudyRow.name,
            StudyRow.created_at,
            StudyRow.dataset,
            StudyRow.stopped_at,
            StudyRow.priority,
        )
        .order_by(StudyRow.created_at, StudyRow.study_id)
    )


def _summary(row: Row[Any]) -> StudySummary:
    return StudySummary(**row._mapping)


def _ranked(study_id: int) -> Select[Any]:
    """Complete trials, best first, an earlier one before its equals."""
    return (
        select(
            func.rank().over(order_by=TrialRow.value.desc()).label("rank"),
            TrialRow.stage,
            KNOWN.c.number,
            TrialRow.value,
            TrialRow.best_epoch,
            TrialRow.seconds,
            TrialRow.verdict,
            TrialRow.configuration,
        )
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, KNOWN.c.state == "complete", _IS_RANKED)
        .order_by(TrialRow.value.desc(), KNOWN.c.number)
    )


def searched_names(study: Row[Any]) -> tuple[str, ...]:
    """The hyperparameters that a study searches."""
    return tuple(study.spec.get("space", {}))
