"""Database engines, and transactions with retries, for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError

from hpo.errors import StorageError
from hpo.rng import JITTER
from hpo.storage import views
from hpo.storage.errors import explain, is_fault, is_transient
from hpo.storage.presence import OPENING, DatabaseFile, file_id, refuse_stray_log
from hpo.storage.retry import DEFAULT_RETRY, RetryPolicy
from hpo.storage.url import has_file, parse_url

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a connection waits for SQLite's write lock."""
IDLE_SECONDS = 60
"""How long a transaction on PostgreSQL may be idle before the server ends it."""
# One storage per process: Optuna's default of 5 + 10 connections for each of many workers is too much
# for a server that allows 100.
_POOL: dict[str, Any] = {"pool_size": 2, "max_overflow": 2}
# A cut network reports nothing: without these, the kernel's own limits of minutes and hours apply.
_NOTICE_CUTS = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
# The same for the server's side of the connection, which may wait for a lost worker within a statement.
_SESSION_LIMITS = {
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30s",
}
_LIMIT_SESSION = """
    SELECT set_config(name, wished.value, false)
    FROM unnest(%s::text[], %s::text[]) AS wished(name, value) JOIN pg_settings USING (name)
"""
"""Sets those that the server knows: `tcp_user_timeout` is of PostgreSQL 12."""
_LOCKING = "BEGIN IMMEDIATE"
_JSON = partial(json.dumps, allow_nan=False, ensure_ascii=False)


_FILES: WeakKeyDictionary[Engine, DatabaseFile] = WeakKeyDictionary()
"""The file of each SQLite engine that writes."""


class SqliteConnection(sqlite3.Connection):
    """A connection with write-ahead logging, so that readers and the writer do not block each other.

    It creates no file: one that was deleted must not come back empty (see ``create_file``).
    """

    def __init__(self, database: str, **options: Any) -> None:
        refuse_stray_log(Path(database))
        with OPENING:
            super().__init__(f"file:{quote(database)}?mode=rw", uri=True, **options)
        self._use_write_ahead_log()
        self.execute("PRAGMA foreign_keys=ON")

    def _use_write_ahead_log(self) -> None:
        """Switch the file over, once; SQLite does not wait for a lock by itself here."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(JITTER.uniform(0.01, 0.05))


def open_engine(text: str) -> Engine:
    """Return the engine for hpo's reads and writes; it connects when first used."""
    url = parse_url(text)
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args=_sqlite_arguments(), json_serializer=_JSON, **_POOL)
        _notice_if_taken(engine)
        _begin_explicitly(engine)
        return engine
    engine = create_engine(url, json_serializer=_JSON, **_postgresql_options(url))
    _end_forgotten_transactions(engine)
    return engine


def close_engine(engine: Engine) -> None:
    """Close every connection, unless the database was taken away: see ``DatabaseFile.may_close``."""
    if engine not in _FILES or _FILES[engine].may_close():
        engine.dispose()


def open_reader(text: str) -> Engine:
    """Return an engine that cannot write, and raises ``StorageError`` where SQLite would create a file."""
    url = parse_url(text)
    if url.drivername != "sqlite":
        options = _postgresql_options(url)
        return create_engine(url, execution_options={"postgresql_readonly": True}, **options)
    engine = create_engine(url, creator=partial(connect_read_only, url), **_POOL)
    _reopen_if_replaced(engine)
    _begin_explicitly(engine)
    return engine


def create_file(url: URL) -> None:
    """Create an SQLite database's file, empty, if it does not exist; a connection then says why it cannot."""
    if url.drivername == "sqlite":
        with suppress(OSError):
            os.close(os.open(str(url.database), os.O_CREAT | os.O_RDWR, 0o644))


def connect_read_only(url: URL) -> sqlite3.Connection:
    """Return a connection on which SQLite refuses every write; raises ``StorageError`` without a file."""
    path = str(url.database)
    if not has_file(url):
        raise StorageError(
            f"there is no database {path}: run a study first, or choose another one with --storage"
        )
    refuse_stray_log(Path(path))
    location = f"file:{quote(path)}?mode=ro{_immutable(Path(path))}"
    try:
        with OPENING:
            connection = sqlite3.connect(location, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
    except sqlite3.Error as error:
        raise explain(url, error) from error
    try:
        _create_temp_params_view(connection)
        connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        connection.close()
        raise explain(url, error) from error
    return connection


def _create_temp_params_view(connection: sqlite3.Connection) -> None:
    """Create the view `params` for this connection, if the database has Optuna's tables but not hpo's."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "trial_params" in names and "params" not in names:
        connection.execute(f"CREATE TEMP VIEW params AS {views.select_text('params', 'sqlite')}")


def create_temp_params_view_postgresql(connection: psycopg.Connection[Any]) -> None:
    """Do the same for a PostgreSQL session, if its user may create temporary views."""
    ask = "SELECT to_regclass('trial_params') IS NOT NULL AND to_regclass('params') IS NULL"
    no_right = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
    with suppress(*no_right), connection.transaction():
        row = connection.execute(ask).fetchone()
        if row is not None and row[0]:
            select = views.select_text("params", "postgresql")
            connection.execute(f"CREATE TEMP VIEW params AS {select}".encode())


def _immutable(path: Path) -> str:
    """Return the option to read a write-ahead-logged file where SQLite cannot create its lock file."""
    log = path.with_name(f"{path.name}-wal")
    return "" if log.exists() or os.access(path.parent, os.W_OK) else "&immutable=1"


def optuna_engine_options(url: URL) -> dict[str, Any]:
    """Return the ``engine_kwargs`` that make Optuna's connections behave like hpo's."""
    if url.drivername == "sqlite":
        return {"connect_args": _sqlite_arguments(), **_POOL}
    return _postgresql_options(url)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one write transaction; on SQLite it takes the write lock at its start.

    A transaction that reads first and then writes would otherwise fail at once, without waiting, when another
    process wrote in between.
    """
    with engine.execution_options(sqlite_begin=_LOCKING).begin() as connection:
        yield connection


def write(engine: Engine, work: Callable[[Connection], T], retry: RetryPolicy = DEFAULT_RETRY) -> T:
    """Run ``work`` in one write transaction and return its result; retry while the database is unreachable.

    Raises ``StorageError`` if the database stays unusable.
    """
    return _retried(engine, writing, work, retry)


def read(engine: Engine, work: Callable[[Connection], T], retry: RetryPolicy = DEFAULT_RETRY) -> T:
    """Run ``work`` in one read transaction; otherwise like ``write``."""
    return _retried(engine, Engine.connect, work, retry)


def _retried(
    engine: Engine,
    open_transaction: Callable[[Engine], AbstractContextManager[Connection]],
    work: Callable[[Connection], T],
    retry: RetryPolicy,
) -> T:
    def attempt() -> T:
        with open_transaction(engine) as connection:
            return work(connection)

    try:
        return retry.call(attempt, _may_pass)
    except DBAPIError as error:
        if not is_fault(error):
            raise
        raise explain(engine.url, error) from error


def _may_pass(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and is_fault(error) and is_transient(error)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one read transaction; raises ``StorageError`` if the database is unusable."""
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if not is_fault(error):
            raise
        raise explain(engine.url, error) from error


def _sqlite_arguments() -> dict[str, Any]:
    return {"factory": SqliteConnection, "timeout": BUSY_SECONDS}


def postgresql_arguments(url: URL) -> dict[str, Any]:
    """Return the connection settings that the URL does not set."""
    defaults = {"connect_timeout": 10, "application_name": "hpo", **_NOTICE_CUTS}
    return {name: value for name, value in defaults.items() if name not in url.query}


def _postgresql_options(url: URL) -> dict[str, Any]:
    return {"pool_pre_ping": True, "connect_args": postgresql_arguments(url), **_POOL}


def _end_forgotten_transactions(engine: Engine) -> None:
    """Let the server end transactions of a suspended or lost worker, whose locks would block the others."""

    @event.listens_for(engine, "connect")
    def _limit(connection: psycopg.Connection[Any], _record: Any) -> None:
        connection.execute(_LIMIT_SESSION, [list(_SESSION_LIMITS), list(_SESSION_LIMITS.values())])
        connection.commit()


def _notice_if_taken(engine: Engine) -> None:
    """Raise ``DatabaseTakenError`` before a transaction if the file is no longer the one first opened."""
    file = _FILES[engine] = DatabaseFile(Path(str(engine.url.database)))

    @event.listens_for(engine, "do_connect")
    def _before(*_: Any) -> None:
        file.check({})

    @event.listens_for(engine, "connect")
    def _opened(connection: SqliteConnection, _record: Any) -> None:
        file.opened()
        file.hold(connection)

    @event.listens_for(engine, "begin")
    def _check(connection: Connection) -> None:
        file.check(connection.info)


def _reopen_if_replaced(engine: Engine) -> None:
    """Reopen the file at the path, for long-lived readers such as a dashboard."""
    path = Path(str(engine.url.database))

    @event.listens_for(engine, "connect")
    def _opened(_connection: Any, record: Any) -> None:
        record.info["file"] = file_id(path)

    @event.listens_for(engine, "checkout")
    def _check(_connection: Any, record: Any, _proxy: Any) -> None:
        if file_id(path) != record.info["file"]:
            raise DisconnectionError


def _begin_explicitly(engine: Engine) -> None:
    """Issue BEGIN ourselves: Python starts a transaction only at the first write."""

    @event.listens_for(engine, "connect")
    def _off(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get("sqlite_begin", "BEGIN")
        raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        if statement != _LOCKING or not _lock(raw):
            connection.exec_driver_sql(statement)


def _lock(connection: sqlite3.Connection) -> bool:
    """Wait for the write lock and begin; return False if it stays taken.

    SQLite itself polls less and less often while it waits: with many workers the newest then always wins,
    and the oldest waits for a minute.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < deadline:
            try:
                connection.execute(_LOCKING)
                return True
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    return False  # SQLAlchemy's own BEGIN then raises the error
            time.sleep(JITTER.uniform(0.001, 0.01))
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
