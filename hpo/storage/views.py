"""The views: their SQL, and their typed columns as SQLAlchemy tables."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from sqlalchemy import JSON, Boolean, Column, DateTime, Double, Integer, MetaData, Table, Text

from hpo.config.configuration import Configuration
from hpo.storage.column_types import Document

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
_FOLDER = Path(__file__).parent / "sql" / "views"
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


_SQL_TYPES: dict[str, Any] = {
    "BOOLEAN": Boolean,
    "INTEGER": Integer,
    "DOUBLE PRECISION": Double,
    "TEXT": Text,
}
_TRIAL = {"study": Text, "number": Integer}
_HYPERPARAMETERS: dict[str, Any] = {
    name: _SQL_TYPES[column_type(field.annotation)] for name, field in Configuration.model_fields.items()
}
_COLUMNS: dict[str, Mapping[str, Any]] = {
    "results": {
        "study": Text, "stage": Text, "number": Integer, "state": Text, "value": Double,
        "best_value": Double, "best_epoch": Integer, "test_value": Double, "verdict": Text, "cause": Text,
        "second_cause": Text, "confidence": Double, "remedy": Text, "epochs_done": Integer,
        **_HYPERPARAMETERS, "images": Integer, "seconds": Double, "images_per_second": Double,
        "parameters": Integer,
        "worker": Text, "started": DateTime, "finished": DateTime, "slot": Integer, "weights_hash": Text,
        "trial_id": Integer,
    },
    "curves": {
        **_TRIAL, "epoch": Integer, "train_loss": Double, "train_accuracy": Double, "val_loss": Double,
        "val_accuracy": Double, "lr": Double, "seconds": Double, "images": Integer,
        "images_per_second": Double, "ended": DateTime, "trial_id": Integer,
    },
    "layers": {
        **_TRIAL, "epoch": Integer, "step": Integer, "position": Integer, "layer": Text,
        "activation_mean": Double, "activation_std": Double, "dead": Double, "saturated": Double,
        "gradient_norm": Double, "update_ratio": Double, "activation_low": Double, "activation_high": Double,
        "activation_counts": JSON, "trial_id": Integer,
    },
    "findings": {
        **_TRIAL, "check_name": Text, "severity": Text, "epoch": Integer, "step": Integer, "layer": Text,
        "value": Double, "threshold": Double, "message": Text, "remedy": Text, "trial_id": Integer,
    },
    "attempts": {
        **_TRIAL, "attempt": Integer, "outcome": Text, "from_epoch": Integer, "to_epoch": Integer,
        "worker": Text, "host": Text, "pid": Integer, "device": Text, "processor": Text, "threads": Integer,
        "precision": Text, "code_version": Text, "started": DateTime, "ended": DateTime, "trial_id": Integer,
    },
    "leaderboard": {
        "rank": Integer, "study": Text, "stage": Text, "number": Integer, "value": Double,
        "test_value": Double, "best_epoch": Integer, "epochs_done": Integer, "images": Integer,
        "seconds": Double, "verdict": Text, "cause": Text, "trial_id": Integer,
    },
    "params": {
        **_TRIAL, "state": Text, "value": Double, "param": Text, "kind": Text, "value_text": Text,
        "value_number": Double, "stored": Double, "trial_id": Integer,
    },
    "study_findings": {
        "study": Text, "position": Integer, "check_name": Text, "severity": Text, "message": Text,
        "remedy": Text, "change": Document, "evidence": Document, "trials_seen": Integer, "made": DateTime,
        "study_id": Integer,
    },
    "stages": {
        "study": Text, "stage": Text, "position": Integer, "kind": Text, "trials": Integer, "done": Integer,
        "best_value": Double, "epochs": Integer, "train_images": Integer, "images": Integer,
        "seconds": Double, "space": JSON, "fixed": JSON, "made": DateTime, "study_id": Integer,
    },
    "decisions": {
        "study": Text, "stage": Text, "position": Integer, "subject": Text, "action": Text, "message": Text,
        "evidence": Document, "study_id": Integer,
    },
    "confirmations": {
        "study": Text, "stage": Text, "rank": Integer, "number": Integer, "search_value": Double,
        "runs": Integer, "completed": Integer, "mean": Double, "low": Double, "high": Double, "gap": Double,
        "difference": Double, "p_value": Double, "test_value": Double, "trial_id": Integer,
    },
}  # fmt: skip
_METADATA = MetaData()
VIEW_TABLES: dict[str, Table] = {
    view: Table(view, _METADATA, *(Column(name, kind) for name, kind in columns.items()))
    for view, columns in _COLUMNS.items()
}
"""Every view that people ask, by name."""
