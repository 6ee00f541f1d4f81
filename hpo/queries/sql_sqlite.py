"""SQL from users on SQLite: a file opened for reading, with an authorizer for each action."""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

from sqlalchemy.engine import URL

from hpo.errors import QueryError, StorageError
from hpo.queries.sql_text import ONE_STATEMENT, ONLY_READS, too_slow, unknown_name_hint
from hpo.storage.engine import connect_read_only
from hpo.storage.errors import explain

# SQLite calls the authorizer before each action of a statement; these are the actions of a read.
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "writefile", "edit"}
_PROGRESS_STEPS = 10_000
"""SQLite's virtual instructions between two checks of the time limit: about a millisecond."""


def rows(
    url: URL, sql: str, params: Mapping[str, Any], timeout: float
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the column names, then the rows."""
    deadline = time.monotonic() + timeout
    with closing(connect_read_only(url)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        try:
            # SQLite has it only if it was compiled with mathematical functions.
            connection.create_function("sqrt", 1, _sqrt, deterministic=True)
            # SQLite creates these two tables at their first use, which the authorizer would see as a write.
            connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
            connection.set_authorizer(_authorize)
            cursor = connection.execute(sql, params)
            yield tuple(column[0] for column in cursor.description)
            yield from cursor
        # Two statements at once raise a Warning, which is not an Error.
        except (sqlite3.Error, sqlite3.Warning) as error:
            if "interrupted" in str(error):
                if time.monotonic() > deadline:
                    raise too_slow(timeout) from None
                # Ctrl-C arrives inside the progress handler, which cannot propagate it.
                raise KeyboardInterrupt from None
            raise _explained(url, str(error)) from error


def _sqrt(value: float | None) -> float | None:
    return None if value is None or value < 0 else math.sqrt(value)


def _authorize(
    action: int, _first: str | None, second: str | None, _database: str | None, _by: str | None
) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _explained(url: URL, message: str) -> QueryError | StorageError:
    if "one statement" in message:
        return QueryError(ONE_STATEMENT)
    if "not authorized" in message or "prohibited" in message or "readonly" in message:
        return QueryError(ONLY_READS)
    if re.search("not a database|locked|I/O|malformed$|unable to open", message):
        return explain(url, sqlite3.OperationalError(message))
    unknown = re.match(r"no such (table|column): (?:\w+\.)*(\w+)", message)
    return QueryError(message + (unknown_name_hint(unknown[2], _names(url, unknown[1])) if unknown else ""))


def _names(url: URL, kind: str) -> list[str]:
    with closing(connect_read_only(url)) as connection:
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type <> 'index'")
        ]
        if kind == "table":
            return tables
        columns = "SELECT DISTINCT c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
        return [row[0] for row in connection.execute(columns)]
