"""The SQL of the views: one file each in views/, and the columns that `Configuration` gives to `results`."""

from __future__ import annotations

import hashlib
import types
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from hpo.spec.configuration import Configuration

VIEWS = (
    "hpo_known_trial",
    "results",
    "curves",
    "layers",
    "findings",
    "attempts",
    "leaderboard",
    "params",
    "study_findings",
    "stages",
    "decisions",
    "confirmations",
)
"""Every view, those that others read first."""
_FOLDER = Path(__file__).parent / "views"
_TYPES: dict[type, str] = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE PRECISION", str: "TEXT"}
_EXTRACT = {
    "sqlite": "CAST(json_extract(t.configuration, '$.{name}') AS {type})",
    "postgresql": "CAST(t.configuration ->> '{name}' AS {type})",
}


@lru_cache(maxsize=2)
def statements(dialect: str) -> tuple[str, ...]:
    """What makes all views anew, in order."""
    drops = [f"DROP VIEW IF EXISTS {view}" for view in reversed(VIEWS)]
    creates = [f"CREATE VIEW {view} AS\n{select_text(view, dialect)}" for view in VIEWS]
    return (*drops, *creates)


def fingerprint(dialect: str) -> str:
    """A hash that changes when a view or a field of ``Configuration`` does."""
    return hashlib.sha256("\n".join(statements(dialect)).encode()).hexdigest()


def column_type(annotation: Any) -> str:
    """The SQL type of a field: ``float | None`` is DOUBLE PRECISION, a Literal of words TEXT."""
    if get_origin(annotation) is Literal:
        kinds = {type(value) for value in get_args(annotation)}
    elif get_origin(annotation) in (Union, types.UnionType):
        return column_type(*(part for part in get_args(annotation) if part is not types.NoneType))
    else:
        kinds = {annotation}
    (kind,) = kinds
    return _TYPES[kind]


def select_text(view: str, dialect: str) -> str:
    """The statement that a view stands for."""
    path = _FOLDER / f"{view}.{dialect}.sql"
    if not path.exists():
        path = _FOLDER / f"{view}.sql"
    return path.read_text(encoding="utf-8").replace(
        "    /* configuration */", _configuration_columns(dialect)
    )


def _configuration_columns(dialect: str) -> str:
    fields = Configuration.model_fields.items()
    columns = [
        (name, _EXTRACT[dialect].format(name=name, type=column_type(field.annotation)))
        for name, field in fields
    ]
    return "\n".join(f"    {extract} AS {name}," for name, extract in columns)
