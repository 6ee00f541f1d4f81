"""What database errors mean."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from hpo.errors import StorageError
from hpo.storage.errors import explain, is_fault, is_transient
from hpo.storage.ping import ping
from hpo.storage.schema import inspect_schema
from hpo.storage.url import parse_url

SERVER = parse_url("postgresql://me:secret@host/db")


def wrapped(error: Exception, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("SELECT 1", {}, error)


def test_a_broken_rule_of_ours_is_a_bug_and_keeps_its_name() -> None:
    assert not is_fault(wrapped(sqlite3.IntegrityError("UNIQUE constraint failed"), IntegrityError))
    assert not is_fault(wrapped(psycopg.errors.UndefinedTable("no table"), ProgrammingError))
    gone = psycopg.errors.UndefinedTable('relation "hpo_slot" does not exist')
    assert is_fault(wrapped(gone, ProgrammingError))
    assert is_fault(wrapped(psycopg.errors.InsufficientPrivilege("permission denied"), ProgrammingError))
    assert is_fault(wrapped(sqlite3.OperationalError("disk I/O error")))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.OperationalError("database or disk is full"), False),
        (psycopg.errors.SerializationFailure("could not serialize"), True),
        (psycopg.errors.DeadlockDetected("deadlock detected"), True),
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.TooManyConnections("too many"), True),
        (psycopg.errors.ConnectionException("gone"), True),
        (psycopg.errors.DiskFull("no space"), False),
        (psycopg.OperationalError("connection failed: Connection refused"), True),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), True),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), True),
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.OperationalError("FATAL:  password authentication failed for user"), False),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), False),
        (psycopg.OperationalError('FATAL:  role "hpo_viewer" is not permitted to log in'), False),
    ],
)
def test_what_passes_by_itself_is_tried_again(error: Exception, transient: bool) -> None:
    assert is_transient(wrapped(error)) is transient


def test_a_lost_connection_is_tried_again() -> None:
    lost = OperationalError(
        "SELECT 1", {}, psycopg.OperationalError("server closed"), connection_invalidated=True
    )
    assert is_transient(lost)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("file is not a database", "is not an SQLite database: name another file"),
        ("database disk image is malformed", "is damaged: restore it from a backup"),
        ("attempt to write a readonly database", "is not writable: make it so"),
        ("database is locked", "stays locked by another process"),
        ("database or disk is full", "no space left for"),
        ("something new", "hpo.db: something new"),
    ],
)
def test_sqlite_errors_report_what_to_do(tmp_path: Path, message: str, told: str) -> None:
    url = parse_url(f"sqlite:///{tmp_path}/hpo.db")
    error = explain(url, wrapped(sqlite3.OperationalError(message)))
    assert told in str(error)
    assert f"{tmp_path}/hpo.db" in str(error)


def test_a_file_that_cannot_be_opened_reports_why(tmp_path: Path) -> None:
    cannot = sqlite3.OperationalError("unable to open database file")

    def told(path: Path) -> str:
        return str(explain(parse_url(f"sqlite:///{path}"), cannot))

    assert "there is no folder" in told(tmp_path / "nowhere" / "hpo.db")
    assert "it is a folder" in told(tmp_path)
    assert "was deleted" in told(tmp_path / "hpo.db")
    (tmp_path / "hpo.db").touch(0o000)
    assert "make it and its folder writable" in told(tmp_path / "hpo.db")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('FATAL:  password authentication failed for user "me"', "the user or the password is wrong"),
        (
            "connection to server failed: Connection refused\n\tIs the server running?",
            "connection refused: is PostgreSQL running",
        ),
        ('FATAL:  database "db" does not exist', "create it first"),
        ('FATAL:  role "me" does not exist', 'role "me" does not exist'),
        ("connection timeout expired", "no answer within the time limit"),
        ("permission denied for schema public", "the user lacks the right"),
        ("permission denied for table hpo_study", "its user may not do this"),
        ("must be owner of view results", "only the owner of hpo's tables may do this"),
        ("connection is bad: local user with ID 54321 does not exist", "the URL has no user"),
        ("permission denied to create role", "may not create roles"),
        ('FATAL:  role "hpo_viewer" is not permitted to log in', "this role cannot log in"),
        ("invalid option secret", "invalid option ***"),
    ],
)
def test_postgresql_errors_report_what_to_do_without_the_password(message: str, told: str) -> None:
    text = str(explain(SERVER, wrapped(psycopg.OperationalError(message))))
    assert text.startswith("cannot use postgresql://me:***@host/db: ")
    assert told in text
    assert "secret" not in text
    assert len(text.splitlines()) <= 2


def test_a_full_disk_is_reported_where_sqlite_says_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = parse_url(f"sqlite:///{tmp_path / 'hpo.db'}")
    failure = wrapped(sqlite3.OperationalError("disk I/O error"))
    assert "see the system log" in str(explain(url, failure))
    full = shutil.disk_usage(tmp_path)._replace(free=4095)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    assert f"no space left for {tmp_path / 'hpo.db'}: free some" in str(explain(url, failure))


def test_path_that_cannot_be_looked_at_is_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/{'x' * 300}/hpo.db"
    for look in (ping, inspect_schema):
        with pytest.raises(StorageError, match=r"cannot open .*: File name too long"):
            look(url)
