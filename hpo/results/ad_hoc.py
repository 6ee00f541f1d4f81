"""SQL from people: one statement that only reads, on a connection that cannot write, with a time limit."""

from __future__ import annotations

import difflib
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import psycopg
import psycopg.abc
from psycopg import pq
from sqlalchemy.engine import URL

from hpo.errors import QueryError, StorageError
from hpo.results.engine import connect_read_only, lend_params_postgresql, postgresql_arguments
from hpo.results.faults import explain
from hpo.results.url import parse_url
from hpo.results.view_sql import VIEWS

Parameters = Mapping[str, str | int | float | None]
Row = tuple[Any, ...]

_READS = ("SELECT", "WITH", "VALUES", "EXPLAIN", "TABLE")
_ONLY_READS = "hpo query only reads: give one SELECT, WITH, VALUES or EXPLAIN that changes nothing"
_ONE_STATEMENT = "hpo query takes one statement at a time"
# What must be skipped when looking for words and parameters, then parameters (:name, not the cast ::name).
_TOKENS = re.compile(
    r"""(?P<skip>'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|::)"""
    r"""|:(?P<name>[A-Za-z_]\w*)""",
    re.DOTALL,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
# SQLite asks before each action of a statement; these are the ones of a read.
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "writefile", "edit"}
_CHUNK_ROWS = 500
_PROGRESS_STEPS = 10_000
"""SQLite's virtual instructions between two looks at the clock: about a millisecond."""


def run_sql(
    url: str, sql: str, params: Parameters | None = None, timeout: float = 30.0
) -> tuple[list[str], Iterator[Row]]:
    """The column names and the rows of one reading statement, fetched as they are asked for.

    ``:name`` in the statement stands for ``params["name"]``. ``timeout`` in seconds covers fetching too.
    Close the iterator to end early. Raises ``QueryError`` for wrong SQL, for anything but reading, and when
    time is up; ``StorageError`` if the database is unusable.
    """
    parsed = parse_url(url)
    params = params or {}
    _refuse_writes(sql)
    _refuse_missing(sql, params)
    rows = _sqlite_rows if parsed.drivername == "sqlite" else _postgresql_rows
    stream = rows(parsed, sql, params, timeout)
    columns = list(next(stream))
    return columns, stream


def _refuse_writes(sql: str) -> None:
    start = _COMMENTS.match(sql)
    rest = sql[start.end() :] if start else sql
    word = re.match(r"\w*", rest)
    if not rest or word is None or word.group().upper() not in _READS:
        raise QueryError(_ONLY_READS)


def _refuse_missing(sql: str, params: Parameters) -> None:
    missing = sorted(set(_parameter_names(sql)) - set(params))
    if missing:
        given = " ".join(f"--param {name}=..." for name in missing)
        raise QueryError(f"the query has parameters without a value: give {given}")


def _parameter_names(sql: str) -> list[str]:
    return [match["name"] for match in _TOKENS.finditer(sql) if match["name"]]


def _sqlite_rows(url: URL, sql: str, params: Parameters, timeout: float) -> Iterator[Row]:
    deadline = time.monotonic() + timeout
    with closing(connect_read_only(url)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        try:
            # SQLite makes these two tables at their first use, which the authorizer would take for a write.
            connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
            connection.set_authorizer(_authorize)
            cursor = connection.execute(sql, params)
            yield tuple(column[0] for column in cursor.description)
            yield from cursor
        # Two statements at once are a Warning, which is no Error.
        except (sqlite3.Error, sqlite3.Warning) as error:
            if "interrupted" in str(error):
                if time.monotonic() > deadline:
                    raise _too_slow(timeout) from None
                # Ctrl-C arrives inside the progress handler, which cannot let it through.
                raise KeyboardInterrupt from None
            raise _sqlite_error(url, str(error)) from error


def _authorize(
    action: int, _first: str | None, second: str | None, _database: str | None, _by: str | None
) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _sqlite_error(url: URL, message: str) -> QueryError | StorageError:
    if "one statement" in message:
        return QueryError(_ONE_STATEMENT)
    if "not authorized" in message or "prohibited" in message or "readonly" in message:
        return QueryError(_ONLY_READS)
    if re.search("not a database|locked|I/O|malformed$|unable to open", message):
        return explain(url, sqlite3.OperationalError(message))
    unknown = re.match(r"no such (table|column): (?:\w+\.)*(\w+)", message)
    return QueryError(message + (_nearest(unknown[2], _sqlite_names(url, unknown[1])) if unknown else ""))


def _sqlite_names(url: URL, kind: str) -> list[str]:
    with closing(connect_read_only(url)) as connection:
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type <> 'index'")
        ]
        if kind == "table":
            return tables
        columns = "SELECT DISTINCT c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
        return [row[0] for row in connection.execute(columns)]


def _postgresql_rows(url: URL, sql: str, params: Parameters, timeout: float) -> Iterator[Row]:
    names = list(dict.fromkeys(_parameter_names(sql)))
    numbered = _TOKENS.sub(lambda m: f"${names.index(m['name']) + 1}" if m["name"] else m.group(), sql)
    try:
        with closing(_connect_postgresql(url, timeout)) as connection:
            yield _postgresql_columns(connection, numbered)
            chunk = _CHUNK_ROWS if psycopg.capabilities.has_stream_chunked() else 1
            with psycopg.RawCursor(connection) as cursor:
                yield from cursor.stream(numbered, [params[name] for name in names], size=chunk)
    except psycopg.errors.QueryCanceled:
        raise _too_slow(timeout) from None
    except psycopg.Error as error:
        raise _postgresql_error(url, error) from error


def _connect_postgresql(url: URL, timeout: float) -> psycopg.Connection[Row]:
    location = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(location, **postgresql_arguments(url))
    lend_params_postgresql(connection)
    connection.read_only = True
    connection.adapters.register_loader("numeric", _Number)
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(timeout * 1000))])
    return connection


def _postgresql_columns(connection: psycopg.Connection[Row], sql: str) -> Row:
    """The result's columns, which a stream without rows does not tell; refuses a second statement."""
    encoding = connection.info.encoding
    prepared = connection.pgconn.prepare(b"", sql.encode(encoding))
    if prepared.status == pq.ExecStatus.COMMAND_OK:
        prepared = connection.pgconn.describe_prepared(b"")
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared, encoding)
    return tuple((prepared.fname(i) or b"").decode(encoding) for i in range(prepared.nfields))


def _postgresql_error(url: URL, error: psycopg.Error) -> QueryError | StorageError:
    message = error.diag.message_primary
    if message is None:
        return explain(url, error)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return QueryError(_ONLY_READS)
    if "multiple commands" in message:
        return QueryError(_ONE_STATEMENT)
    unknown = re.search(r'(column|relation) "?(?:\w+\.)*(\w+)"? does not exist', message)
    return QueryError(message + (_nearest(unknown[2], _postgresql_names(url, unknown[1])) if unknown else ""))


def _postgresql_names(url: URL, kind: str) -> list[str]:
    column = "table_name" if kind == "relation" else "column_name"
    names = f"SELECT DISTINCT {column} FROM information_schema.columns WHERE table_schema = current_schema()"
    with closing(_connect_postgresql(url, timeout=5.0)) as connection:
        return [row[0] for row in connection.execute(names)]


class _Number(psycopg.adapt.Loader):
    """PostgreSQL's numeric, such as a sum of integers, as the int or float that SQLite gives."""

    def load(self, data: psycopg.abc.Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


def _too_slow(timeout: float) -> QueryError:
    return QueryError(f"no end within {timeout:g} s: narrow the query down, or allow it more time")


def _nearest(name: str, known: list[str]) -> str:
    if name in VIEWS:
        return " (hpo makes it when a study is first run with this database)"
    close = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {', '.join(close)}?)" if close else ""
