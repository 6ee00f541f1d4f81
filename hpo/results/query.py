"""Reads: what the command line and reports want to know, as typed rows. SQL from people is in `ad_hoc`.

Each function takes the engine of a `ResultsStore` or of `results_engine`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
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
    exists,
    func,
    select,
    table,
)

from hpo.errors import UnknownStudyError, UserError
from hpo.results.engine import open_reader, reading
from hpo.results.records import EpochRecord, FindingRecord, LayerRecord
from hpo.results.revision import require
from hpo.results.tables import (
    OUTCOMES,
    STUDIES,
    TRIALS,
    AttemptRow,
    EpochRow,
    FindingRow,
    LayerRow,
    SlotRow,
    StatisticsRow,
    StudyRow,
    TrialRow,
)
from hpo.results.work import Work, work_on
from hpo.spec.stage import MAIN, TEST, drawn_around

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


@dataclass(frozen=True)
class Attempt:
    """One worker's go at a trial; ``outcome`` is ``None`` while it lasts."""

    attempt: int
    worker: str
    device: str
    processor: str | None
    threads: int | None
    precision: str | None
    code_version: str | None
    package_versions: dict[str, str] | None
    started_at: datetime
    ended_at: datetime | None
    from_epoch: int
    to_epoch: int | None
    outcome: str | None
    output: str | None
    """The end of what the process printed meanwhile."""


@dataclass(frozen=True)
class TrialDetail:
    """Everything about one trial; ``configuration`` has ``None`` where a hyperparameter does not apply."""

    study: str
    study_uid: str
    number: int
    trial_id: int
    stage: str
    slot: int
    state: str
    value: float | None
    test_value: float | None
    best_epoch: int | None
    verdict: str | None
    cause: str | None
    second_cause: str | None
    confidence: float | None
    remedy: str | None
    remedy_change: dict[str, Any] | None
    error: str | None
    seconds: float | None
    images_per_second: float | None
    parameters: int | None
    weights_hash: str | None
    worker: str
    device: str
    started_at: datetime
    ended_at: datetime | None
    configuration: dict[str, Any]
    searched: tuple[str, ...]
    curve: tuple[EpochRecord, ...]
    findings: tuple[FindingRecord, ...]
    layers: tuple[LayerRecord, ...]
    """Every layer at every step that was looked at, in order."""
    attempts: tuple[Attempt, ...]
    given: dict[str, Any] | None = None
    """Hyperparameters that were put into its slot before it began."""
    is_drawn_around: bool = False
    """Whether they were drawn around the best configurations of the stage before."""


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
    searched = _searched(study)
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


def trial_detail(engine: Engine, name: str, number: int) -> TrialDetail:
    """Everything about a study's trial; raises ``UnknownStudyError``, or ``UserError`` for a wrong number."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        row = connection.execute(_trial(study.study_id, number)).one_or_none()
        if row is None:
            raise UserError(f"study {name} has no trial {number}: {_numbers(connection, study.study_id)}")
        of_trial = row.trial_id
        curve = connection.execute(_table(EpochRow).where(EpochRow.trial_id == of_trial).order_by("epoch"))
        findings = connection.execute(
            _table(FindingRow).where(FindingRow.trial_id == of_trial).order_by("id")
        )
        layers = connection.execute(
            _table(LayerRow).where(LayerRow.trial_id == of_trial).order_by("step", "position")
        )
        attempts = connection.execute(
            _table(AttemptRow).where(AttemptRow.trial_id == of_trial).order_by("attempt")
        )
        return TrialDetail(
            **{
                each.name: getattr(row, each.name) for each in fields(TrialDetail) if each.name in row._fields
            },
            study_uid=study.uid,
            is_drawn_around=drawn_around(study.spec.get("stages") or (), row.stage, row.slot),
            searched=_searched(study),
            curve=tuple(_epoch(each) for each in curve),
            findings=tuple(_finding(each) for each in findings),
            layers=tuple(_layer(each) for each in layers),
            attempts=tuple(_attempt(each) for each in attempts),
        )


def trial_place(engine: Engine, trial_id: int) -> tuple[str, int] | None:
    """The study and the number of a trial by its id; None if there is none."""
    with reading(engine) as connection:
        found = select(KNOWN.c.study, KNOWN.c.number).where(KNOWN.c.trial_id == trial_id)
        row = connection.execute(found).one_or_none()
    return None if row is None else (row.study, row.number)


def trials_with_layers(engine: Engine, name: str) -> set[int]:
    """The numbers of a study's trials whose layers were looked at; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        looked_at = exists().where(LayerRow.trial_id == TrialRow.trial_id)
        numbers = (
            select(KNOWN.c.number)
            .join(TrialRow, TrialRow.trial_id == KNOWN.c.trial_id)
            .where(TrialRow.study_id == study.study_id, looked_at)
        )
        return set(connection.scalars(numbers))


def preprocessing_state(engine: Engine, name: str, number: int) -> bytes:
    """What a trial's preprocessing learned: tensors in safetensors format, for ``Preprocessor.from_state``.

    Raises ``UnknownStudyError``, or ``UserError`` if the trial has not got that far.
    """
    with reading(engine) as connection:
        study = find_study(connection, name)
        trial = select(TRIALS.c.trial_id).filter_by(study_id=study.study_id, number=number)
        state = connection.scalar(
            select(StatisticsRow.state)
            .join(TrialRow, StatisticsRow.hash == TrialRow.statistics_hash)
            .where(TrialRow.trial_id.in_(trial), StatisticsRow.study_id == study.study_id)
        )
        if state is None:
            known = _numbers(connection, study.study_id)
            raise UserError(f"trial {number} of study {name} has no preprocessing statistics: {known}")
        return state


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


def _trial(study_id: int, number: int) -> Select[Any]:
    return (
        select(TrialRow.__table__, KNOWN.c.study, KNOWN.c.number, KNOWN.c.state, SlotRow.given)
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .outerjoin(SlotRow, SlotRow.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, KNOWN.c.number == number)
    )


def _table(rows: Any) -> Select[Any]:
    return select(rows.__table__)


def _numbers(connection: Connection, study_id: int) -> str:
    last = connection.scalar(select(func.max(TRIALS.c.number)).where(TRIALS.c.study_id == study_id))
    return "none has begun yet" if last is None else f"its trials are 0 to {last}"


def _searched(study: Row[Any]) -> tuple[str, ...]:
    return tuple(study.spec.get("space", {}))


def _number(value: float | None) -> float:
    """A stored measurement; NULL is what was not finite."""
    return float("nan") if value is None else value


def _epoch(row: Row[Any]) -> EpochRecord:
    values: dict[str, Any] = {each.name: _number(row._mapping[each.name]) for each in fields(EpochRecord)}
    return EpochRecord(**values)


def _finding(row: Row[Any]) -> FindingRecord:
    values = {each.name: row._mapping[each.name] for each in fields(FindingRecord) if each.name != "check"}
    return FindingRecord(check=row.check_name, **values)


def _layer(row: Row[Any]) -> LayerRecord:
    values = {each.name: row._mapping[each.name] for each in fields(LayerRecord)}
    counts = values["activation_counts"]
    return LayerRecord(**values | {"activation_counts": None if counts is None else tuple(counts)})


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(**{each.name: row._mapping[each.name] for each in fields(Attempt)})
