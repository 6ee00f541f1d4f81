"""Inserting rows, or overwriting those with the same key."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from hpo.storage.column_types import utc_now
from hpo.storage.tables import Base


def upsert(
    connection: Connection,
    table: Table | type[Base],
    key: tuple[str, ...],
    rows: list[dict[str, Any]],
    now: str | None = None,
) -> None:
    """Insert rows, or overwrite those with the same key, at once; column ``now`` gets the time."""
    statement = _upsert_statement(connection.dialect.name, table, key, tuple(rows[0]), now)
    connection.execute(statement, rows)


@cache
def _upsert_statement(
    dialect: str, table: Table | type[Base], key: tuple[str, ...], columns: tuple[str, ...], now: str | None
) -> Insert:
    """Build the statement once, which takes longer than running it."""
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(table).values({now: utc_now()} if now else {})
    changed = [*columns, now] if now else columns
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed if name not in key}
    )
