from __future__ import annotations

import pytest

from hpo.errors import QueryError
from hpo.queries.sql_text import called_functions, parameter_names, refuse_writes, replace_parameters


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT :a, :b, :a", ["a", "b"]),
        ("SELECT x::text, ':no', \":no\", 'it''s :no'", []),
        ("SELECT 1 -- :no\n + :yes /* :no \n :no */", ["yes"]),
        ("SELECT $$ :no $$, $tag$ :no $ :no $tag$, :yes", ["yes"]),
        ("SELECT (:a)::int, CAST(:b AS TEXT)", ["a", "b"]),
        ("SELECT a$b$ , :yes, c$b$", ["yes"]),
    ],
)
def test_parameters(sql: str, names: list[str]) -> None:
    assert parameter_names(sql) == names


def test_parameters_are_replaced_where_they_stand() -> None:
    assert replace_parameters("SELECT :a, ':a', x::a", str.upper) == "SELECT A, ':a', x::a"


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ('SELECT a(1), B . c (2), "D""d" (3), e', {"a", "c", 'D"d'}),
        ("SELECT 'f(1)', $$ f(1) $$, \"f(1)\" -- f(1)\n /* f(1) */", set()),
        ("SELECT f -- a comment\n /* another */ (1)", {"f"}),
        ("SELECT x IN (1), count(*) FILTER (WHERE true)", {"in", "count", "filter"}),
        ("SELECT a, (1)", set()),
        ("SELECT 'a' -- ' \r , f(1)", {"f"}),
    ],
)
def test_calls(sql: str, names: set[str]) -> None:
    assert called_functions(sql) == names


@pytest.mark.parametrize("sql", ["SELECT E'\\''", 'SELECT U&"a"', "SELECT u&'a'", "SELECT /* /* */ */ 1"])
def test_what_could_hide_a_call_is_refused(sql: str) -> None:
    with pytest.raises(QueryError, match="hpo query does not accept"):
        called_functions(sql)


@pytest.mark.parametrize("sql", ["(SELECT 1)", "-- a\n  ( ( select 1))", "with a as (select 1) table a"])
def test_reads_begin_with_a_word_of_reading(sql: str) -> None:
    refuse_writes(sql)


@pytest.mark.parametrize(
    "sql", ["", "()", "'SELECT'", '"SELECT" 1', "1 SELECT", "/* SELECT", "COPY a TO 'b'"]
)
def test_anything_else_is_refused(sql: str) -> None:
    with pytest.raises(QueryError, match="only reads"):
        refuse_writes(sql)
