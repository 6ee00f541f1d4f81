"""SQL from users: one read-only statement, on a connection that cannot write, with a time limit."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from hpo.errors import QueryError
from hpo.queries import sql_postgresql, sql_sqlite
from hpo.queries.sql_text import parameter_names, refuse_writes
from hpo.storage.url import parse_url

Value = str | int | float | None
Parameters = Mapping[str, Value]
Row = tuple[Any, ...]
Rows = Generator[Row, None, None]

TIMEOUT_SECONDS = 30.0


def run_sql(
    url: str, sql: str, params: Parameters | None = None, timeout: float = TIMEOUT_SECONDS
) -> tuple[list[str], Rows]:
    """Return the column names and the rows of one read-only statement; rows are fetched lazily.

    ``:name`` in the statement stands for ``params["name"]``. ``timeout`` in seconds covers fetching too.
    Close the iterator to stop early. Raises ``QueryError`` for wrong SQL, for anything but reading, and on
    timeout; ``StorageError`` if the database is unusable.
    """
    parsed = parse_url(url)
    params = params or {}
    refuse_writes(sql)
    _refuse_parameters(sql, params)
    engine = sql_sqlite if parsed.drivername == "sqlite" else sql_postgresql
    stream = engine.rows(parsed, sql, params, timeout)
    columns = list(next(stream))
    return columns, stream


def _refuse_parameters(sql: str, params: Parameters) -> None:
    names = parameter_names(sql)
    unknown = sorted(set(params) - set(names))
    if unknown:
        known = f"it has {', '.join(f':{name}' for name in names)}" if names else "it has none"
        raise QueryError(f"the query has no parameter :{unknown[0]}; {known}")
    missing = sorted(set(names) - set(params))
    if missing:
        given = " ".join(f"--param {name}=..." for name in missing)
        raise QueryError(f"the query has parameters without a value: add {given}")
