"""The views: their SQL, and their typed columns as SQLAlchemy tables."""

from __future__ import annotations

import hashlib
import re
import types
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from sqlalchemy import Boolean, Column, Double, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from hpo.config.configuration import Configuration
from hpo.records import ClassResult, EpochResult, LayerStatistics, stored_fields
from hpo.storage.objective_sql import objective_text, score_text, tradeoff_text
from hpo.storage.tables import Base

VIEWS = (
    "hpo_known_trial",
    "results",
    "curves",
    "classes",
    "layers",
    "findings",
    "attempts",
    "leaderboard",
    "tradeoffs",
    "params",
    "study_findings",
    "stages",
    "decisions",
    "confirmations",
)
"""Every view, after those that it reads."""
_FOLDER = Path(__file__).parent / "sql" / "views"
_TYPES: dict[type, str] = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE PRECISION", str: "TEXT"}
_EXTRACT = {
    "sqlite": "CASE WHEN json_type(t.configuration, '$.{name}') IN ({kinds}) "
    "THEN CAST(json_extract(t.configuration, '$.{name}') AS {type}) END",
    "postgresql": "CASE WHEN {condition} THEN CAST(t.configuration ->> '{name}' AS {type}) END",
}
"""A parameter of the user's own training may have the name of a hyperparameter and values of another type."""
_KINDS_SQLITE = {
    "BOOLEAN": "'true', 'false'",
    "INTEGER": "'integer'",
    "DOUBLE PRECISION": "'real', 'integer'",
    "TEXT": "'text'",
}
_CONDITIONS_POSTGRESQL = {
    "BOOLEAN": "jsonb_typeof(t.configuration -> '{name}') = 'boolean'",
    "INTEGER": "jsonb_typeof(t.configuration -> '{name}') = 'number' "
    "AND t.configuration ->> '{name}' ~ '^-?[0-9]{{1,9}}$'",
    "DOUBLE PRECISION": "jsonb_typeof(t.configuration -> '{name}') = 'number'",
    "TEXT": "jsonb_typeof(t.configuration -> '{name}') = 'string'",
}


@lru_cache(maxsize=2)
def statements(dialect: str) -> tuple[str, ...]:
    """Return the statements that recreate all views, in order."""
    drops = [f"DROP VIEW IF EXISTS {view}" for view in reversed(VIEWS)]
    creates = [f"CREATE VIEW {view} AS\n{select_text(view, dialect)}" for view in VIEWS]
    return (*drops, *creates)


def fingerprint(dialect: str) -> str:
    """Return a hash that changes when a view or a field of ``Configuration`` does."""
    return hashlib.sha256("\n".join(statements(dialect)).encode()).hexdigest()


def column_type(annotation: Any) -> str:
    """Return the SQL type of a field: DOUBLE PRECISION for ``float | None``, TEXT for a string Literal."""
    if get_origin(annotation) is Literal:
        kinds = {type(value) for value in get_args(annotation)}
    elif get_origin(annotation) in (Union, types.UnionType):
        return column_type(*(part for part in get_args(annotation) if part is not types.NoneType))
    else:
        kinds = {annotation}
    (kind,) = kinds
    return _TYPES[kind]


def select_text(view: str, dialect: str) -> str:
    """Return the statement of a view, with the columns that follow from a declaration filled in."""
    path = _FOLDER / f"{view}.{dialect}.sql"
    if not path.exists():
        path = _FOLDER / f"{view}.sql"
    text = path.read_text(encoding="utf-8")
    text = text.replace("    /* configuration */", _configuration_columns(dialect))
    text = text.replace("/* objective in e */", objective_text(dialect, "e", "h"))
    text = text.replace("/* score of t */", score_text("t.value", "h"))
    text = text.replace("/* tradeoff of t, e */", tradeoff_text(dialect, "t", "e", "h"))
    gap = score_text("(c.search_value - c.mean)", "h")
    text = text.replace("/* gain of c.search_value over c.mean */", gap)
    text = text.replace("    /* epoch result */", _record_columns(EpochResult, "e", text))
    text = text.replace("    /* class result */", _record_columns(ClassResult, "c", text))
    return text.replace("    /* layer statistics */", _record_columns(LayerStatistics, "l", text))


def _configuration_columns(dialect: str) -> str:
    fields = Configuration.model_fields.items()
    columns = ((name, column_type(field.annotation)) for name, field in fields)
    return "\n".join(f"    {_extract(dialect, name, kind)} AS {name}," for name, kind in columns)


def _extract(dialect: str, name: str, kind: str) -> str:
    condition = _CONDITIONS_POSTGRESQL[kind].format(name=name)
    return _EXTRACT[dialect].format(name=name, type=kind, kinds=_KINDS_SQLITE[kind], condition=condition)


def _record_columns(record: type, alias: str, text: str) -> str:
    """Return a line for each stored field of a record that the text does not name itself."""
    columns = [f"    {alias}.{name}," for name in stored_fields(record).values()]
    return "\n".join(column for column in columns if column not in text)


_SQL_TYPES: dict[str, Any] = {
    "BOOLEAN": Boolean,
    "INTEGER": Integer,
    "DOUBLE PRECISION": Double,
    "TEXT": Text,
}
_COMPUTED: dict[str, dict[str, Any]] = {
    "hpo_known_trial": {"state": Text},
    "results": {
        "score": Double,
        "best_value": Double,
        "configuration": Text,
        **{
            name: _SQL_TYPES[column_type(field.annotation)]
            for name, field in Configuration.model_fields.items()
        },
    },
    "curves": {"value": Double},
    "classes": {"recall": Double, "precision": Double},
    "leaderboard": {"rank": Integer},
    "tradeoffs": {"amount": Double, "on_front": Integer},
    "params": {
        "state": Text,
        "value": Double,
        "param": Text,
        "kind": Text,
        "value_text": Text,
        "value_number": Double,
        "stored": Double,
    },
    "stages": {
        "stage": Text,
        "position": Integer,
        "kind": Text,
        "trials": Integer,
        "done": Integer,
        "best_value": Double,
        "images": Integer,
        "seconds": Double,
    },
    "confirmations": {"gap": Double, "test_value": Double},
}
"""The types of columns that are not simply a table's."""
_SIMPLE: tuple[tuple[type[TypeEngine[Any]], type[TypeEngine[Any]]], ...] = (
    (Double, Double),
    (Integer, Integer),
    (Text, String),
)
_SOURCE = re.compile(r"^(?:FROM|JOIN|LEFT JOIN) (\w+) AS (\w+)", re.MULTILINE)
_COLUMN = re.compile(r"^    (?:(?P<alias>\w+)\.(?P<column>\w+)|\S.*?)(?: AS (?P<name>\w+))?,?$", re.MULTILINE)


def _typed_columns(view: str) -> Iterator[Column[Any]]:
    """Yield what a view selects: the names are those of its SQL, the types those of the tables."""
    text = select_text(view, "sqlite")
    selected, _, rest = text.partition("\nFROM ")
    sources = {alias: name for name, alias in _SOURCE.findall(f"FROM {rest}")}
    for found in _COLUMN.finditer(selected):
        name = found["name"] or found["column"]
        if name is None:
            continue
        computed = _COMPUTED.get(view, {}).get(name)
        yield Column(name, computed or _type_of(sources[found["alias"]], found["column"]))


def _type_of(source: str, column: str) -> TypeEngine[Any]:
    """Return a column's type without what matters only to writing."""
    tables = _VIEWS.tables if source in _VIEWS.tables else Base.metadata.tables
    kind = tables[source].c[column].type
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    simple = (alike() for alike, like in _SIMPLE if isinstance(plain, like))
    return next(simple, plain)


_VIEWS = MetaData()
for _view in VIEWS:
    Table(_view, _VIEWS, *_typed_columns(_view))
ALL_VIEW_TABLES: dict[str, Table] = {view: _VIEWS.tables[view] for view in VIEWS}
"""Every view, by name."""
VIEW_TABLES: dict[str, Table] = {view: ALL_VIEW_TABLES[view] for view in VIEWS if view != "hpo_known_trial"}
"""Every view that people query, by name."""
