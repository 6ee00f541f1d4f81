"""A record's table columns, its row, and the record of a row: all follow from the record's fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin, get_type_hints

from sqlalchemy import JSON, Column, Integer, Text

from hpo.records import Remedy, stored, stored_fields
from hpo.storage.column_types import Finite, Metrics

T = TypeVar("T")

_COLUMNS = {"check": "check_name"}
"""CHECK is a keyword of SQL."""


def columns_of(record: type, *given: Column[Any]) -> list[Column[Any]]:
    """Return a column for each stored field in order; ``given`` replaces those that need more than a type.

    Integers and text are NOT NULL. A number that is not finite is stored as NULL.
    """
    hints = get_type_hints(record)
    special = {column.name: column for column in given}
    names = {_COLUMNS.get(name, name): field for field, name in stored_fields(record).items()}
    return [
        special[name] if name in special else _column(name, hints[field]) for name, field in names.items()
    ]


def row_of(record: Any) -> dict[str, Any]:
    """Return the values of a record's columns."""
    return {_COLUMNS.get(name, name): value for name, value in stored(record).items()}


def record_of(record: type[T], row: Mapping[str, Any]) -> T:
    """Return the record of a row; fields that are not stored have their defaults."""
    hints = get_type_hints(record)
    names = stored_fields(record)
    return record(
        **{field: _value(hints[field], row[_COLUMNS.get(name, name)]) for field, name in names.items()}
    )


def _column(name: str, hint: Any) -> Column[Any]:
    if hint is float:
        return Column(name, Finite)
    if get_origin(hint) is tuple:
        return Column(name, JSON(none_as_null=True))
    if hint == Mapping[str, float]:
        return Column(name, Metrics)
    return Column(name, Integer if hint is int else Text, nullable=False)


def _value(hint: Any, stored_value: Any) -> Any:
    if stored_value is None and hint is float:
        return math.nan
    if hint == Mapping[str, float]:
        return {name: math.nan if each is None else each for name, each in (stored_value or {}).items()}
    if hint is Remedy:
        return Remedy(stored_value or "")
    return tuple(stored_value or ()) if get_origin(hint) is tuple else stored_value
