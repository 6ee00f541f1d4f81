"""Importing a study into a database in one transaction, verified before it is committed."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, select
from sqlalchemy.exc import DataError, IntegrityError

from hpo.config.study import NAME_PATTERN
from hpo.errors import StudyExportError, UserError
from hpo.maintenance.transfer import optuna_part, our_part
from hpo.maintenance.transfer.archive import Archive, open_archive
from hpo.maintenance.transfer.exporting import (
    SLOTS_PART,
    STUDY_PART,
    TRIALS_PART,
    Moved,
    Row,
    Tally,
    part_name,
    study_parts,
)
from hpo.maintenance.transfer.plain import from_line
from hpo.storage import attempts, orphans
from hpo.storage.engine import write
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.storage import optuna_within
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDIES, AttemptRow, SlotRow, StudyRow

_STUDY_TABLE_PART = f"{StudyRow.__tablename__}.jsonl"
_ATTEMPTS_PART = f"{AttemptRow.__tablename__}.jsonl"
_CLOSED = ("outcome", "to_epoch")
"""What changes in an attempt that was running: no worker of this database runs it."""


def import_study(url: str, path: Path, name: str | None = None) -> Moved:
    """Put a file's study into the database, under another ``name`` if one is given; what was imported.

    A trial that was running waits here for a worker. Raises ``StudyExportError`` if the file is damaged or
    newer, ``UserError`` if the name is taken; the database is then as it was.
    """
    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise UserError(
            f"{name!r} is not a valid study name: use letters and digits, and . _ - after the first character"
        )
    with open_archive(path) as archive, ResultsStore(url) as store:
        try:
            return write(store.engine, lambda connection: _Import(connection, archive, name).run())
        except (IntegrityError, DataError) as error:
            raise StudyExportError(
                f"{path} has rows that the database refuses, so nothing was imported ({error.orig})"
            ) from error


@dataclass(frozen=True)
class _Names:
    """What is new about the study here."""

    study: str
    uid: str


class _Import:
    def __init__(self, connection: Connection, archive: Archive, name: str | None) -> None:
        self.connection = connection
        self.archive = archive
        # A new mark: a study that is deleted and imported again must not find the old one's orphans.
        self.names = _Names(name or archive.manifest.study, uuid.uuid4().hex)
        self.tally = Tally()

    def run(self) -> Moved:
        """Everything, within the caller's transaction."""
        orphans.delete_orphans(self.connection)
        self._refuse_taken()
        with optuna_within(self.connection) as storage:
            study_id = self._write(storage)
            self._release(study_id)
            self._compare(storage, study_id)
        notify_idle_workers(self.connection)
        return self.tally.moved(self.names.study)

    def _refuse_taken(self) -> None:
        taken = select(STUDIES.c.study_id).where(STUDIES.c.study_name == self.names.study)
        if self.connection.scalar(taken) is not None:
            raise _taken(self.names.study)

    def _write(self, storage: RDBStorage) -> int:
        (study,) = self.tally.count(STUDY_PART, self._rows(STUDY_PART))
        try:
            study_id = optuna_part.create_study(storage, study)
        except DuplicatedStudyError:  # made by somebody else at this very moment
            raise _taken(self.names.study) from None
        trials = self.tally.count(TRIALS_PART, self._rows(TRIALS_PART))
        trial_ids = optuna_part.create_trials(storage, study_id, trials)
        for table in our_part.TABLES:
            part = part_name(table)
            rows = self._as_imported(part, self.tally.count(part, self._file_rows(part)))
            our_part.write_rows(self.connection, table, study_id, trial_ids, rows, self.archive.blob)
        return study_id

    def _release(self, study_id: int) -> None:
        """End the attempts that were open."""
        waiting = select(SlotRow.trial_id).where(SlotRow.study_id == study_id, SlotRow.state == "waiting")
        for trial_id in self.connection.scalars(waiting).all():
            if trial_id is not None:
                attempts.end(self.connection, trial_id, "lost")

    def _compare(self, storage: RDBStorage, study_id: int) -> None:
        """Read the study back as an export would, and compare it with the file row by row."""
        for part, found in study_parts(self.connection, storage, study_id, _sha256):
            with closing(found):
                self._compare_part(part, found)

    def _compare_part(self, part: str, found: Iterator[Row]) -> None:
        for expected, row in zip_longest(self._rows(part), found):
            difference = _difference(part, expected or {}, row or {})
            if difference:
                raise StudyExportError(
                    f"{self.archive.path} does not read back as it was written, so nothing was imported "
                    f"({part}, {difference})"
                )

    def _rows(self, part: str) -> Iterator[Row]:
        return self._as_imported(part, self._file_rows(part))

    def _as_imported(self, part: str, rows: Iterator[Row]) -> Iterator[Row]:
        return (_as_imported(part, row, self.names) for row in rows)

    def _file_rows(self, part: str) -> Iterator[Row]:
        return map(from_line, self.archive.lines(part))


def _taken(name: str) -> UserError:
    return UserError(
        f"this database already has a study {name}: import the file's under another name with --as NAME"
    )


def _as_imported(part: str, row: Row, names: _Names) -> Row:
    """Return a row as imported: with the new name and uid, and without a worker."""
    if part == STUDY_PART:
        marked = {**row["user_attrs"], orphans.UID_ATTRIBUTE: names.uid}
        ours = orphans.UID_ATTRIBUTE in row["user_attrs"]
        return {**row, "name": names.study, "user_attrs": marked if ours else row["user_attrs"]}
    if part == _STUDY_TABLE_PART:
        return {**row, "name": names.study, "uid": names.uid, "spec": {**row["spec"], "study": names.study}}
    if part == SLOTS_PART and row["state"] == "running":
        return {**row, "state": "waiting", "worker": None}
    return row


def _difference(part: str, expected: Row, found: Row) -> str:
    """Describe the first value that differs; a file of an older schema lacks newer columns."""
    if not (expected and found):
        return f"{expected or found} is only on one side"
    skipped = _CLOSED if part == _ATTEMPTS_PART and expected["outcome"] is None else ()
    for name, value in expected.items():
        if name not in skipped and not _equal(found[name], value):
            return f"{name}: {value!r} became {found[name]!r}"
    return ""


def _equal(one: Any, other: Any) -> bool:
    """Compare values; NaN equals itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other or (one != one and other != other))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
