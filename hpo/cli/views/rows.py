"""Write the rows of a query as a table, JSON, CSV, Markdown or Parquet, as they arrive."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, TextIO

from hpo.cli.console import finite, printable
from hpo.config.parsing.yaml_tree import resolve
from hpo.errors import QueryError, UserError
from hpo.escaping import markdown

Row = tuple[Any, ...]
Writer = Callable[[TextIO, Sequence[str], Iterator[Row]], None]

_MEASURED = 200  # rows that decide the width of columns
_SHORTEST = 16  # columns of text are cut to no less
_CELLS = 100_000
"""Values in memory at a time, and in a row group: about 10 MB."""
_SPOOLED_BYTES = 16 * 2**20
_LARGEST = 2**63


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
    """Write RFC 4180 with a header; NULL is empty."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


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


def write_parquet(file: BinaryIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write all rows in memory that does not depend on their number.

    A column's type depends on all its values (SQLite has no fixed types), so rows are spooled to disk first.
    Raises ``UserError`` without pyarrow, or if two columns have the same name.
    """
    pyarrow, parquet = _pyarrow()
    _refuse_duplicates(columns)
    kinds: list[set[type]] = [set() for _ in columns]
    with SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as spool:
        batches = _spool(spool, rows, kinds, max(1, _CELLS // len(columns)))
        types = [_arrow_type(pyarrow, each) for each in kinds]
        schema = pyarrow.schema(list(zip(columns, types, strict=True)))
        spool.seek(0)
        with parquet.ParquetWriter(file, schema) as writer:
            for _ in range(batches):
                values = zip(*pickle.load(spool), strict=True)
                arrays = [_array(pyarrow, column, each) for column, each in zip(values, types, strict=True)]
                writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("parquet needs pyarrow: pip install pyarrow") from None
    return pyarrow, parquet


def _refuse_duplicates(columns: Sequence[str]) -> None:
    duplicates = sorted({name for name in columns if list(columns).count(name) > 1})
    if duplicates:
        raise UserError(f"two columns are named {duplicates[0]}: rename one ({duplicates[0]} AS ...)")


def _spool(spool: IO[bytes], rows: Iterator[Row], kinds: list[set[type]], size: int) -> int:
    """Spool the rows in batches, collect the types of each column, and return the number of batches."""
    batches = 0
    while batch := list(islice(rows, size)):
        for kind, column in zip(kinds, zip(*batch, strict=True), strict=True):
            kind.update(map(type, column))
            if int in kind and any(
                type(value) is int and not -_LARGEST <= value < _LARGEST for value in column
            ):
                kind.add(str)
        pickle.dump(batch, spool, pickle.HIGHEST_PROTOCOL)
        batches += 1
    return batches


def _arrow_type(pyarrow: Any, kinds: set[type]) -> Any:
    found = kinds - {type(None)}
    if not found:
        return pyarrow.null()
    if found <= {int, float}:
        return pyarrow.float64() if float in found else pyarrow.int64()
    types = {bool: pyarrow.bool_(), datetime: pyarrow.timestamp("us"), bytes: pyarrow.binary()}
    return types.get(next(iter(found)), pyarrow.string()) if len(found) == 1 else pyarrow.string()


def _array(pyarrow: Any, column: Sequence[Any], arrow_type: Any) -> Any:
    if arrow_type == pyarrow.string():
        column = [None if value is None else str(value) for value in column]
    return pyarrow.array(column, type=arrow_type)


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
    return printable(f"{value:.6g}" if isinstance(value, float) else str(value)).replace("\n", "\\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
