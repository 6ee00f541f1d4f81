"""Parquet files of a query's rows, read back with pyarrow."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from hpo.cli.views import parquet as writer
from hpo.errors import UserError

WHEN = datetime(2026, 11, 24, 6, 56, 22, 123456)


def written(columns: list[str], rows: list[tuple[Any, ...]]) -> pyarrow.Table:
    file = io.BytesIO()
    writer.write_parquet(file, columns, iter(rows), [])
    return parquet.read_table(io.BytesIO(file.getvalue()))


def test_parquet_read_back_has_types_and_values() -> None:
    columns = ["i", "f", "mixed", "t", "b", "when", "none", "raw"]
    rows = [
        (1, 0.5, 1, "ä", True, WHEN, None, b"\0"),
        (None, None, None, None, None, None, None, None),
        (2**62, float("nan"), 0.25, "", False, WHEN, None, b""),
    ]
    table = written(columns, rows)
    assert [str(kind) for kind in table.schema.types] == [
        "int64", "double", "double", "string", "bool", "timestamp[us]", "double", "binary",
    ]  # fmt: skip
    found = [tuple(row[name] for name in columns) for row in table.to_pylist()]
    assert found[:2] == [(1, 0.5, 1.0, "ä", True, WHEN, None, b"\0"), rows[1]]
    assert (found[2][0], found[2][2:]) == (2**62, (0.25, "", False, WHEN, None, b""))


def test_parquet_column_of_mixed_types_is_text_or_float(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite columns have no fixed type, so the first rows do not determine the last."""
    monkeypatch.setattr(writer, "_CELLS", 3)
    table = written(["a"], [(i,) for i in range(10)] + [("ten",), (2**70,)])
    assert table["a"].to_pylist() == [*map(str, range(10)), "ten", str(2**70)]
    assert written(["a"], [(None,)] * 4 + [(0.5,)])["a"].to_pylist() == [None] * 4 + [0.5]


def test_parquet_empty_result_has_its_columns() -> None:
    table = written(["a", "b"], [])
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


def test_parquet_duplicate_columns_are_refused() -> None:
    with pytest.raises(UserError, match=r"two columns are named value: rename one \(value AS \.\.\.\)"):
        written(["value", "value"], [(1, 2)])


def test_parquet_without_pyarrow_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="parquet needs pyarrow: pip install pyarrow"):
        written(["a"], [(1,)])
