"""Write the rows of a query as a table, JSON, CSV or Markdown, as they arrive."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TextIO

from hpo.cli.console import finite, printable
from hpo.config.parsing.yaml_tree import resolve
from hpo.errors import QueryError
from hpo.reporting.formatting import spreadsheet_cell
from hpo.text import markdown, one_line

Row = tuple[Any, ...]
Writer = Callable[[TextIO, Sequence[str], Iterator[Row]], None]

_MEASURED = 200  # rows that decide the width of columns
_SHORTEST = 16  # columns of text are cut to no less


def parameters(given: Sequence[str]) -> dict[str, str | int | float | None]:
    """Parse ``name=value`` into parameters of a statement, numbers as numbers.

    Raises ``QueryError``.
    """
    values: dict[str, str | int | float | None] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name.isidentifier():
            raise QueryError(f"--param {each}: expected NAME=VALUE")
        value = resolve(text)
        values[name] = text if isinstance(value, bool) or value is None else value
    return values


def write_table(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write aligned columns.

    On a terminal long texts are cut to fit; if that is not enough, each value gets a line.
    """
    first = list(islice(rows, _MEASURED))
    cells = [[_cell(value) for value in row] for row in first]
    names = [printable(name) for name in columns]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    right = [any(_is_number(row[i]) for row in first) for i in range(len(names))]
    longest = list(widths)
    if stream.isatty() and not _fit(widths, right, shutil.get_terminal_size().columns):
        _write_records(stream, names, chain(first, rows))
        return
    cut = [width < full for width, full in zip(widths, longest, strict=True)]
    _write_line(stream, [_cut(name, width) for name, width in zip(names, widths, strict=True)], widths, right)
    _write_line(stream, ["─" * width for width in widths], widths, right)
    for row in chain(first, rows):
        texts = [
            _cut(_cell(value), width) if shorter else _cell(value)
            for value, width, shorter in zip(row, widths, cut, strict=True)
        ]
        _write_line(stream, texts, widths, right)


def write_json(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write a list of objects, one a line; NaN and infinity become null."""
    separator = "[\n"
    for row in rows:
        stream.write(separator)
        values = finite(dict(zip(columns, row, strict=True)))
        stream.write(json.dumps(values, ensure_ascii=False, default=str))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write RFC 4180 with a header, safe to open in a spreadsheet; NULL is empty."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(spreadsheet_cell, columns))
    writer.writerows(map(spreadsheet_cell, row) for row in rows)


def write_markdown(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write a Markdown table."""
    stream.write(f"| {' | '.join(map(markdown, columns))} |\n")
    stream.write(f"|{'|'.join('---' for _ in columns)}|\n")
    for row in rows:
        stream.write(f"| {' | '.join(markdown(_cell(value)) for value in row)} |\n")


WRITERS: dict[str, Writer] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
    "markdown": write_markdown,
}


def _fit(widths: list[int], right: Sequence[bool], terminal: int) -> bool:
    """Narrow the widest columns of text until a line fits; return whether it does."""
    while (excess := sum(widths) + 2 * (len(widths) - 1) - terminal) > 0:
        text = [i for i in range(len(widths)) if not right[i] and widths[i] > _SHORTEST]
        if not text:
            return False
        widest = max(text, key=lambda i: widths[i])
        second = max([widths[i] for i in text if i != widest], default=_SHORTEST)
        widths[widest] = max(widths[widest] - excess, min(second, widths[widest] - 1), _SHORTEST)
    return True


def _write_line(stream: TextIO, cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> None:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    stream.write("  ".join(padded).rstrip() + "\n")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _write_records(stream: TextIO, names: Sequence[str], rows: Iterator[Row]) -> None:
    width = max(map(len, names))
    for number, row in enumerate(rows, start=1):
        stream.write(f"── row {number} ──\n")
        for name, value in zip(names, row, strict=True):
            stream.write(f"{name:{width}}  {_cell(value)}".rstrip() + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return one_line(f"{value:.6g}" if isinstance(value, float) else str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
