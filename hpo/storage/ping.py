"""Testing the connection to a database; changes nothing."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, select, text

from hpo.storage.column_types import epoch_now
from hpo.storage.engine import open_reader, reading
from hpo.storage.revision import VERSION_TABLE, refuse_newer
from hpo.storage.url import has_file, parse_url, place

_ROUND_TRIPS = 9


@dataclass(frozen=True)
class DatabaseInfo:
    """A database that answers, or an SQLite file that does not exist yet."""

    place: str
    """A file's path, or a URL without a password."""
    engine: str
    """Its kind and version."""
    exists: bool
    schema: str | None
    """The revision of hpo's tables; None before the first study."""
    answer_ms: float
    """The median of a few round trips."""


def ping(url: str) -> DatabaseInfo:
    """Connect and measure. Raises ``StorageError`` if it cannot be read or a newer hpo created it."""
    parsed = parse_url(url)
    name = "SQLite" if parsed.drivername == "sqlite" else "PostgreSQL"
    if name == "SQLite" and not has_file(parsed):
        return DatabaseInfo(place(parsed), name, False, None, 0.0)
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            known = inspect(connection).has_table(VERSION_TABLE)
            schema = refuse_newer(connection) if known else None
            return DatabaseInfo(place(parsed), f"{name} {version}", True, schema, _answer_ms(connection))
    finally:
        engine.dispose()


def seconds_ahead(url: str) -> float:
    """Return how far the database's clock is ahead of this machine's, in seconds; negative if behind.

    The error is at most half a round trip. Raises ``StorageError`` if the database cannot be read.
    """
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))  # connecting is not part of the round trip
            asked = time.time()
            theirs = connection.scalar(select(epoch_now()))
            return float(theirs or 0.0) - (asked + time.time()) / 2
    finally:
        engine.dispose()


def _answer_ms(connection: Connection) -> float:
    seconds = []
    for _ in range(_ROUND_TRIPS):
        started = time.perf_counter()
        connection.execute(text("SELECT 1")).scalar()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)
