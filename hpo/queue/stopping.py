"""`hpo stop` and `hpo resume`: through the database, for workers anywhere."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from hpo.errors import StoppedStudyError
from hpo.results.clock import epoch_now, utc_now
from hpo.results.engine import read
from hpo.results.notify import tell_idle
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.results.tables import SlotRow, StudyRow


def stop(store: ResultsStore, study_id: int) -> bool:
    """Refuse claims, and ask every worker to leave at a safe point; False if it was stopped already."""
    return _set(store, study_id, stopped=True)


def resume(store: ResultsStore, study_id: int) -> bool:
    """Let workers claim slots again; False if it was not stopped."""
    return _set(store, study_id, stopped=False)


def stopped_at(connection: Connection, study_id: int) -> datetime | None:
    """Since when the study is stopped (UTC); None if it is not."""
    return connection.scalar(select(StudyRow.stopped_at).where(StudyRow.study_id == study_id))


def is_stopped(store: ResultsStore, study_id: int, patience: Patience) -> bool:
    """Whether workers shall leave."""
    return read(store.engine, lambda connection: stopped_at(connection, study_id), patience) is not None


def refuse_stopped(store: ResultsStore, study_id: int, name: str) -> None:
    """Raises ``StoppedStudyError``, with the way out, if the study is stopped."""
    since = store.read(lambda connection: stopped_at(connection, study_id))
    if since is not None:
        raise StoppedStudyError(
            f"study {name} was stopped with `hpo stop` on {since:%Y-%m-%d at %H:%M} (UTC). "
            f"`hpo resume {name}` lets workers go on with it, then run it again"
        )


def at_work(store: ResultsStore, study_id: int) -> int:
    """How many workers hold a slot of the study under a lease that has not run out."""
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
        tell_idle(connection)
        return connection.execute(change).rowcount == 1

    return store.write(work)
