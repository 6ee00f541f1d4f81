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


def test_a_table_is_aligned_and_harmless() -> None:
    assert written("table").splitlines() == [
        "number  verdict                           lr",
        "──────  ──────────────────────────────  ────",
        "     0  healthy                         0.05",
        '    11  said "no", then\\nstopped | <b>',
        "     2  \\x1b[2Jgone                      inf",
    ]


def test_csv_is_read_back_as_it_was() -> None:
    assert list(csv.reader(io.StringIO(written("csv")))) == [
        COLUMNS,
        ["0", "healthy", "0.05"],
        ["11", ROWS[1][1], ""],
        ["2", ROWS[2][1], "inf"],
    ]


def test_json_is_read_back_with_null_for_what_is_no_number() -> None:
    objects = json.loads(written("json"))
    assert objects == [
        {"number": 0, "verdict": "healthy", "lr": 0.05},
        {"number": 11, "verdict": ROWS[1][1], "lr": None},
        {"number": 2, "verdict": ROWS[2][1], "lr": None},
    ]
    assert json.loads(written("json", [])) == []


def test_markdown_escapes_what_would_break_the_table() -> None:
    assert written("markdown").splitlines()[3] == '| 11 | said "no", then\\\\nstopped \\| &lt;b> |  |'


def test_no_rows_is_a_heading() -> None:
    assert written("table", []).splitlines() == ["number  verdict  lr", "──────  ───────  ──"]
    assert written("csv", []) == "number,verdict,lr\n"


def test_rows_are_written_as_they_come() -> None:
    """A million rows of a result would not fit: no writer may hold more than its first few hundred."""
    stream = io.StringIO()
    seen_at: list[int] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(1000):
            seen_at.append(stream.tell())
            yield (number, "", 0.1)

    for output_format in WRITERS:
        WRITERS[output_format](stream, COLUMNS, rows())
        assert seen_at[-1] > seen_at[-2]
        seen_at.clear()


def on_a_terminal(columns: int, rows: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the table's writer puts on a terminal of that width."""
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


def test_long_texts_are_cut_to_fit_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(0, "exploded: the loss reached 9.1 by step 30", 0.05), (1, "healthy", 0.1)]
    assert on_a_terminal(40, rows, monkeypatch) == [
        "number  verdict                       lr",
        f"──────  {'─' * 26}  ────",
        "     0  exploded: the loss reache…  0.05",
        "     1  healthy                      0.1",
    ]
    assert on_a_terminal(80, rows, monkeypatch)[2].endswith("by step 30  0.05")


def test_a_table_too_wide_for_the_terminal_is_written_one_value_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = on_a_terminal(20, ROWS[:1], monkeypatch)
    assert [line.split() for line in lines] == [
        ["──", "row", "1", "──"],
        ["number", "0"],
        ["verdict", "healthy"],
        ["lr", "0.05"],
    ]


def test_parameters_are_numbers_where_they_look_so() -> None:
    assert parameters(["study=demo", "n=3", "lr=1e-3", "empty=", "eq=a=b", "word=true"]) == {
        "study": "demo",
        "n": 3,
        "lr": 1e-3,
        "empty": "",
        "eq": "a=b",
        "word": "true",
    }


@pytest.mark.parametrize("given", ["study", "=3", "a b=3"])
def test_a_parameter_without_a_value_is_refused(given: str) -> None:
    with pytest.raises(QueryError, match="expected NAME=VALUE"):
        parameters([given])
