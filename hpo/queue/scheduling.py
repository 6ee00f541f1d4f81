"""Which studies a worker may serve, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, func, or_, select, text

from hpo.stages.store import is_to_advance
from hpo.storage.column_types import epoch_now
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDIES, SlotRow, StageRow, StudyRow


@dataclass(frozen=True)
class OpenStudy:
    """A study that is not over."""

    study_id: int
    name: str
    priority: int
    at_work: int
    """Number of slots that workers hold."""
    lease_ends: float | None
    """Seconds until the first of their leases expires unless it is renewed."""
    needs: tuple[str, ...]
    stopped: bool
    """Whether `hpo stop` stopped it."""
    identity: tuple[str, str]
    """Uid and settings; they differ if it was deleted and created again, or submitted with other settings."""


def open_studies(store: ResultsStore, names: Collection[str] = ()) -> list[OpenStudy]:
    """Return the studies that are not over, of these names or all, in the order in which to serve them.

    Highest priority first, then fewest workers, then oldest.
    """

    def work(connection: Connection) -> list[OpenStudy]:
        rows = connection.execute(_candidates(tuple(names))).all()
        return [_study(row) for row in rows if row.open or is_to_advance(connection, row.study_id)]

    return sorted(store.read(work), key=lambda each: (-each.priority, each.at_work, each.study_id))


def _study(row: Row[Any]) -> OpenStudy:
    needs: Sequence[str] = row.spec.get("needs", ())
    return OpenStudy(
        study_id=row.study_id,
        name=row.name,
        priority=row.priority,
        at_work=row.running,
        lease_ends=row.lease_ends,
        needs=tuple(needs),
        stopped=row.stopped_at is not None,
        identity=(row.uid, repr(row.spec)),
    )


@lru_cache(maxsize=8)
def _candidates(names: tuple[str, ...]) -> Select[Any]:
    """Build the statement once, which takes longer than running it."""
    # Each condition matches a partial index: a study may have a hundred thousand slots.
    is_open = exists().where(SlotRow.study_id == StudyRow.study_id, SlotRow.state != "done")
    running = (
        select(
            SlotRow.study_id,
            func.count().label("running"),
            (func.min(SlotRow.lease_until) - epoch_now()).label("lease_ends"),
        )
        .where(SlotRow.state == text("'running'"))
        .group_by(SlotRow.study_id)
        .subquery()
    )
    found = (
        select(
            StudyRow.study_id,
            StudyRow.uid,
            StudyRow.name,
            StudyRow.priority,
            StudyRow.spec,
            StudyRow.stopped_at,
            is_open.label("open"),
            func.coalesce(running.c.running, 0).label("running"),
            running.c.lease_ends,
        )
        .join(STUDIES, (STUDIES.c.study_id == StudyRow.study_id) & (STUDIES.c.study_name == StudyRow.name))
        .outerjoin(running, running.c.study_id == StudyRow.study_id)
        # A study with stages may get more slots when all its slots are done.
        .where(or_(is_open, exists().where(StageRow.study_id == StudyRow.study_id)))
    )
    return found.where(StudyRow.name.in_(names)) if names else found
