"""SQL from people: what it may do on either database, and what is refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from sqlalchemy import select

from hpo.errors import QueryError
from hpo.queries.sql import run_sql
from hpo.queries.sql_text import parameter_names
from hpo.records import Outcome
from hpo.storage.tables import TrialRow
from tests.database.conftest import Bench

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "


READS: list[tuple[str, list[Any]]] = [
    ("SELECT study, number, value FROM results", [("first", 0, 0.7)]),
    ("-- why\n/* and */ SELECT 1 UNION ALL SELECT 2", [(1,), (2,)]),
    ("WITH a AS (SELECT 1 AS one) SELECT one FROM a", [(1,)]),
    ("VALUES (1, 'a')", [(1, "a")]),
    ("select sum(number) from results where verdict like '%;%' or 1 = 1 ;", [(0,)]),
    ("SELECT state, ':state' FROM results WHERE state = :state AND value > :low", [("complete", ":state")]),
    ("SELECT study FROM leaderboard WHERE rank = :rank -- not :this", [("first",)]),
    ("SELECT CAST(number AS TEXT) || '%' FROM results LIMIT :count", [("0%",)]),
]
REFUSED = [
    "DELETE FROM hpo_trial",
    "UPDATE hpo_trial SET value = 1",
    "INSERT INTO hpo_schema VALUES ('a', 'b')",
    "WITH a AS (SELECT 1) INSERT INTO hpo_schema SELECT 'a', 'b' FROM a",
    "WITH gone AS (DELETE FROM hpo_trial RETURNING trial_id) SELECT * FROM gone",
    "DROP VIEW results",
    "CREATE TABLE mine (a INTEGER)",
    "CREATE TEMP TABLE mine (a INTEGER)",
    "PRAGMA journal_mode = delete",
    "PRAGMA table_info('hpo_trial')",
    "SELECT * FROM pragma_wal_checkpoint",
    "ATTACH DATABASE '/tmp/other.db' AS other",
    "VACUUM INTO '/tmp/copy.db'",
    "SELECT load_extension('/tmp/a.so')",
    "COPY hpo_trial TO PROGRAM 'cat'",
    "COPY (SELECT 1) TO '/tmp/out'",
    "SELECT 1; DELETE FROM hpo_trial",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE DELETE FROM hpo_trial",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT * INTO mine FROM hpo_trial",
    "SELECT * FROM hpo_trial FOR UPDATE",
    "WITH a AS (SELECT 1) SELECT * FROM a; DROP VIEW results",
    "DETACH DATABASE main",
    "REINDEX",
    "ANALYZE hpo_trial",
    "LOCK TABLE hpo_trial",
    "SET statement_timeout = 0",
    "RESET ALL",
    "DO $$ BEGIN DELETE FROM hpo_trial; END $$",
    "CALL something()",
    "EXPLAIN ANALYZE UPDATE hpo_trial SET value = 1",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "BEGIN",
    "",
    "-- nothing",
]
MESSAGES = [
    ("DELETE FROM hpo_trial", "only reads"),
    ("SELECT 1; SELECT 2", "one statement at a time"),
    ("SELECT activatoin FROM results", r"activatoin.*did you mean activation"),
    ("SELECT r.activatoin FROM results AS r", r"activatoin.*did you mean activation"),
    ("SELECT * FROM result", r"result.*did you mean results"),
    ("SELECT FROM WHERE", "(?i)syntax error"),
    ("SELECT :study, :number", "add --param number=... --param study=..."),
    ("SELECT * FROM hpo_trial; -- one\nSELECT 2", "one statement at a time"),
]


@pytest.fixture
def url(bench: Bench) -> str:
    bench.trial(bench.register(), Outcome("complete", value=0.7, verdict="healthy: it's fine"))
    return str(bench.store.url)


def ask(url: str, sql: str, **params: Any) -> tuple[list[str], list[Any]]:
    columns, rows = run_sql(url, sql, params)
    return columns, list(rows)


def test_reads(url: str) -> None:
    params = {"state": "complete", "low": 0.5, "rank": 1, "count": 1}
    for sql, rows in READS:
        assert ask(url, sql, **{name: params[name] for name in parameter_names(sql)})[1] == rows, sql


def test_a_result_without_rows_has_its_columns(url: str) -> None:
    assert ask(url, "SELECT number, value FROM results WHERE number = 99") == (["number", "value"], [])


def test_anything_but_one_read_is_refused_and_changes_nothing(bench: Bench, url: str) -> None:
    for sql in REFUSED:
        with pytest.raises(QueryError):
            pytest.fail(f"{sql}: {ask(url, sql)}")
    with bench.store.engine.connect() as connection:
        assert connection.scalars(select(TrialRow.value)).all() == [0.7]


def test_the_message_reports_what_is_wrong(url: str) -> None:
    for sql, message in MESSAGES:
        with pytest.raises(QueryError, match=message):
            ask(url, sql)


def test_a_parameter_that_the_query_has_not_is_refused(url: str) -> None:
    with pytest.raises(QueryError, match=r"no parameter :numbr; it has :number, :study"):
        ask(url, "SELECT :number, ':no', :study", numbr=1, study="first")
    with pytest.raises(QueryError, match=r"no parameter :number; it has none"):
        ask(url, "SELECT 1", number=1)


def test_a_value_is_bound_and_never_becomes_sql(bench: Bench, url: str) -> None:
    evil = "'; DELETE FROM hpo_trial; --"
    sql = "SELECT CAST(:evil AS TEXT), count(*) FROM results WHERE study <> :evil"
    assert ask(url, sql, evil=evil)[1] == [(evil, 1)]


def test_time_runs_out(url: str) -> None:
    with pytest.raises(QueryError, match=r"did not finish within 0\.05 s"):
        list(run_sql(url, MANY + "SELECT sum(a.i * b.i) FROM n AS a, n AS b", timeout=0.05)[1])


def test_rows_come_as_they_are_asked_for(url: str) -> None:
    """Two million rows times themselves: only a stream can show the first three."""
    _, rows = run_sql(url, MANY + "SELECT n.i FROM n", timeout=30.0)
    assert list(itertools.islice(rows, 3)) == [(1,), (2,), (3,)]
    rows.close()


def test_sums_of_integers_are_integers_and_averages_floats(url: str) -> None:
    sql = "SELECT sum(i), avg(i) FROM (SELECT 2 AS i UNION ALL SELECT 3) AS n"
    _, (row,) = ask(url, sql)
    assert row == (5, 2.5)
    assert [type(value) for value in row] == [int, float]


def test_json_is_text(url: str) -> None:
    _, ((configuration,),) = ask(url, "SELECT configuration FROM hpo_trial")
    assert json.loads(configuration)["activation"] == "relu"
