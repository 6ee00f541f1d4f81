from __future__ import annotations

import io
import sys
from datetime import datetime
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from hpo.cli.views import rows as writer
from hpo.errors import UserError

WHEN = datetime(2026, 11, 24, 6, 56, 22, 123456)


def written(columns: list[str], rows: list[tuple[Any, ...]]) -> pyarrow.Table:
    file = io.BytesIO()
    writer.write_parquet(file, columns, iter(rows))
    return parquet.read_table(io.BytesIO(file.getvalue()))


def test_every_type_is_read_back() -> None:
    columns = ["i", "f", "mixed", "t", "b", "when", "none", "raw"]
    rows = [
        (1, 0.5, 1, "ä", True, WHEN, None, b"\0"),
        (None, None, None, None, None, None, None, None),
        (2**62, float("nan"), 0.25, "", False, WHEN, None, b""),
    ]
    table = written(columns, rows)
    assert [str(kind) for kind in table.schema.types] == [
        "int64", "double", "double", "string", "bool", "timestamp[us]", "null", "binary",
    ]  # fmt: skip
    found = [tuple(row[name] for name in columns) for row in table.to_pylist()]
    assert found[:2] == [(1, 0.5, 1.0, "ä", True, WHEN, None, b"\0"), rows[1]]
    assert (found[2][0], found[2][2:]) == (2**62, (0.25, "", False, WHEN, None, b""))


def test_a_column_may_change_its_type_at_any_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's columns do; the first rows say nothing about the last."""
    monkeypatch.setattr(writer, "_CELLS", 3)
    table = written(["a"], [(i,) for i in range(10)] + [("ten",), (2**70,)])
    assert table["a"].to_pylist() == [*map(str, range(10)), "ten", str(2**70)]
    assert written(["a"], [(None,)] * 4 + [(0.5,)])["a"].to_pylist() == [None] * 4 + [0.5]


def test_a_result_without_rows_keeps_its_columns() -> None:
    table = written(["a", "b"], [])
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"two columns are named value: rename one \(value AS \.\.\.\)"):
        written(["value", "value"], [(1, 2)])


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="parquet needs pyarrow: pip install pyarrow"):
        written(["a"], [(1,)])
