"""Rows of a query as a Parquet file, in constant memory.

A column's type must be known before its first value is written, and SQLite's columns have none: the rows go
through a temporary file once, which shows what every column holds.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

from hpo.errors import UserError

Row = tuple[Any, ...]

_CELLS = 100_000
"""Values held at a time, and the size of a row group: some 10 MB."""
_SPOOLED_BYTES = 16 * 2**20
_LARGEST = 2**63


def write_parquet(file: BinaryIO, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write everything; raises ``UserError`` without pyarrow, or for two columns of one name."""
    pyarrow, parquet = _pyarrow()
    _refuse_twins(columns)
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


def _refuse_twins(columns: Sequence[str]) -> None:
    twins = sorted({name for name in columns if list(columns).count(name) > 1})
    if twins:
        raise UserError(f"two columns are called {twins[0]}: give one another name, {twins[0]} AS ...")


def _spool(spool: IO[bytes], rows: Iterator[Row], kinds: list[set[type]], size: int) -> int:
    """Write the rows in batches and note the types of each column; how many batches."""
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
