"""Write the rows of a query as Parquet."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

from hpo.errors import UserError
from hpo.queries.result_kinds import Kind

Row = tuple[Any, ...]

_CELLS = 100_000
"""Values in memory at a time, and in a row group: about 10 MB."""
_SPOOLED_BYTES = 16 * 2**20
_LARGEST = 2**63
_LARGEST_EXACT = 2**53  # a double holds every integer up to here


class _Column:
    """What is known of a column: its kind, and which types its values have."""

    def __init__(self, kind: Kind | None) -> None:
        self._kind = kind
        self._read = _READERS.get(kind or "text", _unchanged)
        self._found: set[type] = set()
        self._largest = 0

    def read(self, values: Sequence[Any]) -> list[Any]:
        """Return the values as this kind has them, where SQLite has another type; note their types."""
        read = [self._read(value) for value in values]
        self._found.update(map(type, read))
        self._largest = max([self._largest, *(abs(value) for value in read if type(value) is int)])
        return read

    def arrow_type(self, pyarrow: Any) -> Any:
        """Return the type of the kind, unless a value does not fit it: then one that fits all values."""
        found = self._found - {type(None)}
        types = _arrow_types(pyarrow)
        if self._kind is not None:
            return types[self._kind] if self._fits(self._kind) else pyarrow.string()
        if not found:
            return types["number"]  # an expression of SQLite that nothing declares: most are numbers
        return next((types[kind] for kind in _UNDECLARED if self._fits(kind)), pyarrow.string())

    def _fits(self, kind: Kind) -> bool:
        if self._largest >= _LARGEST or (self._largest > _LARGEST_EXACT and kind == "number"):
            return kind == "text"
        return kind == "text" or self._found <= {type(None), *_FITTING[kind]}


_FITTING: dict[Kind, set[type]] = {
    "boolean": {bool},
    "integer": {int},
    "number": {int, float},
    "time": {datetime},
    "zoned time": {datetime},
    "bytes": {bytes},
}
_UNDECLARED: tuple[Kind, ...] = ("integer", "number", "boolean", "time", "bytes")


def _arrow_types(pyarrow: Any) -> dict[Kind, Any]:
    return {
        "boolean": pyarrow.bool_(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "text": pyarrow.string(),
        "time": pyarrow.timestamp("us"),
        "zoned time": pyarrow.timestamp("us", tz="UTC"),
        "bytes": pyarrow.binary(),
    }


def write_parquet(
    file: BinaryIO, columns: Sequence[str], rows: Iterator[Row], kinds: Sequence[Kind | None]
) -> None:
    """Write all rows in memory that does not depend on their number.

    ``kinds`` are those of the columns, or empty. A column of SQLite may still have any value, so rows are
    spooled to disk before the first is written. Raises ``UserError`` without pyarrow, or if two columns have
    the same name.
    """
    pyarrow, parquet = _pyarrow()
    _refuse_duplicates(columns)
    known = [_Column(kind) for kind in (kinds or [None] * len(columns))]
    with SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as spool:
        batches = _spool(spool, rows, known, max(1, _CELLS // len(columns)))
        types = [each.arrow_type(pyarrow) for each in known]
        schema = pyarrow.schema(list(zip(columns, types, strict=True)))
        spool.seek(0)
        with parquet.ParquetWriter(file, schema) as writer:
            for _ in range(batches):
                values = pickle.load(spool)
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


def _spool(spool: IO[bytes], rows: Iterator[Row], columns: Sequence[_Column], size: int) -> int:
    """Spool the rows in batches of columns, and return the number of batches."""
    batches = 0
    while batch := list(islice(rows, size)):
        values = [each.read(column) for each, column in zip(columns, zip(*batch, strict=True), strict=True)]
        pickle.dump(values, spool, pickle.HIGHEST_PROTOCOL)
        batches += 1
    return batches


def _array(pyarrow: Any, column: Sequence[Any], arrow_type: Any) -> Any:
    if arrow_type == pyarrow.string():
        column = [None if value is None else str(value) for value in column]
    return pyarrow.array(column, type=arrow_type)


def _unchanged(value: Any) -> Any:
    return value


def _boolean(value: Any) -> Any:
    return bool(value) if type(value) is int and value in (0, 1) else value


def _time(value: Any) -> Any:
    with suppress(ValueError):
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    return value


_READERS: dict[str, Callable[[Any], Any]] = {"boolean": _boolean, "time": _time}
