"""Column types, and the database's clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, CheckConstraint, DateTime, Dialect, Double, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from hpo.redact import redact


class epoch_now(GenericFunction[float]):  # noqa: N801 (a SQL function, named as one)
    """Seconds since 1970 by the database's clock, at the moment of the call."""

    type = Double()
    inherit_cache = True


class utc_now(GenericFunction[Any]):  # noqa: N801
    """The UTC date and time by the database's clock, without a zone, as in Optuna's columns."""

    type = DateTime()
    inherit_cache = True


@compiles(epoch_now, "postgresql")
def _epoch_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # clock_timestamp, not now(): a transaction that waited for a lock must not renew with an old time.
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(epoch_now, "sqlite")
def _epoch_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    # unixepoch('subsec') came with SQLite 3.42. A Julian day in a double is good to 40 microseconds.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(utc_now, "postgresql")
def _utc_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "(clock_timestamp() AT TIME ZONE 'utc')"


@compiles(utc_now, "sqlite")
def _utc_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


NAME_LENGTH = 200


class Finite(TypeDecorator[float]):
    """A double; NaN and infinity become NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or not math.isfinite(value) else float(value)


class Prose(TypeDecorator[str]):
    """Text from any source, without passwords and without what databases refuse (NUL, lone surrogates)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return redact(value).encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


class Metrics(TypeDecorator[Mapping[str, float]]):
    """Numbers by name as JSON; NaN and infinity become null, no numbers NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(
        self, value: Mapping[str, float | None] | None, dialect: Dialect
    ) -> dict[str, float | None] | None:
        if not value:
            return None
        known = {name: math.nan if each is None else each for name, each in value.items()}
        return {name: each if math.isfinite(each) else None for name, each in known.items()}


# Elsewhere plain `json`, which keeps the order of a study file's keys; `jsonb` is faster to query.
Document = JSON().with_variant(JSONB(), "postgresql")


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """Return the constraint that the column has one of these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"ck_{column}")
