"""Engines and transactions on SQLite; the other modules here have what both databases share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from hpo.errors import StorageError
from hpo.storage import engine as engine_module
from hpo.storage.engine import connect_read_only, open_engine, open_reader, reading, write, writing
from hpo.storage.retry import RetryPolicy
from hpo.storage.url import parse_url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder?" / "hpo.db"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "hpo.db").touch()
    engine = open_engine(f"sqlite:///{tmp_path / 'hpo.db'}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE child (id INTEGER REFERENCES parent)"))
    yield engine
    engine.dispose()


def test_connections_log_ahead_and_enforce_foreign_keys(engine: Engine) -> None:
    with reading(engine) as connection:
        pragmas = ("journal_mode", "foreign_keys", "busy_timeout")
        found = [connection.scalar(text(f"PRAGMA {pragma}")) for pragma in pragmas]
    assert found == ["wal", 1, 30_000]
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(text("INSERT INTO child VALUES (7)"))


def test_a_transaction_is_all_or_nothing_table_making_too(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        connection.execute(text("CREATE TABLE other (id INTEGER)"))
        connection.execute(text("INSERT INTO parent VALUES (1)"))
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM parent")) == 0
        assert connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'other'")) == 0


def test_a_write_takes_the_lock_at_its_start_and_readers_continue(engine: Engine) -> None:
    with writing(engine), closing(sqlite3.connect(str(engine.url.database), timeout=0)) as other:
        assert other.execute("SELECT count(*) FROM parent").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_a_write_is_tried_again_until_the_hiccup_is_over(
    engine: Engine,
) -> None:
    waits: list[float] = []
    failures = [OperationalError("", {}, sqlite3.OperationalError("database is locked")) for _ in range(3)]

    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO parent DEFAULT VALUES"))
        if failures:
            raise failures.pop()
        return "done"

    assert write(engine, work, RetryPolicy(sleep=waits.append)) == "done"
    assert len(waits) == 3
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM parent")) == 1


def test_a_write_gives_up_with_a_message(engine: Engine) -> None:
    soon = RetryPolicy(seconds=0.0)

    def fail(message: str) -> None:
        raise OperationalError("", {}, sqlite3.OperationalError(message))

    with pytest.raises(StorageError, match="stays locked by another process"):
        write(engine, lambda connection: fail("database is locked"), soon)
    with pytest.raises(StorageError, match="no space left"):
        write(engine, lambda connection: fail("database or disk is full"))


def test_a_bug_in_a_statement_is_not_called_a_storage_error(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        write(engine, lambda connection: connection.execute(text("INSERT INTO child VALUES (7)")))


def test_reading_neither_writes_nor_makes_a_file(engine: Engine, tmp_path: Path) -> None:
    reader = open_reader(f"sqlite:///{tmp_path / 'hpo.db'}")
    with pytest.raises(OperationalError, match="readonly"), writing(reader) as connection:
        connection.execute(text("INSERT INTO parent VALUES (1)"))
    reader.dispose()
    missing = open_reader(f"sqlite:///{tmp_path / 'missing.db'}")
    with pytest.raises(StorageError, match="there is no database"), reading(missing):
        pass
    assert not (tmp_path / "missing.db").exists()


def test_a_path_with_odd_characters_is_read_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    plain = create_engine(parse_url("sqlite:///x.db").set(database=str(path)))
    with plain.begin() as connection:
        connection.execute(text("CREATE TABLE here (id INTEGER)"))
    with closing(connect_read_only(plain.url)) as opened:
        assert opened.execute("SELECT name FROM sqlite_master").fetchall() == [("here",)]
    plain.dispose()


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    engine = open_engine(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(StorageError, match="is not an SQLite database"), reading(engine):
        pass
    with pytest.raises(StorageError, match="is not an SQLite database"):
        write(engine, lambda connection: None)
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


def test_waiting_for_the_sqlite_lock_succeeds_or_fails_clearly(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    url = f"sqlite:///{tmp_path / 'a.db'}"
    first, second = open_engine(url), open_engine(url)
    order: list[str] = []
    with writing(first) as connection:
        connection.execute(text("CREATE TABLE t (x)"))
        waiter = Thread(target=lambda: write(second, lambda _: order.append("waited")))
        waiter.start()
    waiter.join()
    assert order == ["waited"]
    with writing(first), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "BUSY_SECONDS", 0.05)
        with pytest.raises(OperationalError, match="database is locked"), writing(second):
            pass
    first.dispose()
    second.dispose()


@pytest.mark.postgres
def test_the_server_ends_a_transaction_that_waits_for_its_worker(postgres_server: str) -> None:
    engine = open_engine(postgres_server)
    with reading(engine) as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    engine.dispose()
