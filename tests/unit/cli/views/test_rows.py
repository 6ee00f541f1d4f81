"""Each format of a query's rows, read back or compared as text."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
from collections.abc import Iterator
from typing import Any

import pytest

from hpo.cli.views.rows import WRITERS, parameters
from hpo.errors import QueryError

COLUMNS = ["number", "verdict", "lr"]
ROWS: list[tuple[Any, ...]] = [
    (0, "healthy", 0.05),
    (11, 'said "no", then\nstopped | <b>', None),
    (2, "\x1b[2Jgone", math.inf),
]


def written(output_format: str, rows: list[tuple[Any, ...]] = ROWS) -> str:
    stream = io.StringIO()
    WRITERS[output_format](stream, COLUMNS, iter(rows))
    return stream.getvalue()


def test_table_is_aligned_without_control_characters() -> None:
    assert written("table").splitlines() == [
        "number  verdict                           lr",
        "──────  ──────────────────────────────  ────",
        "     0  healthy                         0.05",
        '    11  said "no", then\\nstopped | <b>',
        "     2  \\x1b[2Jgone                      inf",
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+cmd|'/C calc'!A0", "'+1+cmd|'/C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        ("-", "'-"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, "-0.5"),
        (None, ""),
        ("", ""),
    ],
)
def test_csv_cell_is_no_formula_and_numbers_stay(value: object, cell: str) -> None:
    stream = io.StringIO()
    WRITERS["csv"](stream, [str(value), "n"], iter([(value, -1)]))
    stream.seek(0)
    header, row = csv.reader(stream)
    assert row == [cell, "-1"]
    assert header == ["None" if value is None else cell, "n"]


def test_csv_read_back_has_the_same_values() -> None:
    assert list(csv.reader(io.StringIO(written("csv")))) == [
        COLUMNS,
        ["0", "healthy", "0.05"],
        ["11", ROWS[1][1], ""],
        ["2", ROWS[2][1], "inf"],
    ]


def test_json_read_back_has_null_for_infinity() -> None:
    objects = json.loads(written("json"))
    assert objects == [
        {"number": 0, "verdict": "healthy", "lr": 0.05},
        {"number": 11, "verdict": ROWS[1][1], "lr": None},
        {"number": 2, "verdict": ROWS[2][1], "lr": None},
    ]
    assert json.loads(written("json", [])) == []


def test_markdown_escapes_markup() -> None:
    assert written("markdown").splitlines()[3] == '| 11 | said "no", then\\\\nstopped \\| \\<b\\> |  |'


def test_empty_result_is_a_heading() -> None:
    assert written("table", []).splitlines() == ["number  verdict  lr", "──────  ───────  ──"]
    assert written("csv", []) == "number,verdict,lr\n"


@pytest.mark.parametrize("output_format", WRITERS)
def test_writer_writes_rows_as_they_arrive(output_format: str) -> None:
    """A million rows may not fit into memory: a writer holds its first few hundred at most."""
    stream = io.StringIO()
    seen_at: list[int] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(1000):
            seen_at.append(stream.tell())
            yield (number, "", 0.1)

    WRITERS[output_format](stream, COLUMNS, rows())
    assert seen_at[-1] > seen_at[-2]


def on_a_terminal(columns: int, rows: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that the table has on a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        WRITERS["table"](terminal, COLUMNS, iter(rows))
        terminal.write("END\n")
        terminal.flush()
        shown = b""
        while b"END" not in shown:
            shown += os.read(reader, 1000)
    os.close(reader)
    return shown.decode().splitlines()[:-1]


def test_table_on_a_terminal_cuts_long_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(0, "exploded: the loss reached 9.1 by step 30", 0.05), (1, "healthy", 0.1)]
    assert on_a_terminal(40, rows, monkeypatch) == [
        "number  verdict                       lr",
        f"──────  {'─' * 26}  ────",
        "     0  exploded: the loss reache…  0.05",
        "     1  healthy                      0.1",
    ]
    assert on_a_terminal(80, rows, monkeypatch)[2].endswith("by step 30  0.05")


def test_table_on_a_narrow_terminal_has_one_value_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = on_a_terminal(20, ROWS[:1], monkeypatch)
    assert [line.split() for line in lines] == [
        ["──", "row", "1", "──"],
        ["number", "0"],
        ["verdict", "healthy"],
        ["lr", "0.05"],
    ]


def test_parameters_that_look_like_numbers_are_numbers() -> None:
    assert parameters(["study=demo", "n=3", "lr=1e-3", "empty=", "eq=a=b", "word=true"]) == {
        "study": "demo",
        "n": 3,
        "lr": 1e-3,
        "empty": "",
        "eq": "a=b",
        "word": "true",
    }


@pytest.mark.parametrize("given", ["study", "=3", "a b=3"])
def test_parameter_without_name_or_value_is_refused(given: str) -> None:
    with pytest.raises(QueryError, match="expected NAME=VALUE"):
        parameters([given])
