"""The kinds of a result's columns, by the statement and the database alone: its rows have no part in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Literal, TypeAlias

from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.schema import CreateTable

from hpo.queries import sql_postgresql
from hpo.queries.typed_sql import TABLE, typed_sql
from hpo.storage.engine import connect_read_only
from hpo.storage.url import parse_url
from hpo.storage.views import ALL_VIEW_TABLES

Kind: TypeAlias = Literal["boolean", "integer", "number", "text", "time", "zoned time", "bytes"]

# Signs in a declared type, in the order in which SQLite looks for its own.
_DECLARED: tuple[tuple[str, Kind], ...] = (
    ("BOOL", "boolean"),
    ("INT", "integer"),
    ("CHAR", "text"),
    ("TEXT", "text"),
    ("JSON", "text"),
    ("DATETIME", "time"),
    ("TIMESTAMP", "time"),
    ("REAL", "number"),
    ("FLOA", "number"),
    ("DOUB", "number"),
    ("NUM", "number"),
    ("DEC", "number"),
)
# By the name in pg_type; anything else (json, uuid, an interval) is text.
_POSTGRESQL: dict[str, Kind] = {
    "bool": "boolean",
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "integer"),
    **dict.fromkeys(("float4", "float8", "numeric"), "number"),
    "timestamp": "time",
    "timestamptz": "zoned time",
    "bytea": "bytes",
}


def result_kinds(url: str, sql: str, params: Mapping[str, Any]) -> list[Kind | None]:
    """Return the kind of each column of a statement that ``run_sql`` accepts; None where it is not known.

    On SQLite a view's columns have the kinds of the view's declaration, and expressions those that
    PostgreSQL gives them.
    """
    parsed = parse_url(url)
    if parsed.drivername != "sqlite":
        return [_POSTGRESQL.get(name, "text") for name in sql_postgresql.result_types(parsed, sql)]
    return [_declared_kind(declared) for declared in _declared_on_sqlite(parsed, sql, params)]


def _declared_kind(declared: str) -> Kind | None:
    return next((kind for sign, kind in _DECLARED if sign in declared.upper()), None)


def _declared_on_sqlite(url: URL, sql: str, params: Mapping[str, Any]) -> list[str]:
    """Return the declared type of each column, empty if SQLite has none; no type for all if it cannot say."""
    with closing(connect_read_only(url)) as connection:
        connection.execute("PRAGMA query_only=OFF")  # for temporary tables; the file is still read only
        connection.execute(TABLE)
        for view in ALL_VIEW_TABLES.values():  # as tables with typed columns, which hide the views
            connection.execute(f"DROP VIEW IF EXISTS temp.{view.name}")
            create = str(CreateTable(view).compile(dialect=sqlite.dialect()))
            connection.execute(create.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        try:
            connection.execute(f"CREATE TEMP VIEW hpo_result AS {typed_sql(sql, params, _names(connection))}")
            return [row[2] for row in connection.execute("PRAGMA temp.table_info(hpo_result)")]
        except sqlite3.Error:  # syntax that typed_sql does not know, or EXPLAIN: the values decide
            return []


def _names(connection: sqlite3.Connection) -> dict[str, bool]:
    """Return the names of all columns, and whether only columns of integers have it."""
    columns = [(column.name, str(column.type)) for view in ALL_VIEW_TABLES.values() for column in view.c]
    columns += connection.execute(
        "SELECT c.name, c.type FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE c.type <> ''"
    )
    others = {name for name, declared in columns if _declared_kind(declared) != "integer"}
    return {name: name not in others for name, _ in columns}
