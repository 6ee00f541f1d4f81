"""SQL from people on SQLite; tests/database/test_ad_hoc.py has what both databases share."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from hpo.errors import QueryError, StorageError
from hpo.queries.sql import run_sql

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "any.db") as connection:
        connection.execute("CREATE TABLE trees (name TEXT, height REAL)")
        connection.execute("INSERT INTO trees VALUES ('oak', 30.5), ('yew', 12.0)")
    connection.close()
    return f"sqlite:///{tmp_path / 'any.db'}"


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN DELETE FROM trees",
        "SELECT * FROM pragma_table_info('trees')",
        "SELECT load_extension('/tmp/a.so')",
        "SELECT writefile('/tmp/a', 'b')",
    ],
)
def test_what_sqlite_would_let_through_is_refused_too(url: str, sql: str) -> None:
    with pytest.raises(QueryError):
        run_sql(url, sql)


def test_json_and_windows_are_allowed(url: str) -> None:
    sql = "SELECT j.value, rank() OVER (ORDER BY j.value DESC) FROM json_each('[3, 5]') AS j ORDER BY 2"
    assert list(run_sql(url, sql)[1]) == [(5, 1), (3, 2)]


def test_numbers_given_as_text_are_compared_as_numbers(url: str) -> None:
    """A command line gives text."""
    sql = "SELECT name FROM trees WHERE height > :above"
    assert list(run_sql(url, sql, {"above": "20"})[1]) == [("oak",)]


def test_ctrl_c_ends_the_query(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            list(run_sql(url, ENDLESS)[1])
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_unknown_table_of_ours_reports_where_it_comes_from(url: str) -> None:
    with pytest.raises(QueryError, match="hpo creates it when a study is first run"):
        run_sql(url, "SELECT * FROM results")
    with pytest.raises(QueryError, match=r"no such table: tree \(did you mean trees"):
        run_sql(url, "SELECT * FROM tree")


def test_a_file_that_is_not_a_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with pytest.raises(StorageError, match="is not an SQLite database"):
        run_sql(f"sqlite:///{tmp_path / 'notes.txt'}", "SELECT 1")


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        run_sql(f"sqlite:///{tmp_path / 'missing.db'}", "SELECT 1")
    assert list(tmp_path.iterdir()) == []
