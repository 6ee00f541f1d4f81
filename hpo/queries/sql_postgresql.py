"""SQL from users on PostgreSQL: a read-only transaction without functions that have side effects.

A read-only transaction refuses writes to tables, but a function may still write a file (`lo_export`), end
another session (`pg_terminate_backend`) or run text as SQL (`query_to_xml`). PostgreSQL classifies every such
function as VOLATILE; only volatile functions known to be harmless are allowed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

import psycopg
import psycopg.abc
from psycopg import pq
from psycopg.generators import execute
from psycopg.types.string import TextLoader
from sqlalchemy.engine import URL

from hpo.errors import QueryError, StorageError
from hpo.queries.sql_text import (
    ONE_STATEMENT,
    ONLY_READS,
    called_functions,
    parameter_names,
    replace_parameters,
    too_slow,
    unknown_name_hint,
)
from hpo.storage.engine import create_temp_params_view_postgresql, postgresql_arguments
from hpo.storage.errors import explain

# Volatile because their result changes over time, not because of a side effect.
_HARMLESS = {
    "clock_timestamp", "gen_random_uuid", "pg_database_size", "pg_indexes_size", "pg_relation_size",
    "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_table_size", "pg_total_relation_size", "random",
    "random_normal", "timeofday", "uuidv4", "uuidv7",
}  # fmt: skip
_VOLATILE = (
    "SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY(%s) AND provolatile = 'v' ORDER BY proname"
)
# What the scan for function calls relies on, and the time limit; both for this transaction.
_SETTINGS = """
    SELECT
        set_config('standard_conforming_strings', 'on', true),
        set_config('statement_timeout', %s, true)
"""
_CHUNK_ROWS = 500


def rows(
    url: URL, sql: str, params: Mapping[str, Any], timeout: float
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the column names, then the rows."""
    names = parameter_names(sql)
    numbered = replace_parameters(sql, lambda name: f"${names.index(name) + 1}")
    functions = called_functions(sql) - _HARMLESS
    deadline = time.monotonic() + timeout
    try:
        with closing(_connect(url, timeout)) as connection:
            _refuse_volatile(connection, functions)
            yield _columns(connection, numbered)
            chunk = _CHUNK_ROWS if psycopg.capabilities.has_stream_chunked() else 1
            with psycopg.RawCursor(connection) as cursor:
                yield from cursor.stream(numbered, [params[name] for name in names], size=chunk)
    except psycopg.errors.QueryCanceled as error:
        if time.monotonic() < deadline:
            raise QueryError(f"the server canceled the query: {error.diag.message_primary}") from None
        raise too_slow(timeout) from None
    except psycopg.Error as error:
        raise _explained(url, error) from error


def _connect(url: URL, timeout: float) -> psycopg.Connection[Any]:
    # As keywords: SQLAlchemy and libpq write a space in a URL differently.
    _, keywords = url.set(drivername="postgresql+psycopg").get_dialect()().create_connect_args(url)
    connection = psycopg.connect(**keywords, **postgresql_arguments(url))
    create_temp_params_view_postgresql(connection)
    connection.read_only = True
    connection.adapters.register_loader("numeric", _Number)
    for kind in ("json", "jsonb"):  # text, as SQLite has it
        connection.adapters.register_loader(kind, TextLoader)
    connection.execute(_SETTINGS, [str(int(timeout * 1000))])
    return connection


def _refuse_volatile(connection: psycopg.Connection[Any], functions: set[str]) -> None:
    found = connection.execute(_VOLATILE, [list(functions)]).fetchone()
    if found is not None:
        raise QueryError(f"{ONLY_READS}; {found[0]} may do more than read")


def result_types(url: URL, sql: str) -> list[str]:
    """Return the name of each result column's type; a sum has the type of what is summed."""
    names = parameter_names(sql)
    # The sum of a bigint is a numeric, which does not say whether it has decimals.
    numbered = re.sub(
        r"(?i)\bsum(?=\s*\()", "max", replace_parameters(sql, lambda name: f"${names.index(name) + 1}")
    )
    try:
        with closing(_connect(url, timeout=5.0)) as connection:
            prepared = _prepared(connection, numbered)
            types = "SELECT typname FROM pg_type WHERE oid = %s"
            oids = [prepared.ftype(i) for i in range(prepared.nfields)]
            found = {oid: connection.execute(types, [oid]).fetchone() for oid in set(oids)}
            return [row[0] if (row := found[oid]) else "" for oid in oids]
    except psycopg.Error as error:
        raise _explained(url, error) from error


def _columns(connection: psycopg.Connection[Any], sql: str) -> tuple[str, ...]:
    """Return the result's columns, which a stream without rows lacks; refuses a second statement."""
    prepared = _prepared(connection, sql)
    encoding = connection.info.encoding
    return tuple((prepared.fname(i) or b"").decode(encoding) for i in range(prepared.nfields))


def _prepared(connection: psycopg.Connection[Any], sql: str) -> Any:
    encoding = connection.info.encoding
    # Not pgconn.prepare: it would keep Ctrl-C waiting for as long as another session holds a lock.
    connection.pgconn.send_prepare(b"", sql.encode(encoding))
    (prepared,) = connection.wait(execute(connection.pgconn))
    if prepared.status == pq.ExecStatus.COMMAND_OK:
        prepared = connection.pgconn.describe_prepared(b"")
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared, encoding)
    return prepared


def _explained(url: URL, error: psycopg.Error) -> QueryError | StorageError:
    message = error.diag.message_primary
    if message is None:
        return explain(url, error)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return QueryError(ONLY_READS)
    if "multiple commands" in message:
        return QueryError(ONE_STATEMENT)
    unknown = re.search(r'(column|relation) "?(?:\w+\.)*(\w+)"? does not exist', message)
    return QueryError(message + (unknown_name_hint(unknown[2], _names(url, unknown[1])) if unknown else ""))


def _names(url: URL, kind: str) -> list[str]:
    column = "table_name" if kind == "relation" else "column_name"
    names = f"SELECT DISTINCT {column} FROM information_schema.columns WHERE table_schema = current_schema()"
    with closing(_connect(url, timeout=5.0)) as connection:
        return [row[0] for row in connection.execute(names)]


class _Number(psycopg.adapt.Loader):
    """PostgreSQL's numeric, such as a sum of integers, as the int or float that SQLite gives."""

    def load(self, data: psycopg.abc.Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)
