"""What the columns of our tables are made of.

A number that is not finite (a loss that became NaN) is stored as NULL: SQLite has no NaN, and NULL is what
averages skip. The finding of the check that saw it says what it was. Times are UTC, without a zone.
"""

from __future__ import annotations

import math

from sqlalchemy import JSON, CheckConstraint, Dialect, Double, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from hpo.redact import redact

NAME_LENGTH = 200


class Finite(TypeDecorator[float]):
    """A double; NaN and infinity become NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or not math.isfinite(value) else float(value)


class Prose(TypeDecorator[str]):
    """Text from anywhere, without passwords and what a database cannot hold (NUL, half a character)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return redact(value).encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


# Elsewhere plain `json`, which keeps the order of a study file's keys; `jsonb` is faster to take apart.
Document = JSON().with_variant(JSONB(), "postgresql")


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """That the column has one of these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"ck_{column}")
