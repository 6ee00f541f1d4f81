"""What a study's results say about the study as a whole: from the database to findings, and back into it."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection, Engine

from hpo.checks.causes import HEALTHY
from hpo.config.configuration import applies
from hpo.config.study import MAIN, StudySpec
from hpo.diagnosis import store as stored
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.store import FinishedTrial, FinishedTrials, read_finished
from hpo.records import StudyFinding
from hpo.storage.engine import reading, write
from hpo.storage.store import ResultsStore


def study_results(engine: Engine, name: str) -> StudyResults:
    """A study's finished trials, as its checks read them; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        return _results(read_finished(connection, name))


def refresh(store: ResultsStore, name: str) -> list[StudyFinding]:
    """Find out what the study's trials say by now, and store it in the place of what they said before.

    One transaction, in which nobody else does the same. Raises ``UnknownStudyError``.
    """

    def work(connection: Connection) -> list[StudyFinding]:
        stored.lock(connection, name)
        finished = read_finished(connection, name)
        found = study_findings(_results(finished))
        stored.replace(connection, finished.study_id, found, len(finished.trials))
        return found

    return write(store.engine, work)


def _results(finished: FinishedTrials) -> StudyResults:
    """Of a study with stages, the trials of the first, which draws from the space that the study file has."""
    spec = StudySpec.model_validate(finished.spec)
    first = spec.stages[0].name if spec.stages else MAIN
    return results_of(finished, spec, first)


def results_of(finished: FinishedTrials, spec: StudySpec, stage: str) -> StudyResults:
    """The finished trials of one stage; ``spec`` has the space that it draws from."""
    trials = tuple(_trial(spec, each) for each in finished.trials if each.stage == stage)
    return StudyResults(spec, trials, finished.classes, finished.train_images)


def _trial(spec: StudySpec, trial: FinishedTrial) -> TrialResult:
    return TrialResult(
        number=trial.number,
        state=cast(Any, trial.outcome),
        value=trial.value,
        cause=trial.cause or (HEALTHY if trial.outcome == "complete" else trial.outcome),
        seconds=trial.seconds,
        values={
            name: trial.configuration[name]
            for name, distribution in spec.space.items()
            if distribution.active(trial.configuration) and applies(name, trial.configuration)
        },
    )
