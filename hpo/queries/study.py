"""A study: its status, its leaderboard, and all of its trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    func,
    select,
)

from hpo.checks.causes import BEYOND_LIMIT
from hpo.config.image_format import ImageFormat, Resize
from hpo.config.objective import Direction, Objective
from hpo.config.study import MAIN, TEST
from hpo.queries.workers import Work, study_workers
from hpo.records import SEVERITIES
from hpo.storage.engine import reading
from hpo.storage.objective_sql import objective_of_epoch, score
from hpo.storage.studies import KNOWN, find_study, is_known_study, searched_names
from hpo.storage.tables import (
    EPOCHS,
    FINDINGS,
    OUTCOMES,
    STUDIES,
    CandidateRow,
    SlotRow,
    StudyRow,
    TrialRow,
)

_IS_RANKED = TrialRow.stage != TEST
"""Without the trial that was evaluated on the test images: its value is not comparable."""


@dataclass(frozen=True)
class StudySummary:
    """A study, its slots by state, and the best value so far.

    Once a confirmation has chosen, the best value is the mean of the chosen configuration's trainings: the
    best single training of several folds and stages is a lucky one.
    """

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
    """When `hpo stop` stopped it (UTC)."""
    priority: int
    objective: str = "val_accuracy"
    direction: Direction = "maximize"
    beyond_limit: int = 0
    """Trials, of those that are pruned, that are beyond the study's limit."""

    @property
    def goal(self) -> Objective:
        """What the study optimizes."""
        return Objective(self.objective, self.direction)

    @property
    def best_text(self) -> str:
        """The best value; in words if trials have ended and none is within the limit."""
        if self.best_value is None and self.beyond_limit and not self.complete:
            return "none within limit"
        return self.goal.text(self.best_value)

    @property
    def done(self) -> int:
        """Number of slots whose trial has ended."""
        return self.complete + self.pruned + self.failed

    @property
    def trials(self) -> int:
        """Number of slots."""
        return self.waiting + self.running + self.paused + self.done


@dataclass(frozen=True)
class StudyStatus:
    """A study, the number of its best or confirmed trial, and its workers."""

    summary: StudySummary
    best_number: int | None
    work: Work


@dataclass(frozen=True)
class Leader:
    """A complete trial and its rank; ``searched`` has the hyperparameters that the study varies."""

    rank: int
    number: int
    value: float
    best_epoch: int | None
    seconds: float | None
    verdict: str | None
    searched: dict[str, Any]
    stage: str = MAIN


def list_studies(engine: Engine) -> list[StudySummary]:
    """Return every study that hpo created, the oldest first."""
    with reading(engine) as connection:
        return [_summary(row) for row in connection.execute(_summaries())]


def study_status(engine: Engine, name: str) -> StudyStatus:
    """Return the status of a study; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        summary = _summary(connection.execute(_summaries().where(StudyRow.study_id == study.study_id)).one())
        confirmed = connection.scalar(_confirmed_number(study.study_id))
        best = connection.execute(_ranked(study.study_id).limit(1)).one_or_none()
        work = study_workers(connection, study.study_id)
    return StudyStatus(
        summary=summary,
        best_number=confirmed if confirmed is not None or best is None else best.number,
        work=work,
    )


def study_goal(engine: Engine, name: str) -> Objective:
    """Return what a study optimizes; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        found = StudyRow.study_id == find_study(connection, name).study_id
        row = connection.execute(select(StudyRow.objective, StudyRow.direction).where(found)).one()
    return Objective(row.objective, "minimize" if row.direction == "minimize" else "maximize")


def leaderboard(engine: Engine, name: str, count: int = 10) -> list[Leader]:
    """Return the best complete trials of a study, best first; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        rows = connection.execute(_ranked(study.study_id).limit(count)).all()
    return [_leader(row, searched_names(study)) for row in rows]


def best_leader(engine: Engine, name: str) -> Leader | None:
    """Return the trial of the confirmed configuration, else the best; None if no trial is complete.

    Its value is that of this trial. Raises ``UnknownStudyError``.
    """
    with reading(engine) as connection:
        study = find_study(connection, name)
        ranked = _ranked(study.study_id).subquery()
        confirmed = connection.scalar(_confirmed_number(study.study_id))
        chosen = select(ranked).order_by(ranked.c.rank, ranked.c.number).limit(1)
        if confirmed is not None:
            chosen = chosen.where(ranked.c.number == confirmed)
        row = connection.execute(chosen).one_or_none()
    return _leader(row, searched_names(study)) if row else None


def _leader(row: Row[Any], searched: Collection[str]) -> Leader:
    return Leader(
        rank=row.rank,
        stage=row.stage,
        number=row.number,
        value=row.value,
        best_epoch=row.best_epoch,
        seconds=row.seconds,
        verdict=row.verdict,
        searched={name: row.configuration.get(name) for name in searched},
    )


def _confirmed_number(study_id: int) -> Select[int]:
    """Select the trial whose configuration a confirmation has chosen; nothing before, or if none was."""
    return (
        select(KNOWN.c.number)
        .join(CandidateRow, CandidateRow.trial_id == KNOWN.c.trial_id)
        .where(CandidateRow.study_id == study_id, CandidateRow.rank == 1, CandidateRow.mean.is_not(None))
    )


def _summaries() -> Select[Any]:
    def count(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    confirmed = select(CandidateRow.mean).where(
        CandidateRow.study_id == StudyRow.study_id, CandidateRow.rank == 1
    )
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
            func.max(case((and_(TrialRow.outcome == "complete", _IS_RANKED), score()))).label("best_score"),
            confirmed.correlate(StudyRow).scalar_subquery().label("confirmed_mean"),
            StudyRow.objective,
            StudyRow.direction,
            count(TrialRow.cause == BEYOND_LIMIT).label("beyond_limit"),
        )
        .join(STUDIES, is_known_study())
        .join(SlotRow, SlotRow.study_id == StudyRow.study_id)
        .outerjoin(TrialRow, TrialRow.trial_id == SlotRow.trial_id)
        .group_by(
            StudyRow.study_id,
            StudyRow.name,
            StudyRow.created_at,
            StudyRow.dataset,
            StudyRow.stopped_at,
            StudyRow.priority,
            StudyRow.objective,
            StudyRow.direction,
        )
        .order_by(StudyRow.created_at, StudyRow.study_id)
    )


def _summary(row: Row[Any]) -> StudySummary:
    values = dict(row._mapping)
    reached, objective = values.pop("best_score"), Objective(row.objective, row.direction)
    mean = values.pop("confirmed_mean")
    best = mean if mean is not None or reached is None else objective.value(reached)
    return StudySummary(best_value=best, **values)


def _ranked(study_id: int) -> Select[Any]:
    """Select complete trials, best first; of equal ones the earlier first."""
    return (
        select(
            func.rank().over(order_by=score().desc()).label("rank"),
            TrialRow.stage,
            KNOWN.c.number,
            TrialRow.value,
            TrialRow.best_epoch,
            TrialRow.seconds,
            TrialRow.verdict,
            TrialRow.configuration,
        )
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, KNOWN.c.state == "complete", _IS_RANKED)
        .order_by(score().desc(), KNOWN.c.number)
    )


@dataclass(frozen=True)
class TrialSummary:
    """A trial that has started; ``images`` counts those trained on, ``epochs`` those completed.

    ``configuration`` has ``None`` where a hyperparameter does not apply.
    """

    number: int
    stage: str
    state: str
    value: float | None
    test_value: float | None
    verdict: str | None
    cause: str | None
    confidence: float | None
    remedy: str | None
    best_epoch: int | None
    epochs: int | None
    seconds: float | None
    images: int | None
    images_per_second: float | None
    milliseconds: float | None
    device: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    configuration: dict[str, Any]


@dataclass(frozen=True)
class StudyOverview:
    """A study's specification, its code and data, and all of its trials in the order of their numbers."""

    name: str
    uid: str
    spec: dict[str, Any]
    code_version: str
    package_versions: dict[str, str]
    dataset: str
    dataset_fingerprint: str
    dataset_origin: str
    classes: int | None
    train_images: int | None
    class_counts: list[int] | None
    validation: str | None
    val_class_counts: list[int] | None
    image_height: int | None
    image_width: int | None
    image_channels: int | None
    image_resize: Resize | None
    created_at: datetime
    stopped_at: datetime | None
    objective: str
    direction: Direction
    trials: tuple[TrialSummary, ...]

    @property
    def format(self) -> ImageFormat | None:
        """What its images are made to; None for the user's own training."""
        if not (self.image_height and self.image_width and self.image_channels and self.image_resize):
            return None
        return ImageFormat(self.image_height, self.image_width, self.image_channels, self.image_resize)

    @property
    def goal(self) -> Objective:
        """What the study optimizes."""
        return Objective(self.objective, self.direction)


def study_overview(engine: Engine, name: str) -> StudyOverview:
    """Return a study without curves, findings and layers; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        found = find_study(connection, name)
        row = connection.execute(select(StudyRow.__table__).where(StudyRow.study_id == found.study_id)).one()
        known = {
            each.name: getattr(row, each.name) for each in fields(StudyOverview) if each.name != "trials"
        }
        trials = connection.execute(_trials(found.study_id))
        return StudyOverview(**known, trials=tuple(TrialSummary(**each._mapping) for each in trials))


def study_curves(engine: Engine, name: str, numbers: Collection[int]) -> dict[int, list[tuple[int, float]]]:
    """Return the objective by epoch of these trials; raises ``UnknownStudyError``."""
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    with reading(engine) as connection:
        for number, epoch, value in connection.execute(_curves(connection, name)):
            if number in numbers and value is not None:
                curves[number].append((epoch, value))
    return curves


def checks_by_severity(engine: Engine, name: str) -> dict[str, dict[str, int]]:
    """Return the number of trials by check and worst severity; raises ``UnknownStudyError``."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    worst = func.max(case(*((FINDINGS.c.severity == each, place) for place, each in enumerate(SEVERITIES))))
    with reading(engine) as connection:
        per_trial = (
            select(FINDINGS.c.check_name, worst.label("worst"))
            .join(KNOWN, KNOWN.c.trial_id == FINDINGS.c.trial_id)
            .join(TrialRow, TrialRow.trial_id == FINDINGS.c.trial_id)
            .where(TrialRow.study_id == find_study(connection, name).study_id)
            .group_by(FINDINGS.c.check_name, FINDINGS.c.trial_id)
            .subquery()
        )
        counted = select(per_trial.c.check_name, per_trial.c.worst, func.count()).group_by(
            per_trial.c.check_name, per_trial.c.worst
        )
        for check, place, count in connection.execute(counted):
            counts[check][SEVERITIES[place]] = count
    return counts


def _trials(study_id: int) -> Select[Any]:
    joined = {"number": KNOWN.c.number, "state": KNOWN.c.state}
    names = [each.name for each in fields(TrialSummary)]
    columns: list[Any] = [joined[name] if name in joined else getattr(TrialRow, name) for name in names]
    return (
        select(*columns)
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id)
        .order_by(KNOWN.c.number)
    )


def _curves(connection: Connection, name: str) -> Select[int, int, float | None]:
    return (
        select(KNOWN.c.number, EPOCHS.c.epoch, objective_of_epoch())
        .join(KNOWN, KNOWN.c.trial_id == EPOCHS.c.trial_id)
        .join(TrialRow, TrialRow.trial_id == EPOCHS.c.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(TrialRow.study_id == find_study(connection, name).study_id)
        .order_by(KNOWN.c.number, EPOCHS.c.epoch)
    )
