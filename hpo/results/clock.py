"""The database's clock, the only clock that leases know; and UTC timestamps by the same clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DateTime, Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class epoch_now(GenericFunction[float]):  # noqa: N801 (a SQL function, named as one)
    """Seconds since 1970 by the database's clock, at the moment of the call."""

    type = Double()
    inherit_cache = True


class utc_now(GenericFunction[Any]):  # noqa: N801
    """The UTC date and time by the database's clock, without a zone, as Optuna stores its own."""

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
