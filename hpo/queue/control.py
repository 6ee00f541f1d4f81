"""Stopping a study: on request (`hpo stop`, `hpo resume`), or after too many failures in a row."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from hpo.config.study import StudySpec
from hpo.errors import FailingStudyError, StoppedStudyError
from hpo.storage.column_types import epoch_now, utc_now
from hpo.storage.notify import notify_idle_workers
from hpo.storage.store import ResultsStore
from hpo.storage.tables import TRIALS, SlotRow, StudyRow, TrialRow
from hpo.text import counted


def database_time(store: ResultsStore) -> datetime:
    """Return the current time of the database's clock (UTC)."""
    now: datetime = store.read(lambda connection: connection.execute(select(utc_now())).scalar_one())
    return now


def stop_if_failing(store: ResultsStore, study_id: int, spec: StudySpec, since: datetime) -> None:
    """Raise ``FailingStudyError`` if the last ``max_consecutive_failures`` trials since ``since`` failed."""
    most = spec.max_consecutive_failures
    last = {"of_study": study_id, "since": since, "most": most}
    rows = store.read(lambda connection: connection.execute(_LAST_ENDED, last).all())
    if len(rows) == most and all(row.outcome == "failed" for row in rows):
        raise FailingStudyError(
            f"study {spec.study} was stopped: its last {counted(most, 'trial')} failed, number "
            f"{rows[0].number} with\n"
            f"  {rows[0].verdict}\n"
            f"Details: hpo show {spec.study} {rows[0].number}. Run the same command again to resume the "
            "study; max_consecutive_failures in its file sets the limit."
        )


def stop(store: ResultsStore, study_id: int) -> bool:
    """Refuse claims and ask every worker to stop at a safe point; return False if already stopped."""
    return _set(store, study_id, stopped=True)


def resume(store: ResultsStore, study_id: int) -> bool:
    """Let workers claim slots again; return False if the study was not stopped."""
    return _set(store, study_id, stopped=False)


def stopped_at(connection: Connection, study_id: int) -> datetime | None:
    """Return when the study was stopped (UTC), or None."""
    return connection.scalar(_STOPPED_AT, {"of_study": study_id})


def refuse_stopped(store: ResultsStore, study_id: int, name: str) -> None:
    """Raise ``StoppedStudyError`` if the study is stopped; its message explains how to resume it."""
    since = store.read(lambda connection: stopped_at(connection, study_id))
    if since is not None:
        raise StoppedStudyError(
            f"study {name} was stopped with `hpo stop` on {since:%Y-%m-%d at %H:%M} (UTC). "
            f"Resume it with `hpo resume {name}`, then run it again"
        )


def at_work(store: ResultsStore, study_id: int) -> int:
    """Return how many workers hold a slot of the study under a lease that has not expired."""
    held = select(func.count()).where(SlotRow.study_id == study_id, SlotRow.lease_until >= epoch_now())
    return store.read(lambda connection: connection.scalar(held)) or 0


def _set(store: ResultsStore, study_id: int, *, stopped: bool) -> bool:
    now = StudyRow.stopped_at
    change = (
        update(StudyRow)
        .where(StudyRow.study_id == study_id, now.is_(None) if stopped else now.is_not(None))
        .values(stopped_at=utc_now() if stopped else None)
    )

    def work(connection: Connection) -> bool:
        notify_idle_workers(connection)
        return connection.execute(change).rowcount == 1

    return store.write(work)


# Built once, which takes longer than running them: a worker asks for each trial.
_STOPPED_AT = select(StudyRow.stopped_at).where(StudyRow.study_id == bindparam("of_study"))
_LAST_ENDED = (
    select(TrialRow.outcome, TrialRow.verdict, TRIALS.c.number)
    .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
    .where(TrialRow.study_id == bindparam("of_study"), TrialRow.ended_at >= bindparam("since"))
    .order_by(TrialRow.ended_at.desc(), TrialRow.trial_id.desc())
    .limit(bindparam("most"))
)
