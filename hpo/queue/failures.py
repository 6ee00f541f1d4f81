"""When trial after trial fails, something else than a configuration is wrong."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from hpo.errors import FailingStudyError
from hpo.results.clock import utc_now
from hpo.results.store import ResultsStore
from hpo.results.tables import TRIALS, TrialRow
from hpo.spec.study import StudySpec


def database_time(store: ResultsStore) -> datetime:
    """Now, by the database's clock (UTC)."""
    now: datetime = store.read(lambda connection: connection.execute(select(utc_now())).scalar_one())
    return now


def stop_if_failing(store: ResultsStore, study_id: int, spec: StudySpec, since: datetime) -> None:
    """Raise ``FailingStudyError`` if the last ``max_consecutive_failures`` trials since then all failed."""
    most = spec.max_consecutive_failures
    last = (
        select(TrialRow.outcome, TrialRow.verdict, TRIALS.c.number)
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, TrialRow.ended_at >= since)
        .order_by(TrialRow.ended_at.desc(), TrialRow.trial_id.desc())
        .limit(most)
    )
    rows = store.read(lambda connection: connection.execute(last).all())
    if len(rows) == most and all(row.outcome == "failed" for row in rows):
        raise FailingStudyError(
            f"study {spec.study} was stopped: its last {most} trials failed, number {rows[0].number} with\n"
            f"  {rows[0].verdict}\n"
            f"hpo show {spec.study} {rows[0].number} says more. The same command goes on with the study; "
            "max_consecutive_failures in its file sets the limit."
        )
