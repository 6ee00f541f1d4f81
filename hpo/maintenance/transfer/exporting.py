"""Exporting a study from a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from optuna.storages import RDBStorage
from sqlalchemy import Connection, Table, inspect, select

from hpo import provenance
from hpo.maintenance.transfer import optuna_part, our_part
from hpo.maintenance.transfer.archive import ArchiveWriter
from hpo.maintenance.transfer.plain import to_line
from hpo.storage.engine import open_reader, reading
from hpo.storage.optuna.storage import optuna_within
from hpo.storage.revision import VERSION_TABLE, require
from hpo.storage.studies import unknown_study
from hpo.storage.tables import STUDIES, Base, SlotRow, StatisticsRow, StudyRow

Row = dict[str, Any]


STUDY_PART, TRIALS_PART = "optuna_study.jsonl", "optuna_trials.jsonl"


def part_name(table: Table) -> str:
    """Return the name of the part with a table's rows."""
    return f"{table.name}.jsonl"


SLOTS_PART, STATISTICS_PART = (
    part_name(Base.metadata.tables[row.__tablename__]) for row in (SlotRow, StatisticsRow)
)


@dataclass(frozen=True)
class Moved:
    """What an archive contains of a study."""

    study: str
    states: dict[str, int]
    """Trials by Optuna's state, lower case."""
    rows: dict[str, int]
    """Rows by part."""
    running: int
    """Slots that workers held."""

    @property
    def trials(self) -> int:
        """Number of trials."""
        return sum(self.states.values())


def export_study(url: str, name: str, stream: BinaryIO) -> Moved:
    """Write a consistent snapshot of a study to ``stream``, even while workers run; return what was written.

    Any Optuna study can be exported. Raises ``UnknownStudyError``, and ``StudyExportError`` if it cannot be
    exported.
    """
    with _snapshot(url) as connection, optuna_within(connection) as storage:
        study_id = _find(connection, name)
        writer, tally = ArchiveWriter(stream), Tally()
        for part, rows in study_parts(connection, storage, study_id, writer.blob):
            lines = map(to_line, tally.count(part, rows))
            # Each blob is a separate part, and a zip is written one part at a time.
            writer.rows(part, list(lines) if part == STATISTICS_PART else lines)
        now = datetime.now(UTC)
        writer.finish(study=name, written_by=f"hpo {provenance.running_code()}", written_at=f"{now:%FT%TZ}")
        return tally.moved(name)


def study_parts(
    connection: Connection, storage: RDBStorage, study_id: int, blob: Callable[[bytes], str]
) -> Iterator[tuple[str, Generator[Row]]]:
    """Yield the parts of a study with their rows; read each part before the next."""
    yield STUDY_PART, (row for row in [optuna_part.read_study(storage, study_id)])
    trials, numbers = optuna_part.read_trials(connection, storage, study_id)
    yield TRIALS_PART, (row for row in trials)
    if is_ours(connection, study_id):
        for table in our_part.TABLES:
            yield part_name(table), our_part.read_rows(connection, table, study_id, numbers, blob)


def is_ours(connection: Connection, study_id: int) -> bool:
    """Return whether hpo created the study."""
    if not inspect(connection).has_table(StudyRow.__tablename__):
        return False
    same = (STUDIES.c.study_id == StudyRow.study_id) & (STUDIES.c.study_name == StudyRow.name)
    mine = select(StudyRow.study_id).join(STUDIES, same).where(StudyRow.study_id == study_id)
    return connection.scalar(mine) is not None


@contextmanager
def _snapshot(url: str) -> Iterator[Connection]:
    """Open one transaction in which all reads see the same snapshot."""
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            ours = inspect(connection).has_table(VERSION_TABLE)
        if ours:
            require(engine)
        # SQLite's transactions are snapshots anyway.
        level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        with reading(engine.execution_options(**level)) as connection:
            yield connection
    finally:
        engine.dispose()


def _find(connection: Connection, name: str) -> int:
    known: dict[str, int] = {}
    if inspect(connection).has_table(STUDIES.name):
        known = {row.study_name: row.study_id for row in connection.execute(select(STUDIES))}
    if name not in known:
        raise unknown_study(name, known)
    return known[name]


class Tally:
    """Counts rows and trials while they are read."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.running = 0

    def count(self, part: str, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows and count them."""
        for row in rows:
            self.rows[part] += 1
            if part == TRIALS_PART:
                self.states[row["state"].lower()] += 1
            if part == SLOTS_PART and row["state"] == "running":
                self.running += 1
            yield row

    def moved(self, study: str) -> Moved:
        """Return the counts."""
        return Moved(study, dict(self.states), dict(self.rows), self.running)
