"""The rows of one study in hpo's tables, without the ids of their database."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, DateTime, LargeBinary, Select, Table, and_, insert, select

from hpo.storage.tables import TRIALS, Base, SchemaRow, TrialRow, WorkerRow

Row = dict[str, Any]

TABLES: tuple[Table, ...] = tuple(
    table
    for table in Base.metadata.sorted_tables
    if table.name.startswith("hpo_") and table not in (SchemaRow.__table__, WorkerRow.__table__)
)
"""Every table of hpo with rows of a study, after those that it refers to."""
_LEFT_OUT = {"study_id", "id", "lease_until", "progress_at"}
"""Ids of one database, and times by its clock."""
_ROWS_AT_A_TIME = 1000


def read_rows(
    connection: Connection,
    table: Table,
    study_id: int,
    numbers: Mapping[int, int],
    blob: Callable[[bytes], str],
) -> Generator[Row]:
    """Yield the study's rows of a table; ``numbers``: trial numbers by id; ``blob`` stores binary values."""
    in_chunks = {"yield_per": _ROWS_AT_A_TIME}
    with connection.execute(_of_study(table, study_id), execution_options=in_chunks) as found:
        for row in found:
            values = row._mapping
            yield {
                _name(column): _plain(values[column.name], column, numbers, blob)
                for column in table.columns
                if column.name not in _LEFT_OUT
            }


def write_rows(
    connection: Connection,
    table: Table,
    study_id: int,
    trial_ids: list[int],
    rows: Iterable[Row],
    blob: Callable[[str], bytes],
) -> None:
    """Insert rows of ``read_rows`` into a study; ``trial_ids`` are the new ids by trial number."""
    columns = {_name(column): column for column in table.columns}
    own = {"study_id": study_id} if "study_id" in table.columns else {}
    remaining = iter(rows)
    while some := list(islice(remaining, _ROWS_AT_A_TIME)):
        values = [
            own
            | {
                columns[name].name: _stored(value, columns[name], trial_ids, blob)
                for name, value in row.items()
            }
            for row in some
        ]
        connection.execute(insert(table), values)


def _of_study(table: Table, study_id: int) -> Select[Any]:
    """Select the study's rows, without orphans of a reused id (`hpo.storage.orphans`)."""
    trials = (
        select(TrialRow.trial_id)
        .join(TRIALS, and_(TRIALS.c.trial_id == TrialRow.trial_id, TRIALS.c.study_id == TrialRow.study_id))
        .where(TrialRow.study_id == study_id)
    )
    chosen = select(table).order_by(*table.primary_key.columns)
    if "study_id" in table.columns:
        chosen = chosen.where(table.columns["study_id"] == study_id)
    if "trial_id" in table.columns and not table.columns["trial_id"].nullable:
        chosen = chosen.where(table.columns["trial_id"].in_(trials))
    return chosen


def _name(column: Column[Any]) -> str:
    return "trial" if column.name == "trial_id" else column.name


def _plain(value: Any, column: Column[Any], numbers: Mapping[int, int], blob: Callable[[bytes], str]) -> Any:
    if value is None:
        return None
    if column.name == "trial_id":
        return numbers.get(value)
    if isinstance(column.type, LargeBinary):
        return {"sha256": blob(bytes(value))}
    return value.isoformat() if isinstance(value, datetime) else value


def _stored(value: Any, column: Column[Any], trial_ids: list[int], blob: Callable[[str], bytes]) -> Any:
    if value is None:
        return None
    if column.name == "trial_id":
        return trial_ids[value]
    if isinstance(column.type, LargeBinary):
        return blob(value["sha256"])
    return datetime.fromisoformat(value) if isinstance(column.type, DateTime) else value
