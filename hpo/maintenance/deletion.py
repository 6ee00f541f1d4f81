"""Deleting a study from the database, with its files on this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, select

from hpo.artifacts import store as kept
from hpo.errors import UserError
from hpo.queries.study import StudySummary, study_status
from hpo.queue import control
from hpo.queue.slots import NOT_STARTED
from hpo.settings import settings
from hpo.storage.engine import reading
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.storage import optuna_within
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_study
from hpo.storage.tables import SlotRow, StudyRow, TrialRow
from hpo.text import counted


@dataclass(frozen=True)
class Deletable:
    """What deleting a study would remove."""

    summary: StudySummary
    uid: str
    at_work: int
    """Workers that hold one of its slots under a lease that has not expired."""
    folders: tuple[Path, ...]
    """Its checkpoints and saved weights on this machine."""
    bytes: int
    """In those folders."""


def find_deletable(engine: Engine, name: str) -> Deletable:
    """Return what `hpo delete` would remove; raises ``UnknownStudyError``."""
    status = study_status(engine, name)
    with reading(engine) as connection:
        uid = str(find_study(connection, name).uid)
    at_work = sum(each.lease_seconds_left >= 0 for each in status.work.workers)
    places = (settings().checkpoints / uid, kept.study_folder(uid))
    folders = tuple(each for each in places if each.is_dir())
    size = sum(each.stat().st_size for folder in folders for each in folder.rglob("*") if each.is_file())
    return Deletable(status.summary, uid, at_work, folders, size)


def refuse_held(found: Deletable, *, force: bool) -> None:
    """Raise ``UserError`` if workers are training its trials, unless ``force``."""
    if found.at_work and not force:
        held = counted(found.at_work, "worker holds a trial", "workers hold trials")
        name = found.summary.name
        raise UserError(
            f"{held} of {name}: run `hpo stop {name} --wait` first, or use --force, which discards their work"
        )


def delete_study(store: ResultsStore, found: Deletable, *, force: bool) -> None:
    """Delete its rows, Optuna's study and its folders on this machine.

    Raises ``UserError`` while workers are training its trials, unless ``force``: their writes are then
    refused, and they move on to other work.
    """
    study_id = found.summary.study_id
    refuse_held(replace(found, at_work=control.at_work(store, study_id)), force=force)

    def work(connection: Connection) -> None:
        mine = (StudyRow.study_id == study_id) & (StudyRow.uid == found.uid)
        if connection.scalar(select(func.count()).where(mine)) == 1:  # else another process was faster
            _delete_rows(connection, study_id)

    store.write(work)
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)


def withdraw_study(store: ResultsStore, study_id: int) -> None:
    """Delete a study that was just created, unless a trial has started or was enqueued meanwhile."""

    def work(connection: Connection) -> None:
        document = connection.scalar(
            select(StudyRow.spec).where(StudyRow.study_id == study_id).with_for_update()
        )
        if document is None:
            return
        slots = select(SlotRow.given, NOT_STARTED).where(SlotRow.study_id == study_id).with_for_update()
        waiting = connection.execute(slots).all()
        enqueued = sum(given is not None for given, _ in waiting) > len(document.get("first", ()))
        if not enqueued and all(not_started for _, not_started in waiting):
            _delete_rows(connection, study_id)

    store.write(work)


def _delete_rows(connection: Connection, study_id: int) -> None:
    with optuna_within(connection) as optuna:
        optuna.delete_study(study_id)
    # On PostgreSQL, foreign keys have deleted them; Optuna's SQLite connections do not enforce those.
    connection.execute(delete(TrialRow).where(TrialRow.study_id == study_id))
    connection.execute(delete(StudyRow).where(StudyRow.study_id == study_id))
    notify_idle_workers(connection)
