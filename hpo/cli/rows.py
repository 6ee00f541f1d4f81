"""Rows of a query as a table, JSON, CSV or Markdown, written as they come: any number of them fits."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TextIO

from hpo.cli.console import printable
from hpo.cli.lines import finite
from hpo.errors import QueryError
from hpo.spec.yaml_tree import resolve

Row = tuple[Any, ...]
Writer = Callable[[TextIO, Sequence[str], Iterator[Row]], None]

_MEASURED = 200  # rows that decide how wide columns are


def parameters(given: Sequence[str]) -> dict[str, str | int | float | None]:
    """``name=value`` as values for a statement: numbers are numbers. Raises ``QueryError``."""
    values: dict[str, str | int | float | None] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name.isidentifier():
            raise QueryError(f"--param {each}: write --param name=value")
        value = resolve(text)
        values[name] = text if isinstance(value, bool) or value is None else value
    return values


def write_table(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Aligned columns; one value a line where they are wider than the terminal."""
    first = list(islice(rows, _MEASURED))
    cells = [[_cell(value) for value in row] for row in first]
    names = [printable(name) for name in columns]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    if stream.isatty() and sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns:
        _write_records(stream, names, chain(first, rows))
        return
    right = [any(_is_number(row[i]) for row in first) for i in range(len(names))]
    _write_line(stream, names, widths, right)
    _write_line(stream, ["─" * width for width in widths], widths, right)
    for row in chain(first, rows):
        _write_line(stream, [_cell(value) for value in row], widths, right)


def write_json(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """A list of objects, one a line; what is not a finite number is null."""
    separator = "[\n"
    for row in rows:
        stream.write(separator)
        values = finite(dict(zip(columns, row, strict=True)))
        stream.write(json.dumps(values, ensure_ascii=False, default=str))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """RFC 4180 with a header; NULL is empty."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def write_markdown(stream: TextIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """A table for a README or a chat."""
    stream.write(f"| {' | '.join(map(_markdown, columns))} |\n")
    stream.write(f"|{'|'.join('---' for _ in columns)}|\n")
    for row in rows:
        stream.write(f"| {' | '.join(_markdown(_cell(value)) for value in row)} |\n")


WRITERS: dict[str, Writer] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
    "markdown": write_markdown,
}


def _write_line(stream: TextIO, cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> None:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    stream.write("  ".join(padded).rstrip() + "\n")


def _write_records(stream: TextIO, names: Sequence[str], rows: Iterator[Row]) -> None:
    width = max(map(len, names))
    for number, row in enumerate(rows, start=1):
        stream.write(f"── row {number} ──\n")
        for name, value in zip(names, row, strict=True):
            stream.write(f"{name:{width}}  {_cell(value)}".rstrip() + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return printable(f"{value:.6g}" if isinstance(value, float) else str(value)).replace("\n", "\\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
