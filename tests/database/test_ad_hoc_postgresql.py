"""What a read-only transaction of PostgreSQL would let through, and `hpo query` does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from hpo.errors import QueryError
from hpo.queries.sql import run_sql
from hpo.queries.sql_postgresql import _HARMLESS, _refuse_volatile
from hpo.queries.sql_text import called_functions

pytestmark = pytest.mark.postgres

HIDDEN = [
    "SELECT lo_export(1, '/tmp/out')",
    "SELECT pg_catalog.lo_export(1, '/tmp/out')",
    "SELECT \"lo_export\" (1, '/tmp/out')",
    "SELECT LO_Export/* a */ -- b\n (1, '/tmp/out')",
    "SELECT * FROM lo_export(1, '/tmp/out')",
    "SELECT 1 /* /* */ ' */ , lo_export(1, '/tmp/out') --'",
    "SELECT E'\\'' || lo_export(1, '/tmp/out') || '",
    "SELECT 'a' -- ' \r , lo_export(1, '/tmp/out') --'",
    "SELECT U&\"lo\\005fexport\"(1, '/tmp/out')",
    "SELECT $a$ $b$ $a$, lo_export(1, '/tmp/out') -- $b$",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT query_to_xml('SELECT lo_create(7)', true, true, '')",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT nextval('studies_study_id_seq')",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_advisory_lock(1)",
    "EXPLAIN ANALYZE SELECT lo_create(7)",
    "SELECT lo_create(7)",
    "SELECT mine(1)",
    "VALUES (lo_create(7))",
]


@pytest.fixture
def url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """The server's first database, as its superuser: whom nothing else would stop."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION mine(x INT) RETURNS INT LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM lo_create(7); RETURN 1; END $$"
        )
        assert connection.info.parameter_status("is_superuser") == "on"
    yield postgres_server
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP FUNCTION mine")


def test_calls_with_an_effect_are_refused_however_they_are_written(url: str) -> None:
    for sql in HIDDEN:
        with pytest.raises(QueryError):
            pytest.fail(f"{sql}: {list(run_sql(url, sql)[1])}")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)


def test_every_volatile_function_is_refused_but_the_harmless(url: str) -> None:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'").fetchall()
        volatile = {name for (name,) in found}
        assert len(volatile) > 200
        for name in sorted(volatile - _HARMLESS):
            with pytest.raises(QueryError, match=f"{name} may do more than read"):
                _refuse_volatile(connection, called_functions(f'SELECT "{name}" (1)'))


def test_what_only_looks_like_a_call_is_let_through(url: str) -> None:
    sql = """
        SELECT 'lo_export(1)', $x$ lo_export(1) $x$, round(1.25, 1), count(*), (random() >= 0) -- lo_export(1)
        /* lo_export(1) */
    """
    assert list(run_sql(url, sql)[1]) == [("lo_export(1)", " lo_export(1) ", 1.3, 1, True)]


def test_a_password_may_have_any_character(url: str) -> None:
    odd = make_url(url).set(password="a b+c%/@:&'\"ü").render_as_string(hide_password=False)
    assert list(run_sql(odd, "SELECT 1")[1]) == [(1,)]


def test_sleep_ends_with_the_time_limit(url: str) -> None:
    with pytest.raises(QueryError, match=r"did not finish within 0\.1 s"):
        list(run_sql(url, "SELECT pg_sleep(60)", timeout=0.1)[1])


def test_a_query_that_an_administrator_ends_is_reported(url: str) -> None:
    _, rows = run_sql(url, "SELECT pg_sleep(60)", timeout=60)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            list(rows)
        except QueryError as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    with psycopg.connect(url, autocommit=True) as connection:
        cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        while connection.execute(cancel).fetchone() == (0,):
            pass
    waiter.join()
    assert "the server canceled the query: canceling statement" in str(caught[0])
