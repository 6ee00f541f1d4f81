"""Types of a result's columns: those of the views and the database, whatever rows there are."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from sqlalchemy import Boolean, DateTime, Double, Integer

from hpo.cli.views.parquet import write_parquet
from hpo.queries.result_kinds import Kind
from hpo.queries.saved_queries import NAMES, query_kinds, run_query, saved_query
from hpo.storage.views import VIEW_TABLES
from tests.conftest import Fill, NewDatabase
from tests.database.conftest import write_known_trials

ARROW = {Integer: "int64", Boolean: "bool", Double: "double", DateTime: "timestamp[us]"}
EXPRESSIONS: dict[str, Kind] = {
    "count(*)": "integer",
    "count(DISTINCT lr) FILTER (WHERE lr > 0.5)": "integer",
    "avg(number)": "number",
    "sum(epochs)": "integer",
    "sum(seconds) / 3600": "number",
    "max(activation)": "text",
    "min(started)": "time",
    "max(value) - min(value)": "number",
    "max(number) + 1": "integer",
    "2 * max(depth) - 1": "integer",
    "max(value) > 0.5": "boolean",
    "max(number) IS NULL": "boolean",
    "CAST(max(value) AS INTEGER)": "integer",
    "CASE WHEN max(value) > 0.5 THEN NULL ELSE 'good' END": "text",
    "coalesce(max(cause), 'none')": "text",
    "upper(max(state))": "text",
    "max(state) || 'x'": "text",
    "-max(lr)": "number",
    "1": "integer",
    "0.5": "number",
    "'x'": "text",
    ":p": "text",
}


@pytest.fixture(scope="module")
def contents() -> Fill:
    return write_known_trials


def schema(url: str, sql: str, params: dict[str, Any] | None = None) -> pyarrow.Schema:
    """Return the schema of the Parquet file that `hpo query -o` writes."""
    columns, rows = run_query(url, sql, params)
    file = io.BytesIO()
    write_parquet(file, columns, rows, query_kinds(url, sql, params))
    return parquet.read_schema(io.BytesIO(file.getvalue()))


def _params(name: str) -> dict[str, Any]:
    known = {"study": "known", "other": "known", "number": 0}
    return {each.name: known[each.name] for each in saved_query(name).parameters if each.name in known}


def test_view_has_the_types_of_its_declaration_whatever_the_rows(storage_url: str) -> None:
    for view, table in VIEW_TABLES.items():
        declared = [
            pyarrow.field(column.name, pyarrow.type_for_alias(ARROW.get(type(column.type), "string")))
            for column in table.c
        ]
        for where in ("", " WHERE 1 = 0", " LIMIT 1"):
            assert list(schema(storage_url, f"SELECT * FROM {view}{where}")) == declared, view + where


def test_expression_has_one_type_with_rows_and_without(storage_url: str) -> None:
    columns = ", ".join(f"{expression} AS x{i}" for i, expression in enumerate(EXPRESSIONS))
    expected = list(EXPRESSIONS.values())
    with_rows, without = (f"SELECT {columns} FROM results WHERE {where}" for where in ("1 = 1", "1 = 0"))
    for sql in (with_rows, without, f"WITH w AS ({without}) SELECT y.* FROM w AS y ORDER BY 1"):
        assert query_kinds(storage_url, sql, {"p": "known"}) == expected
    assert schema(storage_url, with_rows, {"p": "known"}) == schema(storage_url, without, {"p": "known"})


@pytest.mark.postgres
def test_saved_queries_have_the_same_types_on_both_databases(
    contents: Fill, new_database: NewDatabase
) -> None:
    sqlite, postgresql = new_database("sqlite", contents), new_database("postgresql", contents)
    for name in NAMES:
        found, expected = (query_kinds(url, name, _params(name)) for url in (sqlite, postgresql))
        assert [kind or "number" for kind in found] == expected, name


def test_two_files_of_one_view_are_read_together(storage_url: str, tmp_path: Any) -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(2)]
    for path, where in zip(files, ("depth IS NULL", "depth IS NOT NULL"), strict=True):
        sql = f"SELECT number, depth, nesterov, started FROM results WHERE {where}"
        columns, rows = run_query(storage_url, sql)
        with path.open("wb") as file:
            write_parquet(file, columns, rows, query_kinds(storage_url, sql))
    table = pyarrow.concat_tables([parquet.read_table(path) for path in files])
    assert table.num_rows > 0
    assert [str(each) for each in table.schema.types] == ["int64", "int64", "bool", "timestamp[us]"]
    assert isinstance(table["started"][0].as_py(), datetime)


def test_statement_of_unknown_syntax_has_types_of_its_values(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    explain = "EXPLAIN QUERY PLAN SELECT 1"
    assert query_kinds(url, explain) == []
    assert str(schema(url, explain).field("detail").type) == "string"


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("integer", [1, None, 0.5], "string"),
        ("number", [1, 0.5], "double"),
        ("number", [2**53 + 1], "string"),
        ("number", ["many"], "string"),
        ("boolean", [0, 1, None], "bool"),
        ("boolean", [2], "string"),
        ("time", ["2026-11-24 06:56:22.123000", None], "timestamp[us]"),
        ("time", ["soon"], "string"),
        ("text", [1, "a"], "string"),
        (None, [], "double"),
    ],
)
def test_value_that_does_not_fit_makes_the_column_text(
    kind: Kind | None, values: list[Any], expected: str
) -> None:
    file = io.BytesIO()
    write_parquet(file, ["x"], ((value,) for value in values), [kind])
    table = parquet.read_table(io.BytesIO(file.getvalue()))
    assert str(table.schema.field("x").type) == expected
    assert [value is None for value in table["x"].to_pylist()] == [value is None for value in values]


def test_names_of_the_statement_itself_are_typed_by_their_values(storage_url: str) -> None:
    counting = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n"
    assert str(schema(storage_url, counting).field("i").type) == "int64"
