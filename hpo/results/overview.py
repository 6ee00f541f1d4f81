"""All trials of a study at once, for pictures and reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, case, func, select

from hpo.results.engine import reading
from hpo.results.query import KNOWN, find_study
from hpo.results.tables import SEVERITIES, EpochRow, FindingRow, StudyRow, TrialRow


@dataclass(frozen=True)
class TrialSummary:
    """A trial that has begun; ``images`` are epochs times images, ``epochs`` those that it completed.

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
    device: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    configuration: dict[str, Any]


@dataclass(frozen=True)
class StudyOverview:
    """What a study was asked to do, with which code and data, and every trial of it, by number."""

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
    created_at: datetime
    stopped_at: datetime | None
    trials: tuple[TrialSummary, ...]


def study_overview(engine: Engine, name: str) -> StudyOverview:
    """Everything about a study but curves, findings and layers; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        found = find_study(connection, name)
        row = connection.execute(select(StudyRow.__table__).where(StudyRow.study_id == found.study_id)).one()
        known = {
            each.name: getattr(row, each.name) for each in fields(StudyOverview) if each.name != "trials"
        }
        trials = connection.execute(_trials(found.study_id))
        return StudyOverview(**known, trials=tuple(TrialSummary(**each._mapping) for each in trials))


def study_curves(engine: Engine, name: str, numbers: Collection[int]) -> dict[int, list[tuple[int, float]]]:
    """Validation accuracy by epoch of some trials; raises ``UnknownStudyError``."""
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    with reading(engine) as connection:
        for number, epoch, accuracy in connection.execute(_curves(connection, name)):
            if number in numbers and accuracy is not None:
                curves[number].append((epoch, accuracy))
    return curves


def checks_by_severity(engine: Engine, name: str) -> dict[str, dict[str, int]]:
    """In how many trials each check came to which severity at worst; raises ``UnknownStudyError``."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    worst = func.max(case(*((FindingRow.severity == each, place) for place, each in enumerate(SEVERITIES))))
    with reading(engine) as connection:
        per_trial = (
            select(FindingRow.check_name, worst.label("worst"))
            .join(KNOWN, KNOWN.c.trial_id == FindingRow.trial_id)
            .join(TrialRow, TrialRow.trial_id == FindingRow.trial_id)
            .where(TrialRow.study_id == find_study(connection, name).study_id)
            .group_by(FindingRow.check_name, FindingRow.trial_id)
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
        select(KNOWN.c.number, EpochRow.epoch, EpochRow.val_accuracy)
        .join(KNOWN, KNOWN.c.trial_id == EpochRow.trial_id)
        .join(TrialRow, TrialRow.trial_id == EpochRow.trial_id)
        .where(TrialRow.study_id == find_study(connection, name).study_id)
        .order_by(KNOWN.c.number, EpochRow.epoch)
    )
