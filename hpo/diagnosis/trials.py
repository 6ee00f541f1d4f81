"""The finished trials of a study, read from the database for the checks of the whole study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, select

from hpo.checks.causes import HEALTHY
from hpo.config.study import MAIN, TEST, StudySpec
from hpo.diagnosis.base import StudyResults, Suspicion, TrialResult
from hpo.diagnosis.data import DATA_CHECKS
from hpo.records import StudyFinding, stored_fields
from hpo.storage.attempts import busy_seconds
from hpo.storage.engine import reading
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import FINDINGS, SlotRow, StudyRow, TrialRow


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial; ``configuration`` has ``None`` where a hyperparameter did not apply."""

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
    """From the start to the end of each attempt, summed."""
    suspicions: tuple[Suspicion, ...] = ()


@dataclass(frozen=True)
class FinishedTrials:
    """The spec and the data set of a study, and its finished trials in the order of their numbers."""

    study_id: int
    spec: dict[str, Any]
    classes: int | None
    train_images: int | None
    class_counts: tuple[int, ...]
    val_class_counts: tuple[int, ...]
    of_images: tuple[StudyFinding, ...]
    trials: tuple[FinishedTrial, ...]


def read_finished(connection: Connection, name: str) -> FinishedTrials:
    """Read everything that the checks of a study need. Raises ``UnknownStudyError``."""
    found = find_study(connection, name)
    study = connection.execute(select(StudyRow.__table__).where(StudyRow.study_id == found.study_id)).one()
    seconds = busy_seconds(connection, study.study_id)
    suspicions = _suspicions(connection, study.study_id)
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
        tuple(study.class_counts or ()),
        tuple(study.val_class_counts or ()),
        tuple(_finding(each) for each in study.image_findings or ()),
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
                tuple(suspicions[row.trial_id]),
            )
            for row in connection.execute(ended)
        ),
    )


def _suspicions(connection: Connection, study_id: int) -> Mapping[int, list[Suspicion]]:
    """Return what the trials noted about the data that they share."""
    table = FINDINGS.c
    noted = (
        select(table.trial_id, table.check_name, table.value, table.message, table.remedy)
        .join(TrialRow, TrialRow.trial_id == table.trial_id)
        .where(TrialRow.study_id == study_id, table.check_name.in_(DATA_CHECKS), table.severity != "pass")
        .order_by(table.trial_id, table.id)
    )
    found: defaultdict[int, list[Suspicion]] = defaultdict(list)
    for row in connection.execute(noted):
        found[row.trial_id].append(Suspicion(row.check_name, row.value, row.message, row.remedy or ""))
    return found


def study_results(engine: Engine, name: str) -> StudyResults:
    """Return the finished trials of a study for its checks. Raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        return results_of_first_stage(read_finished(connection, name))


def results_of_all_stages(engine: Engine, name: str) -> StudyResults:
    """Return the finished trials of every stage but the test. Raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        finished = read_finished(connection, name)
    spec = StudySpec.model_validate(finished.spec)
    return results_of(finished, spec, *{each.stage for each in finished.trials} - {TEST})


def results_of_first_stage(finished: FinishedTrials) -> StudyResults:
    """Return all trials; of a study with stages, those of the first, which draws from the whole space."""
    spec = StudySpec.model_validate(finished.spec)
    first = spec.stages[0].name if spec.stages else MAIN
    return results_of(finished, spec, first)


def results_of(finished: FinishedTrials, spec: StudySpec, *stages: str) -> StudyResults:
    """Return the finished trials of these stages; ``spec`` has the space that they draw from."""
    trials = tuple(_trial(spec, each) for each in finished.trials if each.stage in stages)
    return StudyResults(
        spec,
        trials,
        finished.classes,
        finished.train_images,
        finished.class_counts,
        finished.val_class_counts,
        finished.of_images,
    )


def _finding(kept: Mapping[str, Any]) -> StudyFinding:
    """Return a finding on the images from its stored fields."""
    names = {there: name for name, there in stored_fields(StudyFinding).items()}
    values = {names[there]: value for there, value in kept.items() if value is not None}
    return StudyFinding(**values)


def _trial(spec: StudySpec, trial: FinishedTrial) -> TrialResult:
    return TrialResult(
        number=trial.number,
        state=cast(Any, trial.outcome),
        value=trial.value,
        cause=trial.cause or (HEALTHY if trial.outcome == "complete" else trial.outcome),
        seconds=trial.seconds,
        values=spec.searched(trial.configuration),
        suspicions=trial.suspicions,
    )
